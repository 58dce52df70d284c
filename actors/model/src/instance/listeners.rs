//! What an instance knows of its listeners: where they are subscribed, what they have heard, and what is consumed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::turn::Effect;
use crate::correlation::subscription_key;
use crate::definition::{EventFilter, Listen, TaskId};
use crate::event::CloudEvent;
use crate::fault::{Fault, FaultKind};
use crate::ids::event_digest;
use crate::subscription::{News, Received, Told, Unheard, event_bytes, unsubscribe};

/// How many events wait in one listener until they are looked at; beyond it, it hears no more and fails once it is through.
pub const INBOX_MAX: usize = 1_000;
/// How many bytes of JSON, about, these have together.
const INBOX_BYTES: usize = 4 << 20;
/// How many consumed events are remembered, so that no later listener of the instance finds them again.
const CONSUMED_MAX: usize = 512;
/// How many characters of a listener's description are shown.
const ABOUT_CHARS: usize = 300;

/// The listeners of an instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listeners {
    /// Those that have not ended, oldest first.
    #[serde(default)]
    pub open: Vec<Listener>,
    /// The number of the newest.
    #[serde(default)]
    pub last: u64,
    /// The events consumed last.
    #[serde(default)]
    pub consumed: VecDeque<Consumed>,
    /// How many events were consumed.
    #[serde(default)]
    pub count: u64,
}

/// A `listen` task under way, as far as events are concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Counted from 1 within the instance.
    pub number: u64,
    /// The task.
    pub task: TaskId,
    /// What came from this time on is heard, in milliseconds since the Unix epoch.
    pub since: u64,
    /// How many events the instance had consumed before.
    pub after: u64,
    /// For each filter, what its keys have to be.
    pub expected: Vec<BTreeMap<String, Value>>,
    /// What the first event with a key made of it.
    #[serde(default)]
    pub bound: BTreeMap<String, Value>,
    /// Where it listens.
    pub places: Vec<Place>,
    /// What it heard and did not look at yet, oldest first.
    #[serde(default)]
    pub inbox: VecDeque<Heard>,
    /// The filters of an `all` that have their event, in the order in which these came.
    #[serde(default)]
    pub filled: Vec<usize>,
    /// Whether it has all that it waits for.
    #[serde(default)]
    pub satisfied: bool,
    /// Why it hears no more, if it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deaf: Option<Fault>,
}

/// A subscription of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The key of the subscription.
    pub subscription: String,
    /// Whether it holds: what was there before has been told.
    pub holds: bool,
}

/// An event that waits in a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// Whether it came before the listener was subscribed.
    pub early: bool,
    /// The event.
    pub received: Received,
}

/// An event that was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumed {
    /// Counted from 1 within the instance.
    pub number: u64,
    /// By which listener.
    pub listener: u64,
    /// The two halves of the digest of its source and id.
    pub digest: (u64, u64),
}

impl Listeners {
    /// Whether there is nothing to be stored of them.
    pub fn is_empty(&self) -> bool {
        *self == Listeners::default()
    }

    /// The open listener of a number.
    pub fn get(&self, number: u64) -> Option<&Listener> {
        self.open.iter().find(|listener| listener.number == number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Listener> {
        self.open.iter_mut().find(|listener| listener.number == number)
    }

    /// Takes in what a subscription says; false if no listener waits for it.
    pub(super) fn hear(&mut self, told: &Told) -> bool {
        let Some(listener) = self.get_mut(told.listener) else { return false };
        if !listener.places.iter().any(|place| place.subscription == told.subscription) {
            return false;
        }
        match &told.news {
            News::Listening(early) => listener.begin_to_hear(&told.subscription, early),
            News::Event(received) => listener.take_in(received, false),
            News::Unheard(why) => listener.hear_no_more(&told.subscription, *why),
        }
        true
    }

    /// Whether a listener must pass over an event: it has consumed it, or found it by looking back, and another one of
    /// the instance had consumed it before.
    pub(super) fn is_consumed(&self, listener: &Listener, heard: &Heard) -> bool {
        let digest = digest(&heard.received.event);
        self.consumed.iter().any(|consumed| {
            consumed.digest == digest
                && (consumed.listener == listener.number
                    || (heard.early && consumed.number <= listener.after))
        })
    }

    /// Notes that a listener has consumed an event.
    pub(super) fn consume(&mut self, listener: u64, event: &CloudEvent) {
        self.count += 1;
        self.consumed.push_back(Consumed { number: self.count, listener, digest: digest(event) });
        if self.consumed.len() > CONSUMED_MAX {
            self.consumed.pop_front();
        }
    }

    /// Ends a listener: the messages that take its subscriptions back.
    pub(super) fn close(&mut self, instance: &str, number: u64) -> Vec<Effect> {
        let Some(at) = self.open.iter().position(|listener| listener.number == number) else {
            return Vec::new();
        };
        let listener = self.open.remove(at);
        let leave = |place: &Place| Effect::Tell(unsubscribe(&place.subscription, instance, number));
        listener.places.iter().map(leave).collect()
    }

    /// About how many bytes of JSON they hold.
    pub(super) fn bytes(&self) -> usize {
        self.open.iter().map(Listener::bytes).sum()
    }
}

fn digest(event: &CloudEvent) -> (u64, u64) {
    let digest = event_digest(&event.source, &event.id);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    let halves = ((digest >> 64) as u64, digest as u64);
    halves
}

impl Listener {
    /// Whether all its subscriptions hold, so that the next event is the oldest one.
    pub fn hears(&self) -> bool {
        self.places.iter().all(|place| place.holds)
    }

    /// What it waits for, in words.
    pub fn about(&self, listen: &Listen) -> String {
        let waits = self.needed(listen).map(|(at, filter)| {
            let keys: Vec<String> = filter
                .correlate
                .iter()
                .map(|key| match self.value_of(at, &key.key) {
                    Some(value) => format!("{} = {value}", key.key),
                    None => format!("any {}", key.key),
                })
                .collect();
            let kind = filter.event_type().unwrap_or("any type");
            if keys.is_empty() { kind.to_owned() } else { format!("{kind} ({})", keys.join(", ")) }
        });
        let mut about = waits.collect::<Vec<_>>().join(" or ");
        if let Some((end, _)) = about.char_indices().nth(ABOUT_CHARS) {
            about.truncate(end);
            about.push('…');
        }
        about
    }

    /// What a key of a filter has to be, if that is known.
    pub(super) fn value_of(&self, filter: usize, key: &str) -> Option<&Value> {
        self.expected.get(filter).and_then(|expected| expected.get(key)).or_else(|| self.bound.get(key))
    }

    /// The filters whose events it still needs, with their numbers.
    fn needed<'l>(&'l self, listen: &'l Listen) -> impl Iterator<Item = (usize, &'l EventFilter)> {
        let done = self.satisfied || self.deaf.is_some();
        listen.filters().enumerate().filter(move |(at, _)| !done && !self.filled.contains(at))
    }

    /// The subscriptions by which the events come that it still needs.
    pub(super) fn wanted(&self, listen: &Listen) -> BTreeSet<String> {
        let key = |(at, filter): (usize, &EventFilter)| {
            let paths = listen.paths.get(at)?;
            [Some(&paths.whole), paths.begun.as_ref()].into_iter().flatten().find_map(|path| {
                let keys = path.keys.iter().filter_map(|key| filter.correlate.get(*key));
                let values: Option<Vec<Value>> =
                    keys.map(|key| self.value_of(at, &key.key).cloned()).collect();
                Some(subscription_key(&path.listener, &values?))
            })
        };
        self.needed(listen).filter_map(key).collect()
    }

    fn begin_to_hear(&mut self, subscription: &str, early: &[Received]) {
        for place in self.places.iter_mut().filter(|place| place.subscription == subscription) {
            place.holds = true;
        }
        early.iter().for_each(|received| self.take_in(received, true));
        // What came by different ways is consumed in the order in which it came in.
        self.inbox.make_contiguous().sort_by_key(|heard| heard.received.at);
    }

    fn take_in(&mut self, received: &Received, early: bool) {
        if self.satisfied || self.deaf.is_some() {
            return;
        }
        let waiting = self.inbox.len();
        let bytes: usize = self.inbox.iter().map(|heard| event_bytes(&heard.received.event)).sum();
        if waiting >= INBOX_MAX || (bytes >= INBOX_BYTES && waiting > 0) {
            self.deaf = Some(too_many(format!("{waiting} events wait in the listener, the limit of it")));
            return;
        }
        self.inbox.push_back(Heard { early, received: received.clone() });
    }

    fn hear_no_more(&mut self, subscription: &str, why: Unheard) {
        self.places.retain(|place| place.subscription != subscription);
        let detail = match why {
            Unheard::Crowded(others) => format!("{others} others listen for the same, the limit of it"),
            Unheard::Behind(waiting) => {
                format!("{waiting} events waited to be told, the limit of it, and this listener was behind")
            }
            Unheard::Skipped => {
                let detail = "an operator passed over an entry, and so it would wait for ever";
                self.deaf.get_or_insert(Fault::new(FaultKind::Runtime, "Nothing to be heard", detail, ""));
                return;
            }
        };
        self.deaf.get_or_insert(too_many(detail));
    }

    fn bytes(&self) -> usize {
        let inbox: usize = self.inbox.iter().map(|heard| event_bytes(&heard.received.event)).sum();
        let values = self.expected.iter().flatten().chain(&self.bound);
        inbox + values.map(|(_, value)| super::approximate_bytes(value)).sum::<usize>()
    }
}

fn too_many(detail: String) -> Fault {
    let detail = format!("{detail}: ask for fewer events, by a correlation or a narrower filter");
    Fault { status: 429, ..Fault::new(FaultKind::Runtime, "Too many events", detail, "") }
}
