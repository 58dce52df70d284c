//! Stages 3 and 4 of a step: what actors asked for becomes durable, and then it is done.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::future::{OptionFuture, join};
use impresario_model::entry::{ActivityOutcome, Body, Entry, Origin, ProcessEvent, RouterEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, ActorKind, event_shard};
use impresario_model::instance::{Attempt, Effect, ProbeRequest};
use impresario_model::monitor::WatchOrder;
use impresario_persistence::{Append, Offset, ShardId, StoreError};

use super::batch::Asked;
use super::starts::Start;
use super::state::Shard;
use crate::activity::{ActivityAddress, ProbeQuestion, RunRequest, report_of};

/// Where the numbers of lifecycle events begin among the messages of an entry: no entry asks for as many others.
const LIFECYCLE_INDEX: u32 = 1 << 31;

/// What the applied entries asked for and what is not done yet.
#[derive(Default)]
pub(super) struct Outbox {
    /// Messages, in the order of the log.
    pub messages: Vec<Append>,
    /// What the shard says to its own actors by itself, start markers above all: appended under its epoch, or not at
    /// all, because an owner of the past must not have a say.
    pub own: Vec<Bytes>,
    /// Attempts to run once the above is durable.
    pub runs: Vec<RunRequest>,
    /// What adapters are to be asked once the above is durable.
    pub questions: Vec<ProbeQuestion>,
    /// What adapters are to observe once the above is durable, in the place of what they observed for that monitor.
    pub watches: Vec<(ActorId, Option<Box<WatchOrder>>)>,
    /// Attempts that nobody waits for, with their adapters.
    pub abandoned: Vec<(String, String)>,
    /// Where the cursor goes once all is durable.
    pub cursor: Offset,
}

impl Shard {
    /// Sorts what was asked for into the outbox.
    pub(super) fn outbox_from(&mut self, asked: Vec<Asked>) {
        let (mut last, mut told) = (None, Vec::new());
        for Asked { offset, actor, effect } in asked {
            let replayed = offset <= self.caught_up_at.0;
            self.tell_lifecycle(&mut told, offset);
            match effect {
                Effect::Tell(message) => {
                    let origin = Some(self.next_origin(&mut last, offset));
                    self.post(&Entry { to: message.to, origin, body: message.body });
                }
                Effect::Emit(event) => {
                    let origin = Some(self.next_origin(&mut last, offset));
                    // What a monitor raises was observed outside, and came in by it as by a door.
                    let body = match actor.kind() {
                        Some(ActorKind::Monitor) => RouterEvent::Event(event),
                        _ => RouterEvent::Raised(event),
                    };
                    self.post_event(origin, body);
                }
                Effect::Lifecycle(event) => told.push((offset, event)),
                Effect::Span(span) => {
                    // A replay has told it before.
                    if !replayed {
                        self.with.post.spans().tell(*span);
                    }
                }
                // A shard that has caught up settles everything that was under way by itself, see `recover`.
                Effect::Run(_)
                | Effect::Mark { .. }
                | Effect::Probe(_)
                | Effect::Abandon { .. }
                | Effect::Continue
                | Effect::Watch(_)
                | Effect::Unwatch
                    if replayed => {}
                Effect::Probe(request) => self.ask_adapter(&actor, request),
                Effect::Continue => self.go_on(actor),
                Effect::Watch(order) => self.outbox.watches.push((actor, Some(order))),
                Effect::Unwatch => self.outbox.watches.push((actor, None)),
                Effect::Mark { adapter, activity, token, unplaced } => {
                    if !self.needs_place(&actor, activity, &token, unplaced.as_deref()) {
                        self.starts.push(adapter, Start { actor, activity, token });
                    }
                }
                Effect::Abandon { adapter, token } => {
                    // Asked for and given up in one batch: it never begins.
                    self.outbox.runs.retain(|request| request.token != token);
                    self.outbox.abandoned.push((adapter, token));
                }
                Effect::Run(attempt) => {
                    let (activity, unplaced) = (attempt.activity, attempt.unplaced.as_deref());
                    if !self.needs_place(&actor, activity, &attempt.token, unplaced) {
                        self.run_soon(&actor, attempt);
                    }
                }
            }
        }
        self.tell_lifecycle(&mut told, u64::MAX);
    }

    /// Puts an event into the outbox, for the router that takes it.
    fn post_event(&mut self, origin: Option<Origin>, body: RouterEvent) {
        let (RouterEvent::Event(event) | RouterEvent::Raised(event)) = &body else { return };
        let to = ActorId::router(event_shard(&event.source, &event.id, self.with.post.store().shards()));
        self.post(&Entry { to, origin, body: Body::Router(body) });
    }

    /// Lifecycle events of entries before `offset` go out behind all else that those entries asked for, and have numbers of
    /// their own: whether they are asked for may change, and a replay must give everything else the number that it had.
    fn tell_lifecycle(&mut self, told: &mut Vec<(u64, Box<CloudEvent>)>, offset: u64) {
        for (number, (of, event)) in
            (0..).zip(told.extract_if(.., |(of, _)| *of < offset).collect::<Vec<_>>())
        {
            let origin = Origin { shard: self.id().0, offset: of, index: LIFECYCLE_INDEX + number };
            self.post_event(Some(origin), RouterEvent::Raised(event));
        }
    }

    /// Whether an attempt cannot begin yet, because its target is limited: its instance is told, by an entry like any
    /// other, so that a replay knows it without knowing the target.
    pub(super) fn needs_place(
        &mut self,
        actor: &ActorId,
        activity: u64,
        token: &str,
        unplaced: Option<&str>,
    ) -> bool {
        let Some(limit) = unplaced.and_then(|target| self.with.runner.limit(target)) else { return false };
        let body = Body::Process(ProcessEvent::Limited { activity, token: token.to_owned(), limit });
        self.post(&Entry { to: actor.clone(), origin: None, body });
        true
    }

    /// Numbers the messages of one entry, in the order in which the actors asked for them.
    fn next_origin(&self, last: &mut Option<Origin>, offset: u64) -> Origin {
        let index = last.filter(|last| last.offset == offset).map_or(0, |last| last.index + 1);
        *last.insert(Origin { shard: self.id().0, offset, index })
    }

    /// Puts a message into the outbox.
    pub(super) fn post(&mut self, entry: &Entry) {
        match self.with.post.address(entry) {
            Ok(append) if entry.origin.is_none() && append.shard == self.id() => {
                self.outbox.own.push(append.bytes);
            }
            Ok(append) => self.outbox.messages.push(append),
            // Values are bounded on their way in and out of expressions, so every entry can be encoded.
            Err(error) => tracing::error!(to = %entry.to, %error, "dropped a message that cannot be stored"),
        }
    }

    /// Has a turn that used up its budget go on.
    pub(super) fn go_on(&mut self, actor: ActorId) {
        self.post(&Entry { to: actor, origin: None, body: Body::Process(ProcessEvent::Continue) });
    }

    /// Puts the start markers into the outbox whose attempts have a slot.
    fn mark_starts(&mut self) {
        if self.recovered && !self.draining && !self.holding {
            for start in self.starts.take(self.with.runner.as_ref()) {
                self.mark_start(&start.actor, start.activity, start.token);
            }
        }
    }

    fn mark_start(&mut self, actor: &ActorId, activity: u64, token: String) {
        self.marked.insert(token.clone(), (actor.clone(), activity));
        let body = Body::Process(ProcessEvent::Marker { activity, token, epoch: self.epoch.0 });
        self.post(&Entry { to: actor.clone(), origin: None, body });
    }

    /// Has the adapter asked what became of an attempt that was cut off.
    pub(super) fn ask_adapter(&mut self, actor: &ActorId, request: ProbeRequest) {
        let ProbeRequest { activity, token, key, adapter, function, arguments, target, user, secrets } =
            request;
        let address = ActivityAddress { shard: self.id(), actor: actor.to_string(), activity };
        self.outbox.questions.push(ProbeQuestion {
            address,
            token,
            key,
            adapter,
            function,
            arguments,
            target,
            on: None,
            user,
            secrets,
        });
    }

    fn run_soon(&mut self, actor: &ActorId, attempt: Attempt) {
        // A marker of an older epoch belongs to a start that may have happened: `recover` settles it.
        if attempt.marker.is_some_and(|epoch| epoch != self.epoch.0) {
            return;
        }
        self.outbox.runs.push(RunRequest {
            address: ActivityAddress {
                shard: self.id(),
                actor: actor.to_string(),
                activity: attempt.activity,
            },
            token: attempt.token,
            attempt: attempt.attempt,
            key: attempt.key,
            adapter: attempt.adapter,
            function: attempt.function,
            arguments: attempt.arguments,
            state: attempt.state,
            target: attempt.target,
            on: None,
            user: attempt.user,
            secrets: attempt.secrets,
            resolved: None,
            trace: attempt.trace,
        });
    }

    /// Makes the outbox durable and moves the cursor on; false when the store takes nothing at the moment.
    pub(super) async fn send(&mut self) -> Result<bool, StoreError> {
        self.mark_starts();
        let (own, messages) = (self.outbox.own.clone(), self.outbox.messages.clone());
        let shards: Vec<ShardId> = messages.iter().map(|append| append.shard).collect();
        let count = own.len();
        // Both are asked for before either is waited for, so that they share a flush.
        let own = (!own.is_empty()).then(|| self.store.append_fenced(self.id(), self.epoch, own));
        let messages = (!messages.is_empty()).then(|| self.store.append(messages));
        let (own, messages) = join(OptionFuture::from(own), OptionFuture::from(messages)).await;
        let own = own.transpose().map(|appended| {
            self.outbox.own.clear();
            (0..appended.map_or(0, |_| count)).for_each(|_| self.with.post.count(self.id()));
        });
        let messages = messages.transpose().map(|appended| {
            self.outbox.messages.clear();
            if appended.is_some() {
                shards.into_iter().for_each(|shard| self.with.post.count(shard));
            }
        });
        if let Err(error) = own.and(messages) {
            return self.later(error);
        }
        self.cursor = self.cursor.max(self.outbox.cursor);
        for (adapter, token) in std::mem::take(&mut self.outbox.abandoned) {
            self.starts.abandon(&adapter, &token);
            self.ready.abandon(&adapter, &token);
            self.with.runner.abandon(&adapter, &token);
        }
        for request in std::mem::take(&mut self.outbox.runs) {
            self.ready.push(request);
        }
        for question in std::mem::take(&mut self.outbox.questions) {
            self.with.runner.probe(question);
        }
        for (monitor, order) in std::mem::take(&mut self.outbox.watches) {
            match order {
                Some(order) => self.with.runner.watch(self.id(), self.epoch, *order),
                None => self.with.runner.unwatch(monitor.key()),
            }
        }
        Ok(true)
    }

    fn later(&self, error: StoreError) -> Result<bool, StoreError> {
        match error {
            // The store says once that it is away; its shards need not.
            StoreError::Away(_) => Ok(false),
            error if error.passes() => {
                tracing::warn!(shard = self.id().0, %error, "the store takes nothing at the moment; trying again");
                Ok(false)
            }
            error => Err(error),
        }
    }

    /// Offers waiting attempts to their adapter hosts, in order, as long as there is room.
    pub(super) fn offer_runs(&mut self) {
        if self.holding {
            return;
        }
        for (request, outcome) in self.ready.offer(self.with.runner.as_ref()) {
            self.answer(&request, outcome);
        }
        if let Some(gauge) = self.gauge() {
            gauge.waiting_runs.store(self.ready.len() + self.starts.len(), Ordering::Relaxed);
        }
    }

    /// An attempt that no host will ever take ends here, with a report like any other.
    fn answer(&mut self, request: &RunRequest, outcome: ActivityOutcome) {
        self.with.runner.unreserve(&request.token);
        let Ok(actor) = ActorId::parse(&request.address.actor) else { return };
        self.report(&actor, request.address.activity, &request.token, outcome);
        self.wake();
    }

    /// Puts a report of an attempt into the outbox.
    pub(super) fn report(&mut self, actor: &ActorId, activity: u64, token: &str, outcome: ActivityOutcome) {
        let body = report_of(actor, activity, token.to_owned(), outcome);
        self.post(&Entry { to: actor.clone(), origin: None, body });
    }
}
