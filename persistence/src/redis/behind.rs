//! When the server comes back without what it had acknowledged.
//!
//! A replica that was promoted, or an append-only file that lost its end, may be behind what this node has read of it
//! or was told by it. So every new connection is compared with what this node knows before anything is let through.
//! What is missing and still held is put back: at its old place where nothing else came there since, else behind it all,
//! which receivers see as a repetition. The epoch of a shard never falls. Its owner is told to start again.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Mutex, OnceLock};

use super::config::RedisConfig;
use super::environment::{Stored, stored};
use super::held::{Acknowledged, Entry, Logs, Owned, seal};
use super::keys::{self, Keys};
use super::lane::gone;
use super::library;
use super::live::{Live, Trouble};
use super::reply::{self, Reply};
use super::writer::{Queue, memory, parse};
use crate::StoreError;
use crate::port::{Epoch, Offset, Owner, ShardId};
use crate::sync::lock;

/// How many alarms are kept.
const ALARMS: usize = 100;
/// How much one call puts back at most.
const PAGE_ENTRIES: usize = 500;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

type Result<T> = std::result::Result<T, Trouble>;

/// What an operator has to know, the latest of it.
#[derive(Debug, Default)]
pub(super) struct Alarms(Mutex<VecDeque<String>>);

impl Alarms {
    fn raise(&self, words: String) {
        tracing::error!("{words}");
        let mut alarms = lock(&self.0);
        if alarms.len() == ALARMS {
            alarms.pop_front();
        }
        alarms.push_back(words);
    }

    pub(super) fn list(&self) -> Vec<String> {
        lock(&self.0).iter().cloned().collect()
    }
}

/// What this node knows of the shards of one lane.
pub(super) struct Knowledge {
    pub(super) config: Arc<RedisConfig>,
    pub(super) keys: Keys,
    pub(super) tag: String,
    pub(super) shards: Vec<ShardId>,
    /// Set once the environment is known and complete.
    pub(super) dataset: OnceLock<String>,
    pub(super) logs: Arc<Logs>,
    pub(super) acknowledged: Arc<Mutex<Acknowledged>>,
    pub(super) queue: Arc<Queue>,
    pub(super) alarms: Arc<Alarms>,
}

/// What was done about a shard.
#[derive(Debug, Default, PartialEq, Eq)]
struct Repair {
    /// Entries at their old places again.
    restored: Vec<u64>,
    /// Entries that were appended once more.
    repeated: Vec<u64>,
    /// Entries that nobody here holds.
    lost: Vec<u64>,
}

impl Knowledge {
    /// Compares a server with what is known, and repairs what can be.
    pub(super) async fn compare(&self, live: &Live) -> Result<()> {
        let Some(dataset) = self.dataset.get() else { return Ok(()) };
        let last = lock(&self.acknowledged).last();
        for shard in stored(live, &self.keys, &self.shards, &self.config, dataset).await? {
            let latest = self.logs.seen(shard.shard).max(last.get(&shard.shard).copied());
            self.compare_shard(live, &shard, latest).await?;
        }
        Ok(())
    }

    async fn compare_shard(&self, live: &Live, stored: &Stored, latest: Option<(Offset, u64)>) -> Result<()> {
        let shard = stored.shard;
        let owned = self.logs.owned(shard, |owned| owned.clone()).unwrap_or_default();
        let other = |own: &Owner| stored.owner.as_ref().is_some_and(|now| now.incarnation != own.incarnation);
        let torn = owned.mine && owned.epoch.0 == stored.epoch && owned.owner.as_ref().is_some_and(other);
        let fallen = owned.epoch.0 > stored.epoch || torn;
        let complete = match latest {
            None => true,
            Some((offset, number)) if stored.mark < offset => {
                stored.count >= number && self.present(live, shard, &[offset]).await? == [number]
            }
            Some(_) => true,
        };
        if complete && !fallen {
            if self.logs.followed(shard) {
                self.logs.moved(shard, stored.end);
            }
            self.logs.owned(shard, |known| known.newer(Epoch(stored.epoch), stored.owner.clone()));
            return Ok(());
        }
        let repair = if complete { Repair::default() } else { self.repair(live, stored, latest).await? };
        let floor = latest.map_or(Offset::ZERO, |(offset, _)| offset);
        self.raise(live, stored, floor, &owned).await?;
        let words = words(stored, latest, owned.epoch, &repair);
        if torn {
            self.logs.owned(shard, |known| known.newer(Epoch(stored.epoch + 1), None));
        } else if owned.mine {
            self.queue.refuse_fenced(shard, &StoreError::Behind(words.clone()));
            self.logs.owned(shard, |known| known.behind = Some(words.clone()));
        }
        self.alarms.raise(words);
        Ok(())
    }

    /// Puts back what is missing and held.
    async fn repair(&self, live: &Live, stored: &Stored, latest: Option<(Offset, u64)>) -> Result<Repair> {
        let shard = stored.shard;
        let held: BTreeMap<u64, Entry> = {
            let acknowledged = lock(&self.acknowledged);
            let mine = acknowledged.of(shard).cloned();
            mine.chain(self.logs.held(shard)).map(|entry| (entry.number, entry)).collect()
        };
        let beyond: Vec<&Entry> = held.values().filter(|entry| entry.offset > stored.mark).collect();
        let mut missing = Vec::new();
        for some in beyond.chunks(PAGE_ENTRIES) {
            let offsets: Vec<Offset> = some.iter().map(|entry| entry.offset).collect();
            let found = self.present(live, shard, &offsets).await?;
            missing.extend(
                some.iter().zip(found).filter(|(entry, found)| entry.number != *found).map(|pair| *pair.0),
            );
        }
        let last = latest.map_or(0, |(_, number)| number);
        let mut repair = Repair {
            lost: (stored.count + 1..=last)
                .filter(|number| !held.contains_key(number))
                .take(PAGE_ENTRIES)
                .collect(),
            ..Repair::default()
        };
        let run = missing
            .iter()
            .zip(stored.count + 1..)
            .take_while(|(entry, number)| entry.number == *number)
            .count();
        let (behind, rest) = missing.split_at(run);
        let mut kept = Vec::new();
        let restored = self.restore(live, shard, behind).await?;
        for entry in behind.iter().take(restored) {
            repair.restored.push(entry.number);
            kept.push((*entry).clone());
        }
        // Somebody else was quicker, or there is a gap: what is left goes behind everything.
        let rest: Vec<&Entry> = behind.iter().skip(restored).chain(rest).copied().collect();
        self.raise(live, stored, latest.map_or(Offset::ZERO, |(offset, _)| offset), &Owned::default())
            .await?;
        kept.extend(self.repeat(live, shard, &rest).await?);
        repair.repeated.extend(rest.iter().map(|entry| entry.number));
        // The reader begins anew, behind what is there now.
        self.logs.reset(shard);
        let mut acknowledged = lock(&self.acknowledged);
        acknowledged.forget(shard);
        kept.into_iter().for_each(|entry| acknowledged.push(shard, entry));
        Ok(repair)
    }

    async fn present(&self, live: &Live, shard: ShardId, offsets: &[Offset]) -> Result<Vec<u64>> {
        let mut look = library::look("present", &[&self.keys.meta(shard)]);
        look.arg(offsets.iter().map(|offset| keys::id(*offset)).collect::<Vec<_>>());
        let mut reply = self.ask(live, &look).await?;
        let numbers = offsets.iter().map(|_| reply.number());
        numbers.collect::<crate::port::Result<_>>().map_err(Trouble::Refused)
    }

    /// Answers how many could be put back at their old places.
    async fn restore(&self, live: &Live, shard: ShardId, entries: &[&Entry]) -> Result<usize> {
        let mut restored = 0;
        for page in pages(entries) {
            let mut call = library::call("restore", &[&self.keys.meta(shard)]);
            for entry in page {
                let (millis, sequence) = keys::parts(entry.offset);
                call.arg(millis).arg(sequence).arg(entry.number).arg(seal(&entry.bytes));
            }
            let put = self.ask(live, &call).await?.number().map_err(Trouble::Refused)?;
            let put = usize::try_from(put).unwrap_or(0);
            restored += put;
            if put < page.len() {
                break;
            }
        }
        Ok(restored)
    }

    /// Appends entries once more; answers them with their new places.
    async fn repeat(&self, live: &Live, shard: ShardId, entries: &[&Entry]) -> Result<Vec<Entry>> {
        let mut repeated = Vec::new();
        for page in pages(entries) {
            let Some(first) = page.first() else { break };
            // Whoever appended one of them may have been faster to append it again.
            let since = Offset(first.offset.0.saturating_sub(1));
            let mut call = library::call("append", &[&memory(&self.tag)]);
            call.arg(1)
                .arg("1")
                .arg(1)
                .arg(self.keys.stem(shard))
                .arg(keys::id(since))
                .arg("")
                .arg(page.len());
            for entry in page {
                call.arg(1).arg(seal(&entry.bytes));
            }
            let line = self.ask(live, &call).await?.text().map_err(Trouble::Refused)?;
            let mut places = parse(&line, &[shard]).map(|(places, _)| places);
            for entry in page {
                let Some((offset, number)) = places.as_mut().and_then(|places| places.next(shard)) else {
                    let words = format!("expected offsets from the server, found '{line}'");
                    return Err(Trouble::Refused(StoreError::Corrupt(words)));
                };
                repeated.push(Entry { offset, number, bytes: entry.bytes.clone() });
            }
        }
        Ok(repeated)
    }

    /// Sees to it that offsets and epochs go on from where they were.
    async fn raise(&self, live: &Live, stored: &Stored, floor: Offset, owned: &Owned) -> Result<()> {
        let (millis, sequence) = keys::parts(floor);
        let mut call = library::call("raise", &[&self.keys.meta(stored.shard)]);
        call.arg(millis).arg(sequence).arg(owned.epoch.0);
        // Who is only known by hearsay is not defended against whom the server names.
        if let Some(owner) = owned.owner.as_ref().filter(|_| owned.mine || owned.epoch.0 > stored.epoch) {
            call.arg(&owner.node).arg(&owner.incarnation);
        }
        self.ask(live, &call).await.map(|_| ())
    }

    async fn ask(&self, live: &Live, call: &redis::Cmd) -> Result<Reply> {
        let (word, reply) = reply::open(live.ask(call).await?).map_err(Trouble::Refused)?;
        if word == "gone" { Err(Trouble::Lost(gone(&self.config.environment))) } else { Ok(reply) }
    }
}

/// Entries in parts that fit one call.
fn pages<'a, 'b>(entries: &'a [&'b Entry]) -> impl Iterator<Item = &'a [&'b Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&&Entry| {
            let first = bytes == 0;
            bytes += entry.cost();
            first || bytes <= PAGE_BYTES
        };
        let count = rest.iter().take(PAGE_ENTRIES).take_while(fits).count();
        let (page, left) = rest.split_at(count);
        rest = left;
        (count > 0).then_some(page)
    })
}

/// What an operator reads.
fn words(stored: &Stored, latest: Option<(Offset, u64)>, epoch: Epoch, repair: &Repair) -> String {
    let mut words = format!("shard {}: the store came back behind what it had acknowledged", stored.shard.0);
    if let Some((_, number)) = latest.filter(|(_, number)| *number > stored.count) {
        let _ = write!(words, "; its log ended at entry {}, and entry {number} was known", stored.count);
    }
    if epoch.0 > stored.epoch {
        let _ = write!(words, "; epoch {} was raised to {} again", stored.epoch, epoch.0);
    }
    let parts = [
        (&repair.restored, "put back at their places"),
        (&repair.repeated, "appended once more"),
        (&repair.lost, "LOST, and held by nobody here: start what depends on them again"),
    ];
    for (numbers, what) in parts.into_iter().filter(|(numbers, _)| !numbers.is_empty()) {
        let _ = write!(words, "; {} entries ({}) {what}", numbers.len(), ranges(numbers));
    }
    words
}

/// Numbers in growing order, shortly.
fn ranges(numbers: &[u64]) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *number => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let shown: Vec<String> = ranges
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_was_done_is_said() {
        let stored = Stored {
            shard: ShardId(17),
            end: Offset(5),
            count: 100,
            epoch: 3,
            owner: None,
            offered: None,
            mark: Offset::ZERO,
        };
        let repair =
            Repair { restored: vec![101, 102, 103], repeated: vec![106, 108], lost: vec![104, 105, 107] };
        let words = words(&stored, Some((Offset(9), 108)), Epoch(4), &repair);
        for part in [
            "shard 17",
            "at entry 100",
            "entry 108",
            "epoch 3 was raised to 4",
            "(101-103)",
            "(106, 108)",
            "(104-105, 107) LOST",
        ] {
            assert!(words.contains(part), "{part} in {words}");
        }
    }

    #[test]
    fn pages_are_bounded() {
        let entry = |size| Entry { offset: Offset(1), number: 1, bytes: Bytes::from(vec![0; size]) };
        let (small, large) = (entry(10), entry(3 * 1024 * 1024));
        let sizes = |entries: &[&Entry]| pages(entries).map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(&vec![&small; 1200]), [500, 500, 200]);
        assert_eq!(sizes(&[&large, &large, &small, &large]), [1, 2, 1]);
        assert_eq!(sizes(&[]), [0usize; 0]);
    }
}
