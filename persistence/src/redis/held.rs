//! What this node knows of the logs: their heads, and the latest entries, in memory.
//!
//! The entries serve reads without asking the server again, and they are what can be put back if the server comes back
//! without them ([`super::behind`]).

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::watch;

use crate::port::{Epoch, Offset, Owner, Record, ShardId};
use crate::sync::lock;

/// How many bytes of entries are held, for all shards together.
const HELD_BYTES: usize = 32 * 1024 * 1024;
/// What an entry costs besides its bytes.
const ENTRY_COST: usize = 64;

/// An entry with its number: entries of a shard are numbered from 1 on, without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: Offset,
    pub(super) number: u64,
    pub(super) bytes: Bytes,
}

impl Entry {
    pub(super) fn cost(&self) -> usize {
        self.bytes.len() + ENTRY_COST
    }
}

/// An entry as the server keeps it: its checksum in front of its bytes.
pub(super) fn seal(bytes: &[u8]) -> Vec<u8> {
    [&crc32fast::hash(bytes).to_be_bytes(), bytes].concat()
}

/// The bytes of an entry that the server kept, if they are what was sealed.
pub(super) fn unseal(entry: &Bytes) -> Option<Bytes> {
    let (checksum, bytes) = entry.split_first_chunk()?;
    (u32::from_be_bytes(*checksum) == crc32fast::hash(bytes)).then(|| entry.slice(checksum.len()..))
}

/// The logs of all shards.
pub(super) struct Logs {
    shards: Vec<Log>,
    /// How many bytes each log that is followed may hold.
    share: AtomicUsize,
}

struct Log {
    head: watch::Sender<Offset>,
    tail: Mutex<Tail>,
}

/// The end of one log, as far as it is followed.
#[derive(Default)]
struct Tail {
    /// The last entry up to which everything was seen; `None` while nobody follows the log.
    seen: Option<(Offset, u64)>,
    /// Entries up to there, without a gap.
    entries: VecDeque<Entry>,
    bytes: usize,
    /// No entry lies between this and the first one.
    floor: Offset,
    owned: Owned,
}

/// What this node knows of the owner of a shard.
#[derive(Clone, Debug, Default)]
pub(super) struct Owned {
    /// The newest epoch that was seen.
    pub(super) epoch: Epoch,
    /// Who had it, as far as this node knows.
    pub(super) owner: Option<Owner>,
    /// Whether that was a claim of this node.
    pub(super) mine: bool,
    /// Why the owner has to start again, until it was told.
    pub(super) behind: Option<String>,
}

impl Tail {
    fn drop_first(&mut self) -> bool {
        let Some(entry) = self.entries.pop_front() else { return false };
        self.bytes -= entry.cost();
        self.floor = entry.offset;
        true
    }

    fn forget(&mut self) {
        (self.seen, self.bytes) = (None, 0);
        self.entries = VecDeque::new();
    }
}

impl Owned {
    /// Somebody's epoch was seen.
    pub(super) fn newer(&mut self, epoch: Epoch, owner: Option<Owner>) {
        if epoch > self.epoch {
            *self = Owned { epoch, owner, ..Owned::default() };
        }
    }
}

impl Logs {
    pub(super) fn new(shards: u16) -> Self {
        let log = |_| Log { head: watch::Sender::new(Offset::ZERO), tail: Mutex::default() };
        Logs { shards: (0..shards).map(log).collect(), share: AtomicUsize::new(HELD_BYTES) }
    }

    fn log(&self, shard: ShardId) -> Option<&Log> {
        self.shards.get(usize::from(shard.0))
    }

    /// A receiver of the head, and whether it is the first one, so that the log must be followed from now on.
    pub(super) fn follow(&self, shard: ShardId) -> (watch::Receiver<Offset>, bool) {
        let Some(log) = self.log(shard) else {
            // The head of a shard that does not exist never moves.
            return (watch::channel(Offset::ZERO).1, false);
        };
        let mut tail = lock(&log.tail);
        let first = log.head.receiver_count() == 0;
        if first {
            tail.forget();
        }
        (log.head.subscribe(), first)
    }

    /// Whether anybody listens to the head of a shard.
    pub(super) fn followed(&self, shard: ShardId) -> bool {
        self.log(shard).is_some_and(|log| log.head.receiver_count() > 0)
    }

    /// Up to where a followed log was seen.
    pub(super) fn seen(&self, shard: ShardId) -> Option<(Offset, u64)> {
        self.log(shard).and_then(|log| lock(&log.tail).seen)
    }

    /// Moves the head on.
    pub(super) fn moved(&self, shard: ShardId, head: Offset) {
        if let Some(log) = self.log(shard) {
            log.head.send_if_modified(|now| {
                let later = head > *now;
                *now = head.max(*now);
                later
            });
        }
    }

    /// Begins to follow a log at its end.
    pub(super) fn begin(&self, shard: ShardId, end: Offset, number: u64) {
        if let Some(log) = self.log(shard) {
            let mut tail = lock(&log.tail);
            tail.forget();
            tail.seen = Some((end, number));
            tail.floor = end;
        }
        self.moved(shard, end);
    }

    /// Forgets what was seen of a log: the reader begins again at its end.
    pub(super) fn reset(&self, shard: ShardId) {
        if let Some(log) = self.log(shard) {
            lock(&log.tail).forget();
        }
    }

    /// Takes entries in that come right behind what was seen; others are left for the reader.
    pub(super) fn extend(&self, shard: ShardId, entries: impl IntoIterator<Item = Entry>) {
        let Some(log) = self.log(shard) else { return };
        let mut tail = lock(&log.tail);
        for entry in entries {
            if tail.seen.is_some_and(|(_, number)| number + 1 == entry.number) {
                tail.seen = Some((entry.offset, entry.number));
                tail.bytes += entry.cost();
                tail.entries.push_back(entry);
            }
        }
        let share = self.share.load(Ordering::Relaxed);
        while tail.bytes > share && tail.drop_first() {}
    }

    /// Divides the memory among the logs that are followed, and frees what the others held.
    pub(super) fn divide(&self) {
        let mut followed = 0;
        for log in &self.shards {
            let mut tail = lock(&log.tail);
            if log.head.receiver_count() > 0 {
                followed += 1;
            } else if tail.seen.is_some() {
                tail.forget();
            }
        }
        self.share.store(HELD_BYTES / followed.max(1), Ordering::Relaxed);
    }

    /// Entries after `after`, if they are all here as far as they were seen.
    pub(super) fn read(
        &self,
        shard: ShardId,
        after: Offset,
        max_entries: usize,
        max_bytes: usize,
    ) -> Option<Vec<Record>> {
        let tail = lock(&self.log(shard)?.tail);
        let (seen, _) = tail.seen?;
        if after < tail.floor || after >= seen {
            return None;
        }
        let start = tail.entries.partition_point(|entry| entry.offset <= after);
        let mut bytes = 0;
        let mut records = Vec::new();
        for entry in tail.entries.range(start..).take(max_entries) {
            if bytes >= max_bytes && !records.is_empty() {
                break;
            }
            bytes += entry.bytes.len();
            records.push(Record { offset: entry.offset, bytes: entry.bytes.clone() });
        }
        Some(records)
    }

    /// All that is held of a shard.
    pub(super) fn held(&self, shard: ShardId) -> Vec<Entry> {
        self.log(shard).map(|log| lock(&log.tail).entries.iter().cloned().collect()).unwrap_or_default()
    }

    /// Looks at or changes what is known of the owner of a shard.
    pub(super) fn owned<T>(&self, shard: ShardId, with: impl FnOnce(&mut Owned) -> T) -> Option<T> {
        self.log(shard).map(|log| with(&mut lock(&log.tail).owned))
    }
}

/// The latest entries that this node appended and was told of, over all shards of a lane.
#[derive(Default)]
pub(super) struct Acknowledged {
    entries: VecDeque<(ShardId, Entry)>,
    bytes: usize,
}

impl Acknowledged {
    pub(super) fn push(&mut self, shard: ShardId, entry: Entry) {
        self.bytes += entry.cost();
        self.entries.push_back((shard, entry));
        while self.bytes > HELD_BYTES {
            let Some((_, entry)) = self.entries.pop_front() else { break };
            self.bytes -= entry.cost();
        }
    }

    pub(super) fn of(&self, shard: ShardId) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |(of, _)| *of == shard).map(|(_, entry)| entry)
    }

    /// Forgets the entries of a shard: they have been put elsewhere.
    pub(super) fn forget(&mut self, shard: ShardId) {
        self.entries.retain(|(of, _)| *of != shard);
        self.bytes = self.entries.iter().map(|(_, entry)| entry.cost()).sum();
    }

    /// The last entry of each shard.
    pub(super) fn last(&self) -> std::collections::HashMap<ShardId, (Offset, u64)> {
        self.entries.iter().map(|(shard, entry)| (*shard, (entry.offset, entry.number))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ShardId = ShardId(0);

    fn entry(number: u64) -> Entry {
        Entry { offset: Offset(number * 10), number, bytes: Bytes::from_static(b"12345678") }
    }

    #[test]
    fn what_comes_behind_is_taken_and_the_rest_is_left() {
        let logs = Logs::new(1);
        let (_head, first) = logs.follow(A);
        assert!(first);
        logs.extend(A, [entry(1)]);
        assert_eq!(logs.seen(A), None, "where it begins is not known yet");
        logs.begin(A, Offset(10), 1);
        logs.extend(A, [entry(1), entry(2), entry(4), entry(3)]);
        assert_eq!(logs.seen(A), Some((Offset(30), 3)));
        assert_eq!(logs.read(A, Offset(9), 9, 99), None, "before what is held");
        let read = |after, entries, bytes| {
            let records = logs.read(A, Offset(after), entries, bytes).unwrap();
            records.iter().map(|record| record.offset.0).collect::<Vec<_>>()
        };
        assert_eq!(read(10, 9, 99), [20, 30]);
        assert_eq!(read(15, 9, 99), [20, 30]);
        assert_eq!(read(10, 1, 99), [20]);
        assert_eq!(read(10, 9, 0), [20]);
        assert_eq!(logs.read(A, Offset(30), 9, 99), None, "behind it only the server knows");
    }

    #[test]
    fn it_is_bounded_by_bytes() {
        let logs = Logs::new(1);
        let (head, _) = logs.follow(A);
        logs.begin(A, Offset::ZERO, 0);
        let bytes = Bytes::from(vec![0; HELD_BYTES / 4]);
        for number in 1..=6 {
            logs.extend(A, [Entry { offset: Offset(number), number, bytes: bytes.clone() }]);
        }
        assert_eq!(logs.held(A).iter().map(|entry| entry.number).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(logs.read(A, Offset(2), 9, usize::MAX), None);
        assert_eq!(logs.read(A, Offset(3), 9, usize::MAX).unwrap().len(), 3);
        drop(head);
        logs.divide();
        assert!(logs.held(A).is_empty(), "nobody listens any more");
    }
}
