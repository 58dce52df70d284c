//! The state machine of a subscription: one place where events of one kind and one correlation value come together
//! with the instances that listen for them.
//!
//! An event finds this actor by its name ([`crate::correlation`]), so whoever listens is never searched for. The events
//! of a while are kept too, for instances that begin to listen a little later. An actor that has neither is gone.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::entry::{Body, Message, ProcessEvent};
use crate::event::CloudEvent;
use crate::ids::ActorId;
use crate::instance::{Moment, approximate_bytes};

/// How many listeners one subscription takes; more are refused. Each event is told to all of them.
pub const SUBSCRIBERS_MAX: usize = 10_000;
/// How many events are kept for those who listen later.
pub const EARLY_MAX: usize = 100;
/// How many bytes of JSON, about, these have; the newest is kept however large it is.
pub const EARLY_BYTES: usize = 1 << 20;
/// How many events wait at most until all listeners are told. Those who lag further behind are told that they miss some.
pub const UNTOLD_MAX: usize = 1_000;
/// How many bytes of JSON, about, these have.
pub const UNTOLD_BYTES: usize = 4 << 20;
/// How many messages, and how many bytes of events in them, one entry may ask for; a large crowd is told in steps.
const TOLD_AT_ONCE: (usize, usize) = (256, 1 << 20);
/// The same for an entry that brings an event, of which one batch may hold hundreds.
const TOLD_WITH_EVENT: (usize, usize) = (16, 64 << 10);

/// What happens to a subscription.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SubscriptionEvent {
    /// An event that belongs here.
    Event {
        /// The event.
        received: Received,
        /// How long it is kept for those who listen later, in milliseconds.
        keep_ms: u64,
    },
    /// Somebody listens from now on, and wants to hear what came before.
    Subscribe {
        /// The instance.
        instance: String,
        /// Its listener.
        listener: u64,
        /// From when on, in milliseconds since the Unix epoch.
        since: u64,
        /// What it waits for, for people.
        about: String,
    },
    /// Somebody listens no more.
    Unsubscribe {
        /// The instance.
        instance: String,
        /// Its listener.
        listener: u64,
    },
    /// What is kept may be too old.
    Timer,
    /// There were more to tell than one entry may ask for.
    GoOn,
}

/// An event, and when it came in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// When its router took it in, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The event.
    pub event: Box<CloudEvent>,
}

/// What a subscription tells a listener of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The number of the listener.
    pub listener: u64,
    /// The key of the subscription.
    pub subscription: String,
    /// What it tells.
    pub news: News,
}

/// News for a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum News {
    /// It listens from now on; these events came before, oldest first.
    Listening(Vec<Received>),
    /// An event.
    Event(Received),
    /// It hears nothing from here, or no more.
    Unheard(Unheard),
}

/// Why a listener hears nothing from a subscription, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unheard {
    /// So many listen there already.
    Crowded(usize),
    /// So many events waited to be told, and it was behind.
    Behind(usize),
    /// An operator passed over what it was to hear.
    Skipped,
}

/// One subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// What its listeners wait for, for people.
    #[serde(default)]
    pub about: String,
    /// Who listens, in the order of their coming.
    #[serde(default)]
    pub subscribers: Vec<Subscriber>,
    /// The events that are kept, oldest first.
    #[serde(default)]
    pub events: VecDeque<Kept>,
    /// The number of the newest event.
    #[serde(default)]
    pub last: u64,
    /// How long events are kept, in milliseconds, as the newest of them says.
    #[serde(default)]
    pub keep_ms: u64,
    /// Whether a [`SubscriptionEvent::GoOn`] is on its way.
    #[serde(default)]
    pub telling: bool,
    /// The offset of the newest entry applied.
    #[serde(default)]
    pub applied: u64,
}

/// A listener of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriber {
    /// The instance.
    pub instance: String,
    /// The number of the listener.
    pub listener: u64,
    /// The number of the newest event that it was told.
    pub told: u64,
}

/// An event that is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Counted from 1.
    pub number: u64,
    /// About how many bytes of JSON it has.
    pub bytes: usize,
    /// The event.
    pub received: Received,
}

impl Subscription {
    /// Applies one entry, at the subscription of that key: whom to tell what.
    pub fn apply(&mut self, key: &str, event: &SubscriptionEvent, moment: Moment) -> Vec<Message> {
        if moment.offset <= self.applied {
            return Vec::new();
        }
        self.applied = moment.offset;
        let mut messages = Vec::new();
        let mut at_once = TOLD_AT_ONCE;
        match event {
            SubscriptionEvent::Event { received, keep_ms } => {
                self.keep_ms = *keep_ms;
                at_once = TOLD_WITH_EVENT;
                self.take(received);
            }
            SubscriptionEvent::Subscribe { instance, listener, since, about } => {
                self.about.clone_from(about);
                // Before it is told what is kept: what is too old is nobody's any more.
                self.forget(moment.now);
                messages.push(self.subscribe(key, instance, *listener, *since));
            }
            SubscriptionEvent::Unsubscribe { instance, listener } => {
                self.subscribers.retain(|one| one.listener != *listener || one.instance != *instance);
            }
            SubscriptionEvent::Timer => {}
            SubscriptionEvent::GoOn => self.telling = false,
        }
        self.drop_those_behind(key, &mut messages);
        self.tell(key, at_once, &mut messages);
        self.forget(moment.now);
        messages
    }

    /// When what is kept is too old; whoever has nothing else to keep is gone then.
    pub fn due(&self) -> Option<u64> {
        self.events.back().map(|newest| newest.received.at.saturating_add(self.keep_ms).saturating_add(1))
    }

    /// Whether nothing is left that anybody could want.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty() && self.events.is_empty()
    }

    fn take(&mut self, received: &Received) {
        let same = |kept: &Kept| {
            kept.received.event.id == received.event.id && kept.received.event.source == received.event.source
        };
        if self.events.iter().any(same) {
            return;
        }
        self.last += 1;
        let bytes = event_bytes(&received.event);
        self.events.push_back(Kept { number: self.last, bytes, received: received.clone() });
    }

    fn subscribe(&mut self, key: &str, instance: &str, listener: u64, since: u64) -> Message {
        let known = |one: &Subscriber| one.listener == listener && one.instance == instance;
        if self.subscribers.len() >= SUBSCRIBERS_MAX && !self.subscribers.iter().any(known) {
            let why = Unheard::Crowded(self.subscribers.len());
            return tell(key, instance, listener, News::Unheard(why));
        }
        let early = self.events.iter().filter(|kept| kept.received.at >= since);
        let early = early.map(|kept| kept.received.clone()).collect();
        match self.subscribers.iter_mut().find(|one| known(one)) {
            Some(known) => known.told = self.last,
            None => {
                let instance = instance.to_owned();
                self.subscribers.push(Subscriber { instance, listener, told: self.last });
            }
        }
        tell(key, instance, listener, News::Listening(early))
    }

    /// What was told to everybody is kept for a while, and only so much of it.
    fn forget(&mut self, now: u64) {
        let told = self.told_to_all();
        let mut count = self.events.len();
        let mut bytes: usize = self.events.iter().map(|kept| kept.bytes).sum();
        while let Some(oldest) = self.events.front().filter(|oldest| oldest.number <= told) {
            let too_old = oldest.received.at.saturating_add(self.keep_ms) < now;
            if !too_old && count <= EARLY_MAX && (bytes <= EARLY_BYTES || count == 1) {
                return;
            }
            (count, bytes) = (count - 1, bytes - oldest.bytes);
            self.events.pop_front();
        }
    }

    /// The number of the newest event that everybody was told.
    fn told_to_all(&self) -> u64 {
        self.subscribers.iter().map(|one| one.told).min().unwrap_or(self.last)
    }

    /// Those who lag so far behind that no more events can be kept for them hear that they miss some.
    fn drop_those_behind(&mut self, key: &str, messages: &mut Vec<Message>) {
        let mut bytes: usize = self.events.iter().map(|kept| kept.bytes).sum();
        while self.events.len() > UNTOLD_MAX || (bytes > UNTOLD_BYTES && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else { return };
            bytes -= oldest.bytes;
            let waiting = self.events.len();
            let mut behind = |one: &Subscriber| {
                let lags = one.told < oldest.number;
                if lags {
                    let news = News::Unheard(Unheard::Behind(waiting));
                    messages.push(tell(key, &one.instance, one.listener, news));
                }
                lags
            };
            self.subscribers.retain(|one| !behind(one));
        }
    }

    /// Tells everybody what they have not heard, event by event, as much of it as one entry may ask for.
    fn tell(&mut self, key: &str, (mut count, mut bytes): (usize, usize), messages: &mut Vec<Message>) {
        let told = self.told_to_all();
        let untold = self.events.partition_point(|kept| kept.number <= told);
        for kept in self.events.range(untold..) {
            for one in self.subscribers.iter_mut().filter(|one| one.told < kept.number) {
                if count == 0 || bytes == 0 {
                    if !self.telling {
                        self.telling = true;
                        let body = Body::Subscription(SubscriptionEvent::GoOn);
                        messages.push(Message { to: ActorId::subscription(key), body });
                    }
                    return;
                }
                (count, bytes) = (count - 1, bytes.saturating_sub(kept.bytes));
                one.told = kept.number;
                let news = News::Event(kept.received.clone());
                messages.push(tell(key, &one.instance, one.listener, news));
            }
        }
    }
}

fn tell(key: &str, instance: &str, listener: u64, news: News) -> Message {
    let told = Told { listener, subscription: key.to_owned(), news };
    Message { to: ActorId::process(instance), body: Body::Process(ProcessEvent::Told(Box::new(told))) }
}

/// About how many bytes of JSON an event has.
pub(crate) fn event_bytes(event: &CloudEvent) -> usize {
    let data = event.data.as_ref().map_or(0, approximate_bytes);
    let binary = event.data_base64.as_ref().map_or(0, String::len);
    let extensions: usize =
        event.extensions.iter().map(|(name, value)| name.len() + approximate_bytes(value)).sum();
    event.id.len() + event.source.len() + event.kind.len() + data + binary + extensions + 128
}

/// That a listener of an instance begins to listen.
pub(crate) fn subscribe(key: &str, instance: &str, listener: u64, since: u64, about: &str) -> Message {
    let (instance, about) = (instance.to_owned(), about.to_owned());
    let event = SubscriptionEvent::Subscribe { instance, listener, since, about };
    Message { to: ActorId::subscription(key), body: Body::Subscription(event) }
}

/// What answers news that nobody waits for, such as an instance that is groomed.
pub fn refuse(instance: &str, told: &Told) -> Option<Message> {
    match told.news {
        News::Listening(_) | News::Event(_) => Some(unsubscribe(&told.subscription, instance, told.listener)),
        News::Unheard(_) => None,
    }
}

/// What a listener is told when an operator passed over the entry by which it would have begun to hear.
pub fn skipped(to: &ActorId, event: &SubscriptionEvent) -> Option<Message> {
    match event {
        SubscriptionEvent::Subscribe { instance, listener, .. } => {
            Some(tell(to.key(), instance, *listener, News::Unheard(Unheard::Skipped)))
        }
        // It still has to go on, or those who were not told would wait for another event.
        SubscriptionEvent::GoOn => {
            Some(Message { to: to.clone(), body: Body::Subscription(SubscriptionEvent::GoOn) })
        }
        SubscriptionEvent::Event { .. }
        | SubscriptionEvent::Unsubscribe { .. }
        | SubscriptionEvent::Timer => None,
    }
}

/// The same where it is the answer of the subscription that was passed over.
pub fn answer_skipped(instance: &ActorId, told: &Told) -> Option<Message> {
    let begins = matches!(told.news, News::Listening(_) | News::Unheard(_));
    begins.then(|| tell(&told.subscription, instance.key(), told.listener, News::Unheard(Unheard::Skipped)))
}

/// That a listener of an instance listens no more.
pub(crate) fn unsubscribe(key: &str, instance: &str, listener: u64) -> Message {
    let event = SubscriptionEvent::Unsubscribe { instance: instance.to_owned(), listener };
    Message { to: ActorId::subscription(key), body: Body::Subscription(event) }
}

#[cfg(test)]
mod tests;
