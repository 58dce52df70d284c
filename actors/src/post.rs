//! The one way into the mailbox logs: encodes entries, counts them, and refuses when too much is waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use impresario_model::encoding;
use impresario_model::entry::Entry;
use impresario_persistence::{Append, MAX_ENTRY_BYTES, Offset, ShardId, Store, StoreError};

use crate::metrics::Metrics;
use crate::spans::Spans;

/// What is known of a shard without asking it: kept by the shard and by the post office.
#[derive(Debug, Default)]
pub struct ShardGauge {
    /// Entries appended through this node.
    pub posted: AtomicU64,
    /// Entries of those that were applied.
    pub applied: AtomicU64,
    /// Attempts that wait for room in an adapter host.
    pub waiting_runs: AtomicUsize,
    /// Actors in memory.
    pub live: AtomicUsize,
    /// When a timer is due next, in milliseconds since the Unix epoch; `u64::MAX` for none.
    pub next_due: AtomicU64,
    /// The offset that was applied last.
    pub cursor: AtomicU64,
    /// Whether the shard is run by this node, so that what waits in it is known here.
    pub owned: AtomicBool,
    /// Whether the shard is up and caught up.
    pub ready: AtomicBool,
    /// How often the shard was started.
    pub starts: AtomicU64,
}

impl ShardGauge {
    /// Everything in the log is applied. The two counts are not kept in one step with the log: an entry may be counted
    /// after the claim that replays it, or not at all when whoever posted it went away; and other nodes post too.
    pub fn settle(&self) {
        self.applied.store(self.posted.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Entries that wait to be applied, about.
    pub fn backlog(&self) -> u64 {
        self.posted.load(Ordering::Relaxed).saturating_sub(self.applied.load(Ordering::Relaxed))
    }
}

/// Why something was not posted.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PostError {
    /// Too much is waiting in a shard.
    #[error("shard {shard} has {waiting} entries or activities waiting, the limit is {limit}")]
    Overloaded {
        /// Which.
        shard: u16,
        /// How many.
        waiting: u64,
        /// The limit.
        limit: u64,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry cannot be stored.
    #[error(transparent)]
    Encode(#[from] encoding::EncodeError),
}

/// The post office of a node; cheap to clone.
#[derive(Clone)]
pub struct Post {
    store: Arc<dyn Store>,
    gauges: Arc<[ShardGauge]>,
    backlog_limit: u64,
    metrics: Metrics,
    spans: Spans,
}

impl Post {
    /// For a store; a shard in which more than `backlog_limit` entries or activities wait takes nothing from
    /// outside.
    pub fn new(store: Arc<dyn Store>, backlog_limit: u64) -> Self {
        let gauges = (0..store.shards()).map(|_| ShardGauge::default()).collect();
        Post { store, gauges, backlog_limit, metrics: Metrics::default(), spans: Spans::default() }
    }

    /// The gauges, by shard.
    pub fn gauges(&self) -> &[ShardGauge] {
        &self.gauges
    }

    /// What the engine counts of its work.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// With whoever records traces.
    pub fn traced(self, spans: Spans) -> Self {
        Post { spans, ..self }
    }

    /// Where spans go.
    pub fn spans(&self) -> &Spans {
        &self.spans
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether half of what may wait in a shard does, as far as is known here.
    pub fn is_crowded(&self, shard: u16) -> bool {
        self.gauges.get(usize::from(shard)).is_some_and(|gauge| {
            gauge.owned.load(Ordering::Relaxed) && gauge.backlog().saturating_mul(2) >= self.backlog_limit
        })
    }

    /// Whether a shard takes something from outside.
    ///
    /// # Errors
    /// [`PostError::Overloaded`].
    pub fn admit(&self, shard: u16) -> Result<(), PostError> {
        let Some(gauge) = self.gauges.get(usize::from(shard)) else { return Ok(()) };
        if !gauge.owned.load(Ordering::Relaxed) {
            // Only its owner knows, and the store has a limit of its own.
            return Ok(());
        }
        let waiting = gauge.backlog().max(gauge.waiting_runs.load(Ordering::Relaxed) as u64);
        if waiting >= self.backlog_limit {
            return Err(PostError::Overloaded { shard, waiting, limit: self.backlog_limit });
        }
        Ok(())
    }

    /// The stored form of an entry, addressed to its shard.
    ///
    /// # Errors
    /// [`PostError::Encode`], or [`PostError::Store`] when it is too large.
    pub fn address(&self, entry: &Entry) -> Result<Append, PostError> {
        let shard = ShardId(entry.to.shard(self.store.shards()));
        let bytes = Bytes::from(encoding::encode(entry)?);
        if bytes.len() > MAX_ENTRY_BYTES {
            // Alone, before it would have a store refuse the whole batch that it is in.
            return Err(StoreError::TooLarge { found: bytes.len(), limit: MAX_ENTRY_BYTES }.into());
        }
        Ok(Append { shard, bytes })
    }

    /// Appends what was addressed; resolves when it is durable.
    ///
    /// # Errors
    /// [`PostError::Store`]; nothing was appended.
    pub async fn append(&self, batch: Vec<Append>) -> Result<Vec<Offset>, PostError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let shards: Vec<ShardId> = batch.iter().map(|append| append.shard).collect();
        let offsets = self.store.append(batch).await?;
        for shard in shards {
            self.count(shard);
        }
        Ok(offsets)
    }

    /// Takes entries from outside: refuses when too much is waiting, and resolves when they are durable.
    ///
    /// # Errors
    /// [`PostError`]; nothing was appended.
    pub async fn accept(&self, entries: &[Entry]) -> Result<Vec<Offset>, PostError> {
        let mut batch = Vec::with_capacity(entries.len());
        for entry in entries {
            let append = self.address(entry)?;
            self.admit(append.shard.0)?;
            batch.push(append);
        }
        self.append(batch).await
    }

    /// Counts one entry as posted.
    pub fn count(&self, shard: ShardId) {
        if let Some(gauge) = self.gauges.get(usize::from(shard.0)) {
            gauge.posted.fetch_add(1, Ordering::Relaxed);
        }
    }
}
