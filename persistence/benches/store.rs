//! How fast the embedded store is, next to what the disk gives a bare file in the same minute.
//!
//! `cargo bench -p impresario-persistence`. Every figure is the median of several runs; compare ratios across
//! machines, never absolute numbers.
#![expect(clippy::unwrap_used, reason = "what cannot go on here shall stop here")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use impresario_persistence::{
    Append, Checkpoint, EmbeddedConfig, EmbeddedStore, Owner, Row, RowIndex, ShardId, Store,
};

const ENTRY_BYTES: usize = 256;
const SHARDS: u16 = 16;
const RUNS: usize = 5;
const RUN: Duration = Duration::from_millis(1000);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    println!("{ENTRY_BYTES}-byte entries, {SHARDS} shards, medians of {RUNS} runs");
    for group in [1, 64, 256] {
        let raw = median(|| raw_file(group));
        println!("bare file, write + fdatasync per {group:>4}: {raw:>9.0} entries/s");
    }
    for appenders in [1, 64, 256, 1024] {
        let rate = median(|| runtime.block_on(appends(appenders, 1)));
        println!("store, {appenders:>4} appenders, one entry each: {rate:>9.0} entries/s");
    }
    let rate = median(|| runtime.block_on(appends(4, 64)));
    println!("store,    4 appenders, 64 entries each: {rate:>7.0} entries/s");
    for appenders in [64, 256, 1024] {
        cpu_per_append(&runtime, appenders);
    }
    let rate = median(|| runtime.block_on(checkpoints(true)));
    println!("checkpoints of 100 new rows of 512 bytes: {rate:>9.0} rows/s");
    let rate = median(|| runtime.block_on(checkpoints(false)));
    println!("checkpoints of 100 known rows of 512 bytes: {rate:>7.0} rows/s");
    let (read, open) = runtime.block_on(reopen());
    println!("open with 100k rows and 100k entries: {:.1} ms", open.as_secs_f64() * 1e3);
    println!("replay of them from disk: {read:.0} entries/s");
}

fn median(mut run: impl FnMut() -> f64) -> f64 {
    let mut rates: Vec<f64> = (0..RUNS).map(|_| run()).collect();
    rates.sort_by(f64::total_cmp);
    rates[RUNS / 2]
}

fn raw_file(group: usize) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("raw")).unwrap();
    let bytes = vec![7; ENTRY_BYTES * group];
    let start = Instant::now();
    let mut groups = 0;
    while start.elapsed() < RUN {
        file.write_all_at(&bytes, (groups * bytes.len()) as u64).unwrap();
        file.sync_data().unwrap();
        groups += 1;
    }
    (groups * group) as f64 / start.elapsed().as_secs_f64()
}

fn entry(shard: usize) -> Append {
    let shard = ShardId(u16::try_from(shard).unwrap() % SHARDS);
    Append { shard, bytes: Bytes::from_static(&[7; ENTRY_BYTES]) }
}

async fn appends(appenders: usize, batch: usize) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(EmbeddedConfig::new(folder.path(), SHARDS)).unwrap());
    let start = Instant::now();
    let tasks: Vec<_> = (0..appenders)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut done = 0;
                while start.elapsed() < RUN {
                    let entries = (0..batch).map(|at| entry(number + at)).collect();
                    store.append(entries).await.unwrap();
                    done += batch;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for task in tasks {
        done += task.await.unwrap();
    }
    done as f64 / start.elapsed().as_secs_f64()
}

/// The processor time of the whole process, all threads and the appenders too, for each append.
fn cpu_per_append(runtime: &tokio::runtime::Runtime, appenders: usize) {
    let before = cpu_seconds();
    let rate = runtime.block_on(appends(appenders, 1));
    let after = cpu_seconds();
    let each = |of: fn((f64, f64)) -> f64| (of(after) - of(before)) / (rate * RUN.as_secs_f64()) * 1e6;
    let (user, system) = (each(|cpu| cpu.0), each(|cpu| cpu.1));
    println!("processor time, {appenders:>4} appenders: {user:.1} + {system:.1} µs for each entry");
}

/// In the program and in the kernel.
fn cpu_seconds() -> (f64, f64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which is in brackets; in hundredths of a second on every Linux.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let seconds = |at: usize| fields[at].parse::<f64>().unwrap() / 100.0;
    (seconds(11), seconds(12))
}

fn row(number: usize) -> Row {
    Row {
        actor: format!("process/{number:08}"),
        snapshot: Bytes::from(vec![7; 512]),
        index: RowIndex {
            due: number.is_multiple_of(3).then_some(number as u64),
            attention: number.is_multiple_of(5),
            status: "running".to_owned(),
            group: "ops/backup:1".to_owned(),
            started: number as u64,
            ended: None,
        },
    }
}

async fn claim(store: &EmbeddedStore) -> impresario_persistence::Epoch {
    let owner = Owner { node: "bench".to_owned(), incarnation: "1".to_owned() };
    store.claim(ShardId(0), owner, impresario_persistence::Epoch(0)).await.unwrap().epoch
}

async fn checkpoints(new: bool) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(folder.path(), SHARDS)).unwrap();
    let epoch = claim(&store).await;
    let put =
        |from: usize| Checkpoint { put: (from..from + 100).map(row).collect(), ..Checkpoint::default() };
    store.checkpoint(ShardId(0), epoch, put(0)).await.unwrap();
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < RUN {
        let from = if new { done + 100 } else { 0 };
        store.checkpoint(ShardId(0), epoch, put(from)).await.unwrap();
        done += 100;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

async fn reopen() -> (f64, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig::new(folder.path(), SHARDS);
    let store = EmbeddedStore::open(config.clone()).unwrap();
    let epoch = claim(&store).await;
    for from in (0..100_000).step_by(1000) {
        let put = (from..from + 1000).map(row).collect();
        let checkpoint = Checkpoint { put, ..Checkpoint::default() };
        store.checkpoint(ShardId(0), epoch, checkpoint).await.unwrap();
        store.append((0..1000).map(entry).collect()).await.unwrap();
    }
    drop(store);
    let start = Instant::now();
    let store = EmbeddedStore::open(config).unwrap();
    let open = start.elapsed();
    let start = Instant::now();
    let mut read = 0;
    for shard in 0..SHARDS {
        let mut after = impresario_persistence::Offset::ZERO;
        loop {
            let records = store.read(ShardId(shard), after, 512, 1 << 20).await.unwrap();
            let Some(last) = records.last() else { break };
            after = last.offset;
            read += records.len();
        }
    }
    assert_eq!(read, 100_000);
    (read as f64 / start.elapsed().as_secs_f64(), open)
}
