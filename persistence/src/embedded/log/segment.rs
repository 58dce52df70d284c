//! A segment file of the log: its name and its header.
//!
//! The header says where every shard's log stood when the segment was begun. So the segments form a chain: one
//! that is missing in the middle, or before the state's mark, shows.

use std::path::{Path, PathBuf};

use super::record::{checksum, u16_at, u32_at, u64_at};
use crate::port::Offset;

const MAGIC: [u8; 8] = *b"IMPRLOG1";
const FIXED_LEN: usize = 32;
const LINK_LEN: usize = 16;
const EXTENSION: &str = "log";

/// The last entry of a shard's log at a point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::embedded) struct Link {
    /// Its sequence number; zero before the first entry.
    pub(in crate::embedded) sequence: u64,
    /// Its offset.
    pub(in crate::embedded) offset: Offset,
}

/// What the header of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::embedded) struct SegmentHeader {
    pub(in crate::embedded) number: u32,
    /// The first group that may be in it.
    pub(in crate::embedded) first_group: u64,
    /// Where each shard stood when it was begun.
    pub(in crate::embedded) links: Vec<Link>,
}

impl SegmentHeader {
    /// The size of a header for so many shards in bytes.
    pub(in crate::embedded) fn len(shards: usize) -> usize {
        FIXED_LEN + shards * LINK_LEN + 4
    }

    pub(in crate::embedded) fn encode(&self, salt: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::len(self.links.len()));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&self.number.to_le_bytes());
        // The count of shards is a `u16`.
        let shards = u16::try_from(self.links.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&shards.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.first_group.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        for link in &self.links {
            out.extend_from_slice(&link.sequence.to_le_bytes());
            out.extend_from_slice(&link.offset.0.to_le_bytes());
        }
        let sum = checksum(salt, &out);
        out.extend_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads the header at the start of a segment of so many shards; says what is wrong with it if it cannot.
    pub(in crate::embedded) fn decode(
        bytes: &[u8],
        number: u32,
        shards: usize,
        salt: u32,
    ) -> Result<Self, String> {
        let len = Self::len(shards);
        let Some(bytes) = bytes.get(..len) else {
            return Err(format!("expected a segment header of {len} bytes, found {} bytes", bytes.len()));
        };
        let (stored, computed) = (u32_at(bytes, len - 4), checksum(salt, &bytes[..len - 4]));
        if bytes[..8] != MAGIC || stored != computed {
            return Err(format!("expected a segment header of checksum {stored:08x}, found {computed:08x}"));
        }
        let found = u32_at(bytes, 8);
        if found != number || usize::from(u16_at(bytes, 12)) != shards {
            return Err(format!("expected the header of segment {number}, found segment {found}"));
        }
        let links = bytes[FIXED_LEN..len - 4]
            .chunks_exact(LINK_LEN)
            .map(|link| Link { sequence: u64_at(link, 0), offset: Offset(u64_at(link, 8)) });
        Ok(SegmentHeader { number, first_group: u64_at(bytes, 16), links: links.collect() })
    }
}

/// The path of a segment.
pub(in crate::embedded) fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:010}.{EXTENSION}"))
}

/// The number of the segment at a path, if it is one.
pub(in crate::embedded) fn segment_number(path: &Path) -> Option<u32> {
    if path.extension()? != EXTENSION {
        return None;
    }
    let stem = path.file_stem()?.to_str()?;
    (stem.len() == 10).then(|| stem.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_written_and_refused_when_it_is_not() {
        let link = Link { sequence: 3, offset: Offset(99) };
        let header = SegmentHeader { number: 5, first_group: 8, links: vec![link, Link::default()] };
        let bytes = header.encode(1);
        assert_eq!(bytes.len(), SegmentHeader::len(2));
        assert_eq!(SegmentHeader::decode(&bytes, 5, 2, 1), Ok(header));
        assert!(SegmentHeader::decode(&bytes, 6, 2, 1).is_err(), "another number");
        assert!(SegmentHeader::decode(&bytes, 5, 2, 2).is_err(), "another store");
        assert!(SegmentHeader::decode(&bytes[..20], 5, 2, 1).is_err(), "torn");
    }

    #[test]
    fn names_lead_back_to_numbers() {
        let path = segment_path(Path::new("log"), 12);
        assert_eq!(segment_number(&path), Some(12));
        assert_eq!(segment_number(Path::new("log/damaged-1")), None);
        assert_eq!(segment_number(Path::new("log/1.log")), None);
    }
}
