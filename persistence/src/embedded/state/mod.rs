//! The state: rows, marks, owners and settings, in one SQLite database.
//!
//! One thread writes, taking all that waits into one transaction; a few threads read.

mod changes;
mod readers;
mod rows;
mod schema;
mod sql;
mod writer;

pub(super) use changes::{CheckpointChange, ClaimChange, GroomChange, ReleaseChange, SettingChange};
pub(super) use readers::Readers;
pub(super) use rows::{attention, due, list, owners, row, scan, setting, setting_keys, settings};
pub(super) use schema::{open_for_writing, read_shards};
pub(super) use sql::{checksum_of, explain};
pub(super) use writer::{StateWriter, start};
