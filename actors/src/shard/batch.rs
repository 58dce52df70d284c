//! One step of a shard: a batch of entries, from the log to their effects.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use impresario_model::encoding;
use impresario_model::entry::{Body, Entry, Origin, ProcessEvent};
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment};
use impresario_persistence::{Offset, Record, StoreError};
use tokio::sync::oneshot;

use super::roster::{TurnResult, Turns};
use super::state::{Question, Shard};
use super::take_back::Returned;
use crate::behaviour::Inspection;

/// How many batches one step takes before it lets other messages in.
const BATCHES_PER_STEP: usize = 4;

/// What an entry asked for, with the entry's offset and the actor that asked.
pub(super) struct Asked {
    pub offset: u64,
    pub actor: ActorId,
    pub effect: Effect,
}

/// What a batch of entries is for.
#[derive(Default)]
struct Sorted {
    /// Turns of actors.
    turns: Vec<(ActorId, Turns)>,
    /// Actors that were set aside, and come back.
    returned: Vec<Returned>,
    /// What is asked for in the place of entries for which there is no room.
    asked: Vec<Asked>,
}

impl Shard {
    /// Takes what is in the log through all stages.
    pub(super) async fn step(&mut self) -> Result<(), StoreError> {
        self.waking.store(false, Ordering::Release);
        if self.draining {
            return Ok(());
        }
        if !self.loaded {
            self.load_attention().await?;
        }
        for _ in 0..BATCHES_PER_STEP {
            if !self.send().await? {
                // The store takes nothing at the moment; the next tick tries again.
                self.publish();
                return Ok(());
            }
            self.offer_runs();
            if self.cursor >= self.caught_up_at && !self.recovered {
                self.recover().await?;
                continue;
            }
            if *self.head.borrow() <= self.cursor {
                break;
            }
            let settings = &self.with.settings;
            let (entries, bytes) = (settings.batch_entries, settings.batch_bytes);
            let mut records = match self.store.read_owned(self.id(), self.cursor, entries, bytes).await {
                Err(error) if error.passes() => {
                    // The next tick tries again: to wake up for it at once would be a busy wait.
                    self.publish();
                    return Ok(());
                }
                records => records?,
            };
            if self.cursor < self.caught_up_at {
                // What came after the claim waits until what was in flight before it is settled: it must not be
                // taken for a part of that.
                records.retain(|record| record.offset <= self.caught_up_at);
                if records.is_empty() {
                    self.outbox.cursor = self.caught_up_at;
                    continue;
                }
            }
            if records.is_empty() {
                break;
            }
            self.apply(records).await?;
            self.send().await?;
            self.answer_questions().await?;
        }
        self.offer_runs();
        if self.recovered
            && *self.head.borrow() <= self.cursor
            && let Some(gauge) = self.gauge()
        {
            gauge.settle();
        }
        self.publish();
        self.checkpoint_if_due().await?;
        if *self.head.borrow() > self.cursor || !self.recovered {
            self.wake();
        }
        Ok(())
    }

    /// Stage 2: every entry is a turn of its actor.
    async fn apply(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        let Some(last) = records.last().map(|record| record.offset) else { return Ok(()) };
        let live = records.iter().filter(|record| record.offset > self.caught_up_at).count();
        self.entries_since_checkpoint += records.len() as u64;
        let Sorted { turns, returned, mut asked } = self.sort_by_actor(records);
        for actor in returned {
            asked.extend(self.take_back(actor).await?);
        }
        let actors = turns.iter().map(|(actor, _)| actor.clone()).collect();
        let unfit = self.activate(actors).await?;
        let unfit: HashMap<ActorId, String> =
            unfit.into_iter().map(|(actor, reason)| (actor, reason.0)).collect();
        let (unfit_turns, turns): (Vec<_>, Vec<_>) =
            turns.into_iter().partition(|(actor, _)| unfit.contains_key(actor));
        let turns: Vec<(ActorId, Arc<Turns>)> =
            turns.into_iter().map(|(actor, entries)| (actor, Arc::new(entries))).collect();
        let kept: Vec<Arc<Turns>> = turns.iter().map(|(_, entries)| Arc::clone(entries)).collect();
        for ((actor, result), entries) in self.give_turns(turns).await.into_iter().zip(kept) {
            match result {
                TurnResult::Done(reply) => {
                    if self.recovered {
                        let before = self.live.get(actor.as_str()).map_or("", |live| live.status);
                        self.with.post.metrics().turn(&actor, before, reply.standing.status, &reply.effects);
                    }
                    self.seat(&actor, &reply.standing, reply.rows);
                    for (offset, effect) in reply.effects {
                        asked.push(Asked { offset, actor: actor.clone(), effect });
                    }
                }
                TurnResult::Failed(reason) => {
                    let entries = entries.as_ref().clone();
                    asked.extend(self.try_again(&actor, entries, &reason).await?);
                }
            }
        }
        for (actor, entries) in unfit_turns {
            let reason = unfit.get(&actor).cloned().unwrap_or_default();
            self.set_aside(&actor, entries, &reason);
        }
        // The order of the log, whichever actor was quicker; the sort is stable within one entry.
        asked.sort_by_key(|asked| asked.offset);
        self.outbox_from(asked);
        self.outbox.cursor = last;
        if live > 0 {
            self.with.post.metrics().applied(live, self.with.clock.now().saturating_sub(last.millis()));
        }
        if let Some(gauge) = self.gauge() {
            gauge.applied.fetch_add(live as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Decodes entries, drops repetitions, and groups them by actor in the order of the log. What is for an actor that is
    /// set aside is held, until an order takes it back.
    fn sort_by_actor(&mut self, records: Vec<Record>) -> Sorted {
        let Sorted { mut turns, mut returned, mut asked } = Sorted::default();
        let mut place: HashMap<ActorId, usize> = HashMap::new();
        for record in records {
            let moment = Moment { offset: record.offset.0, now: record.offset.millis() };
            let entry: Entry = match encoding::decode(&record.bytes) {
                Ok(entry) => entry,
                Err(error) => {
                    // It was checked when it was written and its checksum holds, so a newer program wrote it.
                    tracing::error!(shard = self.id().0, offset = %record.offset, %error, "skipped an entry");
                    continue;
                }
            };
            if is_repetition(&mut self.meta.seen, entry.origin) {
                continue;
            }
            if let Body::Process(ProcessEvent::Marker { token, .. }) = &entry.body {
                self.marked.remove(token);
            }
            if let Body::TakeBack(order) = entry.body {
                returned.extend(self.hear_order(&entry.to, order, moment));
                continue;
            }
            if self.meta.quarantined.contains_key(entry.to.as_str()) {
                asked.extend(self.hold(&entry.to, moment, entry.body));
                continue;
            }
            let at = *place.entry(entry.to.clone()).or_insert_with(|| {
                turns.push((entry.to.clone(), Vec::new()));
                turns.len() - 1
            });
            turns[at].1.push((moment, entry.body));
        }
        Sorted { turns, returned, asked }
    }

    /// Shows an actor once everything that is durable by now is applied, so that a sender reads its own writes.
    pub(super) async fn inspect_when_applied(
        &mut self,
        actor: String,
        reply: oneshot::Sender<Inspection>,
    ) -> Result<(), StoreError> {
        let after: Offset = *self.head.borrow();
        self.questions.push_back(Question { after, actor, reply });
        self.answer_questions().await
    }

    async fn answer_questions(&mut self) -> Result<(), StoreError> {
        while self.questions.front().is_some_and(|question| question.after <= self.cursor) {
            if let Some(question) = self.questions.pop_front() {
                match self.inspect(&question.actor).await {
                    Ok(inspection) => drop(question.reply.send(inspection)),
                    // Whoever asked gets no answer, and asks again if it matters.
                    Err(error) if error.passes() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Whether a message was seen before, and notes it. Messages of one shard arrive in order, so the highest one is
/// enough to remember.
pub(super) fn is_repetition(seen: &mut BTreeMap<u16, (u64, u32)>, origin: Option<Origin>) -> bool {
    let Some(origin) = origin else { return false };
    let place = (origin.offset, origin.index);
    let seen = seen.entry(origin.shard).or_default();
    if place <= *seen {
        return true;
    }
    *seen = place;
    false
}
