//! Every store keeps every promise of the port.
#![expect(clippy::unwrap_used, reason = "what cannot go on here shall stop here")]

use std::sync::Arc;
use std::sync::Mutex;

use impresario_persistence::{Clock, EmbeddedConfig, EmbeddedStore, LossyStore, MemoryStore, conformance};

const SHARDS: u16 = conformance::SHARDS;

#[tokio::test]
async fn memory() {
    conformance::run(async || Arc::new(MemoryStore::new(SHARDS))).await;
    conformance::run_shared(async || Arc::new(MemoryStore::new(SHARDS))).await;
    conformance::run_with_clock(async |clock| Arc::new(MemoryStore::with_clock(SHARDS, clock))).await;
}

#[tokio::test]
async fn lossy() {
    conformance::run(async || Arc::new(LossyStore::new(SHARDS))).await;
    conformance::run_with_clock(async |clock| Arc::new(LossyStore::with_clock(SHARDS, clock))).await;
}

/// Keeps the folders as long as the stores in them.
#[derive(Default)]
struct Folders(Mutex<Vec<tempfile::TempDir>>);

impl Folders {
    fn config(&self) -> EmbeddedConfig {
        let folder = tempfile::tempdir().unwrap();
        let config = EmbeddedConfig::new(folder.path(), SHARDS);
        self.0.lock().unwrap().push(folder);
        config
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    let folders = Folders::default();
    conformance::run(async || Arc::new(EmbeddedStore::open(folders.config()).unwrap())).await;
    conformance::run_with_clock(async |clock: Clock| {
        let config = EmbeddedConfig { clock, ..folders.config() };
        Arc::new(EmbeddedStore::open(config).unwrap())
    })
    .await;
}

/// Nothing in memory, tiny groups and segments: everything comes from disk and rotates all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_without_a_cache() {
    let folders = Folders::default();
    conformance::run(async || {
        let config = EmbeddedConfig {
            cache_bytes: 0,
            segment_bytes: 1000,
            group_entries_max: 3,
            readers: 1,
            ..folders.config()
        };
        Arc::new(EmbeddedStore::open(config).unwrap())
    })
    .await;
}
