//! What the port promises of owners: only the newest epoch acts.

use std::sync::Arc;

use bytes::Bytes;

use super::{A, B, append, claim, ok, owner, read_all, row, texts};
use crate::StoreError;
use crate::port::{Checkpoint, Epoch, Offset, Ownership, ShardId, Store};

pub(super) async fn run<S: Store + ?Sized>(make: &impl AsyncFn() -> Arc<S>) {
    a_claim_raises_the_epoch(&*make().await).await;
    a_claim_tells_where_the_log_ends(&*make().await).await;
    an_old_epoch_is_refused_everything(&*make().await).await;
    nobody_owns_a_fresh_shard(&*make().await).await;
    a_released_shard_has_no_owner(&*make().await).await;
    fences_hold_per_shard(&*make().await).await;
    anyone_may_append_without_a_fence(&*make().await).await;
    one_of_two_claims_wins(&*make().await).await;
    owners_are_known_by_shard(&*make().await).await;
}

async fn a_claim_raises_the_epoch<S: Store + ?Sized>(store: &S) {
    let first = claim(store, A, "one").await;
    assert_eq!(first.epoch, Epoch(1));
    assert_eq!(first.previous, None);
    assert_eq!((first.mark, first.head), (Offset::ZERO, Offset::ZERO));
    let second = claim(store, A, "two").await;
    assert_eq!(second.epoch, Epoch(2));
    assert_eq!(second.previous, Some(owner("one")));
    let third = claim(store, A, "two").await;
    assert_eq!(third.epoch, Epoch(3), "also for the same node");
}

async fn a_claim_tells_where_the_log_ends<S: Store + ?Sized>(store: &S) {
    let pending: Vec<_> = (0..100).map(|_| store.append(vec![super::entry(A, "x")])).collect();
    let claim = claim(store, A, "one").await;
    let mut offsets = Vec::new();
    for append in pending {
        offsets.push(ok(append.await, "append")[0]);
    }
    assert!(claim.head <= offsets[99], "a head is an entry that was appended");
    let known = read_all(store, A).await;
    let at_claim = known.iter().filter(|record| record.offset <= claim.head).count();
    assert!(at_claim == 0 || offsets.contains(&claim.head));
    let last = append(store, A, "last").await;
    assert_eq!(super::claim(store, A, "two").await.head, last, "what was acknowledged is below it");
}

async fn an_old_epoch_is_refused_everything<S: Store + ?Sized>(store: &S) {
    let old = claim(store, A, "one").await.epoch;
    let kept = Checkpoint { put: vec![row("kept", "1")], ..Checkpoint::default() };
    ok(store.checkpoint(A, old, kept).await, "checkpoint");
    let entry = append(store, A, "1").await;
    let new = claim(store, A, "two").await.epoch;
    for epoch in [old, Epoch(0), Epoch(new.0 + 1)] {
        let batch = vec![Bytes::from_static(b"stale")];
        let refused = store.append_fenced(A, epoch, batch).await;
        assert_eq!(refused, Err(StoreError::Fenced), "append under {epoch:?}");
        let stale = Checkpoint { mark: entry, put: vec![row("stale", "1")], remove: vec!["kept".to_owned()] };
        let refused = store.checkpoint(A, epoch, stale).await;
        assert_eq!(refused, Err(StoreError::Fenced), "checkpoint under {epoch:?}");
        let refused = store.groom(A, epoch, u64::MAX >> 1, 10).await;
        assert_eq!(refused, Err(StoreError::Fenced), "groom under {epoch:?}");
        let refused = store.release(A, epoch, None).await;
        assert_eq!(refused, Err(StoreError::Fenced), "release under {epoch:?}");
    }
    assert_eq!(texts(&read_all(store, A).await), ["1"], "nothing was appended or trimmed");
    assert_eq!(ok(store.row(A, "stale".to_owned()).await, "row"), None);
    assert_eq!(ok(store.row(A, "kept".to_owned()).await, "row"), Some(row("kept", "1")));
    let batch = vec![Bytes::from_static(b"2"), Bytes::from_static(b"3")];
    let offsets = ok(store.append_fenced(A, new, batch).await, "the owner appends");
    assert!(entry < offsets[0] && offsets[0] < offsets[1]);
    assert_eq!(texts(&read_all(store, A).await), ["1", "2", "3"]);
}

pub(super) async fn an_owner_of_the_past_does_not_read_over_a_gap<S: Store + ?Sized>(store: &S) {
    claim(store, A, "one").await;
    let read = append(store, A, "read by both").await;
    let owned = async |after| store.read_owned(A, after, 10, 1_000).await;
    assert_eq!(texts(&ok(owned(Offset::ZERO).await, "read")), ["read by both"]);
    let newer = claim(store, A, "two").await.epoch;
    let trimmed = append(store, A, "read by the second alone").await;
    assert_eq!(texts(&ok(owned(read).await, "read")), ["read by the second alone"]);
    let checkpoint = Checkpoint { mark: trimmed, ..Checkpoint::default() };
    ok(store.checkpoint(A, newer, checkpoint).await, "checkpoint");
    append(store, A, "behind the gap").await;
    assert_eq!(owned(read).await, Err(StoreError::Fenced), "there was something in between");
    assert_eq!(texts(&ok(owned(trimmed).await, "read")), ["behind the gap"]);
}

async fn nobody_owns_a_fresh_shard<S: Store + ?Sized>(store: &S) {
    let batch = vec![Bytes::from_static(b"1")];
    assert_eq!(store.append_fenced(A, Epoch(0), batch).await, Err(StoreError::Fenced));
    assert_eq!(store.checkpoint(A, Epoch(0), Checkpoint::default()).await, Err(StoreError::Fenced));
    assert_eq!(store.release(A, Epoch(0), None).await, Err(StoreError::Fenced));
}

async fn a_released_shard_has_no_owner<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "one").await.epoch;
    ok(store.release(A, epoch, None).await, "release");
    let batch = vec![Bytes::from_static(b"1")];
    assert_eq!(store.append_fenced(A, epoch, batch).await, Err(StoreError::Fenced));
    assert_eq!(store.checkpoint(A, epoch, Checkpoint::default()).await, Err(StoreError::Fenced));
    assert_eq!(store.release(A, epoch, None).await, Err(StoreError::Fenced));
    let next = claim(store, A, "two").await;
    assert_eq!(next.previous, None, "nobody owned it");
    assert_eq!(next.epoch, Epoch(epoch.0 + 1), "an epoch is never used twice");
}

async fn fences_hold_per_shard<S: Store + ?Sized>(store: &S) {
    let a = claim(store, A, "one").await.epoch;
    claim(store, B, "one").await;
    claim(store, B, "two").await;
    ok(store.append_fenced(A, a, vec![Bytes::from_static(b"1")]).await, "append");
    assert_eq!(store.release(B, a, None).await, Err(StoreError::Fenced));
}

async fn anyone_may_append_without_a_fence<S: Store + ?Sized>(store: &S) {
    append(store, A, "1").await;
    let epoch = claim(store, A, "one").await.epoch;
    append(store, A, "2").await;
    ok(store.release(A, epoch, None).await, "release");
    append(store, A, "3").await;
    assert_eq!(texts(&read_all(store, A).await), ["1", "2", "3"]);
}

async fn one_of_two_claims_wins<S: Store + ?Sized>(store: &S) {
    let seen = claim(store, A, "before").await.epoch;
    let (one, two) = (store.claim(A, owner("one"), seen), store.claim(A, owner("two"), seen));
    let (one, two) = futures_util::future::join(one, two).await;
    let (won, lost, name) = if one.is_ok() { (one, two, "one") } else { (two, one, "two") };
    let won = ok(won, "one of the claims");
    assert_eq!(won.epoch, Epoch(seen.0 + 1));
    assert_eq!(won.previous, Some(owner("before")));
    assert_eq!(lost, Err(StoreError::Fenced), "a claim on what was seen before");
    assert_eq!(store.claim(A, owner("early"), Epoch(won.epoch.0 + 1)).await, Err(StoreError::Fenced));
    let owned = &ok(store.owners().await, "owners")[0];
    assert_eq!((owned.epoch, &owned.owner), (won.epoch, &Some(owner(name))));
    ok(store.append_fenced(A, won.epoch, vec![Bytes::from_static(b"1")]).await, "append");
}

async fn owners_are_known_by_shard<S: Store + ?Sized>(store: &S) {
    let fresh = ok(store.owners().await, "owners");
    assert_eq!(fresh.len(), usize::from(store.shards()));
    for (number, owned) in (0..).zip(&fresh) {
        let nobody = Ownership { shard: ShardId(number), epoch: Epoch(0), owner: None, offered: None };
        assert_eq!(*owned, nobody);
    }
    let epoch = claim(store, B, "one").await.epoch;
    let owned = ok(store.owners().await, "owners");
    let expected = Ownership { shard: B, epoch, owner: Some(owner("one")), offered: None };
    assert_eq!(owned[usize::from(B.0)], expected);
    assert_eq!(owned[0], fresh[0], "the others are as they were");
    ok(store.release(B, epoch, None).await, "release");
    let owned = ok(store.owners().await, "owners");
    assert_eq!(owned[usize::from(B.0)], Ownership { owner: None, ..expected });
}
