//! The mailbox log: one append-only log for all shards, in segment files, written by one thread.
//!
//! Whatever waits is written as one *group*, flushed once, and only then shown to readers and acknowledged.

mod group;
mod handle;
mod index;
pub(super) mod record;
mod rewrite;
pub(super) mod scan;
pub(super) mod segment;
mod writer;

pub(super) use handle::{Log, Lookup};
pub(super) use index::Place;
pub(super) use rewrite::{Next, Salvaged, rewrite};
pub(super) use writer::{Setup, create, start};
