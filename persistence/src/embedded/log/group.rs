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
    /// The newest offset of the log with the group.
    pub(super) last: Offset,
}

/// An entry of a group.
pub(super) struct Placed {
    pub(super) shard: ShardId,
    pub(super) link: Link,
    /// Whether it is the last of its shard in the group.
    pub(super) newest: bool,
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

impl Group {
    /// How many bytes batches take in the log.
    pub(super) fn len(batches: &[Vec<Append>]) -> usize {
        batches.iter().flatten().map(|entry| HEADER_LEN + entry.bytes.len()).sum()
    }

    /// Lays batches out, all stamped with one look at the clock; `links` says where each shard stands, and `last`
    /// is the newest offset of all.
    pub(super) fn build(
        batches: Vec<Vec<Append>>,
        number: u64,
        salt: u32,
        now: u64,
        last: Offset,
        links: &[Link],
    ) -> Self {
        let count: usize = batches.iter().map(Vec::len).sum();
        let mut group = Group {
            bytes: Vec::with_capacity(Self::len(&batches)),
            entries: Vec::with_capacity(count),
            offsets: Vec::with_capacity(batches.len()),
            last,
        };
        // Where the shards of this group stand; few differ from one another in most groups.
        let mut standing: std::collections::HashMap<u16, (Link, usize)> = std::collections::HashMap::new();
        let mut remaining = u32::try_from(count).unwrap_or(u32::MAX);
        for batch in batches {
            let mut offsets = Vec::with_capacity(batch.len());
            for Append { shard, bytes } in batch {
                remaining -= 1;
                group.last = group.last.next(now);
                let known = standing.get(&shard.0).copied();
                if let Some((_, before)) = known {
                    group.entries[before].newest = false;
                }
                let before = known.map_or_else(
                    || links.get(usize::from(shard.0)).copied().unwrap_or_default(),
                    |(link, _)| link,
                );
                let link = Link { sequence: before.sequence + 1, offset: group.last };
                standing.insert(shard.0, (link, group.entries.len()));
                // A group is bounded well below 4 GiB.
                let at = u32::try_from(group.bytes.len()).unwrap_or(u32::MAX);
                let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                group.entries.push(Placed { shard, link, newest: true, at, len });
                let record = Record {
                    kind: Kind::Entry,
                    shard,
                    offset: link.offset,
                    sequence: link.sequence,
                    group: number,
                    remaining,
                };
                record.encode(&bytes, salt, &mut group.bytes);
                offsets.push(link.offset);
            }
            group.offsets.push(offsets);
        }
        group
    }
}
