//! A store that counts and times what is asked of it.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use impresario_persistence::{
    Append, Checkpoint, Claim, Clock, Epoch, ListQuery, Offset, Owner, Ownership, Record, Result, Row,
    Setting, ShardId, Standing, Store, StoreError, Tier,
};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

type Label = [(&'static str, &'static str); 1];

/// What was asked of a store: how often, how long it took, and how often it did not do it.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    seconds: Family<Label, Histogram, fn() -> Histogram>,
    errors: Family<Label, Counter>,
    entries: Counter,
    bytes: Counter,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        let errors = Family::<Label, Counter>::default();
        for operation in ["append", "checkpoint", "read"] {
            let _at_zero = errors.get_or_create(&[("operation", operation)]);
        }
        StoreMetrics {
            // From a tenth of a millisecond to 26 seconds.
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.0001, 4.0, 10))),
            errors,
            entries: Counter::default(),
            bytes: Counter::default(),
        }
    }
}

impl StoreMetrics {
    /// Makes them known to whoever asks for figures.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "store_operation_seconds",
            "How long the store took, by what it was asked",
            self.seconds.clone(),
        );
        registry.register(
            "store_errors",
            "Operations that the store did not do, by what it was asked",
            self.errors.clone(),
        );
        registry.register("store_appended_entries", "Entries that became durable", self.entries.clone());
        registry.register("store_appended_bytes", "Their bytes", self.bytes.clone());
    }

    fn count<T: Send + 'static>(
        &self,
        operation: &'static str,
        asked: BoxFuture<'static, Result<T>>,
    ) -> BoxFuture<'static, Result<T>> {
        let (metrics, began) = (self.clone(), Instant::now());
        Box::pin(async move {
            let answer = asked.await;
            metrics.seconds.get_or_create(&[("operation", operation)]).observe(began.elapsed().as_secs_f64());
            // Whoever was quicker, or is newer, is no fault of the store.
            if matches!(&answer, Err(error) if !matches!(error, StoreError::Fenced | StoreError::Conflict { .. }))
            {
                metrics.errors.get_or_create(&[("operation", operation)]).inc();
            }
            answer
        })
    }

    fn count_append(
        &self,
        (entries, bytes): (usize, usize),
        asked: BoxFuture<'static, Result<Vec<Offset>>>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let metrics = self.clone();
        let asked = self.count("append", asked);
        Box::pin(async move {
            let answer = asked.await;
            if answer.is_ok() {
                metrics.entries.inc_by(entries as u64);
                metrics.bytes.inc_by(bytes as u64);
            }
            answer
        })
    }
}

/// The store of a node, which counts.
pub struct MeteredStore {
    store: Arc<dyn Store>,
    metrics: StoreMetrics,
}

impl MeteredStore {
    /// Round a store.
    pub fn new(store: Arc<dyn Store>, metrics: StoreMetrics) -> Self {
        MeteredStore { store, metrics }
    }
}

// The store is asked before anything is waited for: an append takes its place in the log when it is called.
impl Store for MeteredStore {
    fn tier(&self) -> Tier {
        self.store.tier()
    }

    fn shards(&self) -> u16 {
        self.store.shards()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let size = (batch.len(), batch.iter().map(|append| append.bytes.len()).sum());
        self.metrics.count_append(size, self.store.append(batch))
    }

    fn append_fenced(
        &self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let size = (batch.len(), batch.iter().map(Bytes::len).sum());
        self.metrics.count_append(size, self.store.append_fenced(shard, epoch, batch))
    }

    fn head(&self, shard: ShardId) -> watch::Receiver<Offset> {
        self.store.head(shard)
    }

    fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.metrics.count("read", self.store.read(shard, after, max_entries, max_bytes))
    }

    fn read_owned(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.metrics.count("read", self.store.read_owned(shard, after, max_entries, max_bytes))
    }

    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>> {
        self.metrics.count("claim", self.store.claim(shard, owner, seen))
    }

    fn release(&self, shard: ShardId, epoch: Epoch, next: Option<String>) -> BoxFuture<'static, Result<()>> {
        self.metrics.count("release", self.store.release(shard, epoch, next))
    }

    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>> {
        self.metrics.count("owners", self.store.owners())
    }

    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>> {
        self.metrics.count("checkpoint", self.store.checkpoint(shard, epoch, checkpoint))
    }

    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>> {
        self.metrics.count("row", self.store.row(shard, actor))
    }

    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.metrics.count("attention", self.store.attention(shard, after, limit))
    }

    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.metrics.count("scan", self.store.scan(shard, prefix, after, limit))
    }

    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>> {
        self.metrics.count("due", self.store.due(shard, before, limit))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.metrics.count("list", self.store.list(query))
    }

    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>> {
        self.metrics.count("groom", self.store.groom(shard, epoch, before, limit))
    }

    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>> {
        self.metrics.count("setting", self.store.setting(key))
    }

    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>> {
        self.metrics.count("put_setting", self.store.put_setting(key, expected, bytes))
    }

    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>> {
        self.metrics.count("settings", self.store.settings(prefix))
    }

    fn setting_keys(&self, prefix: String) -> BoxFuture<'static, Result<Vec<String>>> {
        self.metrics.count("setting_keys", self.store.setting_keys(prefix))
    }

    fn clock(&self) -> Clock {
        self.store.clock()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.store.standing()
    }

    fn alarms(&self) -> Vec<String> {
        self.store.alarms()
    }
}
