//! An adapter that crashes, leaks, hangs, floods, answers garbage, twice and late: only its own activities feel it, the
//! counters say what happened, and what may run again does.

use impresario::adapters::AdapterOrder;
use serde_json::json;

use super::{adapter, order, run, until, with, works};

#[tokio::test]
async fn a_crash_costs_what_cannot_run_again_and_nothing_else() {
    let (place, node) = with(&["crash", "crash-once", "pid"]).await;
    let before = works(&node).await;
    let mark = place.path().join("mark");
    let again = run(&node, "crash-once", json!({ "mark": mark })).await;
    assert_eq!((again.summary.status.as_str(), again.output), ("completed", Some(json!("second attempt"))));
    let lost = node.api.start("test/crash", json!({}), None).await.expect("a start");
    node.uncertain(&lost.id).await;
    assert_ne!(works(&node).await, before);
    let now = adapter(&node.api, "misfortune").await;
    assert_eq!((now.counters.disappearances, now.counters.lost), (2, 2), "{now:?}");
    assert!(now.last_error.is_some_and(|error| error.contains("exit status: 3")));
    // The built-in adapters have not noticed.
    assert_eq!(adapter(&node.api, "command").await.counters.disappearances, 0);
    node.stop().await;
}

#[tokio::test]
async fn a_leak_is_ended_by_a_restart_that_costs_nothing() {
    let (_place, node) = with(&["leak", "pid"]).await;
    let set = AdapterOrder::Set { settings: [("memory_limit".to_owned(), "100MiB".to_owned())].into() };
    order(&node.api, "misfortune", &set).await.expect("a setting");
    let leaked = run(&node, "leak", json!({ "bytes": 120 << 20, "seconds": 3 })).await;
    assert_eq!(leaked.summary.status, "completed", "{leaked:?}");
    let now = until(&node.api, "misfortune", "a restart", |now| now.counters.memory_restarts == 1).await;
    assert_eq!((now.counters.disappearances, now.counters.lost), (0, 0));
    assert_ne!(Some(works(&node).await), leaked.output.and_then(|output| output.as_u64()));
    node.stop().await;
}

#[tokio::test]
async fn what_hangs_holds_its_own_place_only_and_can_be_cancelled() {
    let (_place, node) = with(&["hang", "pid"]).await;
    let hangs = node.api.start("test/hang", json!({}), None).await.expect("a start");
    until(&node.api, "misfortune", "an activity at work", |now| now.in_flight == 1).await;
    works(&node).await;
    let cancel = node.api.request(reqwest::Method::POST, &format!("/api/v1/instances/{}/cancel", hangs.id));
    node.api.tell(cancel).await.expect("a cancel");
    assert_eq!(node.ended(&hangs.id).await.summary.status, "cancelled");
    works(&node).await;
    node.stop().await;
}

#[tokio::test]
async fn noise_of_every_kind_is_counted_and_changes_no_result() {
    let (place, node) = with(&["flood", "garbage", "twice", "pid"]).await;
    let before = works(&node).await;
    assert_eq!(run(&node, "flood", json!({ "lines": 20_000 })).await.output, Some(json!("said")));
    assert_eq!(run(&node, "garbage", json!({ "lines": 50 })).await.output, Some(json!("after it")));
    assert_eq!(run(&node, "twice", json!({})).await.output, Some(json!("first")));
    let now = until(&node.api, "misfortune", "the counters of it", |now| {
        now.counters.stderr_dropped > 10_000 && now.counters.garbage == 50 && now.counters.stray == 1
    })
    .await;
    assert_eq!(now.counters.disappearances, 0);
    assert_eq!(works(&node).await, before);
    // The end of the process tells what is missing.
    node.stop().await;
    let log = place.log();
    let shown = log.lines().filter(|line| line.contains("so much to say")).count();
    assert!((1..5_000).contains(&shown), "{shown}");
    // Every line says whose it is.
    let line = log.lines().find(|line| line.contains("so much to say")).expect("one of them");
    for field in ["adapter", "generation", "pid"] {
        assert!(line.contains(field), "{line}");
    }
    assert!(log.contains("were dropped"), "nothing tells of what is missing");
}

#[tokio::test]
async fn too_much_garbage_ends_the_host_and_its_next_works() {
    let (_place, node) = with(&["garbage", "pid"]).await;
    let started = node.api.start("test/garbage", json!({ "lines": 1000 }), None).await.expect("a start");
    let now = until(&node.api, "misfortune", "an end", |now| now.counters.disappearances > 0).await;
    assert!(now.counters.garbage > 100 && now.last_error.is_some_and(|error| error.contains("no messages")));
    let cancel = node.api.request(reqwest::Method::POST, &format!("/api/v1/instances/{}/cancel", started.id));
    node.api.tell(cancel).await.expect("a cancel");
    node.ended(&started.id).await;
    // It may have been tried until the adapter was set aside: an operator gives it another chance.
    if adapter(&node.api, "misfortune").await.state == "quarantined" {
        order(&node.api, "misfortune", &AdapterOrder::Release { node: None }).await.expect("a release");
    }
    works(&node).await;
    node.stop().await;
}

#[tokio::test]
async fn a_late_answer_of_a_host_that_was_replaced_still_counts() {
    let (_place, node) = with(&["late", "pid"]).await;
    let before = works(&node).await;
    let late = node.api.start("test/late", json!({ "seconds": 2 }), None).await.expect("a start");
    until(&node.api, "misfortune", "an activity at work", |now| now.in_flight == 1).await;
    order(&node.api, "misfortune", &AdapterOrder::Restart { node: None, reason: None })
        .await
        .expect("a restart");
    until(&node.api, "misfortune", "a new process", |now| now.generation == Some(2)).await;
    assert_ne!(works(&node).await, before);
    assert_eq!(node.ended(&late.id).await.output, Some(json!("late")));
    assert_eq!(adapter(&node.api, "misfortune").await.counters.lost, 0);
    node.stop().await;
}
