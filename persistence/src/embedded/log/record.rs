//! One record of the log: a fixed header, then the entry.
//!
//! Both carry a checksum that is salted per store, so that no entry can contain bytes that pass for a record:
//! what is found behind damage by searching is a record that this store wrote.

use std::fmt;

use crc32fast::Hasher;

use crate::port::{MAX_ENTRY_BYTES, Offset, ShardId};

/// The size of a record's header in bytes.
pub(in crate::embedded) const HEADER_LEN: usize = 48;
const MAGIC: [u8; 4] = *b"IMPR";

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Kind {
    /// An entry of a mailbox log.
    Entry,
    /// The end of a segment that is full: another segment follows.
    Sealed,
    /// The end of a run that was shut down in good order: every group before it was durable.
    Closed,
}

impl Kind {
    fn code(self) -> u16 {
        match self {
            Kind::Entry => 0,
            Kind::Sealed => 1,
            Kind::Closed => 2,
        }
    }

    fn of(code: u16) -> Option<Self> {
        [Kind::Entry, Kind::Sealed, Kind::Closed].into_iter().find(|kind| kind.code() == code)
    }
}

/// What the header of a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) struct Record {
    pub(in crate::embedded) kind: Kind,
    pub(in crate::embedded) shard: ShardId,
    pub(in crate::embedded) offset: Offset,
    /// Counts the entries of its shard: a gap is a lost entry.
    pub(in crate::embedded) sequence: u64,
    /// The group of entries that became durable together.
    pub(in crate::embedded) group: u64,
    /// How many records of the group follow; a group without its last record was never durable.
    pub(in crate::embedded) remaining: u32,
}

impl Record {
    /// A record that says something of the log and carries no entry.
    pub(in crate::embedded) fn control(kind: Kind, group: u64) -> Self {
        Record { kind, shard: ShardId(0), offset: Offset::ZERO, sequence: 0, group, remaining: 0 }
    }

    /// Writes the record behind what is in `out`.
    pub(in crate::embedded) fn encode(&self, payload: &[u8], salt: u32, out: &mut Vec<u8>) {
        debug_assert!(payload.len() <= MAX_ENTRY_BYTES, "checked at the door");
        // The limit of an entry fits 32 bits.
        let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut header = [0u8; HEADER_LEN];
        header[0..4].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&checksum(salt, payload).to_le_bytes());
        header[12..16].copy_from_slice(&len.to_le_bytes());
        header[16..20].copy_from_slice(&self.remaining.to_le_bytes());
        header[20..22].copy_from_slice(&self.shard.0.to_le_bytes());
        header[22..24].copy_from_slice(&self.kind.code().to_le_bytes());
        header[24..32].copy_from_slice(&self.group.to_le_bytes());
        header[32..40].copy_from_slice(&self.offset.0.to_le_bytes());
        header[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        let sum = checksum(salt, &header[8..]);
        header[4..8].copy_from_slice(&sum.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(payload);
    }

    /// Reads the record that begins at the start of `bytes`, and its entry.
    pub(in crate::embedded) fn decode(bytes: &[u8], salt: u32) -> Result<(Record, &[u8]), Bad> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Bad::ShortHeader { found: bytes.len() });
        };
        if header[0..4] != MAGIC {
            return Err(Bad::NoRecord);
        }
        let (stored, computed) = (u32_at(header, 4), checksum(salt, &header[8..]));
        if stored != computed {
            return Err(Bad::HeaderChecksum { stored, computed });
        }
        let len = usize::try_from(u32_at(header, 12)).unwrap_or(usize::MAX);
        let Some(payload) = rest.get(..len) else {
            return Err(Bad::ShortEntry { expected: len, found: rest.len() });
        };
        let (stored, computed) = (u32_at(header, 8), checksum(salt, payload));
        if stored != computed {
            return Err(Bad::EntryChecksum { stored, computed });
        }
        let kind = u16_at(header, 22);
        let record = Record {
            kind: Kind::of(kind).ok_or(Bad::UnknownKind(kind))?,
            shard: ShardId(u16_at(header, 20)),
            offset: Offset(u64_at(header, 32)),
            sequence: u64_at(header, 40),
            group: u64_at(header, 24),
            remaining: u32_at(header, 16),
        };
        Ok((record, payload))
    }

    /// Finds the next readable record at or after `from`.
    pub(in crate::embedded) fn find(bytes: &[u8], from: usize, salt: u32) -> Option<usize> {
        let mut at = from;
        while let Some(rest) = bytes.get(at..) {
            let hit = rest.windows(MAGIC.len()).position(|window| window == MAGIC)?;
            if Record::decode(&rest[hit..], salt).is_ok() {
                return Some(at + hit);
            }
            at += hit + 1;
        }
        None
    }
}

/// Why there is no readable record at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Bad {
    ShortHeader { found: usize },
    NoRecord,
    HeaderChecksum { stored: u32, computed: u32 },
    ShortEntry { expected: usize, found: usize },
    EntryChecksum { stored: u32, computed: u32 },
    UnknownKind(u16),
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bad::ShortHeader { found } => {
                write!(f, "expected a record header of {HEADER_LEN} bytes, found {found} bytes")
            }
            Bad::NoRecord => write!(f, "expected a record, found other bytes"),
            Bad::HeaderChecksum { stored, computed } => {
                write!(f, "expected a header of checksum {stored:08x}, found {computed:08x}")
            }
            Bad::ShortEntry { expected, found } => {
                write!(f, "expected an entry of {expected} bytes, found {found} bytes")
            }
            Bad::EntryChecksum { stored, computed } => {
                write!(f, "expected an entry of checksum {stored:08x}, found {computed:08x}")
            }
            Bad::UnknownKind(kind) => {
                write!(f, "expected a record of a known kind, found kind {kind}")
            }
        }
    }
}

/// A CRC-32 whose start is the store's salt.
pub(in crate::embedded) fn checksum(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// The `u16` at a place that the caller knows to exist; zero behind the end.
pub(in crate::embedded) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

/// The `u32` at a place that the caller knows to exist; zero behind the end.
pub(in crate::embedded) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

/// The `u64` at a place that the caller knows to exist; zero behind the end.
pub(in crate::embedded) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    debug_assert!(found.is_some(), "the place exists");
    found.copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            kind: Kind::Entry,
            shard: ShardId(7),
            offset: Offset::new(1_700_000_000_000, 3),
            sequence: 42,
            group: 9,
            remaining: 2,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        record().encode(b"hello", 1, &mut out);
        assert_eq!(Record::decode(&out, 1), Ok((record(), &b"hello"[..])));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut out = Vec::new();
        record().encode(b"hello", 1, &mut out);
        for bit in 0..out.len() * 8 {
            let mut bytes = out.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Record::decode(&bytes, 1).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_of_another_store_is_not_found() {
        let mut out = vec![b'I'; 5];
        record().encode(b"hello", 1, &mut out);
        assert_eq!(Record::find(&out, 0, 2), None);
        assert_eq!(Record::find(&out, 0, 1), Some(5));
    }
}
