//! What a host observes: the watches under way, each in a task of its own.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::attempt::{contained, panicked};
use crate::adapter::Adapter;
use crate::failure::Failure;
use crate::message::{Answer, ErrorObject, Taken, Watch};
use crate::observe::{Durable, WatchContext};
use crate::outbox::WeakOutbox;

/// How many watches a host has at once. Each holds a task and what it remembers of its source.
pub const WATCHES_MAX: usize = 256;

#[derive(Default)]
pub(super) struct Watches {
    tasks: JoinSet<Result<(), Failure>>,
    names: HashMap<Id, String>,
    open: HashMap<String, Open>,
}

struct Open {
    task: AbortHandle,
    durable: watch::Sender<Durable>,
}

impl Watches {
    /// Begins to observe. One that is under way already goes on as it is.
    pub(super) fn start(
        &mut self,
        adapter: Arc<dyn Adapter>,
        order: Watch,
        outbox: WeakOutbox,
    ) -> Result<(), Full> {
        if self.open.contains_key(&order.watch) {
            return Ok(());
        }
        if self.open.len() >= WATCHES_MAX {
            return Err(Full);
        }
        let name = order.watch.clone();
        let (durable, seen) = watch::channel(Durable::default());
        let context = WatchContext::new(&name, seen, outbox);
        let observing =
            async move { contained(async { adapter.watch(context, order).await }).await.unwrap_or_else(Err) };
        let task = self.tasks.spawn(observing);
        self.names.insert(task.id(), name.clone());
        self.open.insert(name, Open { task, durable });
        Ok(())
    }

    /// Ends a watch; its answer comes from [`Watches::next`]. One that is not under way has been answered before.
    pub(super) fn stop(&self, watch: &str) {
        if let Some(open) = self.open.get(watch) {
            open.task.abort();
        }
    }

    pub(super) fn stop_all(&mut self) {
        self.tasks.abort_all();
    }

    pub(super) fn taken(&self, taken: Taken) {
        if let Some(open) = self.open.get(&taken.watch) {
            open.durable.send_modify(|durable| {
                durable.count = durable.count.max(taken.count);
                if taken.cursor.is_some() {
                    durable.cursor = taken.cursor;
                }
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The answer to the next watch that ends; nothing while there is none. Dropping the future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.remove(&id)?;
        self.open.remove(&name);
        Some(match ended.map_or_else(torn, |(_, outcome)| outcome) {
            Ok(()) => Answer { id: Some(name), outcome: Ok(json!({})) },
            Err(failure) => Answer::error(Some(name), ErrorObject::failed(failure)),
        })
    }

    pub(super) async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }
}

/// A task that was ended from outside was told to stop; one that panicked while it was dropped did not.
fn torn(error: JoinError) -> Result<(), Failure> {
    match error.try_into_panic() {
        Ok(panic) => Err(panicked(&*panic)),
        Err(_) => Ok(()),
    }
}

/// There are as many watches as there may be.
#[derive(Debug)]
pub(super) struct Full;
