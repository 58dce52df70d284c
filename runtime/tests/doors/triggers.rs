//! Triggers and events at the doors: what the API and the command line ask of the engine, and what they show.

use std::time::SystemTime;

use impresario::cli::render::{render_recent, render_summary, render_test, render_trigger, render_triggers};
use impresario::orchestrator::{Refusal, TriggerSummary};
use impresario::triggers::{EventsSummary, RecentPage};
use serde_json::{Value, json};

use crate::cli_commands::run;
use crate::support::{TestDoor, tested, trigger};

fn plain(page: &str) -> String {
    anstream::adapter::strip_str(page).to_string()
}

fn orders(door: &TestDoor) -> Vec<String> {
    std::mem::take(&mut door.mock.orders.lock().unwrap())
}

#[tokio::test]
async fn triggers_are_shown_and_ordered_over_http() {
    let door = TestDoor::open(|_| ()).await;
    let path = "/api/v1/triggers/ops%2Fclean%2Fon";
    let get = |path: String| door.request("GET", &path).send();
    let list: Value = get("/api/v1/triggers".to_owned()).await.unwrap().json().await.unwrap();
    assert_eq!((&list[0]["state"], &list[0]["suppressed"]), (&json!("enabled"), &json!(2)));
    let shown: Value = get(path.to_owned()).await.unwrap().json().await.unwrap();
    assert_eq!((&shown["name"], &shown["sets"][0]["waits_for"]), (&json!("ops/clean/on"), &json!("1 more")));
    let post = |word: &str, body: Value| door.request("POST", &format!("{path}/{word}")).json(&body).send();
    let paused: Value = post("pause", json!({ "reason": "upgrade" })).await.unwrap().json().await.unwrap();
    assert_eq!(paused["paused"]["reason"], "upgrade");
    let bare = door.request("POST", &format!("{path}/pause")).send().await.unwrap();
    assert_eq!(bare.status(), 200, "a pause needs no reason");
    assert_eq!(door.request("POST", &format!("{path}/resume")).send().await.unwrap().status(), 200);
    assert_eq!(post("fire", json!({ "input": null })).await.unwrap().status(), 201);
    let again = post("fire", json!({ "event": { "id": "1" }, "key": "k" })).await.unwrap();
    assert_eq!(again.status(), 200, "the key has fired it before");
    let reply: Value = post("test", json!({ "recent": 5 })).await.unwrap().json().await.unwrap();
    assert_eq!((&reply["events"][0]["matches"], &reply["window"]["most"]), (&json!(false), &json!(1_000)));
    for (word, body) in [
        ("pause", json!({ "reasn": "x" })),
        ("fire", json!({ "inputs": 1 })),
        ("test", json!({ "recent": -1 })),
        ("pause", json!(5)),
    ] {
        let refused = post(word, body.clone()).await.unwrap();
        assert_eq!(refused.status(), 400, "{word} {body}");
    }
    assert_eq!(get(format!("{path}/pause")).await.unwrap().status(), 405);
    let long = "x".repeat(300);
    assert_eq!(get(format!("/api/v1/triggers/{long}")).await.unwrap().status(), 400);
    let expected = [
        "show ops/clean/on",
        r#"ops/clean/on Pause { reason: Some("upgrade") }"#,
        "ops/clean/on Pause { reason: None }",
        "ops/clean/on Resume",
        "fire ops/clean/on Some(Null) None None",
        r#"fire ops/clean/on None Some(Object {"id": String("1")}) Some("k")"#,
        "test ops/clean/on None Some(5)",
    ];
    assert_eq!(orders(&door), expected);
}

#[tokio::test]
async fn events_are_told_over_http() {
    let door = TestDoor::open(|_| ()).await;
    let get = async |path: &str| door.request("GET", path).send().await.unwrap();
    let summary: Value = get("/api/v1/events").await.json().await.unwrap();
    assert_eq!(
        (&summary["dedup"]["repetitions"], &summary["triggers"]["events_fired"]),
        (&json!(2), &json!(3))
    );
    let recent: Value = get("/api/v1/events/recent?type=a&limit=3").await.json().await.unwrap();
    assert_eq!(recent["items"][0]["did"], json!(["started 0f2c (ops/clean/on)"]));
    assert_eq!(get("/api/v1/events/recent?limt=3").await.status(), 400);
    assert_eq!(get("/api/v1/events/recent?limit=many").await.status(), 400);
    assert_eq!(orders(&door), [r#"recent Some("a") Some(3)"#]);
}

#[tokio::test]
async fn the_command_line_orders_triggers() {
    let door = TestDoor::open(|_| ()).await;
    let ran = run(&door, &["triggers"], "").await;
    assert!(ran.code == 0 && ran.out.contains("ops/clean/on  enabled"), "{ran:?}");
    let ran = run(&door, &["triggers", "show", "ops/clean/on"], "").await;
    assert!(ran.code == 0 && ran.out.contains("rate         at most 10 in 1 min"), "{ran:?}");
    let ran = run(&door, &["triggers", "pause", "ops/clean/on", "--reason", "upgrade"], "").await;
    assert_eq!(ran.out, "paused ops/clean/on: it starts nothing until it is resumed\n", "{ran:?}");
    let ran = run(&door, &["triggers", "resume", "ops/clean/on"], "").await;
    assert_eq!(ran.out, "resumed ops/clean/on\n", "{ran:?}");
    let ran = run(&door, &["triggers", "fire", "ops/clean/on", "--input", "[1]"], "").await;
    assert_eq!(ran.out, "started new of ops/clean:1.0.0 (durable: memory)\n", "{ran:?}");
    let ran = run(&door, &["triggers", "fire", "a", "--event", "-", "--key", "k"], r#"{"id":"1"}"#).await;
    assert!(ran.out.starts_with("exists already new"), "{ran:?}");
    let ran = run(&door, &["triggers", "test", "a", "--event", "-"], r#"{"id":"1"}"#).await;
    assert!(
        ran.code == 0 && ran.out.contains("data: wants ${ .used > 90 }, failed: cannot compare"),
        "{ran:?}"
    );
    let ran = run(&door, &["triggers", "test", "a", "--recent"], "").await;
    assert!(ran.code == 0 && ran.out.contains("0 of 1 events match ops/clean/on"), "{ran:?}");
    let ran = run(&door, &["triggers", "test", "a", "--recent", "7", "--json"], "").await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["trigger"], "ops/clean/on");
    for wrong in [
        vec!["triggers", "test", "a"],
        vec!["triggers", "test", "a", "--event", "-", "--recent", "1"],
        vec!["triggers", "fire", "a", "--input", "{", "--json"],
        vec!["triggers", "fire", "a", "--input", "1", "--event", "-"],
    ] {
        let ran = run(&door, &wrong, "{}").await;
        assert_eq!(ran.code, 64, "{wrong:?}: {ran:?}");
    }
    let asked = orders(&door);
    assert_eq!(asked.len(), 8, "{asked:?}");
    assert!(asked.contains(&"test a None Some(20)".to_owned()), "{asked:?}");
    let near = "expected the name of a trigger, found 'ops/claen/on'; did you mean 'ops/clean/on'?";
    *door.mock.refusal.lock().unwrap() = Some(Refusal::NotFound(near.to_owned()));
    let ran = run(&door, &["triggers", "pause", "ops/claen/on"], "").await;
    assert!(ran.code == 2 && ran.err.contains("did you mean 'ops/clean/on'?"), "{ran:?}");
}

#[tokio::test]
async fn the_command_line_tells_events() {
    let door = TestDoor::open(|_| ()).await;
    let ran = run(&door, &["events"], "").await;
    assert!(
        ran.code == 0 && ran.out.contains("recognised for       10m, and for the newest 1000 events"),
        "{ran:?}"
    );
    let ran = run(&door, &["events", "recent", "--type", "disk.full", "--limit", "5"], "").await;
    assert!(ran.code == 0 && ran.out.contains("started 0f2c (ops/clean/on)"), "{ran:?}");
    assert_eq!(orders(&door), [r#"recent Some("disk.full") Some(5)"#]);
    let ran = run(&door, &["events", "--json"], "").await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["dedup"]["remembered"], 7);
}

#[test]
fn the_list_has_colours_and_names_what_fails() {
    let mut problem = trigger("problem").summary;
    problem.problem = Some("expected a calendar named 'c', found none".to_owned());
    problem.failed = 0;
    let page = render_triggers(&[trigger("paused").summary, problem]);
    let expected = "\
TRIGGER       STATE    WATCHES                                                                                      STARTS           FIRED  SUPPRESSED  LAST                  NEXT
ops/clean/on  paused   event disk.full, 3 within 5 min                                                              ops/clean:1.0.0  4      2           2026-01-31T08:30:00Z  
ops/clean/on  problem  event disk.full, 3 within 5 min (cannot watch: expected a calendar named 'c', found none)  ops/clean:1.0.0  4      2           2026-01-31T08:30:00Z  
ops/clean/on: an expression failed on 1 events: `impresario triggers show ops/clean/on`
";
    let squeezed = |page: &str| -> Vec<String> {
        page.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(squeezed(&plain(&page)), squeezed(expected));
    assert!(page.contains("\u{1b}[33m") && page.contains("\u{1b}[31m"), "paused is yellow, a problem is red");
    assert_eq!(render_triggers(&[] as &[TriggerSummary]), "no triggers\n");
}

#[test]
fn a_trigger_is_a_page() {
    let now: SystemTime = humantime::parse_rfc3339("2026-01-31T08:31:00Z").unwrap();
    let expected = "\
ops/clean/on  paused
  paused       since 2026-01-31T08:00:00Z (31m ago): upgrade
  watches      event disk.full, 3 within 5 min
  starts       ops/clean:1.0.0
  rate         at most 10 in 1 min
  fired        4
  last         2026-01-31T08:30:00Z (1m ago)
  matched      14 events
  passed over  2 fires beyond its rate
  failed       on 1 events, the last time: its filter failed: data: cannot index
  waits        2 events of by \"web1\", for 1 more, until 2026-01-31T08:34:00Z
  waits        2 more sets

last fires
  2026-01-31T08:30:00Z  0f2c  event 1 of /disks
";
    assert_eq!(plain(&render_trigger(&trigger("paused"), now)), expected);
}

#[test]
fn a_test_says_why_attribute_by_attribute() {
    let expected = "\
does not match  disk.full 1 of /disks
  filter 1 does not match
    matches        type: wants disk.full, found 'disk.full'
    does not match data: wants ${ .used > 90 }, failed: cannot compare
";
    assert_eq!(plain(&render_test(&tested(false))), expected);
    assert!(plain(&render_test(&tested(true))).contains("nodes remember the newest 1000 events"));
}

#[test]
fn events_without_news_are_said_so() {
    let page = plain(&render_recent(&RecentPage::default()));
    assert!(page.starts_with("no events\nnodes remember the newest 0 events"), "{page}");
    assert!(plain(&render_summary(&EventsSummary::default())).contains("came in"));
}
