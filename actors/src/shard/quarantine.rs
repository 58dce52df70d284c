//! Poison entries: an actor that fails on an entry again after it was rebuilt is set aside, with the entry and
//! the reason. Its shard and all other actors go on.

use std::sync::Arc;

use impresario_model::encoding;
use impresario_model::entry::{
    ActivityOutcome, Body, Entry, Message, OverlapEvent, ProcessEvent, SinkEvent, TargetEvent, TurnAnswer,
};
use impresario_model::ids::ActorId;
use impresario_model::instance::Moment;
use impresario_model::subscription::{answer_skipped, skipped};
use impresario_persistence::{Offset, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::batch::{Asked, is_repetition};
use super::roster::{TurnResult, Turns};
use super::state::Shard;

/// An actor that was set aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quarantined {
    /// What went wrong, in words.
    pub reason: String,
    /// The offset of the entry it fails on; 0 when it cannot even be loaded.
    pub offset: u64,
    /// When, in milliseconds since the Unix epoch (the time of the entry).
    pub since: u64,
    /// The entry it fails on first, then those that came for it later; none of them is applied.
    pub held: Vec<Held>,
}

/// An entry that waits for its actor to come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its offset.
    pub offset: u64,
    /// What it says.
    pub body: Body,
}

/// What an operator does about an actor that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Apply the entry again, and then all that came later.
    Retry(String),
    /// Drop the entry, and apply all that came later.
    Skip(String),
}

impl Shard {
    /// A turn failed: rebuilds the actor and gives it its entries again one by one, so that the one it fails on
    /// is known. If it fails again, it is set aside.
    pub(super) async fn try_again(
        &mut self,
        actor: &ActorId,
        entries: Turns,
        reason: &str,
    ) -> Result<Vec<Asked>, StoreError> {
        tracing::warn!(%actor, reason, "an actor failed; rebuilding it from the log");
        self.with.kinds.refresh().await;
        let mut asked = Vec::new();
        if let Err(reason) = self.rebuild(actor).await? {
            self.set_aside(actor, entries, &reason);
            return Ok(asked);
        }
        let mut rest = entries.into_iter();
        while let Some(entry) = rest.next() {
            let offset = entry.0.offset;
            if let Some((actor, unfit)) = self.activate(vec![actor.clone()]).await?.pop() {
                self.set_aside(&actor, std::iter::once(entry).chain(rest).collect(), &unfit.0);
                return Ok(asked);
            }
            let results = self.give_turns(vec![(actor.clone(), Arc::new(vec![entry.clone()]))]).await;
            for (_, result) in results {
                match result {
                    TurnResult::Done(reply) => {
                        self.seat(actor, &reply.standing, reply.rows);
                        let effects = reply.effects.into_iter();
                        asked.extend(effects.map(|(offset, effect)| Asked {
                            offset,
                            actor: actor.clone(),
                            effect,
                        }));
                    }
                    TurnResult::Failed(reason) => {
                        let held = std::iter::once(entry.clone()).chain(rest).collect();
                        // What it did before this entry is worth keeping: rebuild once more, up to the entry.
                        if self.rebuild_before(actor, offset).await?.is_ok() {
                            self.retire(actor).await;
                        }
                        self.set_aside(actor, held, &reason);
                        return Ok(asked);
                    }
                }
            }
        }
        Ok(asked)
    }

    /// Loads an actor anew: its rows, and then its entries since, without their effects.
    pub(super) async fn rebuild(&mut self, actor: &ActorId) -> Result<Result<(), String>, StoreError> {
        self.rebuild_before(actor, self.cursor.0 + 1).await
    }

    async fn rebuild_before(
        &mut self,
        actor: &ActorId,
        before: u64,
    ) -> Result<Result<(), String>, StoreError> {
        self.evict(actor.as_str());
        if let Some((_, unfit)) = self.activate(vec![actor.clone()]).await?.pop() {
            return Ok(Err(unfit.0));
        }
        let mut after = self.mark;
        let mut seen = self.seen_at_mark.clone();
        loop {
            let records = self.store.read(self.id(), after, 512, 1 << 20).await?;
            let mut turns: Turns = Vec::new();
            let mut done = records.is_empty();
            for record in records {
                if record.offset.0 >= before {
                    done = true;
                    break;
                }
                after = record.offset;
                if let Ok(Entry { to, body, origin }) = encoding::decode::<Entry>(&record.bytes)
                    && !is_repetition(&mut seen, origin)
                    && to == *actor
                {
                    turns.push((Moment { offset: record.offset.0, now: record.offset.millis() }, body));
                }
            }
            if !turns.is_empty() {
                for (_, result) in self.give_turns(vec![(actor.clone(), Arc::new(turns))]).await {
                    match result {
                        TurnResult::Done(reply) => self.seat(actor, &reply.standing, None),
                        TurnResult::Failed(reason) => return Ok(Err(reason)),
                    }
                }
            }
            if done {
                return Ok(Ok(()));
            }
        }
    }

    /// Takes an actor's rows for the next checkpoint and lets it leave memory.
    async fn retire(&mut self, actor: &ActorId) {
        let Some(live) = self.live.remove(actor.as_str()) else { return };
        let (reply, answer) = oneshot::channel();
        if live.shell.cast(crate::shell::ShellMessage::Rows(reply)).is_ok()
            && let Ok(Ok(rows)) = answer.await
        {
            self.park(rows);
        }
        live.shell.stop(None);
    }

    /// Sets an actor aside, with the entries that it did not apply.
    pub(super) fn set_aside(&mut self, actor: &ActorId, entries: Turns, reason: &str) {
        let (offset, since) =
            entries.first().map_or((0, self.with.clock.now()), |(at, _)| (at.offset, at.now));
        tracing::error!(%actor, offset = %Offset(offset), reason, "quarantined an actor");
        self.with.post.metrics().quarantined();
        self.evict(actor.as_str());
        entries.iter().for_each(|(_, body)| self.let_go(body));
        let held = entries.into_iter().map(|(at, body)| Held { offset: at.offset, body }).collect();
        let aside = Quarantined { reason: reason.to_owned(), offset, since, held };
        self.meta.quarantined.insert(actor.to_string(), aside);
        // A program that would not fail must not replay over it: what it would ask for comes too late to be in order.
        self.store_soon = true;
    }

    /// An attempt whose start marker is held does not begin for now, and keeps nobody else from it.
    fn let_go(&self, body: &Body) {
        if let Body::Process(ProcessEvent::Marker { token, .. }) = body {
            self.with.runner.unreserve(token);
        }
    }

    /// Keeps an entry for an actor that was set aside.
    pub(super) fn hold(&mut self, actor: &ActorId, moment: Moment, body: Body) {
        self.let_go(&body);
        if let Some(aside) = self.meta.quarantined.get_mut(actor.as_str()) {
            // A replay reads again what the stored row holds already.
            if aside.held.last().is_none_or(|last| last.offset < moment.offset) {
                aside.held.push(Held { offset: moment.offset, body });
            }
        }
    }

    /// Takes an actor back, as an operator says; the answer comes once that is stored.
    ///
    /// The held entries are appended again as new ones: they are applied in order behind everything else.
    pub(super) async fn obey(
        &mut self,
        order: Order,
        reply: oneshot::Sender<Result<(), String>>,
    ) -> Result<(), StoreError> {
        match self.take_back(order).await? {
            Ok(()) => {
                self.store_soon = true;
                self.obeyed.push(reply);
                self.wake();
            }
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
            }
        }
        Ok(())
    }

    async fn take_back(&mut self, order: Order) -> Result<Result<(), String>, StoreError> {
        let (name, skip) = match order {
            Order::Retry(name) => (name, 0),
            Order::Skip(name) => (name, 1),
        };
        let actor = match ActorId::parse(&name) {
            Ok(actor) => actor,
            Err(problem) => return Ok(Err(problem)),
        };
        let Some(aside) = self.meta.quarantined.remove(&name) else {
            return Ok(Err(format!("expected an actor in quarantine, found '{name}'")));
        };
        if let Some((_, unfit)) = self.activate(vec![actor.clone()]).await?.pop() {
            // It still cannot even be loaded: everything stays as it was.
            let refusal = format!("'{name}' cannot be loaded: {unfit}");
            self.meta.quarantined.insert(name, aside);
            return Ok(Err(refusal));
        }
        if let Some(skipped) = aside.held.get(..skip).and_then(<[Held]>::first) {
            self.make_up_for(&actor, &skipped.body);
        }
        for held in aside.held.into_iter().skip(skip) {
            self.post(&Entry { to: actor.clone(), origin: None, body: held.body });
        }
        if aside.offset <= self.caught_up_at.0 {
            // It was not there when this owner settled what was under way.
            self.settle(&actor).await?;
        }
        Ok(Ok(()))
    }

    fn send_on(&mut self, message: Option<Message>) {
        if let Some(Message { to, body }) = message {
            self.post(&Entry { to, origin: None, body });
        }
    }

    fn refuse_place(&mut self, to: ActorId, activity: u64) {
        let body = Body::Process(ProcessEvent::Crowded { activity, waiting: 0 });
        self.post(&Entry { to, origin: None, body });
    }

    fn skip_turn(&mut self, to: ActorId) {
        let reason = "its turn was skipped by an operator".to_owned();
        let body = Body::Process(ProcessEvent::Turn(TurnAnswer::Skip { reason }));
        self.post(&Entry { to, origin: None, body });
    }

    /// An attempt whose report or start marker is skipped would never end: it counts as lost, or as not begun.
    fn make_up_for(&mut self, actor: &ActorId, passed_over: &Body) {
        match passed_over {
            Body::Process(ProcessEvent::Report { activity, token, .. }) => {
                let reason = "its report was skipped by an operator".to_owned();
                self.report(actor, *activity, token, ActivityOutcome::Lost { reason });
            }
            Body::Process(ProcessEvent::Marker { activity, token, .. }) => {
                self.report(actor, *activity, token, ActivityOutcome::NotStarted);
            }
            Body::Process(ProcessEvent::Limited { activity, token, .. }) => {
                self.report(actor, *activity, token, ActivityOutcome::NotStarted);
            }
            Body::Sink(SinkEvent::Report { activity, token, .. }) => {
                self.report(actor, *activity, token, ActivityOutcome::NotStarted);
            }
            // Whoever waits for the place is told that there is none.
            Body::Process(ProcessEvent::Placed { activity, .. } | ProcessEvent::Crowded { activity, .. }) => {
                self.refuse_place(actor.clone(), *activity);
            }
            Body::Target(TargetEvent::Ask { instance, activity, .. }) => {
                self.refuse_place(ActorId::process(instance), *activity);
            }
            Body::Process(ProcessEvent::Told(told)) => self.send_on(answer_skipped(actor, told)),
            Body::Subscription(event) => self.send_on(skipped(actor, event)),
            // Whoever asked would wait for ever: it is skipped as the entry is, and says so.
            Body::Overlap(OverlapEvent::Ask { instance, .. }) => self.skip_turn(ActorId::process(instance)),
            Body::Process(ProcessEvent::Turn(_)) => self.skip_turn(actor.clone()),
            Body::Process(_)
            | Body::Trigger(_)
            | Body::Router(_)
            | Body::Target(_)
            | Body::Monitor(_)
            | Body::Sink(_)
            | Body::Overlap(OverlapEvent::Leave { .. }) => {}
        }
    }
}
