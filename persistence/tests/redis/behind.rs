//! A server that comes back without what it had acknowledged.

use std::time::Duration;

use impresario_persistence::{Checkpoint, Epoch, RedisConfig, RedisStore, Row, Store, StoreError};
use impresario_test_servers::{Direction, Proxy, RedisServer, eventually};

use crate::support::{
    A, B, append, away, claim, config, durable, entry, open, owner, read_all, servers, soon, texts, up,
};

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

/// One node appends an entry and hears no answer; another one has read it. Then the server comes back without it, and
/// without its memory of the batch. Both see to it that it is there, in either order.
async fn in_doubt_and_put_back(writer_first: bool) {
    let mut server = durable().await;
    let (near_writer, near_reader) =
        (Proxy::start(&server.address()).await, Proxy::start(&server.address()).await);
    let base = RedisConfig { timeout: Duration::from_millis(500), ..config(&server.address()) };
    let through = |proxy: &Proxy| RedisConfig { servers: servers(&proxy.address()), ..base.clone() };
    let (writer, reader) = (open(&through(&near_writer)).await, open(&through(&near_reader)).await);
    let mut head = reader.head(A);
    let first = append(&writer, A, "1").await;
    soon(head.wait_for(|head| *head == first)).await.unwrap();
    let copy = server.copy();
    near_writer.half_close(Direction::ToClient);
    let doubt = tokio::spawn(writer.append(vec![entry(A, "2"), entry(B, "2")]));
    soon(head.wait_for(|head| *head > first)).await.unwrap();
    [&near_writer, &near_reader].into_iter().for_each(Proxy::cut);
    away(&writer).await;
    away(&reader).await;
    roll_back(&mut server, &copy).await;
    let mut doubt = Some(doubt);
    if writer_first {
        near_writer.pass();
        soon(doubt.take().unwrap()).await.unwrap().unwrap();
        near_reader.pass();
    } else {
        near_reader.pass();
    }
    let words = alarm(&reader).await;
    near_writer.pass();
    let told = match doubt {
        Some(doubt) => Some(soon(doubt).await.unwrap().unwrap()),
        None => None,
    };
    up(&reader).await;
    append(&reader, A, "3").await;
    let there = read_all(&reader, A).await;
    assert_eq!(texts(&there), ["1", "2", "3"], "{words}");
    assert_eq!(texts(&read_all(&reader, B).await), ["2"], "what nobody had read is there once too");
    if let Some(told) = told {
        assert_eq!(told[0], there[1].offset, "the writer learns where it was put");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_node_put_back_is_not_appended_again() {
    in_doubt_and_put_back(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_writer_appended_again_is_not_put_back() {
    in_doubt_and_put_back(true).await;
}
