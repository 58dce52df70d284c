//! A full disk under the store: refused at the door, never half accepted, and over when there is space again.

use std::time::{Duration, Instant};

use impresario_tests::api::{Failure, event};
use impresario_tests::disk::SmallDisk;
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use serde_json::json;

use super::{GREET, works};

const LIMIT: Duration = Duration::from_secs(60);
/// How long the disk stays full.
const HELD: Duration = Duration::from_secs(2);

fn place_on(disk: &SmallDisk, place: Place) -> Place {
    place
        .on_disk(disk)
        .define("greet", GREET)
        .set("store.segment_size", "4MiB")
        .set("store.shards", "2")
        // Checkpoints meet the full disk too.
        .set("engine.checkpoint_interval", "50ms")
}

/// Sends events of about 100 KiB until the node refuses one for want of space; how many it accepted.
async fn send_until_full(node: &Node, life: &str) -> usize {
    let padding = "x".repeat(100 << 10);
    for number in 0..2_000 {
        let data = json!({ "name": format!("{life}-{number}"), "padding": padding });
        match node.api.send(&event("/full", &format!("{life}-{number}"), "greeted", data)).await {
            Ok(_) => {}
            Err(Failure::Refused(status, problem)) => {
                assert_eq!(
                    (status.as_u16(), problem.kind.as_str()),
                    (503, "urn:impresario:problem:unavailable")
                );
                assert!(problem.detail.contains("space"), "{}", problem.detail);
                return number;
            }
            Err(other) => panic!("expected to be accepted or refused, found {other:?}"),
        }
    }
    panic!("expected the disk to fill up");
}

/// Everything accepted is done, and nothing that was refused has left a trace.
async fn all_done(node: &Node, accepted: usize) {
    let all = eventually(LIMIT, &format!("{accepted} instances that completed"), async || {
        let all = node.api.instances("definition=test/greet").await.ok()?;
        let done = all.iter().filter(|one| one.status == "completed").count();
        (done >= accepted && done == all.len()).then_some(all)
    })
    .await;
    assert_eq!(all.len(), accepted);
}

async fn unready(node: &Node) {
    eventually(LIMIT, "a node that says it has no space", async || {
        let health = node.api.health().await?;
        (!health.ready && health.problems.iter().any(|problem| problem.contains("space"))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_is_refused_at_the_door_and_work_goes_on_when_there_is_space() {
    let place = Place::new();
    let disk = SmallDisk::mount(&place.path().join("disk"), 48);
    let place = place_on(&disk, place);
    let mut node = place.start().await;
    disk.fill(3 << 20);
    let accepted = send_until_full(&node, "live").await;
    assert!(accepted > 0, "there was some space");
    // The last byte too.
    disk.fill(0);
    unready(&node).await;
    // It goes on to refuse, and goes on to run, for as long as it lasts.
    let began = Instant::now();
    while began.elapsed() < HELD {
        let more =
            event("/full", "more", "greeted", json!({ "name": "more", "padding": "x".repeat(100 << 10) }));
        assert!(matches!(node.api.send(&more).await, Err(Failure::Refused(status, _)) if status == 503));
    }
    // It still shows what it knows, and does not fill the log of its complaints as well.
    node.api.page("limit=1").await.unwrap();
    assert!(node.process.runs(), "the node went down:\n{}", place.log());
    let complaints = place.log().lines().count();
    assert!(complaints < 200, "{complaints} lines in {HELD:?}:\n{}", place.log());
    disk.free();
    all_done(&node, accepted).await;
    works(&node, "after").await;
    node.stop().await;
}

#[tokio::test]
async fn a_node_that_is_killed_on_a_full_disk_loses_nothing() {
    let place = Place::new();
    let disk = SmallDisk::mount(&place.path().join("disk"), 48);
    let place = place_on(&disk, place);
    let node = place.start().await;
    disk.fill(3 << 20);
    let accepted = send_until_full(&node, "killed").await;
    node.kill().await;
    // On a full disk it may run or say why not; it must not hang, and must not spoil anything.
    let mut process = place.spawn();
    let ended = tokio::time::timeout(Duration::from_secs(2), process.ended()).await;
    match ended {
        Ok(status) => {
            assert_eq!(status.code(), Some(1));
            assert!(place.log().contains("space"), "{}", place.log());
        }
        Err(_) => process.kill().await,
    }
    disk.free();
    let node = place.start().await;
    all_done(&node, accepted).await;
    works(&node, "after").await;
    node.stop().await;
}
