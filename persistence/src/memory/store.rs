//! The memory store behind the port: one lock round the state, and the heads.

use std::fmt;
use std::sync::Mutex;

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use super::state::State;
use crate::port::{
    Append, Checkpoint, Claim, Epoch, ListQuery, Offset, Owner, Ownership, Record, Result, Row, Setting,
    ShardId, Store, Tier,
};
use crate::sync::lock;
use crate::{Clock, system_clock};

/// How many bytes of entries the logs may hold before appends are refused as full: enough for any backlog
/// that checkpoints will work off, well under the memory of a small machine.
const LOG_BYTES_MAX: usize = 512 * 1024 * 1024;

/// A store in memory.
pub struct MemoryStore {
    state: Mutex<State>,
    heads: Vec<watch::Sender<Offset>>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("shards", &self.heads.len()).finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// A fresh environment of so many shards on the clock of the operating system.
    pub fn new(shards: u16) -> Self {
        Self::with_clock(shards, system_clock())
    }

    /// A fresh environment on a clock of the caller's.
    pub fn with_clock(shards: u16, clock: Clock) -> Self {
        Self::over(State::new(shards, LOG_BYTES_MAX, clock))
    }

    /// A new store with the same contents, which goes its own way from here.
    pub(crate) fn fork(&self) -> Self {
        Self::over(lock(&self.state).clone())
    }

    fn over(state: State) -> Self {
        let head = |id| state.head(ShardId(id)).unwrap_or_default();
        let heads = (0..state.shards()).map(|id| watch::Sender::new(head(id))).collect();
        MemoryStore { state: Mutex::new(state), heads }
    }

    fn answer<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut State) -> Result<T>,
    ) -> BoxFuture<'static, Result<T>> {
        let result = act(&mut lock(&self.state));
        Box::pin(ready(result))
    }

    /// Appends and moves the heads under one lock, so that a head never goes backwards.
    fn append_with(
        &self,
        shards: Vec<ShardId>,
        act: impl FnOnce(&mut State) -> Result<Vec<Offset>>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        self.answer(|state| {
            let offsets = act(state)?;
            for (shard, offset) in shards.into_iter().zip(&offsets) {
                if let Some(head) = self.heads.get(usize::from(shard.0)) {
                    head.send_replace(*offset);
                }
            }
            Ok(offsets)
        })
    }
}

impl Store for MemoryStore {
    fn tier(&self) -> Tier {
        Tier::MEMORY
    }

    fn shards(&self) -> u16 {
        lock(&self.state).shards()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let shards = batch.iter().map(|entry| entry.shard).collect();
        self.append_with(shards, |state| state.append(batch))
    }

    fn append_fenced(
        &self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let shards = vec![shard; batch.len()];
        self.append_with(shards, |state| state.append_fenced(shard, epoch, batch))
    }

    fn head(&self, shard: ShardId) -> watch::Receiver<Offset> {
        // A shard that does not exist has a head that never moves.
        let head = self.heads.get(usize::from(shard.0));
        head.map_or_else(|| watch::channel(Offset::ZERO).1, watch::Sender::subscribe)
    }

    fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.answer(|state| state.read(shard, after, max_entries, max_bytes))
    }

    fn read_owned(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.answer(|state| state.read_owned(shard, after, max_entries, max_bytes))
    }

    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>> {
        self.answer(|state| state.claim(shard, owner, seen))
    }

    fn release(&self, shard: ShardId, epoch: Epoch, next: Option<String>) -> BoxFuture<'static, Result<()>> {
        self.answer(|state| state.release(shard, epoch, next))
    }

    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>> {
        self.answer(|state| Ok(state.owners()))
    }

    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>> {
        self.answer(|state| state.checkpoint(shard, epoch, checkpoint))
    }

    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>> {
        self.answer(|state| Ok(state.rows(shard)?.get(&actor)))
    }

    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.answer(|state| Ok(state.rows(shard)?.attention(after, limit)))
    }

    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.answer(|state| Ok(state.rows(shard)?.scan(&prefix, after, limit)))
    }

    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>> {
        self.answer(|state| Ok(state.rows(shard)?.due(before, limit)))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.answer(|state| Ok(state.list(&query)))
    }

    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>> {
        self.answer(|state| state.groom(shard, epoch, before, limit))
    }

    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>> {
        self.answer(|state| Ok(state.setting(&key)))
    }

    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>> {
        self.answer(|state| state.put_setting(key, expected, bytes))
    }

    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>> {
        self.answer(|state| Ok(state.settings(&prefix)))
    }

    fn setting_keys(&self, prefix: String) -> BoxFuture<'static, Result<Vec<String>>> {
        self.answer(|state| Ok(state.setting_keys(&prefix)))
    }

    fn clock(&self) -> Clock {
        lock(&self.state).clock()
    }
}
