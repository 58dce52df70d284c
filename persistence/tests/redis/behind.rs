//! A server that comes back without what it had acknowledged.

use std::time::Duration;

use impresario_persistence::{Checkpoint, Epoch, RedisStore, Row, Store, StoreError};
use impresario_test_servers::{RedisServer, eventually};

use crate::support::{A, B, append, claim, config, durable, open, owner, read_all, soon, texts, up};

/// Puts the data of a server back to what it was at `copy`.
async fn roll_back(server: &mut RedisServer, copy: &tempfile::TempDir) {
    server.kill();
    server.restore(copy);
    server.restart().await;
}

async fn alarm(store: &RedisStore) -> String {
    eventually(Duration::from_secs(20), "an alarm", async || store.alarms().pop()).await
}

fn numbers(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| number.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_owner_has_read_is_put_back_at_its_place() {
    let mut server = durable().await;
    let config = config(&server.address());
    let (store, other) = (open(&config).await, open(&config).await);
    let mut head = store.head(A);
    let first = claim(&store, A, "one").await;
    for number in 1..=20 {
        append(&other, A, &number.to_string()).await;
    }
    let copy = server.copy();
    let owned = claim(&store, A, "one").await;
    assert_eq!(owned.epoch.0, first.epoch.0 + 1);
    let mut last = Default::default();
    for number in 21..=40 {
        last = append(&other, A, &number.to_string()).await;
    }
    soon(head.wait_for(|head| *head == last)).await.unwrap();
    let before = read_all(&store, A).await;
    let mark = before[29].offset;
    let put = Checkpoint { mark, put: vec![Row { actor: "a".into(), ..Row::default() }], remove: vec![] };
    store.checkpoint(A, owned.epoch, put).await.unwrap();
    drop(other);
    roll_back(&mut server, &copy).await;
    let words = alarm(&store).await;
    for part in [
        "shard 0",
        "ended at entry 20",
        "entry 40 was known",
        "raised to 2 again",
        "20 entries (21-40) put back",
    ] {
        assert!(words.contains(part), "{part} in: {words}");
    }
    up(&store).await;
    let told = store.checkpoint(A, owned.epoch, Checkpoint::default()).await;
    assert!(matches!(told, Err(StoreError::Behind(_))), "the owner starts again: {told:?}");
    assert_eq!(read_all(&store, A).await, before, "all of it is there, under the offsets it had");
    let again = store.claim(A, owner("one"), owned.epoch).await.unwrap();
    assert_eq!(again.epoch, Epoch(owned.epoch.0 + 1), "an epoch is never used twice");
    assert_eq!(again.previous, Some(owner("one")));
    let next = append(&store, A, "41").await;
    assert!(next > before.last().unwrap().offset, "offsets go on");
    soon(head.wait_for(|head| *head == next)).await.unwrap();
    assert_eq!(store.checkpoint(A, again.epoch, Checkpoint::default()).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sender_was_told_is_put_back() {
    let mut server = durable().await;
    let store = open(&config(&server.address())).await;
    append(&store, A, "1").await;
    let copy = server.copy();
    for number in 2..=10 {
        append(&store, A, &number.to_string()).await;
        append(&store, B, &number.to_string()).await;
    }
    let before = [read_all(&store, A).await, read_all(&store, B).await];
    roll_back(&mut server, &copy).await;
    alarm(&store).await;
    up(&store).await;
    assert_eq!([read_all(&store, A).await, read_all(&store, B).await], before);
    assert_eq!(store.alarms().len(), 2, "one for each shard");
    let again = claim(&store, A, "one").await;
    assert_eq!(store.append_fenced(A, again.epoch, vec!["11".into()]).await.map(|taken| taken.len()), Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_go_to_its_place_comes_behind() {
    let mut server = durable().await;
    let config = config(&server.address());
    let (one, two) = (open(&config).await, open(&config).await);
    let copy = server.copy();
    for number in 1..=20 {
        append(if number % 2 == 0 { &one } else { &two }, A, &number.to_string()).await;
    }
    let last = read_all(&one, A).await.last().unwrap().offset;
    roll_back(&mut server, &copy).await;
    for store in [&one, &two] {
        alarm(store).await;
        up(store).await;
    }
    let records = read_all(&one, A).await;
    let mut found = texts(&records);
    found.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(found, numbers(1..=20), "each of both nodes is there again");
    assert!(append(&one, A, "next").await > last, "no offset is used twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_holds_is_named() {
    let mut server = durable().await;
    let config = config(&server.address());
    let (store, other) = (open(&config).await, open(&config).await);
    append(&store, A, "1").await;
    let copy = server.copy();
    append(&store, A, "2").await;
    append(&other, A, "3").await;
    append(&other, A, "4").await;
    append(&store, A, "5").await;
    drop(other);
    roll_back(&mut server, &copy).await;
    let words = alarm(&store).await;
    for part in ["1 entries (2) put back", "1 entries (5) appended once more", "2 entries (3-4) LOST"] {
        assert!(words.contains(part), "{part} in: {words}");
    }
    up(&store).await;
    assert_eq!(texts(&read_all(&store, A).await), ["1", "2", "5"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_was_forgotten_and_made_by_another_is_nobodys() {
    let mut server = durable().await;
    let config = config(&server.address());
    let store = open(&config).await;
    let copy = server.copy();
    let mine = claim(&store, A, "one").await;
    server.kill();
    server.restore(&copy);
    server.restart().await;
    // Whoever comes first after the loss: either finds the epoch raised already, or has the same one.
    let other = open(&config).await;
    let seen = other.owners().await.unwrap()[0].epoch;
    let theirs = other.claim(A, owner("two"), seen).await;
    up(&store).await;
    alarm(&store).await;
    let owned = store.owners().await.unwrap()[0].clone();
    assert!(owned.epoch >= mine.epoch);
    let both = [
        store.append_fenced(A, mine.epoch, vec!["mine".into()]).await.is_ok(),
        match &theirs {
            Ok(theirs) => other.append_fenced(A, theirs.epoch, vec!["theirs".into()]).await.is_ok(),
            Err(_) => false,
        },
    ];
    assert_ne!(both, [true, true], "never two owners");
}
