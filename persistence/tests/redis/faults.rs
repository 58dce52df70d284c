//! Servers that die, hang, lose answers or forget: what was acknowledged is there, once, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use impresario_persistence::{
    Checkpoint, Offset, RedisConfig, RedisStore, Row, ShardId, Standing, Store, StoreError,
};
use impresario_test_servers::{Fsync, Proxy, RedisServer, eventually};

use crate::support::{
    A, B, append, away, claim, config, durable, entry, open, owner, read_all, soon, texts, up,
};

const SENDERS: u16 = 16;
const EACH: usize = 150;

/// Appends numbered entries, each until it is taken; answers where they went.
async fn send(store: Arc<RedisStore>, name: u16, sent: Arc<AtomicUsize>) -> Vec<Offset> {
    let shard = ShardId(name % 4);
    let mut offsets = Vec::new();
    while offsets.len() < EACH {
        let text = format!("{name}/{}", offsets.len());
        match store.append(vec![entry(shard, &text)]).await {
            Ok(taken) => {
                offsets.extend(taken);
                sent.fetch_add(1, Ordering::Relaxed);
            }
            Err(StoreError::Away(_)) => up(&store).await,
            Err(error) => panic!("an append is taken or the store is away: {error}"),
        }
    }
    offsets
}

/// Has many senders append while `nemesis` is called again and again, and compares what they were told with the logs.
async fn under_load(config: RedisConfig, rounds: usize, mut nemesis: impl AsyncFnMut()) {
    let store = Arc::new(open(&config).await);
    let mut head = store.head(A);
    let sent = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> =
        (0..SENDERS).map(|name| tokio::spawn(send(Arc::clone(&store), name, Arc::clone(&sent)))).collect();
    let all = usize::from(SENDERS) * EACH;
    for round in 1..=rounds {
        let until = all * round / (rounds + 1);
        let reached = async || (sent.load(Ordering::Relaxed) >= until).then_some(());
        eventually(Duration::from_secs(30), "the senders get on", reached).await;
        nemesis().await;
    }
    let mut told = Vec::new();
    for sender in senders {
        told.push(soon(sender).await.unwrap());
    }
    for shard in 0..4 {
        let records = read_all(&store, ShardId(shard)).await;
        let mut expected: Vec<(Offset, String)> = (0..SENDERS)
            .filter(|name| name % 4 == shard)
            .flat_map(|name| {
                let offsets = told[usize::from(name)].iter().enumerate();
                offsets.map(move |(number, offset)| (*offset, format!("{name}/{number}")))
            })
            .collect();
        expected.sort();
        let found: Vec<_> = records.iter().map(|record| record.offset).zip(texts(&records)).collect();
        assert_eq!(found, expected, "what was acknowledged, where it was said, and nothing twice");
    }
    let last = read_all(&store, A).await.last().unwrap().offset;
    soon(head.wait_for(|head| *head == last)).await.unwrap();
    assert_eq!(store.alarms(), [""; 0]);
}

async fn killed_under_load(fsync: Fsync) {
    let mut server = RedisServer::builder().fsync(fsync).start().await;
    let config = config(&server.address());
    under_load(config, 3, async || {
        server.kill();
        server.restart().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_syncs_always_is_killed_under_load() {
    killed_under_load(Fsync::Always).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_syncs_every_second_is_killed_under_load() {
    killed_under_load(Fsync::EverySecond).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_hangs_longer_than_an_answer_may_take() {
    let mut server = durable().await;
    let config = RedisConfig { timeout: Duration::from_millis(300), ..config(&server.address()) };
    let store = open(&config).await;
    under_load(config.clone(), 2, async || {
        server.pause();
        let reason = away(&store).await;
        assert!(reason.contains("did not answer"), "{reason}");
        assert!(
            matches!(store.append(vec![entry(A, "x")]).await, Err(StoreError::Away(_))),
            "refused at once"
        );
        server.resume();
        up(&store).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_lost_under_load() {
    let server = durable().await;
    let proxy = Proxy::start(&server.address()).await;
    under_load(config(&proxy.address()), 10, async || {
        let before = proxy.lost();
        proxy.cut_after_request("_append");
        let lost = async || (proxy.lost() > before).then_some(());
        eventually(Duration::from_secs(20), "an answer is lost", lost).await;
    })
    .await;
    assert_eq!(proxy.lost(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_was_lost_is_made_once() {
    let server = durable().await;
    let proxy = Proxy::start(&server.address()).await;
    let store = open(&config(&proxy.address())).await;
    let lose = |function: &str| proxy.cut_after_request(function);
    let entry = append(&store, A, "1").await;
    lose("_claim");
    let claimed = soon(store.claim(A, owner("one"), Default::default())).await.unwrap();
    assert_eq!((claimed.epoch.0, claimed.previous), (1, None), "its own first try is not somebody else");
    lose("_checkpoint");
    let put =
        Checkpoint { mark: entry, put: vec![Row { actor: "a".into(), ..Row::default() }], remove: vec![] };
    soon(store.checkpoint(A, claimed.epoch, put)).await.unwrap();
    assert!(read_all(&store, A).await.is_empty());
    lose("_put_setting");
    assert_eq!(soon(store.put_setting("k".into(), 0, "v".into())).await, Ok(1), "no conflict with itself");
    lose("_release");
    assert_eq!(soon(store.release(A, claimed.epoch, Some("two-1".into()))).await, Ok(()));
    let owned = &store.owners().await.unwrap()[0];
    assert_eq!((owned.epoch.0, &owned.owner, owned.offered.as_deref()), (1, &None, Some("two-1")));
    lose("_append");
    let again = claim(&store, A, "two").await;
    let offsets = soon(store.append_fenced(A, again.epoch, vec!["2".into(), "3".into()])).await.unwrap();
    let read: Vec<_> = read_all(&store, A).await.iter().map(|record| record.offset).collect();
    assert_eq!(read, offsets);
    assert_eq!(proxy.lost(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_were_flushed_are_loaded_again() {
    let server = durable().await;
    let store = open(&config(&server.address())).await;
    append(&store, A, "1").await;
    server.command(&["FUNCTION", "FLUSH"]).await;
    soon(append(&store, A, "2")).await;
    assert_eq!(texts(&read_all(&store, A).await), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_that_was_flushed_is_missed_in_words() {
    let server = durable().await;
    let config = config(&server.address());
    let store = open(&config).await;
    append(&store, A, "1").await;
    server.command(&["FLUSHALL"]).await;
    let doubt = store.append(vec![entry(A, "2")]);
    let reason = away(&store).await;
    assert!(reason.contains("no longer on the server"), "{reason}");
    let refused = store.append(vec![entry(A, "3")]).await;
    assert!(matches!(&refused, Err(StoreError::Away(reason)) if reason.contains("no longer")), "{refused:?}");
    // A new environment of the same name is another one: the store does not go on in it.
    let other = open(&config).await;
    append(&other, A, "other").await;
    let mut standing = store.standing();
    let other_words =
        |now: &Standing| matches!(now, Standing::Away(reason) if reason.contains("another environment"));
    soon(standing.wait_for(other_words)).await.unwrap();
    drop(doubt);
    assert_eq!(texts(&read_all(&other, A).await), ["other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_damaged_is_not_read_over() {
    let server = durable().await;
    let config = config(&server.address());
    let log = format!("{{{}:0}}:0:log", config.environment);
    let (store, watcher) = (open(&config).await, open(&config).await);
    for number in 1..=3 {
        append(&store, A, &number.to_string()).await;
    }
    let second = read_all(&store, A).await[1].offset;
    server.command(&["XDEL", &log, &second.to_string()]).await;
    let found = watcher.read(A, Offset::ZERO, 10, 1000).await;
    assert!(
        matches!(&found, Err(StoreError::Corrupt(words)) if words.contains("entry 2 is missing")),
        "{found:?}"
    );
    let (_listening, mut other) = (watcher.head(A), watcher.head(B));
    let first = append(&store, B, "1").await;
    soon(other.wait_for(|head| *head == first)).await.unwrap();
    server.command(&["XADD", &log, "9999999999999-0", "s", "4", "e", "bad entry"]).await;
    let found = store.read(A, second, 10, 1000).await;
    assert!(
        matches!(&found, Err(StoreError::Corrupt(words)) if words.contains("checksum of entry 4")),
        "{found:?}"
    );
    // The damage of one log is its own: the others are followed as before, and the server is not left.
    let standing = watcher.standing();
    let next = append(&store, B, "2").await;
    soon(other.wait_for(|head| *head == next)).await.unwrap();
    assert!(!standing.has_changed().unwrap(), "the store answered all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_and_recovers() {
    let server = RedisServer::builder().memory("20mb", "noeviction").start().await;
    let store = open(&config(&server.address())).await;
    let mut taken = 0;
    let refused = loop {
        match store.append(vec![entry(A, &"x".repeat(1_000_000))]).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full(_)) && refused.passes(), "{refused}");
    assert_eq!(read_all(&store, A).await.len(), taken, "what was refused left no trace");
    server.command(&["CONFIG", "SET", "maxmemory", "100mb"]).await;
    append(&store, A, "there is room").await;
}
