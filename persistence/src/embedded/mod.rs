//! The embedded store: one machine, one folder.
//!
//! Entries go to a mailbox log of our own ([`log`]), because one flush must carry what many senders wrote at the
//! same time; rows, owners and settings go to SQLite ([`state`]), because they are looked up in many ways. The
//! log is the truth behind the marks, the state is the truth up to them.

mod config;
mod disk;
mod folder;
mod health;
mod log;
mod queue;
mod repair;
mod report;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use config::EmbeddedConfig;
pub use disk::{Disk, DiskFile, OsDisk};
pub use repair::repair;
pub use report::{LostEntries, OpenReport, RepairReport, TornTail, Unreadable};
pub use store::EmbeddedStore;
