//! The actors of a shard: loading them, giving them turns, letting them leave.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use impresario_model::entry::Body;
use impresario_model::ids::ActorId;
use impresario_model::instance::Moment;
use impresario_persistence::{Row, StoreError};
use ractor::Actor;
use tokio::sync::oneshot;

use super::state::{Live, Shard};
use crate::behaviour::{Behaviour, Inspection, RowChanges, Unfit};
use crate::shell::{Shell, ShellMessage, Standing, TurnReply, standing};

/// How many rows one page of a scan has.
pub(super) const PAGE: usize = 512;

/// The entries of one actor in one step, in order.
pub(super) type Turns = Vec<(Moment, Body)>;

/// How a turn went.
pub(super) enum TurnResult {
    Done(TurnReply),
    /// The actor panicked, or cannot be what its rows say.
    Failed(String),
}

impl Shard {
    /// Brings actors into memory that are not there; answers those that cannot be loaded, with the reason.
    pub(super) async fn activate(
        &mut self,
        actors: Vec<ActorId>,
    ) -> Result<Vec<(ActorId, Unfit)>, StoreError> {
        let missing: Vec<ActorId> =
            actors.into_iter().filter(|actor| !self.live.contains_key(actor.as_str())).collect();
        let rows = join_all(missing.iter().map(|actor| self.rows_of(actor))).await;
        let mut unfit = Vec::new();
        for (actor, rows) in missing.into_iter().zip(rows) {
            match self.with.kinds.load(&actor, &rows?) {
                Ok(behaviour) => self.admit(&actor, behaviour).await,
                Err(reason) => unfit.push((actor, reason)),
            }
        }
        Ok(unfit)
    }

    /// The newest rows of an actor: from memory, from the checkpoint under way, or from the store.
    pub(super) async fn rows_of(&self, actor: &ActorId) -> Result<Vec<Row>, StoreError> {
        let name = actor.as_str();
        if actor.kind() == Some(impresario_model::ids::ActorKind::Router) {
            return self.rows_with_parts(name).await;
        }
        // Newest first: what left memory, that something is to be removed, what is being written, what is stored.
        if let Some(row) = self.parked.get(name) {
            return Ok(vec![row.clone()]);
        }
        if self.is_removed(name) {
            return Ok(Vec::new());
        }
        if let Some(row) = self.flushing.as_ref().and_then(|flushing| flushing.rows.get(name)) {
            return Ok(vec![row.clone()]);
        }
        Ok(self.store.row(self.id(), name.to_owned()).await?.into_iter().collect())
    }

    /// The newest row of an actor and of its parts, `NAME/…`.
    async fn rows_with_parts(&self, name: &str) -> Result<Vec<Row>, StoreError> {
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        let own = self.store.row(self.id(), name.to_owned()).await?;
        rows.extend(own.map(|row| (row.actor.clone(), row)));
        let below = format!("{name}/");
        let mut after = None;
        loop {
            let page = self.store.scan(self.id(), below.clone(), after, PAGE).await?;
            let full = page.len() == PAGE;
            after = page.last().map(|row| row.actor.clone());
            rows.extend(page.into_iter().map(|row| (row.actor.clone(), row)));
            if !full {
                break;
            }
        }
        let newer =
            self.flushing.iter().flat_map(|flushing| flushing.rows.values()).chain(self.parked.values());
        for row in newer.filter(|row| row.actor == name || row.actor.starts_with(&below)) {
            rows.insert(row.actor.clone(), row.clone());
        }
        Ok(rows.into_values().collect())
    }

    /// Puts a behaviour into a shell of its own.
    pub(super) async fn admit(&mut self, actor: &ActorId, behaviour: Box<dyn Behaviour>) {
        // A row that waits for the next checkpoint stays there: if the actor changes, it replaces the row then, and
        // if it fails, what it did before is not lost.
        let Standing { due, parks, status, .. } = standing(behaviour.as_ref());
        match Shell::spawn_linked(None, Shell, behaviour, self.myself.get_cell()).await {
            Ok((shell, _)) => {
                let used = self.with.clock.now();
                self.timers.set(actor.as_str(), due);
                self.live.insert(actor.to_string(), Live { shell, dirty: false, parks, status, used, due });
            }
            // A shell does nothing at its start that could fail; if it does, the next turn reports it.
            Err(error) => tracing::error!(%actor, %error, "failed to start an actor"),
        }
    }

    /// Gives each actor its entries, all actors at the same time.
    pub(super) async fn give_turns(
        &mut self,
        turns: Vec<(ActorId, Arc<Turns>)>,
    ) -> Vec<(ActorId, TurnResult)> {
        let crowded = self.live.len() > self.with.settings.live_actors;
        let mut asked = Vec::with_capacity(turns.len());
        for (actor, entries) in turns {
            asked.push((self.ask_turn(&actor, entries, crowded), actor));
        }
        let mut results = Vec::with_capacity(asked.len());
        for (reply, actor) in asked {
            let result = match reply {
                None => TurnResult::Failed("the actor could not be started".to_owned()),
                Some(reply) => match reply.await {
                    Ok(Ok(reply)) => TurnResult::Done(reply),
                    Ok(Err(unfit)) => TurnResult::Failed(unfit.0),
                    Err(_) => TurnResult::Failed("the actor panicked".to_owned()),
                },
            };
            results.push((actor, result));
        }
        results
    }

    fn ask_turn(
        &mut self,
        actor: &ActorId,
        entries: Arc<Turns>,
        park: bool,
    ) -> Option<oneshot::Receiver<Result<TurnReply, Unfit>>> {
        let live = self.live.get_mut(actor.as_str())?;
        let (reply, answer) = oneshot::channel();
        live.shell.cast(ShellMessage::Turn { entries, park, reply }).ok()?;
        Some(answer)
    }

    /// Takes over how an actor stands after its turn.
    pub(super) fn seat(&mut self, actor: &ActorId, standing: &Standing, rows: Option<RowChanges>) {
        let name = actor.as_str();
        self.timers.set(name, standing.due);
        match rows {
            Some(rows) => {
                if let Some(live) = self.live.remove(name) {
                    live.shell.stop(None);
                }
                self.park(rows);
            }
            None => {
                let used = self.with.clock.now();
                if let Some(live) = self.live.get_mut(name) {
                    live.dirty = true;
                    live.parks = standing.parks;
                    live.status = standing.status;
                    live.due = standing.due;
                    live.used = used;
                }
            }
        }
    }

    /// Keeps rows for the next checkpoint.
    pub(super) fn park(&mut self, rows: RowChanges) {
        for name in &rows.remove {
            self.parked.remove(name);
        }
        for row in rows.put {
            self.remove.remove(&row.actor);
            self.parked.insert(row.actor.clone(), row);
        }
        self.remove.extend(rows.remove);
    }

    /// Puts an actor out of memory without taking its state: it is in the log.
    pub(super) fn evict(&mut self, actor: &str) {
        if let Some(live) = self.live.remove(actor) {
            live.shell.kill();
        }
        self.timers.set(actor, None);
    }

    /// Shows an actor, live or not.
    pub(super) async fn inspect(&self, actor: &str) -> Result<Inspection, StoreError> {
        if let Some(live) = self.live.get(actor) {
            let (reply, answer) = oneshot::channel();
            if live.shell.cast(ShellMessage::Inspect(reply)).is_ok()
                && let Ok(inspection) = answer.await
            {
                return Ok(inspection);
            }
        }
        let Ok(id) = ActorId::parse(actor) else { return Ok(Inspection::Nothing) };
        let rows = self.rows_of(&id).await?;
        if rows.is_empty() {
            return Ok(Inspection::Nothing);
        }
        match self.with.kinds.load(&id, &rows) {
            Ok(behaviour) => Ok(behaviour.inspect()),
            Err(unfit) => {
                tracing::error!(actor, reason = %unfit, "failed to show an actor");
                Ok(Inspection::Nothing)
            }
        }
    }
}
