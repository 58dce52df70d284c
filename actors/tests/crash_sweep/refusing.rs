//! A store in front of another one that refuses writes for a while: busy, or full.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use impresario_persistence::lossy::LossyStore;
use impresario_persistence::{
    Append, Checkpoint, Claim, Epoch, ListQuery, Offset, Owner, Ownership, Record, Result, Row, Setting,
    ShardId, Store, StoreError, Tier,
};
use tokio::sync::watch;

/// Which writes are refused: so many from a certain one on. All starts of a node share one.
#[derive(Debug, Default)]
pub struct Refusals {
    /// How many writes were asked for.
    asked: AtomicU64,
    first: AtomicU64,
    count: AtomicU64,
}

impl Refusals {
    /// None.
    pub fn none() -> Arc<Self> {
        Arc::default()
    }

    /// `count` writes from the `first` on, which is 1 for the very first.
    pub fn of(first: u64, count: u64) -> Arc<Self> {
        Arc::new(Refusals {
            asked: AtomicU64::new(0),
            first: AtomicU64::new(first),
            count: AtomicU64::new(count),
        })
    }

    /// How many writes were asked for.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn refuse(&self) -> Option<StoreError> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let first = self.first.load(Ordering::SeqCst);
        if number < first || number >= first + self.count.load(Ordering::SeqCst) {
            return None;
        }
        Some(if number.is_multiple_of(2) {
            StoreError::Busy
        } else {
            StoreError::Full("for a while".to_owned())
        })
    }
}

/// The store.
pub struct Refusing {
    pub inner: Arc<LossyStore>,
    pub refusals: Arc<Refusals>,
}

impl Refusing {
    fn write<T: Send + 'static>(
        &self,
        act: impl FnOnce(&LossyStore) -> BoxFuture<'static, Result<T>>,
    ) -> BoxFuture<'static, Result<T>> {
        match self.refusals.refuse() {
            Some(refusal) => Box::pin(ready(Err(refusal))),
            None => act(&self.inner),
        }
    }
}

impl Store for Refusing {
    fn tier(&self) -> Tier {
        self.inner.tier()
    }
    fn shards(&self) -> u16 {
        self.inner.shards()
    }
    fn append(&self, batch: Vec<Append>) -> BoxFuture<'static, Result<Vec<Offset>>> {
        self.write(|store| store.append(batch))
    }
    fn append_fenced(
        &self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        self.write(|store| store.append_fenced(shard, epoch, batch))
    }
    fn head(&self, shard: ShardId) -> watch::Receiver<Offset> {
        self.inner.head(shard)
    }
    fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.inner.read(shard, after, max_entries, max_bytes)
    }
    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>> {
        self.inner.claim(shard, owner, seen)
    }
    fn release(&self, shard: ShardId, epoch: Epoch, next: Option<String>) -> BoxFuture<'static, Result<()>> {
        self.inner.release(shard, epoch, next)
    }
    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>> {
        self.inner.owners()
    }
    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>> {
        self.write(|store| store.checkpoint(shard, epoch, checkpoint))
    }
    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>> {
        self.inner.row(shard, actor)
    }
    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.inner.attention(shard, after, limit)
    }
    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.inner.scan(shard, prefix, after, limit)
    }
    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>> {
        self.inner.due(shard, before, limit)
    }
    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.inner.list(query)
    }
    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>> {
        self.write(|store| store.groom(shard, epoch, before, limit))
    }
    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>> {
        self.inner.setting(key)
    }
    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>> {
        self.inner.put_setting(key, expected, bytes)
    }
    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>> {
        self.inner.settings(prefix)
    }
}
