//! Tests of the embedded store: crashes, damage, failing disks, repair.

mod damage;
mod disks;
mod faults;
mod folders;
mod model;
mod repairs;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use tempfile::TempDir;

use super::{EmbeddedConfig, EmbeddedStore, OpenReport};
use crate::port::{Append, Checkpoint, Epoch, Offset, Owner, Result, Row, RowIndex, ShardId, Store};

const SHARDS: u16 = 2;
const A: ShardId = ShardId(0);
const B: ShardId = ShardId(1);

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn config(path: &Path) -> EmbeddedConfig {
    EmbeddedConfig::new(path, SHARDS)
}

fn open(path: &Path) -> Result<EmbeddedStore> {
    EmbeddedStore::open(config(path))
}

/// What is on disk at this moment, as a crash would leave it: the store goes on, the copy does not know it.
fn crashed(path: &Path) -> TempDir {
    let copy = folder();
    copy_into(path, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path.join("log")).unwrap();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    paths.sort();
    paths
}

fn entry(shard: ShardId, text: &str) -> Append {
    Append { shard, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

async fn append(store: &EmbeddedStore, shard: ShardId, text: &str) -> Offset {
    store.append(vec![entry(shard, text)]).await.unwrap()[0]
}

async fn texts(store: &EmbeddedStore, shard: ShardId) -> Vec<String> {
    let records = store.read(shard, Offset::ZERO, usize::MAX, usize::MAX).await.unwrap();
    records.iter().map(|record| String::from_utf8(record.bytes.to_vec()).unwrap()).collect()
}

async fn claim(store: &EmbeddedStore, shard: ShardId) -> Epoch {
    let owner = Owner { node: "n".into(), incarnation: "1".into() };
    store.claim(shard, owner, store.owners().await.unwrap()[usize::from(shard.0)].epoch).await.unwrap().epoch
}

fn row(actor: &str) -> Row {
    Row { actor: actor.into(), snapshot: Bytes::from_static(b"snapshot"), index: RowIndex::default() }
}

fn mark(mark: Offset) -> Checkpoint {
    Checkpoint { mark, ..Checkpoint::default() }
}

fn torn(report: &OpenReport) -> bool {
    report.torn.is_some()
}
