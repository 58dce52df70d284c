//! The Redis store behind the port: which part answers what.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, join_all, ready, try_join_all};
use tokio::sync::watch;

use super::config::RedisConfig;
use super::environment;
use super::fleet::Fleet;
use super::held::Owned;
use super::lane::Lane;
use super::live::chance;
use super::{
    library,
    reader::{self, Reader},
    rows, settings, writer,
};
use crate::port::{
    Append, Checkpoint, Claim, Epoch, ListQuery, MAX_ENTRY_BYTES, Offset, Owner, Ownership, Record, Result,
    Row, Setting, ShardId, Standing, Store, Tier,
};
use crate::{Clock, StoreError};

/// A store of one environment in Redis, shared by many nodes.
///
/// Dropping it finishes what was asked of it in the background, as long as its runtime and the server are there.
///
/// Two things differ from a store in this process. With `replicas`, an entry may be read a moment before the replicas
/// have it; its sender is only told afterwards. In a Redis Cluster, an append to shards of several servers is not one
/// step: when one of them is away, the others may keep their part, and sending all of it again is harmless.
pub struct RedisStore {
    fleet: Arc<Fleet>,
    /// Names each change, so that one that is sent again is known.
    tries: AtomicU64,
    incarnation: u64,
}

impl RedisStore {
    /// Connects, checks the server, and finds or makes the environment.
    ///
    /// # Errors
    /// [`StoreError::Away`] when no server answers in time. [`StoreError::Refused`] when it may not be used: it is too
    /// old, keeps less than was asked for, does not know the user, or has the environment in a newer format or with
    /// another number of shards. Nothing was changed then.
    pub async fn open(config: RedisConfig) -> Result<RedisStore> {
        let fleet = Arc::new(Fleet::open(config).await?);
        Ok(RedisStore { fleet, tries: AtomicU64::new(0), incarnation: chance() })
    }

    fn next_try(&self) -> String {
        format!("{:016x}x{}", self.incarnation, self.tries.fetch_add(1, Ordering::Relaxed))
    }

    /// A place in the queue of each server that the entries go to.
    fn push(
        &self,
        batch: Vec<Append>,
        fence: Option<Epoch>,
    ) -> Result<BoxFuture<'static, Result<Vec<Offset>>>> {
        if let Some(large) = batch.iter().find(|entry| entry.bytes.len() > MAX_ENTRY_BYTES) {
            return Err(StoreError::TooLarge { found: large.bytes.len(), limit: MAX_ENTRY_BYTES });
        }
        let mut parts: Vec<(usize, Arc<Lane>, Vec<Append>)> = Vec::new();
        let mut places = Vec::with_capacity(batch.len());
        for entry in batch {
            let lane = self.fleet.lane(entry.shard)?;
            let number = self.fleet.place(entry.shard).unwrap_or_default();
            let part = match parts.iter().position(|(known, ..)| *known == number) {
                Some(part) => part,
                None => {
                    parts.push((number, lane, Vec::new()));
                    parts.len() - 1
                }
            };
            if let Some((.., entries)) = parts.get_mut(part) {
                entries.push(entry);
            }
            places.push(part);
        }
        for (_, lane, _) in &parts {
            lane.live()?;
        }
        if parts.len() == 1
            && let Some((_, lane, entries)) = parts.pop()
        {
            return Ok(lane.queue.push(entries, fence));
        }
        let pushed: Vec<_> =
            parts.into_iter().map(|(_, lane, entries)| lane.queue.push(entries, fence)).collect();
        let all = async move {
            let mut offsets = Vec::new();
            for answered in join_all(pushed).await {
                offsets.push(answered?.into_iter());
            }
            let in_order = places.into_iter().map(|part| offsets.get_mut(part).and_then(Iterator::next));
            let in_order: Option<Vec<Offset>> = in_order.collect();
            in_order.ok_or_else(|| StoreError::Corrupt("the server answered too few offsets".to_owned()))
        };
        Ok(all.boxed())
    }

    /// Tells the owner of a shard once that it has to start again.
    fn behind(&self, shard: ShardId) -> Result<()> {
        match self.fleet.logs.owned(shard, |owned| owned.behind.take()).flatten() {
            Some(words) => Err(StoreError::Behind(words)),
            None => Ok(()),
        }
    }

    fn read_as(
        &self,
        reader: Reader,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        let lane = self.behind(shard).and_then(|()| self.fleet.lane(shard));
        or_at_once(lane.map(|lane| reader::read(lane, reader, shard, after, max_entries, max_bytes).boxed()))
    }

    /// The lane and the key of a shard.
    fn of(&self, shard: ShardId) -> Result<(Arc<Lane>, String)> {
        let lane = self.fleet.lane(shard)?;
        let key = lane.keys.meta(shard);
        Ok((lane, key))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("config", &self.fleet.config).finish_non_exhaustive()
    }
}

/// An error at once, or what the future answers.
fn or_at_once<T: Send + 'static>(
    result: Result<BoxFuture<'static, Result<T>>>,
) -> BoxFuture<'static, Result<T>> {
    result.unwrap_or_else(|error| ready(Err(error)).boxed())
}

fn fenced(word: &str) -> Result<()> {
    match word {
        "ok" => Ok(()),
        "fenced" => Err(StoreError::Fenced),
        other => Err(StoreError::Corrupt(format!("the server answered '{other}'"))),
    }
}

impl Store for RedisStore {
    fn tier(&self) -> Tier {
        // The weakest of the servers is what can be promised.
        let tiers = self.fleet.lanes().iter().map(|lane| lane.link.tier());
        tiers.min_by_key(|tier| tier.keeping).unwrap_or(Tier::MEMORY)
    }

    fn shards(&self) -> u16 {
        self.fleet.config.shards
    }

    fn append(&self, batch: Vec<Append>) -> BoxFuture<'static, Result<Vec<Offset>>> {
        if batch.is_empty() {
            return ready(Ok(Vec::new())).boxed();
        }
        or_at_once(self.push(batch, None))
    }

    fn append_fenced(
        &self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<Vec<Offset>>> {
        if batch.is_empty() {
            return ready(Ok(Vec::new())).boxed();
        }
        let batch = writer::of_one_shard(shard, batch);
        or_at_once(self.behind(shard).and_then(|()| self.push(batch, Some(epoch))))
    }

    fn head(&self, shard: ShardId) -> watch::Receiver<Offset> {
        let (head, first) = self.fleet.logs.follow(shard);
        if first && let Ok(lane) = self.fleet.lane(shard) {
            lane.follow.notify_one();
        }
        head
    }

    fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.read_as(Reader::Anybody, shard, after, max_entries, max_bytes)
    }

    fn read_owned(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> BoxFuture<'static, Result<Vec<Record>>> {
        self.read_as(Reader::Owner, shard, after, max_entries, max_bytes)
    }

    fn claim(&self, shard: ShardId, owner: Owner, seen: Epoch) -> BoxFuture<'static, Result<Claim>> {
        let fleet = Arc::clone(&self.fleet);
        let name = self.next_try();
        or_at_once(self.of(shard).map(|(lane, key)| {
            async move {
                let mut call = library::call("claim", &[&key]);
                call.arg(seen.0).arg(&owner.node).arg(&owner.incarnation).arg(name);
                let (word, mut reply) = lane.change(&call).await?;
                fenced(&word)?;
                let claim = Claim {
                    epoch: Epoch(reply.number()?),
                    mark: reply.offset()?,
                    head: reply.offset()?,
                    previous: reply
                        .perhaps()?
                        .zip(reply.perhaps()?)
                        .map(|(node, incarnation)| Owner { node, incarnation }),
                };
                fleet.logs.owned(shard, |owned| {
                    *owned = Owned { epoch: claim.epoch, owner: Some(owner), mine: true, behind: None };
                });
                Ok(claim)
            }
            .boxed()
        }))
    }

    fn release(&self, shard: ShardId, epoch: Epoch, next: Option<String>) -> BoxFuture<'static, Result<()>> {
        let fleet = Arc::clone(&self.fleet);
        let name = self.next_try();
        or_at_once(self.of(shard).map(|(lane, key)| {
            async move {
                let mut call = library::call("release", &[&key]);
                call.arg(epoch.0).arg(next.unwrap_or_default()).arg(name);
                let (word, _) = lane.change(&call).await?;
                fenced(&word)?;
                fleet.logs.owned(shard, |owned| {
                    // Unless this node has claimed it again meanwhile.
                    if owned.epoch == epoch {
                        (owned.owner, owned.mine) = (None, false);
                    }
                });
                Ok(())
            }
            .boxed()
        }))
    }

    fn owners(&self) -> BoxFuture<'static, Result<Vec<Ownership>>> {
        let fleet = Arc::clone(&self.fleet);
        async move {
            let mut owners = Vec::with_capacity(usize::from(fleet.config.shards));
            let asked = fleet.lanes().iter().map(|lane| async {
                let live = lane.link.live()?;
                let stored =
                    environment::stored(&live, &lane.keys, &lane.shards, &fleet.config, &lane.dataset).await;
                stored.map_err(|trouble| lane.link.trouble(&live, trouble))
            });
            for stored in try_join_all(asked).await? {
                for stored in &stored {
                    fleet
                        .logs
                        .owned(stored.shard, |owned| owned.newer(Epoch(stored.epoch), stored.owner.clone()));
                }
                owners.extend(stored.into_iter().map(|stored| Ownership {
                    shard: stored.shard,
                    epoch: Epoch(stored.epoch),
                    owner: stored.owner,
                    offered: stored.offered,
                }));
            }
            owners.sort_by_key(|owned| owned.shard);
            Ok(owners)
        }
        .boxed()
    }

    fn checkpoint(
        &self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: Checkpoint,
    ) -> BoxFuture<'static, Result<()>> {
        or_at_once(self.behind(shard).and_then(|()| self.of(shard)).map(|(lane, key)| {
            async move {
                let call = rows::checkpoint(&key, epoch, &checkpoint)?;
                drop(checkpoint);
                let (word, _) = lane.change(&call).await?;
                fenced(&word)
            }
            .boxed()
        }))
    }

    fn row(&self, shard: ShardId, actor: String) -> BoxFuture<'static, Result<Option<Row>>> {
        or_at_once(self.fleet.lane(shard).map(|lane| rows::row(lane, shard, actor).boxed()))
    }

    fn attention(
        &self,
        shard: ShardId,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        let lane = self.fleet.lane(shard);
        or_at_once(lane.map(|lane| rows::rows(lane, shard, "attention", String::new(), after, limit).boxed()))
    }

    fn scan(
        &self,
        shard: ShardId,
        prefix: String,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<Row>>> {
        let lane = self.fleet.lane(shard);
        or_at_once(lane.map(|lane| rows::rows(lane, shard, "actors", prefix, after, limit).boxed()))
    }

    fn due(
        &self,
        shard: ShardId,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<Vec<(u64, String)>>> {
        or_at_once(self.fleet.lane(shard).map(|lane| rows::due(lane, shard, before, limit).boxed()))
    }

    fn list(&self, query: ListQuery) -> BoxFuture<'static, Result<Vec<Row>>> {
        let lanes = self.fleet.lanes().iter();
        let shards = lanes.flat_map(|lane| lane.shards.iter().map(|shard| (Arc::clone(lane), *shard)));
        rows::list(shards.collect(), query).boxed()
    }

    fn groom(
        &self,
        shard: ShardId,
        epoch: Epoch,
        before: u64,
        limit: usize,
    ) -> BoxFuture<'static, Result<usize>> {
        or_at_once(self.of(shard).map(|(lane, key)| rows::groom(lane, key, epoch, before, limit).boxed()))
    }

    fn setting(&self, key: String) -> BoxFuture<'static, Result<Option<Setting>>> {
        or_at_once(self.fleet.common().map(|lane| settings::one(lane, key).boxed()))
    }

    fn put_setting(&self, key: String, expected: u64, bytes: Bytes) -> BoxFuture<'static, Result<u64>> {
        let name = self.next_try();
        or_at_once(self.fleet.common().map(|lane| settings::put(lane, key, expected, name, bytes).boxed()))
    }

    fn settings(&self, prefix: String) -> BoxFuture<'static, Result<Vec<(String, Setting)>>> {
        or_at_once(self.fleet.common().map(|lane| settings::all(lane, prefix).boxed()))
    }

    fn setting_keys(&self, prefix: String) -> BoxFuture<'static, Result<Vec<String>>> {
        or_at_once(self.fleet.common().map(|lane| settings::names(lane, prefix).boxed()))
    }

    fn clock(&self) -> Clock {
        self.fleet.clock.as_clock()
    }

    fn standing(&self) -> watch::Receiver<Standing> {
        self.fleet.standing.subscribe()
    }

    fn alarms(&self) -> Vec<String> {
        self.fleet.alarms.list()
    }
}
