//! The shared store and the presence of nodes, as one node reaches them; and stores that are broken on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use impresario_persistence::{
    Append, Census, Checkpoint, Claim, Clock, Epoch, ListQuery, Member, Membership, MemoryMembership,
    MemoryStore, Offset, Owner, Ownership, Record, Result, Row, Setting, ShardId, Standing, Store,
    StoreError, Tier,
};
use tokio::sync::watch;
use tokio::time::timeout;

use super::link::{Link, Patience, Road};

/// How long a call of the membership may take.
const MEMBERSHIP_LIMIT: Duration = Duration::from_secs(1);
/// Of how many appends a store that loses some loses one.
const LOST_ONE_OF: u64 = 40;

/// What is broken on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Nothing.
    None,
    /// The store takes everything of an owner of the past, and answers it.
    NoFence,
    /// The store acknowledges appends that it does not keep.
    Loses,
}

/// A store at the end of a way.
pub struct LinkedStore {
    inner: Arc<MemoryStore>,
    link: Link,
    defect: Defect,
    appends: Arc<AtomicU64>,
}

impl LinkedStore {
    /// As a node reaches it; `appends` counts those of all nodes.
    pub fn new(inner: Arc<MemoryStore>, link: Link, defect: Defect, appends: Arc<AtomicU64>) -> Self {
        LinkedStore { inner, link, defect, appends }
    }

    fn look<T: Send + 'static>(
        &self,
        act: impl FnOnce(&MemoryStore) -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let inner = Arc::clone(&self.inner);
        self.link.call(Patience::Fails, move || act(&inner))
    }

    fn change<T: Send + 'static>(
        &self,
        act: impl FnOnce(&MemoryStore) -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let inner = Arc::clone(&self.inner);
        self.link.call(Patience::Waits, move || act(&inner))
    }

    /// The epoch under which a fenced call is carried out.
    fn epoch(defect: Defect, store: &MemoryStore, shard: ShardId, epoch: Epoch) -> Epoch {
        if defect != Defect::NoFence {
            return epoch;
        }
        let owners = store.owners().now_or_never().and_then(Result::ok).unwrap_or_default();
        owners.get(usize::from(shard.0)).map_or(epoch, |owned| owned.epoch)
    }
}

impl Store for LinkedStore {
    fn tier(&self) -> Tier {
        self.inner.tier()
    }

    fn shards(&self) -> u16 {
        self.inner.shards()
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let (inner, defect, appends) = (Arc::clone(&self.inner), self.defect, Arc::clone(&self.appends));
        self.link.call_in_order(move || {
            let number = appends.fetch_add(1, Ordering::Relaxed) + 1;
            if defect == Defect::Loses && number.is_multiple_of(LOST_ONE_OF) {
                let offsets = batch.iter().map(|_| Offset::new(inner.clock()(), 0)).collect();
                return ready(Ok(offsets)).boxed();
            }
            inner.append(batch)
        })
    }

    fn append_fenced(
        &self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        let (inner, defect) = (Arc::clone(&self.inner), self.defect);
        self.link.call_in_order(move || {
            inner.append_fenced(shard, Self::epoch(defect, &inner, shard, epoch), batch)
        })
    }

    fn head(&self, shard: ShardId) -> watch::Receiver<Offset> {
        let mut there = self.inner.head(shard);
        let (here, head) = watch::channel(*there.borrow());
        let link = self.link.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = there.changed() => if changed.is_err() { return },
                    () = here.closed() => return,
                }
                let mut road = link.watch();
                if road.wait_for(|road| matches!(road, Road::Open(_))).await.is_err() {
                    return;
                }
                tokio::time::sleep(link.some(Duration::from_millis(5))).await;
                here.send_replace(*there.borrow_and_update());
            }
        });
        head
    }

    fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.look(move |inner| inner.read(shard, after, max_entries, max_bytes))
    }

    fn read_owned(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        let defect = self.defect;
        self.look(move |inner| match defect {
            Defect::NoFence => inner.read(shard, after, max_entries, max_bytes),
            Defect::None | Defect::Loses => inner.read_owned(shard, after, max_entries, max_bytes),
        })
    }

    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>> {
        self.change(move |inner| inner.claim(shard, owner, seen))
    }

    fn release(&self, shard: ShardId, epoch: Epoch, next: Option<String>) -> BoxFuture<'static, Result<()>> {
        self.change(move |inner| inner.release(shard, epoch, next))
    }

    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>> {
        self.look(|inner| inner.owners())
    }

    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>> {
        let defect = self.defect;
        self.change(move |inner| {
            inner.checkpoint(shard, Self::epoch(defect, inner, shard, epoch), checkpoint)
        })
    }

    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>> {
        self.look(move |inner| inner.row(shard, actor))
    }

    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.look(move |inner| inner.attention(shard, after, limit))
    }

    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.look(move |inner| inner.scan(shard, prefix, after, limit))
    }

    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>> {
        self.look(move |inner| inner.due(shard, before, limit))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>> {
        self.look(move |inner| inner.list(query))
    }

    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>> {
        self.change(move |inner| inner.groom(shard, epoch, before, limit))
    }

    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>> {
        self.look(move |inner| inner.setting(key))
    }

    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>> {
        self.change(move |inner| inner.put_setting(key, expected, bytes))
    }

    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>> {
        self.look(move |inner| inner.settings(prefix))
    }

    fn clock(&self) -> Clock {
        self.inner.clock()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.link.standing()
    }
}

/// The presence of nodes at the end of a way.
pub struct LinkedMembership {
    /// What all nodes share.
    pub inner: Arc<MemoryMembership>,
    /// The way.
    pub link: Link,
}

impl LinkedMembership {
    fn call<T: Send + 'static>(
        &self,
        act: impl FnOnce(&MemoryMembership) -> BoxFuture<'static, Result<T>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let inner = Arc::clone(&self.inner);
        let called = self.link.call(Patience::Fails, move || act(&inner));
        let link = self.link.clone();
        async move {
            let result = timeout(MEMBERSHIP_LIMIT, called).await;
            // A node that stands still does not see that it has waited for too long.
            link.stands().await;
            result.unwrap_or_else(|_| Err(StoreError::Away("no answer in time".to_owned())))
        }
        .boxed()
    }
}

impl Membership for LinkedMembership {
    fn renew(&self, member: Member, ttl: Duration) -> BoxFuture<'static, Result<()>> {
        self.call(move |inner| inner.renew(member, ttl))
    }

    fn census(&self) -> BoxFuture<'static, Result<Census>> {
        self.call(|inner| inner.census())
    }

    fn leave(&self, incarnation: String) -> BoxFuture<'static, Result<()>> {
        self.call(move |inner| inner.leave(incarnation))
    }

    fn forget(&self, node: String) -> BoxFuture<'static, Result<bool>> {
        self.call(move |inner| inner.forget(node))
    }
}
