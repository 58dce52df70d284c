//! What an embedded store is told when it is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{Disk, OsDisk};
use crate::{Clock, system_clock};

const MIB: usize = 1024 * 1024;

/// The settings of an embedded store. Only the folder and the number of shards have no default.
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// The data folder; made if it does not exist.
    pub path: PathBuf,
    /// How many shards the environment has; must be what it was made with.
    pub shards: u16,
    /// When a segment of the log is full and the next is begun. 64 MiB: few files, and space comes back in
    /// small steps.
    pub segment_bytes: u64,
    /// The most that the log may take on disk before appends are refused as full. 8 GiB.
    pub log_bytes_max: u64,
    /// The most that the state may take on disk before writes to it are refused as full; no limit but the
    /// disk's if none is set.
    pub state_bytes_max: Option<u64>,
    /// How many entries may wait for the writer before appends are refused as busy. 65536: about a third of
    /// a second of writing.
    pub queue_entries_max: usize,
    /// How many bytes of entries may wait for the writer. 64 MiB.
    pub queue_bytes_max: usize,
    /// How many entries become durable together at most. 4096.
    pub group_entries_max: usize,
    /// How many bytes become durable together at most. 4 MiB.
    pub group_bytes_max: usize,
    /// How many bytes of recent entries are kept in memory for reading. 32 MiB.
    pub cache_bytes: usize,
    /// How many threads read rows, and entries that are no longer in memory. 2.
    pub readers: usize,
    /// The wall clock that entries are stamped with.
    pub clock: Clock,
    /// The files of the log.
    pub disk: Arc<dyn Disk>,
}

impl EmbeddedConfig {
    /// The default settings for a folder.
    pub fn new(path: impl Into<PathBuf>, shards: u16) -> Self {
        EmbeddedConfig {
            path: path.into(),
            shards,
            segment_bytes: 64 * MIB as u64,
            log_bytes_max: 8 * 1024 * MIB as u64,
            state_bytes_max: None,
            queue_entries_max: 65_536,
            queue_bytes_max: 64 * MIB,
            group_entries_max: 4096,
            group_bytes_max: 4 * MIB,
            cache_bytes: 32 * MIB,
            readers: 2,
            clock: system_clock(),
            disk: Arc::new(OsDisk),
        }
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("path", &self.path)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}
