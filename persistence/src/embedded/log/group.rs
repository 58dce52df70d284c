//! A group: the batches that become durable together, laid out as they are written.

use super::index::Place;
use super::record::{HEADER_LEN, Kind, Record};
use super::segment::Link;
use crate::port::{Append, Offset, ShardId};

/// Batches with their places in the log, not yet written.
pub(super) struct Group {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: Vec<Placed>,
    /// The offsets of each batch.
    pub(super) offsets: Vec<Vec<Offset>>,
}

/// An entry of a group.
pub(super) struct Placed {
    pub(super) shard: ShardId,
    pub(super) link: Link,
    /// Where its shard stood before it.
    before: Link,
    /// Where its record is in the group's bytes.
    at: u32,
    len: u32,
}

impl Placed {
    /// Where the entry is if the group begins at `at` in a segment.
    pub(super) fn place(&self, segment: u32, at: u32) -> Place {
        Place { offset: self.link.offset, segment, at: at + self.at, len: self.len }
    }
}

/// Where the log stands: what the next group goes on from.
pub(super) struct Standing {
    /// The last entry of each shard.
    pub(super) links: Vec<Link>,
    /// The newest offset of all shards.
    pub(super) last: Offset,
    pub(super) next_group: u64,
}

impl Standing {
    /// The last entry of a shard.
    pub(super) fn link(&self, shard: ShardId) -> Link {
        self.links.get(usize::from(shard.0)).copied().unwrap_or_default()
    }

    /// Lays batches out behind all that is there, stamped with one look at the clock.
    pub(super) fn place(&mut self, batches: Vec<Vec<Append>>, salt: u32, now: u64) -> Group {
        let count: usize = batches.iter().map(Vec::len).sum();
        let mut group = Group {
            bytes: Vec::with_capacity(Group::len(&batches)),
            entries: Vec::with_capacity(count),
            offsets: Vec::with_capacity(batches.len()),
        };
        // A group is bounded well below 2^32, in entries as in bytes.
        let mut remaining = u32::try_from(count).unwrap_or(u32::MAX);
        for batch in batches {
            let mut offsets = Vec::with_capacity(batch.len());
            for entry in batch {
                remaining -= 1;
                offsets.push(self.place_entry(&entry, remaining, salt, now, &mut group));
            }
            group.offsets.push(offsets);
        }
        group
    }

    fn place_entry(
        &mut self,
        entry: &Append,
        remaining: u32,
        salt: u32,
        now: u64,
        group: &mut Group,
    ) -> Offset {
        let Append { shard, bytes } = entry;
        let before = self.link(*shard);
        self.last = self.last.next(now);
        let link = Link { sequence: before.sequence + 1, offset: self.last };
        if let Some(current) = self.links.get_mut(usize::from(shard.0)) {
            *current = link;
        }
        let at = u32::try_from(group.bytes.len()).unwrap_or(u32::MAX);
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        group.entries.push(Placed { shard: *shard, link, before, at, len });
        let record = Record {
            kind: Kind::Entry,
            shard: *shard,
            offset: link.offset,
            sequence: link.sequence,
            group: self.next_group,
            remaining,
        };
        record.encode(bytes, salt, &mut group.bytes);
        link.offset
    }

    /// Takes a group back that could not be written. The offsets that it had are not used again.
    pub(super) fn take_back(&mut self, group: &Group) {
        for placed in group.entries.iter().rev() {
            if let Some(link) = self.links.get_mut(usize::from(placed.shard.0)) {
                *link = placed.before;
            }
        }
    }
}

impl Group {
    /// How many bytes batches take in the log.
    pub(super) fn len(batches: &[Vec<Append>]) -> usize {
        batches.iter().flatten().map(|entry| HEADER_LEN + entry.bytes.len()).sum()
    }
}
