//! A store for tests that is slow, or away, as they say.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use impresario_persistence::{
    Append, Checkpoint, Claim, Epoch, ListQuery, MemoryStore, Offset, Owner, Ownership, Record, Result, Row,
    Setting, ShardId, Standing, Store, StoreError, Tier,
};
use tokio::sync::watch;

/// What becomes of appends.
pub enum Appends {
    /// They become durable.
    Taken,
    /// They are never confirmed.
    Waiting,
    /// The store does not answer.
    Refused,
}

/// A memory store that lets others go first for a while before it does anything with a setting or the log.
pub struct Slow {
    store: Arc<MemoryStore>,
    turns: usize,
    /// What becomes of appends from now on.
    pub appends: Mutex<Appends>,
    /// Whether it answers.
    pub standing: watch::Sender<Standing>,
    /// What it does to the rows of a checkpoint before it stores them.
    pub spoil: Mutex<fn(&mut Checkpoint)>,
    /// What it has lost.
    pub alarms: Mutex<Vec<String>>,
}

impl Slow {
    /// Waits for so many turns of others.
    pub fn new(store: Arc<MemoryStore>, turns: usize) -> Self {
        Slow {
            store,
            turns,
            appends: Mutex::new(Appends::Taken),
            standing: watch::Sender::new(Standing::Up),
            spoil: Mutex::new(|_| {}),
            alarms: Mutex::default(),
        }
    }

    fn after<T: Send + 'static>(
        &self,
        step: impl Future<Output = T> + Send + 'static,
    ) -> BoxFuture<'static, T> {
        let turns = self.turns;
        Box::pin(async move {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            step.await
        })
    }
}

impl Store for Slow {
    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>> {
        let store = Arc::clone(&self.store);
        self.after(async move { store.setting(key).await })
    }

    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>> {
        let store = Arc::clone(&self.store);
        self.after(async move { store.put_setting(key, expected, bytes).await })
    }

    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>> {
        let store = Arc::clone(&self.store);
        self.after(async move { store.settings(prefix).await })
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'static, Result<Vec<Offset>>> {
        match *self.appends.lock().unwrap() {
            Appends::Taken => {
                let store = Arc::clone(&self.store);
                self.after(async move { store.append(batch).await })
            }
            Appends::Waiting => Box::pin(std::future::pending()),
            Appends::Refused => {
                let error = StoreError::Away("no server answers".to_owned());
                Box::pin(std::future::ready(Err(error)))
            }
        }
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    fn alarms(&self) -> Vec<String> {
        self.alarms.lock().unwrap().clone()
    }

    fn tier(&self) -> Tier {
        self.store.tier()
    }

    fn shards(&self) -> u16 {
        self.store.shards()
    }

    fn append_fenced(
        &self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        self.store.append_fenced(shard, epoch, batch)
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
        self.store.read(shard, after, max_entries, max_bytes)
    }

    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>> {
        self.store.claim(shard, owner, seen)
    }

    fn release(&self, shard: ShardId, epoch: Epoch, next: Option<String>) -> BoxFuture<'static, Result<()>> {
        self.store.release(shard, epoch, next)
    }

    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>> {
        self.store.owners()
    }

    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        mut checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>> {
        (self.spoil.lock().unwrap())(&mut checkpoint);
        self.store.checkpoint(shard, epoch, checkpoint)
    }

    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>> {
        self.store.row(shard, actor)
    }

    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.store.attention(shard, after, limit)
    }

    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.store.scan(shard, prefix, after, limit)
    }

    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>> {
        self.store.due(shard, before, limit)
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.store.list(query)
    }

    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>> {
        self.store.groom(shard, epoch, before, limit)
    }
}
