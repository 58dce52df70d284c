//! The contents of a memory store as plain data, and the rules of the port on it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::rows::Rows;
use crate::port::{
    Append, Checkpoint, Claim, Epoch, ListQuery, MAX_ENTRY_BYTES, Offset, Owner, Ownership, Record, Result,
    Row, Setting, ShardId,
};
use crate::{Clock, StoreError};

/// One shard: its log, its owner and its rows.
#[derive(Clone, Default)]
struct Shard {
    log: VecDeque<Record>,
    head: Offset,
    mark: Offset,
    epoch: Epoch,
    owner: Option<Owner>,
    offered: Option<String>,
    rows: Rows,
}

impl Shard {
    fn check(&self, epoch: Epoch) -> Result<()> {
        if self.owner.is_some() && self.epoch == epoch { Ok(()) } else { Err(StoreError::Fenced) }
    }
}

/// Everything that a memory store holds.
#[derive(Clone)]
pub(super) struct State {
    shards: Vec<Shard>,
    settings: BTreeMap<String, Setting>,
    last: Offset,
    log_bytes: usize,
    log_bytes_max: usize,
    clock: Clock,
}

impl State {
    pub(super) fn new(shards: u16, log_bytes_max: usize, clock: Clock) -> Self {
        State {
            shards: vec![Shard::default(); usize::from(shards)],
            settings: BTreeMap::new(),
            last: Offset::ZERO,
            log_bytes: 0,
            log_bytes_max,
            clock,
        }
    }

    pub(super) fn shards(&self) -> u16 {
        // The vector was made from a `u16`.
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }

    pub(super) fn head(&self, shard: ShardId) -> Result<Offset> {
        self.shard(shard).map(|shard| shard.head)
    }

    fn shard(&self, id: ShardId) -> Result<&Shard> {
        let count = self.shards.len();
        self.shards.get(usize::from(id.0)).ok_or_else(|| no_shard(id, count))
    }

    fn shard_mut(&mut self, id: ShardId) -> Result<&mut Shard> {
        let count = self.shards.len();
        self.shards.get_mut(usize::from(id.0)).ok_or_else(|| no_shard(id, count))
    }

    pub(super) fn append(&mut self, batch: Vec<Append>) -> Result<Vec<Offset>> {
        let bytes: usize = batch.iter().map(|entry| entry.bytes.len()).sum();
        for entry in &batch {
            self.shard(entry.shard)?;
            check_size(entry.bytes.len())?;
        }
        if self.log_bytes + bytes > self.log_bytes_max {
            let limit = self.log_bytes_max;
            return Err(StoreError::Full(format!(
                "the mailbox logs in memory have reached their limit of {limit} bytes"
            )));
        }
        let now = (self.clock)();
        let mut offsets = Vec::with_capacity(batch.len());
        for entry in batch {
            let offset = self.last.next(now);
            self.last = offset;
            let shard = self.shard_mut(entry.shard)?;
            shard.head = offset;
            shard.log.push_back(Record { offset, bytes: entry.bytes });
            offsets.push(offset);
        }
        self.log_bytes += bytes;
        Ok(offsets)
    }

    pub(super) fn append_fenced(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        batch: Vec<Bytes>,
    ) -> Result<Vec<Offset>> {
        self.shard(shard)?.check(epoch)?;
        self.append(batch.into_iter().map(|bytes| Append { shard, bytes }).collect())
    }

    pub(super) fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>> {
        let log = &self.shard(shard)?.log;
        let start = log.partition_point(|record| record.offset <= after);
        let mut bytes = 0;
        let mut records = Vec::new();
        for record in log.range(start..).take(max_entries) {
            if bytes >= max_bytes && !records.is_empty() {
                break;
            }
            bytes += record.bytes.len();
            records.push(record.clone());
        }
        Ok(records)
    }

    pub(super) fn read_owned(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>> {
        if after < self.shard(shard)?.mark {
            return Err(StoreError::Fenced);
        }
        self.read(shard, after, max_entries, max_bytes)
    }

    pub(super) fn claim(&mut self, shard: ShardId, owner: Owner, seen: Epoch) -> Result<Claim> {
        let shard = self.shard_mut(shard)?;
        if shard.epoch != seen {
            return Err(StoreError::Fenced);
        }
        shard.epoch = Epoch(shard.epoch.0 + 1);
        shard.offered = None;
        let previous = shard.owner.replace(owner);
        Ok(Claim { epoch: shard.epoch, mark: shard.mark, head: shard.head, previous })
    }

    pub(super) fn release(&mut self, shard: ShardId, epoch: Epoch, next: Option<String>) -> Result<()> {
        let shard = self.shard_mut(shard)?;
        shard.check(epoch)?;
        shard.owner = None;
        shard.offered = next;
        Ok(())
    }

    pub(super) fn owners(&self) -> Vec<Ownership> {
        let owned = |(number, shard): (u16, &Shard)| Ownership {
            shard: ShardId(number),
            epoch: shard.epoch,
            owner: shard.owner.clone(),
            offered: shard.offered.clone(),
        };
        (0..).zip(&self.shards).map(owned).collect()
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(super) fn checkpoint(&mut self, shard: ShardId, epoch: Epoch, checkpoint: Checkpoint) -> Result<()> {
        let shard = self.shard_mut(shard)?;
        shard.check(epoch)?;
        if checkpoint.mark < shard.mark {
            return Ok(());
        }
        // Never backwards, and never past the log: later entries must stay readable.
        shard.mark = shard.mark.max(checkpoint.mark.min(shard.head));
        for actor in &checkpoint.remove {
            shard.rows.remove(actor);
        }
        for row in checkpoint.put {
            shard.rows.put(row);
        }
        let keep = shard.log.partition_point(|record| record.offset <= shard.mark);
        let freed: usize = shard.log.drain(..keep).map(|record| record.bytes.len()).sum();
        self.log_bytes -= freed;
        Ok(())
    }

    pub(super) fn rows(&self, shard: ShardId) -> Result<&Rows> {
        self.shard(shard).map(|shard| &shard.rows)
    }

    pub(super) fn list(&self, query: &ListQuery) -> Vec<Row> {
        let mut found: Vec<Row> = Vec::new();
        for shard in &self.shards {
            found.extend(shard.rows.matching(query));
        }
        found.sort_by(|a, b| (b.index.started, &b.actor).cmp(&(a.index.started, &a.actor)));
        found.truncate(query.limit);
        found
    }

    pub(super) fn groom(&mut self, shard: ShardId, epoch: Epoch, before: u64, limit: usize) -> Result<usize> {
        let shard = self.shard_mut(shard)?;
        shard.check(epoch)?;
        Ok(shard.rows.groom(before, limit))
    }

    pub(super) fn setting(&self, key: &str) -> Option<Setting> {
        self.settings.get(key).cloned()
    }

    pub(super) fn put_setting(&mut self, key: String, expected: u64, bytes: Bytes) -> Result<u64> {
        let found = self.settings.get(&key).map_or(0, |setting| setting.version);
        if found != expected {
            return Err(StoreError::Conflict { expected, found });
        }
        let version = found + 1;
        self.settings.insert(key, Setting { version, bytes });
        Ok(version)
    }

    pub(super) fn settings(&self, prefix: &str) -> Vec<(String, Setting)> {
        let from = self.settings.range(prefix.to_owned()..);
        let matching = from.take_while(|(key, _)| key.starts_with(prefix));
        matching.map(|(key, setting)| (key.clone(), setting.clone())).collect()
    }

    pub(super) fn setting_keys(&self, prefix: &str) -> Vec<String> {
        let from = self.settings.range(prefix.to_owned()..);
        from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix)).cloned().collect()
    }
}

/// The answer to a shard that the environment does not have.
pub(crate) fn no_shard(id: ShardId, count: usize) -> StoreError {
    StoreError::Refused(format!("shard {} does not exist: the environment has {count} shards", id.0))
}

/// Refuses an entry over the limit of the port.
pub(crate) fn check_size(found: usize) -> Result<()> {
    if found > MAX_ENTRY_BYTES {
        return Err(StoreError::TooLarge { found, limit: MAX_ENTRY_BYTES });
    }
    Ok(())
}
