//! Writing a whole log anew from entries that were salvaged.

use std::path::Path;

use bytes::Bytes;

use super::record::{HEADER_LEN, Kind, Record};
use super::segment::{Link, SegmentHeader};
use super::writer::begin_segment;
use crate::embedded::disk::Disk;
use crate::embedded::folder::{Format, cannot};
use crate::port::{Offset, Result, ShardId};

/// The size of the segments that are written: as the default of the store.
const SEGMENT_BYTES: usize = 64 * 1024 * 1024;

/// An entry that was salvaged.
pub(in crate::embedded) struct Salvaged {
    pub(in crate::embedded) shard: ShardId,
    pub(in crate::embedded) offset: Offset,
    pub(in crate::embedded) bytes: Bytes,
}

/// The first numbers that were never used.
#[derive(Clone, Copy, Debug)]
pub(in crate::embedded) struct Next {
    pub(in crate::embedded) segment: u32,
    pub(in crate::embedded) group: u64,
}

/// Writes a log of these entries into a folder of its own, numbered without gaps from where the marks are.
pub(in crate::embedded) fn rewrite(
    disk: &dyn Disk,
    folder: &Path,
    format: Format,
    marks: &[Offset],
    mut next: Next,
    entries: &[Salvaged],
) -> Result<()> {
    let failed = |error: std::io::Error| cannot("write", folder, &error);
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut links: Vec<Link> = marks.iter().map(|mark| Link { sequence: 0, offset: *mark }).collect();
    let mut rest = entries;
    loop {
        let header = SegmentHeader { number: next.segment, first_group: next.group, links: links.clone() };
        let file = begin_segment(disk, folder, &header, format.salt).map_err(failed)?;
        let (mut bytes, taken) = fill(rest, &mut links, &mut next, format.salt);
        rest = &rest[taken..];
        if !rest.is_empty() {
            Record::control(Kind::Sealed, next.group).encode(&[], format.salt, &mut bytes);
            next.group += 1;
        }
        let at = SegmentHeader::len(links.len()) as u64;
        file.write_at(&bytes, at).and_then(|()| file.sync()).map_err(failed)?;
        if rest.is_empty() {
            return Ok(());
        }
        next.segment += 1;
    }
}

/// Lays out as many entries as one segment takes, each a group of its own; answers how many.
fn fill(entries: &[Salvaged], links: &mut [Link], next: &mut Next, salt: u32) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    for (count, entry) in entries.iter().enumerate() {
        if count > 0 && out.len() + HEADER_LEN + entry.bytes.len() > SEGMENT_BYTES {
            return (out, count);
        }
        let Some(link) = links.get_mut(usize::from(entry.shard.0)) else {
            continue;
        };
        *link = Link { sequence: link.sequence + 1, offset: entry.offset };
        let record = Record {
            kind: Kind::Entry,
            shard: entry.shard,
            offset: entry.offset,
            sequence: link.sequence,
            group: next.group,
            remaining: 0,
        };
        record.encode(&entry.bytes, salt, &mut out);
        next.group += 1;
    }
    (out, entries.len())
}
