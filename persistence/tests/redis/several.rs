//! What several nodes see of one environment.

use std::sync::Arc;
use std::time::Duration;

use impresario_persistence::{Keeping, Offset, Store, StoreError, conformance};

use crate::support::{self, A, B, append, claim, config, durable, open, owner, read_all, texts};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms() {
    let server = durable().await;
    conformance::run(async || Arc::new(open(&config(&server.address())).await)).await;
    conformance::run_shared(async || Arc::new(open(&config(&server.address())).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_told() {
    let server = durable().await;
    let store = open(&config(&server.address())).await;
    assert_eq!(store.tier().keeping, Keeping::Fsync, "what the server does, not what was asked for");
    let here = impresario_persistence::system_clock()();
    assert!((store.clock())().abs_diff(here) < 2000, "one machine, one clock");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_wakes_up_for_what_another_node_appends() {
    let server = durable().await;
    let config = config(&server.address());
    let (one, two) = (open(&config).await, open(&config).await);
    let mut head = one.head(A);
    for number in 0..50 {
        let offset = append(&two, A, &number.to_string()).await;
        tokio::time::timeout(Duration::from_secs(5), head.wait_for(|head| *head >= offset))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(texts(&read_all(&one, A).await).last(), Some(&number.to_string()));
    }
    // One that nobody listened to until now.
    let offset = append(&two, B, "b").await;
    let mut late = one.head(B);
    tokio::time::timeout(Duration::from_secs(5), late.wait_for(|head| *head == offset))
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_read_one_log_while_both_append() {
    let server = durable().await;
    let config = config(&server.address());
    let (one, two) = (open(&config).await, open(&config).await);
    let (mut head_one, mut head_two) = (one.head(A), two.head(A));
    let mut last = Offset::ZERO;
    for number in 0..200 {
        let (a, b) = (format!("one {number}"), format!("two {number}"));
        let (a, b) = futures_util::future::join(append(&one, A, &a), append(&two, A, &b)).await;
        last = a.max(b);
    }
    for head in [&mut head_one, &mut head_two] {
        tokio::time::timeout(Duration::from_secs(5), head.wait_for(|head| *head == last))
            .await
            .unwrap()
            .unwrap();
    }
    let (by_one, by_two) = (read_all(&one, A).await, read_all(&two, A).await);
    assert_eq!(by_one, by_two);
    for node in ["one", "two"] {
        let of_node: Vec<_> = texts(&by_one).into_iter().filter(|text| text.starts_with(node)).collect();
        let expected: Vec<_> = (0..200).map(|number| format!("{node} {number}")).collect();
        assert_eq!(of_node, expected, "each once, in the order of its node");
    }
    // Read on from the middle, as an owner does: from memory and from the server it is the same.
    let middle = by_one[100].offset;
    assert_eq!(one.read(A, middle, 1000, usize::MAX).await.unwrap(), by_one[101..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_nodes_gets_a_shard_and_one_a_setting() {
    let server = durable().await;
    let config = config(&server.address());
    let (one, two) = (open(&config).await, open(&config).await);
    for _ in 0..20 {
        let seen = one.owners().await.unwrap()[0].epoch;
        let claims = [(&one, "one"), (&two, "two")].map(|(store, name)| store.claim(A, owner(name), seen));
        let won = futures_util::future::join_all(claims).await;
        assert_eq!(won.iter().filter(|claim| claim.is_ok()).count(), 1, "{won:?}");
        assert!(won.contains(&Err(StoreError::Fenced)));
        let version = one.setting("k".into()).await.unwrap().map_or(0, |setting| setting.version);
        let puts = [&one, &two].map(|store| store.put_setting("k".into(), version, "v".into()));
        let put = futures_util::future::join_all(puts).await;
        assert_eq!(put.iter().filter(|put| **put == Ok(version + 1)).count(), 1, "{put:?}");
    }
    let epoch = claim(&one, A, "one").await.epoch;
    claim(&two, A, "two").await;
    let refused = one.append_fenced(A, epoch, vec!["late".into()]).await;
    assert_eq!(refused, Err(StoreError::Fenced), "by another node's claim");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_grow_when_the_clock_of_the_server_steps_back() {
    let server = durable().await;
    let config = config(&server.address());
    let store = open(&config).await;
    append(&store, A, "1").await;
    // An hour ahead is where the log would be if the clock had been an hour ahead until now; the end of a millisecond.
    let ahead = (store.clock())() + 3_600_000;
    let key = format!("{{{}:0}}:0:meta", config.environment);
    server.command(&["HSET", &key, "ms", &ahead.to_string(), "sq", "1048574"]).await;
    let batch = ["2", "3", "4"].map(|text| support::entry(A, text)).into();
    let offsets = store.append(batch).await.unwrap();
    let parts: Vec<_> = offsets.iter().map(ToString::to_string).collect();
    assert_eq!(parts, [format!("{ahead}-1048575"), format!("{}-0", ahead + 1), format!("{}-1", ahead + 1)]);
    let read: Vec<_> = read_all(&store, A).await.into_iter().skip(1).map(|record| record.offset).collect();
    assert_eq!(read, offsets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_is_found_again_by_another_node() {
    let server = durable().await;
    let config = config(&server.address());
    let one = open(&config).await;
    let epoch = claim(&one, A, "one").await.epoch;
    let row = impresario_persistence::Row {
        actor: "process/1".into(),
        snapshot: vec![7; 100_000].into(),
        ..Default::default()
    };
    let put = impresario_persistence::Checkpoint { put: vec![row.clone()], ..Default::default() };
    one.checkpoint(A, epoch, put).await.unwrap();
    drop(one);
    let two = open(&config).await;
    assert_eq!(two.row(A, "process/1".into()).await.unwrap(), Some(row));
    assert_eq!(two.owners().await.unwrap()[0].owner, Some(owner("one")));
}
