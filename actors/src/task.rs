//! The few tasks that are not actors. Each has a kind, ends by itself with what it serves, and is named here.

use std::future::Future;

use tokio::task::JoinHandle;

/// What a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskKind {
    /// Wakes a shard for what is durable in its log; ends with the shard or the store.
    LogWatch,
    /// Waits for a checkpoint and tells its shard; ends with the checkpoint.
    Checkpoint,
    /// Asks an adapter what became of an attempt; ends with its answer, or when that takes too long.
    Probe,
    /// Finds out whether a store that refused takes writes again; ends with the write.
    StoreProbe,
    /// Makes entries of what an adapter observes for a monitor; aborted when its shard goes.
    Watch,
    /// Ticks the shards; aborted when the engine stops.
    Ticker,
}

/// Starts a task.
pub fn spawn(kind: TaskKind, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tracing::trace!(?kind, "started a task");
    tokio::spawn(future)
}
