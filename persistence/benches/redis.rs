//! How fast the Redis store appends, next to what the same server takes from `redis-benchmark` in the same minute; how
//! long a large checkpoint keeps the server, and what a waiting instance costs there.
//!
//! `cargo bench -p impresario-persistence --bench redis`. Every figure is the median of several runs; client and server
//! share the machine. Compare ratios across machines, never absolute numbers.
#![expect(clippy::unwrap_used, reason = "what cannot go on here shall stop here")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use impresario_persistence::{
    Append, Checkpoint, Epoch, Keeping, Owner, RedisConfig, RedisStore, Row, RowIndex, ShardId, Store,
};
use impresario_test_servers::{Fsync, RedisServer};

const ENTRY_BYTES: usize = 256;
const SNAPSHOT_BYTES: usize = 1200;
const SHARDS: u16 = 16;
const RUNS: usize = 5;
const RUN: Duration = Duration::from_secs(2);
/// How many entries are under way at a time, on both sides.
const DEPTH: usize = 1024;
const CLIENTS: usize = 16;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for (name, fsync) in [("everysec", Fsync::EverySecond), ("always", Fsync::Always)] {
            appends(name, fsync).await;
        }
        rows().await;
    });
}

fn config(server: &RedisServer) -> RedisConfig {
    let servers = vec![("127.0.0.1".to_owned(), server.port())];
    RedisConfig { keeping: Keeping::Memory, ..RedisConfig::new("BENCH", SHARDS, servers) }
}

async fn appends(name: &str, fsync: Fsync) {
    let server = RedisServer::builder().fsync(fsync).start().await;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        server.command(&["FLUSHALL"]).await;
        let store = RedisStore::open(config(&server)).await.unwrap();
        ours.push(append(Arc::new(store)).await);
        server.command(&["FLUSHALL"]).await;
        bare.push(pipelined(&server).await);
    }
    let (ours, bare) = (median(ours), median(bare));
    println!(
        "{name:>8}: {ours:>9.0} appends/s through the store, {bare:>9.0} XADD/s pipelined: {:.0} %",
        100.0 * ours / bare
    );
}

/// Many tasks that append one entry at a time.
async fn append(store: Arc<RedisStore>) -> f64 {
    let done = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let tasks: Vec<_> = (0..DEPTH)
        .map(|task| {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            let shard = ShardId(u16::try_from(task).unwrap() % SHARDS);
            tokio::spawn(async move {
                let bytes = Bytes::from(vec![b'x'; ENTRY_BYTES]);
                while start.elapsed() < RUN {
                    store.append(vec![Append { shard, bytes: bytes.clone() }]).await.unwrap();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of some millions is exact")]
    let done = done.load(Ordering::Relaxed) as f64;
    done / start.elapsed().as_secs_f64()
}

async fn pipelined(server: &RedisServer) -> f64 {
    let port = server.port().to_string();
    let run = tokio::task::spawn_blocking(move || {
        let depth = (DEPTH / CLIENTS).to_string();
        Command::new("redis-benchmark")
            .args(["-p", &port, "--csv", "-n", "500000", "-P", &depth, "-c", &CLIENTS.to_string()])
            .args(["XADD", "bare", "*", "e", &"x".repeat(ENTRY_BYTES)])
            .output()
            .unwrap()
    });
    let output = String::from_utf8(run.await.unwrap().stdout).unwrap();
    // The last line: the name of the test, then requests a second, each in quotes.
    let line = output.lines().last().unwrap();
    let rate = line.rsplit("\",\"").nth(6).unwrap();
    rate.trim_matches('"').parse().unwrap()
}

async fn rows() {
    const ROWS: usize = 10_000;
    let server = RedisServer::builder().fsync(Fsync::EverySecond).start().await;
    let store = RedisStore::open(config(&server)).await.unwrap();
    let owner = Owner { node: "n".to_owned(), incarnation: "i".to_owned() };
    let epoch = store.claim(ShardId(0), owner, Epoch(0)).await.unwrap().epoch;
    let before = memory(&server).await;
    let mut took = Vec::new();
    for part in 0..10 {
        let row = |number: usize| Row {
            actor: format!("process/01JD{:022}", part * ROWS + number),
            snapshot: Bytes::from(vec![b's'; SNAPSHOT_BYTES]),
            index: RowIndex {
                due: Some(1_763_000_000_000 + u64::try_from(number).unwrap()),
                status: "running".to_owned(),
                group: "ops/backup:1".to_owned(),
                started: 1_763_000_000_000,
                ..RowIndex::default()
            },
        };
        let put = Checkpoint { put: (0..ROWS).map(row).collect(), ..Checkpoint::default() };
        let start = Instant::now();
        store.checkpoint(ShardId(0), epoch, put).await.unwrap();
        took.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    let slow = server.command(&["SLOWLOG", "GET", "1"]).await;
    let inside = slow.lines().nth(2).unwrap_or_default().to_owned();
    #[expect(clippy::cast_precision_loss, reason = "some hundred megabytes are exact")]
    let each = (memory(&server).await - before) as f64 / (10 * ROWS) as f64;
    println!("a checkpoint of {ROWS} rows: {:.0} ms, of which the server was kept {inside} µs", median(took));
    println!("a waiting instance with a snapshot of {SNAPSHOT_BYTES} bytes: {each:.0} bytes in the server");
}

async fn memory(server: &RedisServer) -> u64 {
    let info = server.command(&["INFO", "memory"]).await;
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    line.trim().parse().unwrap()
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}
