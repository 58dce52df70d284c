//! The lossy store: a store for tests that crashes at a chosen durable write.
//!
//! It behaves like [`MemoryStore`] until the write at which it is told to crash. From then on every call
//! fails, as if the process had been killed; [`LossyStore::reopen`] is the restart, over what was durable.
//! An acknowledged write always survives. The write at which it crashes is never acknowledged, and
//! [`Side`] says whether it survives.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::{oneshot, watch};

use crate::port::{
    Append, Checkpoint, Claim, Epoch, ListQuery, Offset, Owner, Ownership, Record, Result, Row, Setting,
    ShardId, Store, Tier,
};
use crate::sync::lock;
use crate::{Clock, MemoryStore, StoreError, system_clock};

/// A kind of durable write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// One call of `append` or `append_fenced`.
    Append,
    /// One call of `checkpoint`.
    Checkpoint,
    /// One call of `claim`, `release`, `groom` or `put_setting`.
    Other,
}

/// On which side of becoming durable a write is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The write is lost.
    Before,
    /// The write survives, but its caller never learns of it.
    After,
}

/// Where to crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// Which writes to count; all of them if none is named.
    pub write: Option<Write>,
    /// The write of that kind at which to crash; the first since the store was opened is 1.
    pub nth: u64,
    /// Whether that write survives.
    pub side: Side,
}

/// How many durable writes a store has begun since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of `append` and `append_fenced`.
    pub appends: u64,
    /// Calls of `checkpoint`.
    pub checkpoints: u64,
    /// Calls of `claim`, `release`, `groom` and `put_setting`.
    pub others: u64,
}

impl Counts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.appends + self.checkpoints + self.others
    }

    fn count(&mut self, write: Write) {
        match write {
            Write::Append => self.appends += 1,
            Write::Checkpoint => self.checkpoints += 1,
            Write::Other => self.others += 1,
        }
    }

    fn of(&self, write: Option<Write>) -> u64 {
        match write {
            None => self.total(),
            Some(Write::Append) => self.appends,
            Some(Write::Checkpoint) => self.checkpoints,
            Some(Write::Other) => self.others,
        }
    }
}

/// An append that waits to become durable.
struct Held {
    write: Box<dyn FnOnce(&MemoryStore) -> Appending + Send>,
    reply: oneshot::Sender<Appending>,
}

type Appending = BoxFuture<'static, Result<Vec<Offset>>>;

#[derive(Default)]
struct Plan {
    counts: Counts,
    crash_at: Option<CrashPoint>,
    holding: bool,
    held: Vec<Held>,
}

/// A store in memory that can be made to crash.
pub struct LossyStore {
    durable: Arc<MemoryStore>,
    plan: Mutex<Plan>,
    crashed: watch::Sender<bool>,
}

impl LossyStore {
    /// A fresh environment of so many shards on the clock of the operating system.
    pub fn new(shards: u16) -> Self {
        Self::with_clock(shards, system_clock())
    }

    /// A fresh environment on a clock of the caller's.
    pub fn with_clock(shards: u16, clock: Clock) -> Self {
        Self::over(MemoryStore::with_clock(shards, clock))
    }

    fn over(durable: MemoryStore) -> Self {
        LossyStore {
            durable: Arc::new(durable),
            plan: Mutex::new(Plan::default()),
            crashed: watch::Sender::new(false),
        }
    }

    /// Chooses where to crash; a later choice replaces an earlier one.
    pub fn crash_at(&self, point: CrashPoint) {
        lock(&self.plan).crash_at = Some(point);
    }

    /// Crashes now.
    pub fn crash(&self) {
        self.die(&mut lock(&self.plan));
    }

    /// Whether it has crashed, and the signal of it.
    pub fn crashed(&self) -> watch::Receiver<bool> {
        self.crashed.subscribe()
    }

    /// The durable writes begun so far.
    pub fn counts(&self) -> Counts {
        lock(&self.plan).counts
    }

    /// From now on appends take their place but become durable only at [`LossyStore::flush`].
    pub fn hold(&self) {
        lock(&self.plan).holding = true;
    }

    /// Makes all held appends durable, in order, and holds no more.
    pub fn flush(&self) {
        let mut plan = lock(&self.plan);
        plan.holding = false;
        for held in std::mem::take(&mut plan.held) {
            let done = self.write(&mut plan, Write::Append, held.write);
            // A caller that went away does not want to know.
            let _ = held.reply.send(done);
        }
    }

    /// The store after a restart: a new one over what was durable, with its counts at zero and no crash
    /// planned. This one counts as crashed from now on.
    pub fn reopen(&self) -> LossyStore {
        self.crash();
        Self::over(self.durable.fork())
    }

    fn die(&self, plan: &mut Plan) {
        self.crashed.send_replace(true);
        plan.held.clear();
    }

    fn alive(&self) -> Result<()> {
        if *self.crashed.borrow() { Err(dead()) } else { Ok(()) }
    }

    /// Makes one write durable, unless the plan says to crash before it; crashes after it if the plan says so.
    fn write<T: Send + 'static>(
        &self,
        plan: &mut Plan,
        write: Write,
        act: impl FnOnce(&MemoryStore) -> BoxFuture<'static, Result<T>>,
    ) -> BoxFuture<'static, Result<T>> {
        if let Err(error) = self.alive() {
            return Box::pin(ready(Err(error)));
        }
        plan.counts.count(write);
        let hit = plan.crash_at.filter(|point| {
            point.write.is_none_or(|wanted| wanted == write) && plan.counts.of(point.write) == point.nth
        });
        let Some(point) = hit else {
            return act(&self.durable);
        };
        if point.side == Side::After {
            // Acts at the call; the answer is what the crash swallows.
            drop(act(&self.durable));
        }
        self.die(plan);
        Box::pin(ready(Err(dead())))
    }

    fn append_with(&self, act: impl FnOnce(&MemoryStore) -> Appending + Send + 'static) -> Appending {
        let mut plan = lock(&self.plan);
        if !plan.holding || self.alive().is_err() {
            return self.write(&mut plan, Write::Append, act);
        }
        let (reply, answer) = oneshot::channel();
        plan.held.push(Held { write: Box::new(act), reply });
        Box::pin(async move {
            match answer.await {
                Ok(done) => done.await,
                Err(_) => Err(dead()),
            }
        })
    }

    fn change<T: Send + 'static>(
        &self,
        write: Write,
        act: impl FnOnce(&MemoryStore) -> BoxFuture<'static, Result<T>>,
    ) -> BoxFuture<'static, Result<T>> {
        self.write(&mut lock(&self.plan), write, act)
    }

    fn look<T: Send + 'static>(
        &self,
        act: impl FnOnce(&MemoryStore) -> BoxFuture<'static, Result<T>>,
    ) -> BoxFuture<'static, Result<T>> {
        match self.alive() {
            Ok(()) => act(&self.durable),
            Err(error) => Box::pin(ready(Err(error))),
        }
    }
}

impl std::fmt::Debug for LossyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LossyStore").field("crashed", &*self.crashed.borrow()).finish_non_exhaustive()
    }
}

fn dead() -> StoreError {
    StoreError::Failed("the store has crashed, as it was told to".to_owned())
}

impl Store for LossyStore {
    fn tier(&self) -> Tier {
        self.durable.tier()
    }

    fn shards(&self) -> u16 {
        self.durable.shards()
    }

    fn clock(&self) -> Clock {
        self.durable.clock()
    }

    fn append(&self, batch: Vec<Append>) -> Appending {
        self.append_with(|store| store.append(batch))
    }

    fn append_fenced(&self, shard: ShardId, epoch: Epoch, batch: Vec<Bytes>) -> Appending {
        self.append_with(move |store| store.append_fenced(shard, epoch, batch))
    }

    fn head(&self, shard: ShardId) -> watch::Receiver<Offset> {
        self.durable.head(shard)
    }

    fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.look(|store| store.read(shard, after, max_entries, max_bytes))
    }

    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>> {
        self.change(Write::Other, |store| store.claim(shard, owner, seen))
    }

    fn release(&self, shard: ShardId, epoch: Epoch, next: Option<String>) -> BoxFuture<'static, Result<()>> {
        self.change(Write::Other, |store| store.release(shard, epoch, next))
    }

    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>> {
        self.look(|store| store.owners())
    }

    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>> {
        self.change(Write::Checkpoint, |store| store.checkpoint(shard, epoch, checkpoint))
    }

    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>> {
        self.look(|store| store.row(shard, actor))
    }

    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.look(|store| store.attention(shard, after, limit))
    }

    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.look(|store| store.scan(shard, prefix, after, limit))
    }

    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>> {
        self.look(|store| store.due(shard, before, limit))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.look(|store| store.list(query))
    }

    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>> {
        self.change(Write::Other, |store| store.groom(shard, epoch, before, limit))
    }

    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>> {
        self.look(|store| store.setting(key))
    }

    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>> {
        self.change(Write::Other, |store| store.put_setting(key, expected, bytes))
    }

    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>> {
        self.look(|store| store.settings(prefix))
    }
}
