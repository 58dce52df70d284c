//! Reading all that can be read in a damaged log.

use std::path::Path;

use bytes::Bytes;

use crate::embedded::disk::{Disk, OsDisk};
use crate::embedded::folder::{Format, cannot};
use crate::embedded::log::record::{HEADER_LEN, Kind, Record};
use crate::embedded::log::scan::{list, read_all};
use crate::embedded::log::segment::{Link, SegmentHeader};
use crate::embedded::log::{Next, Salvaged as Entry};
use crate::embedded::report::{LostEntries, RepairReport, Unreadable};
use crate::port::{Offset, Result, ShardId};

/// What was found in a damaged log.
pub(super) struct Salvaged {
    /// Every readable entry behind the marks, in the order of the log.
    pub(super) entries: Vec<Entry>,
    /// Numbers that were never used.
    pub(super) next: Next,
    pub(super) report: RepairReport,
}

/// Reads all segments in a folder, going on behind whatever cannot be read.
pub(super) fn salvage(folder: &Path, format: Format, marks: &[Offset]) -> Result<Salvaged> {
    let mut out = Salvaged {
        entries: Vec::new(),
        next: Next { segment: 1, group: 1 },
        report: RepairReport::default(),
    };
    let mut losses = Losses::new(marks);
    for (number, path) in list(&OsDisk, folder)? {
        let file = OsDisk.open(&path).map_err(|error| cannot("open", &path, &error))?;
        let bytes = read_all(&*file, &path)?;
        if number > out.next.segment {
            let why = format!("expected segment {}, found segment {number}", out.next.segment);
            // Segments before the first were removed when they were no longer needed.
            if out.next.segment > 1 {
                out.report.unreadable.push(Unreadable { file: path.clone(), position: 0, bytes: 0, why });
            }
        }
        out.next.segment = number + 1;
        segment(&mut out, &mut losses, &path, number, &bytes, format);
    }
    out.report.lost = losses.found;
    Ok(out)
}

fn segment(
    out: &mut Salvaged,
    losses: &mut Losses<'_>,
    path: &Path,
    number: u32,
    bytes: &[u8],
    format: Format,
) {
    let shards = usize::from(format.shards);
    let mut at = match SegmentHeader::decode(bytes, number, shards, format.salt) {
        Ok(header) => {
            losses.header(&header.links);
            SegmentHeader::len(shards)
        }
        Err(_) => 0,
    };
    while at < bytes.len() {
        match Record::decode(&bytes[at..], format.salt) {
            Ok((record, payload)) => {
                at += HEADER_LEN + payload.len();
                out.next.group = out.next.group.max(record.group + 1);
                if record.kind == Kind::Entry && losses.entry(&record) {
                    let bytes = Bytes::copy_from_slice(payload);
                    out.entries.push(Entry { shard: record.shard, offset: record.offset, bytes });
                }
            }
            Err(bad) => {
                let end = Record::find(bytes, at + 1, format.salt).unwrap_or(bytes.len());
                out.report.unreadable.push(Unreadable {
                    file: path.to_owned(),
                    position: at as u64,
                    bytes: (end - at) as u64,
                    why: bad.to_string(),
                });
                at = end;
            }
        }
    }
}

/// Follows the sequence of each shard to find what is missing in it.
struct Losses<'a> {
    marks: &'a [Offset],
    links: Vec<Option<Link>>,
    /// The newest offset of all shards.
    last: Offset,
    found: Vec<LostEntries>,
}

impl<'a> Losses<'a> {
    fn new(marks: &'a [Offset]) -> Self {
        let links = vec![None; marks.len()];
        Losses { marks, links, last: Offset::ZERO, found: Vec::new() }
    }

    /// A segment begins, and says where each shard stood.
    fn header(&mut self, links: &[Link]) {
        for (shard, link) in links.iter().enumerate() {
            self.reach(shard, *link, link.sequence);
        }
    }

    /// An entry was found; answers whether it is to be kept.
    fn entry(&mut self, record: &Record) -> bool {
        let shard = usize::from(record.shard.0);
        let Some(mark) = self.marks.get(shard).copied() else {
            return false;
        };
        // Out of order it can only be a stale copy.
        if record.offset <= self.last {
            return false;
        }
        let link = Link { sequence: record.sequence, offset: record.offset };
        self.reach(shard, link, record.sequence.saturating_sub(1));
        self.last = record.offset;
        record.offset > mark
    }

    /// The log of a shard is at `link` now; every entry up to `before` should have been seen.
    fn reach(&mut self, shard: usize, link: Link, before: u64) {
        let Some(known) = self.links.get_mut(shard) else {
            return;
        };
        let seen = match known.replace(link) {
            Some(seen) => seen.sequence,
            // The first that is heard of this shard: what came before was trimmed, if the state covers it.
            None if self.marks[shard] >= link.offset || link.sequence == before => before,
            None => before.saturating_sub(1),
        };
        // What the state covers is not lost.
        if before > seen && link.offset > self.marks[shard] {
            let shard = ShardId(u16::try_from(shard).unwrap_or(u16::MAX));
            self.found.push(LostEntries { shard, first: seen + 1, last: before });
        }
    }
}
