//! Reading the whole log when the store is opened, and judging what is found.
//!
//! A group that was being written when the power went may be there in part: that is the *torn tail*, nobody was
//! ever told that it is durable, and it is cut off. Whatever else is wrong is damage to what was acknowledged,
//! and the store does not open over it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::index::Place;
use super::record::{HEADER_LEN, Kind, Record};
use super::segment::{Link, SegmentHeader, segment_number};
use crate::StoreError;
use crate::embedded::disk::{Disk, DiskFile};
use crate::embedded::folder::{Format, cannot};
use crate::embedded::report::TornTail;
use crate::port::{Offset, Result, ShardId};

/// A segment as it was found.
pub(in crate::embedded) struct Found {
    pub(in crate::embedded) number: u32,
    pub(in crate::embedded) path: PathBuf,
    pub(in crate::embedded) file: Arc<dyn DiskFile>,
    pub(in crate::embedded) len: u64,
}

/// The log as it was found, after a torn tail was cut off.
pub(in crate::embedded) struct Scan {
    pub(in crate::embedded) segments: Vec<Found>,
    pub(in crate::embedded) entries: Vec<(ShardId, Place)>,
    /// Where each shard's log ends.
    pub(in crate::embedded) links: Vec<Link>,
    pub(in crate::embedded) next_group: u64,
    pub(in crate::embedded) torn: Option<TornTail>,
}

/// Where and why reading stopped.
pub(in crate::embedded) struct Damage {
    /// Where the unreadable bytes begin.
    pub(in crate::embedded) at: usize,
    /// Where the group begins that they are in: what a torn tail is cut to.
    group_at: usize,
    group: u64,
    why: String,
}

/// The segments in a folder, in order.
pub(in crate::embedded) fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<(u32, PathBuf)>> {
    let paths = disk.entries(folder).map_err(|error| cannot("list", folder, &error))?;
    let numbered = paths.into_iter().filter_map(|path| Some((segment_number(&path)?, path)));
    let mut segments: Vec<_> = numbered.collect();
    segments.sort();
    Ok(segments)
}

/// Reads a whole file.
pub(in crate::embedded) fn read_all(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>> {
    let read = || {
        let len = usize::try_from(file.len()?).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; len];
        file.read_at(&mut bytes, 0)?;
        Ok(bytes)
    };
    read().map_err(|error| cannot("read", path, &error))
}

/// Reads the log in `folder`, whose shards are checkpointed up to `marks`.
pub(in crate::embedded) fn scan(
    disk: &dyn Disk,
    folder: &Path,
    format: Format,
    marks: &[Offset],
) -> Result<Scan> {
    // A folder that is missing is a log without segments.
    let segments = if folder.exists() { list(disk, folder)? } else { Vec::new() };
    let mut scanner = Scanner {
        data: folder.parent().unwrap_or(folder),
        disk,
        format,
        out: Scan {
            segments: Vec::new(),
            entries: Vec::new(),
            links: vec![Link::default(); marks.len()],
            next_group: 1,
            torn: None,
        },
        begin: Vec::new(),
        last: Offset::ZERO,
        sealed: false,
        damage: None,
    };
    for (position, (number, path)) in segments.iter().enumerate() {
        let is_last = position + 1 == segments.len();
        scanner.segment(*number, path, is_last)?;
    }
    scanner.finish(folder)?;
    scanner.check_marks(folder, marks)?;
    Ok(scanner.out)
}

struct Scanner<'a> {
    /// The data folder, for messages.
    data: &'a Path,
    disk: &'a dyn Disk,
    format: Format,
    out: Scan,
    /// Where each shard stood before the first segment.
    begin: Vec<Link>,
    /// The newest offset of all shards.
    last: Offset,
    /// Whether the segment before said that another one follows.
    sealed: bool,
    /// Damage that is a torn tail, if no entry follows in a later segment.
    damage: Option<Damage>,
}

impl Scanner<'_> {
    fn segment(&mut self, number: u32, path: &Path, is_last: bool) -> Result<()> {
        let file = self.disk.open(path).map_err(|error| cannot("open", path, &error))?;
        let bytes = read_all(&*file, path)?;
        if let Some(expected) = self.out.segments.last().map(|last| last.number + 1)
            && expected != number
        {
            let why = format!("expected segment {expected}, found segment {number}");
            return Err(self.corrupt(path, 0, &why, &bytes));
        }
        let shards = self.out.links.len();
        let header = match SegmentHeader::decode(&bytes, number, shards, self.format.salt) {
            Ok(header) => header,
            Err(why) => {
                let empty = Record::find(&bytes, 0, self.format.salt).is_none();
                if is_last && !self.sealed && empty && !self.out.segments.is_empty() {
                    return self.drop_unfinished(path, bytes.len());
                }
                return Err(self.corrupt(path, 0, &why, &bytes));
            }
        };
        self.check_chain(path, &header, &bytes)?;
        self.out.next_group = self.out.next_group.max(header.first_group);
        self.sealed = false;
        let start = SegmentHeader::len(shards);
        if let Some(damage) = &self.damage
            && bytes.len() > start
        {
            // Entries follow in a later segment: what is damaged was acknowledged.
            let (at, why) = (damage.at, damage.why.clone());
            let before = self.out.segments.last().map(|last| last.path.clone());
            return Err(self.corrupt(&before.unwrap_or_default(), at, &why, &bytes[start..]));
        }
        self.out.segments.push(Found { number, path: path.to_owned(), file, len: bytes.len() as u64 });
        if let Some(damage) = self.records(number, path, &bytes, start)? {
            let tail = &bytes[damage.at.min(bytes.len())..];
            if later_group(tail, self.format.salt, damage.group) {
                return Err(self.corrupt(path, damage.at, &damage.why, tail));
            }
            self.cut(&damage)?;
            self.damage = Some(damage);
        }
        Ok(())
    }

    /// The header must go on where the segments before ended.
    fn check_chain(&mut self, path: &Path, header: &SegmentHeader, bytes: &[u8]) -> Result<()> {
        if self.out.segments.is_empty() {
            self.out.links.clone_from(&header.links);
            self.begin.clone_from(&header.links);
            self.last = header.links.iter().map(|link| link.offset).max().unwrap_or_default();
            return Ok(());
        }
        let pairs = self.out.links.iter().zip(&header.links);
        let Some((shard, (found, expected))) = pairs.enumerate().find(|(_, (a, b))| a != b) else {
            return Ok(());
        };
        let why = format!(
            "expected shard {shard} to stand at entry {} where the segment before ends, found entry {}",
            expected.sequence, found.sequence
        );
        Err(self.corrupt(path, 0, &why, bytes))
    }

    /// Walks the records of one segment; answers where it must stop before the end, if it must.
    fn records(&mut self, number: u32, path: &Path, bytes: &[u8], start: usize) -> Result<Option<Damage>> {
        let mut at = start;
        let mut group_at = start;
        let mut pending: Vec<(ShardId, Place, Link)> = Vec::new();
        let mut awaited: Option<u32> = None;
        let why = loop {
            if at == bytes.len() {
                match awaited {
                    None => return Ok(None),
                    Some(missing) => {
                        break format!("expected {} more records of the group, found the end", missing + 1);
                    }
                }
            }
            let (record, payload) = match Record::decode(&bytes[at..], self.format.salt) {
                Ok(found) => found,
                Err(bad) => break bad.to_string(),
            };
            if let Err(why) = self.check_record(&record, awaited) {
                return Err(self.corrupt(path, at, &why, &bytes[at..]));
            }
            if record.kind == Kind::Entry {
                let link = Link { sequence: record.sequence, offset: record.offset };
                let slot = &mut self.out.links[usize::from(record.shard.0)];
                let before = std::mem::replace(slot, link);
                self.last = record.offset;
                // Segments are far smaller than 4 GiB; the configuration is checked.
                let place = Place {
                    offset: record.offset,
                    segment: number,
                    at: u32::try_from(at).unwrap_or(u32::MAX),
                    len: u32::try_from(payload.len()).unwrap_or(u32::MAX),
                };
                pending.push((record.shard, place, before));
            }
            self.sealed = record.kind == Kind::Sealed;
            at += HEADER_LEN + payload.len();
            awaited = record.remaining.checked_sub(1);
            if awaited.is_none() {
                self.out.next_group = record.group + 1;
                self.out.entries.extend(pending.drain(..).map(|(shard, place, _)| (shard, place)));
                group_at = at;
            }
        };
        // The group was not finished: none of it counts.
        for (shard, _, before) in pending.into_iter().rev() {
            self.out.links[usize::from(shard.0)] = before;
        }
        Ok(Some(Damage { at, group_at, group: self.out.next_group, why }))
    }

    /// A record that is readable must also be the one that comes next. `awaited` is the count that it must have
    /// behind it, within a group.
    fn check_record(&self, record: &Record, awaited: Option<u32>) -> std::result::Result<(), String> {
        let group = self.out.next_group;
        if record.group != group {
            return Err(format!("expected a record of group {group}, found group {}", record.group));
        }
        if let Some(awaited) = awaited.filter(|awaited| *awaited != record.remaining) {
            let found = record.remaining;
            return Err(format!("expected {awaited} records behind this one, found {found}"));
        }
        if record.kind != Kind::Entry {
            return Ok(());
        }
        let shard = record.shard.0;
        let Some(link) = self.out.links.get(usize::from(shard)) else {
            return Err(format!("expected a shard below {}, found {shard}", self.out.links.len()));
        };
        let expected = link.sequence + 1;
        if record.sequence != expected {
            let found = record.sequence;
            return Err(format!("expected entry {expected} of shard {shard}, found entry {found}"));
        }
        if record.offset <= self.last {
            let (last, found) = (self.last, record.offset);
            return Err(format!("expected an offset after {last}, found {found}"));
        }
        Ok(())
    }

    /// Cuts the newest segment to the end of its last whole group.
    fn cut(&mut self, damage: &Damage) -> Result<()> {
        let Some(segment) = self.out.segments.last_mut() else {
            return Ok(());
        };
        let position = damage.group_at as u64;
        let cut = segment.file.truncate(position).and_then(|()| segment.file.sync());
        cut.map_err(|error| cannot("cut", &segment.path, &error))?;
        let bytes = segment.len - position;
        self.out.torn = Some(TornTail { file: segment.path.clone(), position, bytes });
        segment.len = position;
        Ok(())
    }

    /// Removes a segment whose making was interrupted.
    fn drop_unfinished(&mut self, path: &Path, len: usize) -> Result<()> {
        self.disk.remove(path).map_err(|error| cannot("remove", path, &error))?;
        self.out.torn = Some(TornTail { file: path.to_owned(), position: 0, bytes: len as u64 });
        Ok(())
    }

    fn finish(&mut self, folder: &Path) -> Result<()> {
        let Some(last) = self.out.segments.last() else {
            return Err(self.corrupt(folder, 0, "expected the segments of the log, found none", &[]));
        };
        if self.sealed {
            let (path, number, len) = (last.path.clone(), last.number, last.len);
            let why = format!("expected segment {} behind segment {number}, found none", number + 1);
            return Err(self.corrupt(&path, usize::try_from(len).unwrap_or(0), &why, &[]));
        }
        Ok(())
    }

    /// The log must reach from before the marks to the marks: what is behind a mark is in no row.
    fn check_marks(&self, folder: &Path, marks: &[Offset]) -> Result<()> {
        let reach = self.begin.iter().zip(&self.out.links);
        for (shard, (mark, (begin, end))) in marks.iter().zip(reach).enumerate() {
            let (begin, end) = (begin.offset, end.offset);
            if begin > *mark {
                let why = format!(
                    "expected the entries of shard {shard} after {mark}, up to where its state holds, \
                     found a log that begins after {begin}"
                );
                return Err(self.corrupt(folder, 0, &why, &[]));
            }
            if end < *mark {
                let why = format!(
                    "expected the log of shard {shard} to reach {mark}, up to where its state holds, \
                     found that it ends at {end}"
                );
                return Err(self.corrupt(folder, 0, &why, &[]));
            }
        }
        Ok(())
    }

    fn corrupt(&self, file: &Path, at: usize, why: &str, behind: &[u8]) -> StoreError {
        let before = self.out.entries.len();
        let after = count_entries(behind, self.format.salt);
        StoreError::Corrupt(format!(
            "{}: damaged at byte {at}: {why}; {before} entries are readable before it and at least {after} \
             after it; to keep what is readable run: impresario repair --data {}",
            file.display(),
            self.data.display()
        ))
    }
}

/// Whether a record of a later group than this one is found by searching.
fn later_group(bytes: &[u8], salt: u32, group: u64) -> bool {
    records_in(bytes, salt).any(|(_, record, _)| record.group > group)
}

fn count_entries(bytes: &[u8], salt: u32) -> usize {
    records_in(bytes, salt).filter(|(_, record, _)| record.kind == Kind::Entry).count()
}

/// All readable records, found by searching where they do not follow one another.
pub(in crate::embedded) fn records_in(
    bytes: &[u8],
    salt: u32,
) -> impl Iterator<Item = (usize, Record, &[u8])> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = Record::find(bytes, from, salt)?;
        let (record, payload) = Record::decode(&bytes[at..], salt).ok()?;
        from = at + HEADER_LEN + payload.len();
        Some((at, record, payload))
    })
}
