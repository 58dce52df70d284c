//! What the port promises of the mailbox log.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::future::join_all;

use super::{A, B, SHARDS, append, claim, entry, ok, read_all, texts};
use crate::port::{Append, Checkpoint, MAX_ENTRY_BYTES, Offset, ShardId, Store};
use crate::{Clock, StoreError};

pub(super) async fn run<S: Store + ?Sized>(make: &impl AsyncFn() -> Arc<S>) {
    a_fresh_store_is_empty(&*make().await).await;
    entries_come_back_in_order(&*make().await).await;
    the_order_is_that_of_the_calls(&*make().await).await;
    a_batch_keeps_its_order_across_shards(&*make().await).await;
    reads_page_by_entries_and_bytes(&*make().await).await;
    heads_follow_what_is_durable(&*make().await).await;
    a_dropped_future_cancels_nothing(&*make().await).await;
    what_is_too_large_leaves_no_trace(&*make().await).await;
    the_limit_of_an_entry_fits(&*make().await).await;
    an_empty_batch_is_nothing(&*make().await).await;
    shards_that_do_not_exist_are_refused(&*make().await).await;
    a_checkpoint_trims_the_log(&*make().await).await;
}

pub(super) async fn run_with_clock<S: Store + ?Sized>(make: impl AsyncFn(Clock) -> Arc<S>) {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let shared = Arc::clone(&now);
    let store = make(Arc::new(move || shared.load(Ordering::SeqCst))).await;
    offsets_grow_whatever_the_clock_does(&*store, &now).await;
}

async fn a_fresh_store_is_empty<S: Store + ?Sized>(store: &S) {
    assert!(store.shards() >= SHARDS, "the suite needs {SHARDS} shards");
    for shard in 0..store.shards() {
        assert_eq!(*store.head(ShardId(shard)).borrow(), Offset::ZERO, "nothing was appended");
    }
    assert!(read_all(store, A).await.is_empty(), "nothing was appended");
}

async fn entries_come_back_in_order<S: Store + ?Sized>(store: &S) {
    let mut offsets = Vec::new();
    for number in 0..50 {
        offsets.push(append(store, A, &number.to_string()).await);
        append(store, B, "elsewhere").await;
    }
    let records = read_all(store, A).await;
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(texts(&records), expected, "the entries of one shard, in order");
    let read: Vec<Offset> = records.iter().map(|record| record.offset).collect();
    assert_eq!(read, offsets, "under the offsets that were answered");
    assert!(offsets.is_sorted_by(|a, b| a < b), "offsets grow");
    assert_eq!(read_all(store, B).await.len(), 50, "shards do not mix");
}

async fn the_order_is_that_of_the_calls<S: Store + ?Sized>(store: &S) {
    let pending: Vec<_> = (0..200).map(|number| store.append(vec![entry(A, &number.to_string())])).collect();
    // Awaited backwards: the places were taken at the calls.
    let mut offsets = Vec::new();
    for append in pending.into_iter().rev() {
        offsets.push(ok(append.await, "append")[0]);
    }
    offsets.reverse();
    assert!(offsets.is_sorted_by(|a, b| a < b), "later calls come later");
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(texts(&read_all(store, A).await), expected, "in the order of the calls");
}

async fn a_batch_keeps_its_order_across_shards<S: Store + ?Sized>(store: &S) {
    let batch = vec![entry(A, "1"), entry(B, "2"), entry(A, "3"), entry(ShardId(1), "4")];
    let offsets = ok(store.append(batch).await, "append");
    assert_eq!(offsets.len(), 4, "an offset for each entry");
    assert!(offsets[0] < offsets[2], "in the order of the batch");
    let distinct: BTreeSet<_> = [offsets[0], offsets[2]].into();
    assert_eq!(distinct.len(), 2, "an offset of its own for each entry of a shard");
    let found = read_all(store, A).await;
    assert_eq!(texts(&found), ["1", "3"]);
    assert_eq!([found[0].offset, found[1].offset], [offsets[0], offsets[2]]);
    assert_eq!(read_all(store, B).await[0].offset, offsets[1]);
    assert_eq!(read_all(store, ShardId(1)).await[0].offset, offsets[3]);
    assert!(read_all(store, ShardId(2)).await.is_empty(), "nothing for others");
}

async fn reads_page_by_entries_and_bytes<S: Store + ?Sized>(store: &S) {
    let batch = (0..10).map(|_| entry(A, "0123456789")).collect();
    let offsets = ok(store.append(batch).await, "append");
    let read = async |after, entries, bytes| {
        let records = ok(store.read(A, after, entries, bytes).await, "read");
        records.iter().map(|record| record.offset).collect::<Vec<_>>()
    };
    assert_eq!(read(Offset::ZERO, 3, 1000).await, offsets[..3], "by entries");
    assert_eq!(read(offsets[2], 3, 1000).await, offsets[3..6], "the next page");
    assert_eq!(read(offsets[9], 3, 1000).await, [], "behind the end");
    assert_eq!(read(Offset::ZERO, 100, 25).await, offsets[..3], "until bytes pass the limit");
    assert_eq!(read(Offset::ZERO, 100, 0).await, offsets[..1], "at least one");
    let between = Offset(offsets[4].0 - 1);
    assert_eq!(read(between, 1, 1000).await, offsets[4..5], "after an offset that is none's");
}

async fn heads_follow_what_is_durable<S: Store + ?Sized>(store: &S) {
    let mut head = store.head(A);
    let mut other = store.head(B);
    assert_eq!(*head.borrow_and_update(), Offset::ZERO);
    assert_eq!(*other.borrow_and_update(), Offset::ZERO);
    let offset = append(store, A, "1").await;
    ok(head.changed().await.map_err(|_| StoreError::Busy), "the head moves");
    assert_eq!(*head.borrow_and_update(), offset, "to the last entry");
    assert!(!other.has_changed().unwrap_or(true), "the head of another shard stays");
    // Whatever a head shows can be read.
    let appends = join_all((0..100).map(|_| store.append(vec![entry(A, "x"), entry(B, "y")])));
    let watch = async {
        loop {
            let seen = *head.borrow_and_update();
            let records = read_all(store, A).await;
            assert!(records.last().map_or(Offset::ZERO, |last| last.offset) >= seen);
            if records.len() == 101 {
                return;
            }
            ok(head.changed().await.map_err(|_| StoreError::Busy), "the head moves");
        }
    };
    let (done, ()) = futures_util::future::join(appends, watch).await;
    for result in done {
        ok(result, "append");
    }
    let last = read_all(store, A).await.last().map(|record| record.offset);
    assert_eq!(Some(*store.head(A).borrow()), last, "the head is the last entry");
}

async fn a_dropped_future_cancels_nothing<S: Store + ?Sized>(store: &S) {
    drop(store.append(vec![entry(A, "1")]));
    append(store, A, "2").await;
    assert_eq!(texts(&read_all(store, A).await), ["1", "2"]);
}

async fn what_is_too_large_leaves_no_trace<S: Store + ?Sized>(store: &S) {
    let huge = Bytes::from(vec![0; MAX_ENTRY_BYTES + 1]);
    let batch = vec![entry(A, "1"), Append { shard: B, bytes: huge }];
    let refused = store.append(batch).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "found {refused:?}");
    assert!(read_all(store, A).await.is_empty(), "all of the batch or nothing");
    assert_eq!(*store.head(A).borrow(), Offset::ZERO);
}

async fn the_limit_of_an_entry_fits<S: Store + ?Sized>(store: &S) {
    let bytes = Bytes::from(vec![7; MAX_ENTRY_BYTES]);
    let batch = vec![Append { shard: A, bytes: bytes.clone() }, entry(A, "")];
    ok(store.append(batch).await, "append");
    let found = read_all(store, A).await;
    assert_eq!(found[0].bytes, bytes, "the largest entry");
    assert_eq!(found[1].bytes, Bytes::new(), "the smallest entry");
}

async fn an_empty_batch_is_nothing<S: Store + ?Sized>(store: &S) {
    assert_eq!(store.append(Vec::new()).await, Ok(Vec::new()));
    let epoch = claim(store, A, "n").await.epoch;
    assert_eq!(store.append_fenced(A, epoch, Vec::new()).await, Ok(Vec::new()));
    assert_eq!(*store.head(A).borrow(), Offset::ZERO);
}

async fn shards_that_do_not_exist_are_refused<S: Store + ?Sized>(store: &S) {
    let beyond = ShardId(store.shards());
    let batch = vec![entry(A, "1"), entry(beyond, "2")];
    assert!(store.append(batch).await.is_err(), "an append");
    assert!(read_all(store, A).await.is_empty(), "all of the batch or nothing");
    assert!(store.claim(beyond, super::owner("n"), crate::Epoch(0)).await.is_err(), "a claim");
    assert!(store.read(beyond, Offset::ZERO, 1, 1).await.is_err(), "a read");
    assert_eq!(*store.head(beyond).borrow(), Offset::ZERO, "its head never moves");
}

async fn a_checkpoint_trims_the_log<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "n").await.epoch;
    let mut offsets = Vec::new();
    for number in 0..5 {
        offsets.push(append(store, A, &number.to_string()).await);
        append(store, B, "kept").await;
    }
    let checkpoint = |mark| Checkpoint { mark, ..Checkpoint::default() };
    ok(store.checkpoint(A, epoch, checkpoint(offsets[2])).await, "checkpoint");
    assert_eq!(texts(&read_all(store, A).await), ["3", "4"], "the log begins behind the mark");
    assert_eq!(read_all(store, B).await.len(), 5, "other logs stay");
    ok(store.checkpoint(A, epoch, checkpoint(offsets[0])).await, "checkpoint");
    let again = claim(store, A, "n").await;
    assert_eq!(again.mark, offsets[2], "a mark never goes backwards");
    assert_eq!(again.head, offsets[4]);
    ok(store.checkpoint(A, again.epoch, checkpoint(offsets[4])).await, "checkpoint");
    assert!(read_all(store, A).await.is_empty(), "all of it is checkpointed");
    assert_eq!(*store.head(A).borrow(), offsets[4], "the head stays where it was");
    let next = append(store, A, "5").await;
    assert!(next > offsets[4], "offsets grow over a log that was trimmed to nothing");
    // A mark from the future must not hide what is appended later.
    ok(store.checkpoint(A, again.epoch, checkpoint(Offset(u64::MAX >> 2))).await, "checkpoint");
    append(store, A, "6").await;
    assert_eq!(texts(&read_all(store, A).await), ["6"]);
}

async fn offsets_grow_whatever_the_clock_does<S: Store + ?Sized>(store: &S, now: &AtomicU64) {
    let first = append(store, A, "1").await;
    assert_eq!(first.millis(), 1_000_000, "an offset carries the clock");
    now.store(2_000_000, Ordering::SeqCst);
    let second = append(store, B, "2").await;
    assert_eq!(second.millis(), 2_000_000);
    now.store(500_000, Ordering::SeqCst);
    let third = append(store, A, "3").await;
    assert!(third > second, "the clock stepped back, the offsets do not");
    let batch = (0..100).map(|_| entry(A, "x")).collect();
    let offsets = ok(store.append(batch).await, "append");
    assert!(offsets[0] > third && offsets.is_sorted_by(|a, b| a < b));
    now.store(3_000_000, Ordering::SeqCst);
    assert_eq!(append(store, A, "4").await, Offset::new(3_000_000, 0), "it catches up");
}
