//! What opening and repairing a store found, as plain data that prints for a person.

use std::fmt;
use std::path::PathBuf;

use crate::port::ShardId;

/// What was found when a store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Entries in the log that no checkpoint covers yet.
    pub entries: u64,
    /// Segments of the log.
    pub segments: usize,
    /// A write that a crash interrupted and that was cut off. None of it was ever acknowledged.
    pub torn: Option<TornTail>,
}

/// The end of the log that an interrupted write left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub file: PathBuf,
    /// Where it was cut.
    pub position: u64,
    /// How many bytes went.
    pub bytes: u64,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, position, bytes) = (self.file.display(), self.position, self.bytes);
        write!(f, "{file}: an interrupted write of {bytes} bytes was cut off at byte {position}")
    }
}

/// What a repair found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Why the log would not open, if it had to be repaired.
    pub reason: Option<String>,
    /// Entries that are in the log after the repair.
    pub kept: u64,
    /// Stretches of the log that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Entries that are lost.
    pub lost: Vec<LostEntries>,
    /// Actors whose snapshot failed its checksum, and which were set aside: they begin anew.
    pub lost_rows: Vec<(ShardId, String)>,
    /// Where the files as they were before are kept, if anything was changed.
    pub kept_aside: Option<PathBuf>,
}

/// A stretch of a file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The file.
    pub file: PathBuf,
    /// Where it begins.
    pub position: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// What was expected and found there.
    pub why: String,
}

/// A run of entries that a shard lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEntries {
    /// The shard.
    pub shard: ShardId,
    /// The sequence number of the first that is lost.
    pub first: u64,
    /// The sequence number of the last that is lost.
    pub last: u64,
}

impl RepairReport {
    /// Whether there was nothing to repair.
    pub fn is_clean(&self) -> bool {
        self.reason.is_none() && self.lost.is_empty() && self.lost_rows.is_empty()
    }

    /// How many entries are lost.
    pub fn entries_lost(&self) -> u64 {
        self.lost.iter().map(|lost| lost.last - lost.first + 1).sum()
    }
}

impl fmt::Display for RepairReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            write!(f, "nothing is lost: {} entries in the log", self.kept)?;
        } else {
            let lost = self.entries_lost();
            write!(f, "{} entries kept, {lost} known to be lost", self.kept)?;
        }
        if let Some(reason) = &self.reason {
            write!(f, "\n  because: {reason}")?;
        }
        for bad in &self.unreadable {
            let (file, at, bytes) = (bad.file.display(), bad.position, bad.bytes);
            write!(f, "\n  unreadable: {file}, {bytes} bytes from byte {at}: {}", bad.why)?;
        }
        for lost in &self.lost {
            let (shard, first, last) = (lost.shard.0, lost.first, lost.last);
            write!(f, "\n  lost: shard {shard}, entries {first} to {last}")?;
        }
        for (shard, actor) in &self.lost_rows {
            write!(f, "\n  lost: the snapshot of {actor} in shard {}", shard.0)?;
        }
        if let Some(path) = &self.kept_aside {
            write!(f, "\n  the files as they were are in {}", path.display())?;
        }
        Ok(())
    }
}
