//! Full disks, failed flushes, full queues.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::disks::{Faults, FaultyDisk};
use super::*;
use crate::StoreError;

fn faulty(path: &Path) -> (EmbeddedStore, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let disk = Arc::new(FaultyDisk(Arc::clone(&faults)));
    (EmbeddedStore::open(EmbeddedConfig { disk, ..config(path) }).unwrap(), faults)
}

fn fill(faults: &Faults, room: i64) {
    faults.room.store(room, Ordering::SeqCst);
    faults.limited.store(true, Ordering::SeqCst);
}

#[tokio::test]
async fn a_full_disk_refuses_and_leaves_no_trace_at_any_byte() {
    let folder = folder();
    let (store, faults) = faulty(folder.path());
    append(&store, A, "before").await;
    for room in 0..2 * 48 + 6 {
        fill(&faults, room);
        let refused = store.append(vec![entry(A, "lost"), entry(B, "it")]).await;
        assert!(matches!(refused, Err(StoreError::Full(_))), "found {refused:?}");
    }
    faults.limited.store(false, Ordering::SeqCst);
    append(&store, A, "after").await;
    assert_eq!(texts(&store, A).await, ["before", "after"]);
    drop(store);
    let store = open(folder.path()).unwrap();
    assert!(!torn(store.report()));
    assert_eq!(texts(&store, A).await, ["before", "after"]);
    assert!(texts(&store, B).await.is_empty());
}

#[tokio::test]
async fn a_crash_on_a_full_disk_loses_nothing_acknowledged() {
    let folder = folder();
    let (store, faults) = faulty(folder.path());
    append(&store, A, "before").await;
    fill(&faults, 20);
    assert!(store.append(vec![entry(A, "lost")]).await.is_err());
    let copy = crashed(folder.path());
    let store = open(copy.path()).unwrap();
    assert_eq!(texts(&store, A).await, ["before"]);
}

#[tokio::test]
async fn a_full_disk_in_a_rotation_is_survived() {
    for room in (0..200).step_by(9) {
        let folder = folder();
        let faults = Arc::new(Faults::default());
        let disk = Arc::new(FaultyDisk(Arc::clone(&faults)));
        let config = EmbeddedConfig { disk, segment_bytes: 300, ..config(folder.path()) };
        let store = EmbeddedStore::open(config).unwrap();
        append(&store, A, &"x".repeat(150)).await;
        fill(&faults, room);
        let refused = store.append(vec![entry(A, &"y".repeat(150))]).await;
        let crash = crashed(folder.path());
        faults.limited.store(false, Ordering::SeqCst);
        assert!(matches!(refused, Err(StoreError::Full(_))), "room {room}: found {refused:?}");
        append(&store, A, "after").await;
        drop(store);
        assert_eq!(texts(&open(folder.path()).unwrap(), A).await.len(), 2, "room {room}");
        assert_eq!(texts(&open(crash.path()).unwrap(), A).await.len(), 1, "room {room}");
    }
}

#[tokio::test]
async fn after_a_failed_flush_nothing_is_written_any_more() {
    let folder = folder();
    let (store, faults) = faulty(folder.path());
    append(&store, A, "before").await;
    let epoch = claim(&store, A).await;
    faults.sync_fails.store(true, Ordering::SeqCst);
    let failed = store.append(vec![entry(A, "unknown")]).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))), "found {failed:?}");
    faults.sync_fails.store(false, Ordering::SeqCst);
    let failed = store.append(vec![entry(A, "refused")]).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))), "no second try: found {failed:?}");
    let failed = store.checkpoint(A, epoch, Checkpoint::default()).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))), "nor the state: found {failed:?}");
    assert_eq!(texts(&store, A).await, ["before"], "what is not durable is not shown");
}

#[tokio::test]
async fn what_cannot_be_cut_off_ends_all_writing() {
    let folder = folder();
    let (store, faults) = faulty(folder.path());
    append(&store, A, "before").await;
    fill(&faults, 10);
    faults.truncate_fails.store(true, Ordering::SeqCst);
    let failed = store.append(vec![entry(A, "lost")]).await;
    assert!(matches!(failed, Err(StoreError::Failed(_))), "found {failed:?}");
    drop(store);
    let store = open(folder.path()).unwrap();
    assert!(torn(store.report()));
    assert_eq!(texts(&store, A).await, ["before"]);
}

#[tokio::test]
async fn a_full_database_refuses_and_works_again() {
    let folder = folder();
    let limited = EmbeddedConfig { state_bytes_max: Some(1024 * 1024), ..config(folder.path()) };
    let store = EmbeddedStore::open(limited).unwrap();
    let epoch = claim(&store, A).await;
    let put = |actor: &str, bytes: usize| Checkpoint {
        put: vec![Row { snapshot: Bytes::from(vec![7; bytes]), ..row(actor) }],
        ..Checkpoint::default()
    };
    store.checkpoint(A, epoch, put("small", 100_000)).await.unwrap();
    // Submitted together they may share a transaction: the large one alone is refused.
    let large = store.checkpoint(A, epoch, put("large", 3_000_000));
    let next = store.checkpoint(A, epoch, put("next", 100_000));
    let refused = large.await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "found {refused:?}");
    next.await.unwrap();
    assert_eq!(store.row(A, "large".into()).await.unwrap(), None);
    assert!(store.row(A, "next".into()).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_leaves_no_trace() {
    let folder = folder();
    let small = EmbeddedConfig { queue_entries_max: 2, ..config(folder.path()) };
    let store = EmbeddedStore::open(small).unwrap();
    let pending: Vec<_> = (0..2000).map(|number| store.append(vec![entry(A, &number.to_string())])).collect();
    let mut accepted = Vec::new();
    let mut busy = 0;
    for (number, append) in pending.into_iter().enumerate() {
        match append.await {
            Ok(_) => accepted.push(number.to_string()),
            Err(StoreError::Busy) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(busy > 0, "two thousand calls outrun a queue of two");
    assert_eq!(texts(&store, A).await, accepted);
}

#[tokio::test]
async fn a_log_at_its_limit_is_full_until_it_is_checkpointed() {
    let folder = folder();
    let config = EmbeddedConfig { segment_bytes: 1000, log_bytes_max: 4000, ..config(folder.path()) };
    let store = EmbeddedStore::open(config).unwrap();
    let epoch = claim(&store, A).await;
    let mut last = Offset::ZERO;
    let refused = loop {
        match store.append(vec![entry(A, &"x".repeat(100))]).await {
            Ok(offsets) => last = offsets[0],
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full(_)), "found {refused:?}");
    store.checkpoint(A, epoch, mark(last)).await.unwrap();
    assert!(segments(folder.path()).len() <= 2, "what is checkpointed is removed");
    append(&store, A, "again").await;
}
