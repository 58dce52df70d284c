//! The conformance suite: every promise of [`crate::port`], for any store.
//!
//! It panics at the first promise that is not kept. Each case gets a fresh store of at least four shards.

mod fences;
mod log;
mod rows;
mod settings;

use std::sync::Arc;

use bytes::Bytes;

use crate::port::{Append, Claim, Epoch, Offset, Owner, Record, Row, RowIndex, ShardId, Store};
use crate::{Clock, StoreError};

/// How many shards a store for the suite must have at least.
pub const SHARDS: u16 = 4;

const A: ShardId = ShardId(0);
const B: ShardId = ShardId(3);

/// Runs the whole suite; `make` gives a fresh store each time.
pub async fn run<S: Store + ?Sized>(make: impl AsyncFn() -> Arc<S>) {
    log::run(&make).await;
    fences::run(&make).await;
    rows::run(&make).await;
    settings::run(&make).await;
}

/// Runs the cases that need the store to be on a given clock.
pub async fn run_with_clock<S: Store + ?Sized>(make: impl AsyncFn(Clock) -> Arc<S>) {
    log::run_with_clock(make).await;
}

/// Runs the cases for stores that several nodes can share.
pub async fn run_shared<S: Store + ?Sized>(make: impl AsyncFn() -> Arc<S>) {
    fences::an_owner_of_the_past_does_not_read_over_a_gap(&*make().await).await;
}

/// Ids that have broken stores before: empty, with separators, quotes, wildcards, a NUL, beyond ASCII, long.
fn hostile_ids() -> Vec<String> {
    let long = "x".repeat(10_000);
    let ids = [
        "",
        " ",
        "/",
        ":",
        "process/",
        "process/a/b:c",
        "a'b\"c;--",
        "%_*?[]",
        "a\0b",
        "a\nb",
        "ключ/значение",
        "🎻/🎼",
        "\u{10FFFF}",
        "e\u{301}",
        "\u{e9}",
        "{E:17}:mailbox",
        "..",
        &long,
    ];
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn owner(node: &str) -> Owner {
    Owner { node: node.to_owned(), incarnation: format!("{node}-1") }
}

fn entry(shard: ShardId, text: &str) -> Append {
    Append { shard, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

fn row(actor: &str, snapshot: &str) -> Row {
    Row {
        actor: actor.to_owned(),
        snapshot: Bytes::copy_from_slice(snapshot.as_bytes()),
        index: RowIndex::default(),
    }
}

fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.bytes).into_owned()).collect()
}

fn actors(rows: &[Row]) -> Vec<&str> {
    rows.iter().map(|row| row.actor.as_str()).collect()
}

async fn append<S: Store + ?Sized>(store: &S, shard: ShardId, text: &str) -> Offset {
    ok(store.append(vec![entry(shard, text)]).await, "append")[0]
}

async fn claim<S: Store + ?Sized>(store: &S, shard: ShardId, node: &str) -> Claim {
    let seen = seen(store, shard).await;
    ok(store.claim(shard, owner(node), seen).await, "claim")
}

/// The newest epoch of a shard.
async fn seen<S: Store + ?Sized>(store: &S, shard: ShardId) -> Epoch {
    ok(store.owners().await, "owners")[usize::from(shard.0)].epoch
}

async fn read_all<S: Store + ?Sized>(store: &S, shard: ShardId) -> Vec<Record> {
    ok(store.read(shard, Offset::ZERO, usize::MAX, usize::MAX).await, "read")
}

async fn put<S: Store + ?Sized>(store: &S, shard: ShardId, epoch: Epoch, rows: Vec<Row>) {
    let checkpoint = crate::Checkpoint { put: rows, ..crate::Checkpoint::default() };
    ok(store.checkpoint(shard, epoch, checkpoint).await, "checkpoint");
}

#[track_caller]
#[expect(clippy::panic, reason = "a suite of tests fails by panicking")]
fn ok<T>(result: Result<T, StoreError>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error}"),
    }
}
