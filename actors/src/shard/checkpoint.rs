//! Checkpoints, timers and idle actors: what a shard does because time has passed.

use std::collections::HashMap;
use std::time::Duration;

use impresario_model::encoding;
use impresario_model::entry::{
    ActivityOutcome, Body, Entry, MonitorEvent, ProcessEvent, SinkEvent, TriggerEvent,
};
use impresario_model::ids::{ActorId, ActorKind};
use impresario_model::subscription::SubscriptionEvent;
use impresario_persistence::{Checkpoint, Row, RowIndex, StoreError};
use tokio::sync::oneshot;

use super::ShardMessage;
use super::recover::meta_row_name;
use super::state::{Flushing, Shard};
use crate::shell::ShellMessage;

/// How many timers one tick fires.
const TIMERS_PER_TICK: usize = 1_000;
/// How many ended rows one grooming removes.
const GROOM_LIMIT: usize = 1_000;
/// How long a shard that gives itself up waits before it asks a store again that takes nothing at the moment.
const DRAIN_AGAIN: Duration = Duration::from_millis(50);
/// How often a shard grooms, in milliseconds.
const GROOM_EVERY_MS: u64 = 30_000;

impl Shard {
    /// Time has passed.
    pub(super) async fn tick(&mut self) -> Result<(), StoreError> {
        if self.draining {
            return Ok(());
        }
        if self.recovered {
            self.load_timers().await?;
            self.fire_timers();
            self.let_idle_go();
        }
        self.step().await?;
        self.groom().await
    }

    /// Loads the timers of stored rows some way ahead, so that memory holds only what is near.
    async fn load_timers(&mut self) -> Result<(), StoreError> {
        let now = self.with.clock.now();
        let horizon = self.with.settings.timer_horizon.as_millis() as u64;
        if self.timers_loaded > now + horizon / 2 {
            return Ok(());
        }
        let until = now + horizon;
        let due = match self.store.due(self.id(), until, usize::MAX).await {
            // The next tick asks again.
            Err(error) if error.passes() => return Ok(()),
            due => due?,
        };
        for (at, actor) in due {
            let newer = self.live.contains_key(&actor)
                || self.parked.contains_key(&actor)
                || self.flushing.as_ref().is_some_and(|flushing| flushing.rows.contains_key(&actor))
                || self.is_removed(&actor)
                || self.meta.quarantined.contains_key(&actor);
            if !newer {
                self.timers.set(&actor, Some(at));
            }
        }
        self.timers_loaded = until;
        Ok(())
    }

    /// A timer fires as an entry, so that the time of its firing is the log's.
    fn fire_timers(&mut self) {
        let now = self.with.clock.now();
        for name in self.timers.take_due(now, TIMERS_PER_TICK) {
            let Ok(actor) = ActorId::parse(&name) else { continue };
            let body = match actor.kind() {
                Some(ActorKind::Process) => Body::Process(ProcessEvent::Timer),
                Some(ActorKind::Trigger) => Body::Trigger(TriggerEvent::Timer),
                Some(ActorKind::Sink) => Body::Sink(SinkEvent::Timer),
                Some(ActorKind::Monitor) => Body::Monitor(MonitorEvent::Timer),
                Some(ActorKind::Subscription) => Body::Subscription(SubscriptionEvent::Timer),
                Some(ActorKind::Router | ActorKind::Target | ActorKind::Overlap) | None => continue,
            };
            self.post(&Entry { to: actor, origin: None, body });
        }
    }

    /// Starts a checkpoint if one is due and none is under way.
    pub(super) async fn checkpoint_if_due(&mut self) -> Result<(), StoreError> {
        let settings = &self.with.settings;
        let now = self.with.clock.now();
        let interval = settings.checkpoint_interval.as_millis() as u64;
        let due = self.entries_since_checkpoint >= settings.checkpoint_entries
            || now >= self.last_checkpoint.saturating_add(interval)
            // A clock that stepped back must not stop checkpoints.
            || now < self.last_checkpoint;
        if self.flushing.is_none() && (self.store_soon || due && self.cursor > self.mark) {
            self.begin_checkpoint().await?;
        }
        Ok(())
    }

    /// Takes the rows of everything that changed, and has them written while the shard goes on.
    async fn begin_checkpoint(&mut self) -> Result<(), StoreError> {
        // What is not durable yet would be behind the mark and lost.
        if !self.outbox.messages.is_empty() || !self.outbox.own.is_empty() {
            return Ok(());
        }
        self.collect_dirty().await;
        let meta_row = self.meta_row()?;
        let rows: HashMap<String, Row> = std::mem::take(&mut self.parked);
        let remove = std::mem::take(&mut self.remove);
        let mut put: Vec<Row> = rows.values().cloned().collect();
        put.push(meta_row);
        let checkpoint = Checkpoint { mark: self.cursor, put, remove: remove.iter().cloned().collect() };
        let (orders, obeyed) = (std::mem::take(&mut self.orders), std::mem::take(&mut self.obeyed));
        let seen = self.meta.seen.clone();
        self.flushing = Some(Flushing { rows, remove, mark: self.cursor, seen, orders, obeyed });
        self.store_soon = false;
        self.entries_since_checkpoint = 0;
        self.last_checkpoint = self.with.clock.now();
        let written = self.store.checkpoint(self.id(), self.epoch, checkpoint);
        let myself = self.myself.clone();
        crate::task::spawn(crate::task::TaskKind::Checkpoint, async move {
            let result = written.await;
            // If the shard is gone, its successor reads what was stored.
            let _ = myself.cast(ShardMessage::Stored(result));
        });
        Ok(())
    }

    /// What the shard stores of itself.
    fn meta_row(&self) -> Result<Row, StoreError> {
        let snapshot = encoding::encode(&self.meta)
            .map_err(|error| StoreError::Failed(format!("the row of the shard {error}")))?;
        Ok(Row { actor: meta_row_name(self.id().0), snapshot: snapshot.into(), index: RowIndex::default() })
    }

    /// Has idle actors leave memory that have not changed since their rows were taken, whether anything comes or not.
    fn let_idle_go(&mut self) {
        let now = self.with.clock.now();
        let idle_after = self.with.settings.idle_after.as_millis() as u64;
        if now.saturating_sub(self.last_idle) < idle_after / 2 && now >= self.last_idle {
            return;
        }
        self.last_idle = now;
        self.live.retain(|_, live| {
            let goes = live.parks && !live.dirty && now.saturating_sub(live.used) >= idle_after;
            if goes {
                live.shell.stop(None);
            }
            !goes
        });
    }

    /// Moves the rows of changed actors to the parked ones.
    async fn collect_dirty(&mut self) {
        let mut asked = Vec::new();
        for (name, live) in &mut self.live {
            if !live.dirty {
                continue;
            }
            let (reply, answer) = oneshot::channel();
            if live.shell.cast(ShellMessage::Rows(reply)).is_ok() {
                asked.push((name.clone(), answer));
            }
        }
        for (name, answer) in asked {
            match answer.await {
                Ok(Ok(rows)) => {
                    self.park(rows);
                    if let Some(live) = self.live.get_mut(&name) {
                        live.dirty = false;
                    }
                }
                // Its state is in the log and the row before holds; its next turn reports what is wrong.
                Ok(Err(unfit)) => tracing::error!(actor = name, reason = %unfit, "failed to store an actor"),
                Err(_) => tracing::warn!(actor = name, "an actor ended before it was stored"),
            }
        }
    }

    /// A checkpoint has ended.
    pub(super) async fn stored(&mut self, result: Result<(), StoreError>) -> Result<(), StoreError> {
        let Some(flushing) = self.flushing.take() else { return Ok(()) };
        match result {
            Ok(()) => {
                self.mark = flushing.mark;
                self.seen_at_mark = flushing.seen;
                self.returned_at.retain(|_, at| *at > flushing.mark.0);
                for reply in flushing.obeyed {
                    let _ = reply.send(Ok(()));
                }
                self.give_orders(flushing.orders).await
            }
            Err(error) if error.passes() => {
                if !matches!(error, StoreError::Away(_)) {
                    tracing::warn!(shard = self.id().0, %error, "a checkpoint was not written; trying again");
                }
                // What has changed since is newer.
                let rows = flushing.rows.into_iter();
                for (actor, row) in rows.filter(|(actor, _)| !self.remove.contains(actor)) {
                    self.parked.entry(actor).or_insert(row);
                }
                let gone = flushing.remove.into_iter();
                self.remove.extend(gone.filter(|actor| !self.parked.contains_key(actor)));
                self.store_soon |= !flushing.obeyed.is_empty() || !flushing.orders.is_empty();
                self.obeyed.extend(flushing.obeyed);
                self.orders.extend(flushing.orders);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn groom(&mut self) -> Result<(), StoreError> {
        let now = self.with.clock.now();
        if now.saturating_sub(self.last_groom) < GROOM_EVERY_MS {
            return Ok(());
        }
        self.last_groom = now;
        let before = now.saturating_sub(self.with.settings.retention.as_millis() as u64);
        match self.store.groom(self.id(), self.epoch, before, GROOM_LIMIT).await {
            Ok(removed) => {
                if removed == GROOM_LIMIT {
                    // There is more: the next tick goes on, so that a high rate is kept up with.
                    self.last_groom = now.saturating_sub(GROOM_EVERY_MS);
                }
                Ok(())
            }
            Err(error) if error.passes() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the outbox durable, however often that has to be tried.
    async fn send_all(&mut self) -> Result<(), StoreError> {
        while !self.send().await? {
            tokio::time::sleep(DRAIN_AGAIN).await;
        }
        Ok(())
    }

    /// Friendly stop: everything applied is stored, so that the next owner has nothing to replay. Tries until the store
    /// takes it; whoever asked has a limit.
    pub(super) async fn drain(&mut self, next: Option<String>) -> Result<(), StoreError> {
        self.draining = true;
        if !self.loaded {
            // Nothing was applied yet, so there is nothing to store.
            return self.store.release(self.id(), self.epoch, next).await;
        }
        // What was asked for and not sent yet comes first: it may be a start too.
        self.send_all().await?;
        // What waits for a host certainly did not begin, nor did what was marked and is not read back yet; said so, not
        // even a marked start is in doubt.
        for request in self.ready.take() {
            if let Ok(actor) = ActorId::parse(&request.address.actor) {
                self.report(&actor, request.address.activity, &request.token, ActivityOutcome::NotStarted);
            }
        }
        for (token, (actor, activity)) in std::mem::take(&mut self.marked) {
            self.report(&actor, activity, &token, ActivityOutcome::NotStarted);
        }
        self.send_all().await?;
        self.collect_dirty().await;
        // The checkpoint under way may still fail, so this one writes the same again.
        let (mut rows, mut remove) =
            self.flushing.take().map(|flushing| (flushing.rows, flushing.remove)).unwrap_or_default();
        let (newer, gone) = (std::mem::take(&mut self.parked), std::mem::take(&mut self.remove));
        rows.retain(|actor, _| !gone.contains(actor));
        remove.retain(|actor| !newer.contains_key(actor));
        rows.extend(newer);
        remove.extend(gone);
        let meta_row = self.meta_row()?;
        let mut put: Vec<Row> = rows.into_values().collect();
        put.push(meta_row);
        let checkpoint = Checkpoint { mark: self.cursor, put, remove: remove.into_iter().collect() };
        loop {
            let stored = self.store.checkpoint(self.id(), self.epoch, checkpoint.clone()).await;
            let released = match stored {
                Ok(()) => self.store.release(self.id(), self.epoch, next.clone()).await,
                failed => failed,
            };
            match released {
                Err(error) if error.passes() => tokio::time::sleep(DRAIN_AGAIN).await,
                released => return released,
            }
        }
    }
}
