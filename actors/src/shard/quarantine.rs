//! Poison entries: an actor that fails on an entry again after it was rebuilt is set aside, with the entry and
//! the reason. Its shard and all other actors go on.

use std::sync::Arc;

use impresario_model::encoding;
use impresario_model::entry::{Body, Entry, ProcessEvent};
use impresario_model::ids::ActorId;
use impresario_model::instance::{Effect, Moment};
use impresario_persistence::{Offset, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::batch::{Asked, is_repetition};
use super::roster::{TurnResult, Turns};
use super::state::Shard;
use super::take_back::{instead_of, size_of};

/// How many entries an actor that was set aside holds; what comes then is dropped.
pub const HELD_MAX: usize = 1_000;
/// How many bytes these have, about.
pub const HELD_BYTES: usize = 4 << 20;

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
    /// About how many bytes these have.
    #[serde(default)]
    pub bytes: usize,
    /// How many entries came when it held as many as it may, and were dropped.
    #[serde(default)]
    pub dropped: u64,
}

/// An entry that waits for its actor to come back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its offset.
    pub offset: u64,
    /// What it says.
    pub body: Body,
}

/// An actor that was set aside, as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Aside {
    /// The actor.
    pub actor: String,
    /// What went wrong, in words.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub since: u64,
    /// The entry it fails on; none if it cannot even be loaded.
    pub entry: Option<Held>,
    /// How many entries came since, and wait.
    pub held: usize,
    /// How many more were dropped.
    pub dropped: u64,
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
        // What came while it was aside was held, and is sent again.
        let since = self.returned_at.get(actor.as_str()).copied().unwrap_or_default();
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
                    && record.offset.0 > since
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
        let bytes = entries.iter().map(|(_, body)| size_of(body)).sum();
        let held = entries.into_iter().map(|(at, body)| Held { offset: at.offset, body }).collect();
        let aside = Quarantined { reason: reason.to_owned(), offset, since, held, bytes, dropped: 0 };
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

    /// Keeps an entry for an actor that was set aside, if there is room; answers what has to be said where there is none.
    pub(super) fn hold(&mut self, actor: &ActorId, moment: Moment, body: Body) -> Option<Asked> {
        self.let_go(&body);
        let aside = self.meta.quarantined.get_mut(actor.as_str())?;
        // A replay reads again what the stored row holds already.
        if aside.held.last().is_some_and(|last| last.offset >= moment.offset) {
            return None;
        }
        let bytes = size_of(&body);
        if aside.held.len() >= HELD_MAX || aside.bytes + bytes > HELD_BYTES {
            let instead = instead_of(actor, &body);
            // What answers the actor itself is no more than it asked for, so there is room for it in any case.
            if instead.as_ref().is_none_or(|message| message.to != *actor) {
                aside.dropped += 1;
                if aside.dropped.is_power_of_two() {
                    let dropped = aside.dropped;
                    tracing::error!(%actor, dropped, "dropped entries for an actor in quarantine: it holds as many as it may");
                }
                let effect = Effect::Tell(instead?);
                return Some(Asked { offset: moment.offset, actor: actor.clone(), effect });
            }
        }
        aside.bytes += bytes;
        aside.held.push(Held { offset: moment.offset, body });
        None
    }

    /// The actors that are set aside.
    pub(super) fn aside(&self) -> Vec<Aside> {
        let aside = |(actor, aside): (&String, &Quarantined)| {
            let entry = aside.held.first().filter(|_| aside.offset > 0).cloned();
            Aside {
                actor: actor.clone(),
                reason: aside.reason.clone(),
                since: aside.since,
                held: aside.held.len() - usize::from(entry.is_some()),
                entry,
                dropped: aside.dropped,
            }
        };
        self.meta.quarantined.iter().map(aside).collect()
    }
}
