//! The data folder: who may open it, and what survives a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::StoreError;

#[tokio::test]
async fn everything_survives_a_restart() {
    let folder = folder();
    let store = open(folder.path()).unwrap();
    let epoch = claim(&store, A).await;
    let first = append(&store, A, "1").await;
    append(&store, A, "2").await;
    store.append_fenced(A, epoch, vec!["3".into()]).await.unwrap();
    let checkpoint = Checkpoint { mark: first, put: vec![row("process/1")], remove: Vec::new() };
    store.checkpoint(A, epoch, checkpoint).await.unwrap();
    store.put_setting("key".into(), 0, "value".into()).await.unwrap();
    // As after a crash, and as after a shutdown.
    let crash = crashed(folder.path());
    drop(store);
    for path in [crash.path(), folder.path()] {
        let store = open(path).unwrap();
        assert_eq!(store.report().entries, 2);
        assert_eq!(texts(&store, A).await, ["2", "3"]);
        assert_eq!(store.row(A, "process/1".into()).await.unwrap(), Some(row("process/1")));
        assert_eq!(store.setting("key".into()).await.unwrap().unwrap().version, 1);
        let owner = Owner { node: "m".into(), incarnation: "2".into() };
        let next = store.claim(A, owner, epoch).await.unwrap();
        assert_eq!((next.epoch, next.mark), (Epoch(epoch.0 + 1), first));
        let refused = store.append_fenced(A, epoch, vec!["stale".into()]).await;
        assert_eq!(refused, Err(StoreError::Fenced), "the fence survives");
    }
}

#[tokio::test]
async fn what_was_queued_is_written_before_the_store_goes() {
    let folder = folder();
    let store = open(folder.path()).unwrap();
    let epoch = claim(&store, A).await;
    let pending: Vec<_> = (0..500).map(|_| store.append(vec![entry(A, "x")])).collect();
    let stored = store.checkpoint(A, epoch, Checkpoint { put: vec![row("a")], ..Checkpoint::default() });
    drop(store);
    for append in pending {
        append.await.unwrap();
    }
    stored.await.unwrap();
    let store = open(folder.path()).unwrap();
    assert!(!torn(store.report()));
    assert_eq!(texts(&store, A).await.len(), 500);
}

#[tokio::test]
async fn offsets_grow_across_restarts_whatever_the_clock_does() {
    let folder = folder();
    let now = Arc::new(AtomicU64::new(5_000));
    let shared = Arc::clone(&now);
    let config =
        EmbeddedConfig { clock: Arc::new(move || shared.load(Ordering::SeqCst)), ..config(folder.path()) };
    let mut last = Offset::ZERO;
    for clock in [5_000, 4_000, 3_000, 6_000, 1_000] {
        now.store(clock, Ordering::SeqCst);
        let store = EmbeddedStore::open(config.clone()).unwrap();
        assert!(texts(&store, A).await.is_empty(), "it was trimmed to nothing");
        assert_eq!(*store.head(A).borrow(), last, "the head is remembered");
        let epoch = claim(&store, A).await;
        assert!(append(&store, B, "x").await > last, "for every shard");
        let next = append(&store, A, "x").await;
        assert!(next > last);
        last = next;
        store.checkpoint(A, epoch, mark(last)).await.unwrap();
    }
}

#[test]
fn a_second_opener_is_refused_by_name() {
    let folder = folder();
    let first = open(folder.path()).unwrap();
    let Err(StoreError::Refused(why)) = open(folder.path()) else {
        panic!("two stores in one folder");
    };
    assert!(why.contains(&folder.path().display().to_string()), "{why}");
    assert!(why.contains(&std::process::id().to_string()), "{why}");
    assert!(super::super::repair(folder.path()).is_err(), "nor is it repaired under a store");
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn another_number_of_shards_is_refused() {
    let folder = folder();
    drop(open(folder.path()).unwrap());
    let Err(StoreError::Refused(why)) = EmbeddedStore::open(EmbeddedConfig::new(folder.path(), 3)) else {
        panic!("the number changed");
    };
    assert!(why.contains("made with 2 shards, not 3"), "{why}");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = folder();
    drop(open(folder.path()).unwrap());
    let format = folder.path().join("FORMAT");
    std::fs::write(&format, "format 2\nsomething else\n").unwrap();
    let expected = "the data folder is of format 2, this program knows up to 1: use a newer impresario";
    assert_eq!(open(folder.path()).err(), Some(StoreError::Refused(expected.into())));
    std::fs::write(&format, "nonsense").unwrap();
    assert!(matches!(open(folder.path()), Err(StoreError::Corrupt(_))));
    std::fs::remove_file(&format).unwrap();
    assert!(matches!(open(folder.path()), Err(StoreError::Corrupt(_))), "no new store over an old one");
}

#[test]
fn an_interrupted_making_is_made_again() {
    let folder = folder();
    drop(open(folder.path()).unwrap());
    std::fs::rename(folder.path().join("FORMAT"), folder.path().join("FORMAT.new")).unwrap();
    open(folder.path()).unwrap();
}

#[tokio::test]
async fn segments_go_when_every_shard_is_past_them() {
    let folder = folder();
    let store = EmbeddedStore::open(EmbeddedConfig { segment_bytes: 1000, ..config(folder.path()) });
    let store = store.unwrap();
    let (a, b) = (claim(&store, A).await, claim(&store, B).await);
    let early = append(&store, B, "holds the first segment").await;
    let mut last = Offset::ZERO;
    for _ in 0..100 {
        last = append(&store, A, &"x".repeat(100)).await;
    }
    let before = segments(folder.path()).len();
    assert!(before > 10, "they rotate");
    store.checkpoint(A, a, mark(last)).await.unwrap();
    assert_eq!(segments(folder.path()).len(), before, "one shard still needs the first");
    store.checkpoint(B, b, mark(early)).await.unwrap();
    assert_eq!(segments(folder.path()).len(), 1);
    drop(store);
    let store = open(folder.path()).unwrap();
    assert!(append(&store, A, "x").await > last);
}
