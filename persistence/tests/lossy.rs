//! The lossy store loses what was not durable, and never what was acknowledged.
#![expect(clippy::unwrap_used, reason = "what cannot go on here shall stop here")]

use bytes::Bytes;
use impresario_persistence::lossy::{CrashPoint, Side, Write};
use impresario_persistence::{
    Append, Checkpoint, Epoch, LossyStore, Offset, Owner, ShardId, Store, StoreError,
};

const A: ShardId = ShardId(0);

fn entry(text: String) -> Vec<Append> {
    vec![Append { shard: A, bytes: Bytes::from(text) }]
}

async fn texts(store: &LossyStore) -> Vec<String> {
    let records = store.read(A, Offset::ZERO, 100, usize::MAX).await.unwrap();
    records.iter().map(|record| String::from_utf8(record.bytes.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn a_crash_at_every_append_keeps_what_was_acknowledged() {
    for nth in 1..=10 {
        for side in [Side::Before, Side::After] {
            let store = LossyStore::new(1);
            store.crash_at(CrashPoint { write: Some(Write::Append), nth, side });
            let mut acknowledged = Vec::new();
            for number in 0..10 {
                let text = format!("{number}");
                match store.append(entry(text.clone())).await {
                    Ok(_) => acknowledged.push(text),
                    Err(error) => assert!(matches!(error, StoreError::Failed(_)), "{error}"),
                }
            }
            assert!(*store.crashed().borrow());
            assert!(store.read(A, Offset::ZERO, 1, 1).await.is_err(), "it is dead");
            let reopened = store.reopen();
            if side == Side::After {
                acknowledged.push(format!("{}", nth - 1));
            }
            assert_eq!(texts(&reopened).await, acknowledged, "crash {side:?} append {nth}");
            assert_eq!(reopened.counts().total(), 0, "it counts anew");
            reopened.append(entry("next".to_owned())).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_checkpoint_is_all_or_nothing() {
    for (side, left) in [(Side::Before, 2), (Side::After, 1)] {
        let store = LossyStore::new(1);
        let owner = Owner { node: "n".into(), incarnation: "1".into() };
        let epoch = store.claim(A, owner, Epoch(0)).await.unwrap().epoch;
        let mark = store.append(entry("1".into())).await.unwrap()[0];
        store.append(entry("2".into())).await.unwrap();
        store.crash_at(CrashPoint { write: Some(Write::Checkpoint), nth: 1, side });
        let checkpoint = Checkpoint { mark, ..Checkpoint::default() };
        assert!(store.checkpoint(A, epoch, checkpoint).await.is_err());
        assert_eq!(store.counts().checkpoints, 1);
        assert_eq!(texts(&store.reopen()).await.len(), left, "{side:?}");
    }
}

#[tokio::test]
async fn what_is_held_is_lost_in_a_crash_and_durable_when_flushed() {
    let store = LossyStore::new(1);
    store.hold();
    let first = store.append(entry("1".into()));
    assert!(texts(&store).await.is_empty(), "not durable, not visible");
    assert_eq!(*store.head(A).borrow(), Offset::ZERO);
    store.flush();
    first.await.unwrap();
    assert_eq!(texts(&store).await, ["1"]);
    store.hold();
    let second = store.append(entry("2".into()));
    let reopened = store.reopen();
    assert!(matches!(second.await, Err(StoreError::Failed(_))));
    assert_eq!(texts(&reopened).await, ["1"]);
}
