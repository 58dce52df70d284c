//! A look into a real node: one actor, the logs, the way of an event; and an entry that its actor cannot apply, which an
//! operator finds, edits, and has run on, whatever is killed meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use impresario::inspect::{ActorDetail, EntryPage};
use impresario_model::encoding;
use impresario_model::entry::{Body, Entry, TriggerEvent};
use impresario_model::ids::ActorId;
use impresario_persistence::{Append, EmbeddedConfig, EmbeddedStore, ShardId, Store};
use impresario_tests::api::event;
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
const SHARDS: u16 = 4;

const FIRST: &str = "document: { dsl: '1.0.3', namespace: test, name: first, version: '1.0.0' }
schedule: { on: { one: { with: { type: disk.full } } } }
do:
  - clean: { run: { shell: { command: 'echo cleaned' } } }
  - tell: { emit: { event: { with: { type: disk.cleaned, data: { host: a } } } } }
";
const SECOND: &str = "document: { dsl: '1.0.3', namespace: test, name: second, version: '1.0.0' }
schedule: { on: { one: { with: { type: disk.cleaned } } } }
do: [ { pause: { wait: PT1H } } ]
";
const WAITING: &str = "document: { dsl: '1.0.3', namespace: test, name: waiting, version: '1.0.0' }
do: [ { pause: { wait: PT1H } } ]
";
const QUICK: &str = "document: { dsl: '1.0.3', namespace: test, name: quick, version: '1.0.0' }
do: [ { note: { set: { n: 1 } } } ]
";

fn place() -> Place {
    let shards = SHARDS.to_string();
    let place = Place::new().set("store.shards", &shards).set("engine.checkpoint_interval", "10m");
    place.define("first", FIRST).define("second", SECOND).define("waiting", WAITING).define("quick", QUICK)
}

async fn only(node: &Node, query: &str) -> String {
    eventually(LIMIT, "one instance", async || {
        let found = node.api.instances(query).await.ok()?;
        Some(found.first()?.id.clone())
    })
    .await
}

/// The steps of a trace as (depth, actor, status), without those that only a log knows.
fn steps(trace: &Value) -> Vec<(u64, String, String)> {
    let steps = trace["steps"].as_array().unwrap().iter();
    let steps = steps.map(|step| {
        let word = |name: &str| step[name].as_str().unwrap_or_default().to_owned();
        (step["depth"].as_u64().unwrap(), word("actor"), word("status"))
    });
    steps.filter(|(_, actor, _)| !actor.starts_with("trigger/")).collect()
}

#[tokio::test]
async fn an_event_is_followed_to_its_last_effect_and_no_secret_is_shown() {
    let place = place();
    let node = place.start().await;
    let data = json!({ "headers": { "Authorization": "Bearer s3cret" }, "used": 95 });
    node.api.send(&event("/disks", "e1", "disk.full", data)).await.unwrap();
    let second = only(&node, "definition=test/second&status=waiting").await;
    let first = only(&node, "definition=test/first&status=completed").await;

    let trace = place.json(&["trace", "e1"]);
    let found = steps(&trace);
    let process = |id: &str| format!("process/{id}");
    assert_eq!(found.len(), 5, "{trace:#}");
    assert_eq!((found[0].0, found[0].1.starts_with("router/")), (0, true));
    assert_eq!(found[1], (1, process(&first), "completed".to_owned()));
    assert_eq!(found[2], (2, "command/shell".to_owned(), "completed".to_owned()));
    assert_eq!((found[3].0, found[3].1.starts_with("router/")), (2, true), "what it raised");
    assert_eq!(found[4], (3, process(&second), "waiting".to_owned()));
    assert_eq!(trace["gaps"], Value::Null, "the logs have all of it: {trace:#}");
    assert!(trace["steps"][2]["took_ms"].is_u64(), "{trace:#}");

    let detail = place.json(&["inspect", &second[..8]]);
    assert_eq!((&detail["status"], &detail["state"]["status"]), (&json!("waiting"), &json!("waiting")));
    assert_eq!((&detail["lag"], &detail["epoch"]), (&json!(0), &json!(1)));
    assert!(detail["waits_for"][0].as_str().unwrap().starts_with("task 'pause' until"), "{detail:#}");
    assert_eq!(detail["entries"][0]["kind"], "process.start");

    for arguments in
        [&["tail", "-n", "1000"][..], &["inspect", &process(&first)], &["inspect", "trigger/test/first/on"]]
    {
        let said = place.run(&[&["--json"], arguments].concat()).done().stdout;
        assert!(!said.contains("s3cret") && said.contains("disk"), "{arguments:?}: {said}");
    }
    place.run(&["inspect", "process/nobody"]).failed(2, &["expected the id of an actor", "process/nobody"]);
    place.run(&["inspect", "nothing/at/all"]).failed(2, &["expected process/…"]);
    place.run(&["trace", "nothing"]).failed(2, &["name its source"]);

    // Behind a checkpoint the logs have nothing of it; the ids have, and the page says what is missing.
    node.stop().await;
    let node = place.start().await;
    let trace = place.json(&["trace", "e1", "--source", "/disks"]);
    let again: Vec<_> = steps(&trace);
    assert_eq!(again[1..], found[1..], "{trace:#}");
    assert!(trace["gaps"][0].as_str().unwrap().contains("behind a checkpoint"), "{trace:#}");
    let of_second = place.json(&["trace", &process(&second)]);
    assert_eq!(steps(&of_second)[1], (1, process(&second), "waiting".to_owned()));
    node.stop().await;
}

#[tokio::test]
async fn a_log_is_followed_as_it_grows() {
    let place = place();
    let node = place.start().await;
    let page = async |query: &str| -> EntryPage {
        let path = format!("/api/v1/entries?kind=process.start&{query}");
        node.api.ask(node.api.request(Method::GET, &path)).await.unwrap()
    };
    let mut next = page("limit=1").await.next;
    let began = Instant::now();
    let nothing = page(&format!("after={next}&wait=1s")).await;
    assert!(nothing.items.is_empty() && began.elapsed() >= Duration::from_secs(1));
    next = nothing.next;
    let mut started = Vec::new();
    for _ in 0..5 {
        // Somebody waits already when it comes.
        let query = format!("after={next}&wait=20s");
        let (shown, id) = tokio::join!(page(&query), async {
            node.api.start("test/quick", json!({}), None).await.unwrap().id
        });
        assert_eq!(shown.items.len(), 1, "{shown:?}");
        assert_eq!(shown.items[0].actor, format!("process/{id}"));
        started.push(shown.items[0].actor.clone());
        next = shown.next;
    }
    // One after the other, page by page, nothing twice and nothing left out.
    let (mut seen, mut after) = (Vec::new(), nothing_read());
    while seen.len() < started.len() {
        let shown = page(&format!("after={after}&limit=2")).await;
        assert!((1..=2).contains(&shown.items.len()), "{shown:?}");
        seen.extend(shown.items.into_iter().map(|entry| entry.actor));
        after = shown.next;
    }
    assert_eq!(seen, started);
    let one = place.json(&["tail", "--actor", &started[2], "--kind", "process.start"]);
    assert_eq!(one.as_array().unwrap().len(), 1);
    place.run(&["tail", "--shard", "99"]).failed(2, &["expected a shard from 0 to 3, found 99"]);
    node.stop().await;
}

/// Where a log begins, as the API writes it.
fn nothing_read() -> String {
    let mut text = "AQ".to_owned();
    // A form byte of 1 and 32 bytes of zeros are 44 characters.
    text.push_str(&"A".repeat(42));
    text
}

/// Appends an entry that its actor cannot apply, while no node runs.
async fn poison(data: &Path, instances: &[String]) {
    let store = EmbeddedStore::open(EmbeddedConfig::new(data.to_owned(), SHARDS)).unwrap();
    let batch = instances.iter().map(|id| {
        let to = ActorId::process(id);
        let shard = ShardId(to.shard(SHARDS));
        let entry = Entry { to, origin: None, body: Body::Trigger(TriggerEvent::Timer) };
        Append { shard, bytes: encoding::encode(&entry).unwrap().into() }
    });
    store.append(batch.collect()).await.unwrap();
}

#[tokio::test]
async fn an_instance_in_quarantine_is_found_edited_and_runs_on_whatever_is_killed() {
    let place = place();
    let node = place.start().await;
    let mut sick = Vec::new();
    for _ in 0..4 {
        sick.push(node.api.start("test/waiting", json!({}), None).await.unwrap().id);
    }
    let well = node.api.start("test/waiting", json!({}), None).await.unwrap().id;
    node.stop().await;
    poison(place.data(), &sick).await;
    let mut node = place.start().await;

    let listed = eventually(LIMIT, "all of them in quarantine", async || {
        let listed = place.json(&["quarantine"]);
        (listed.as_array()?.len() == sick.len()).then_some(listed)
    })
    .await;
    assert_eq!(listed[0]["entry"]["kind"], "trigger.timer", "{listed:#}");
    let shown = place.json(&["inspect", &sick[0]]);
    assert_eq!((&shown["status"], &shown["quarantined"]["held"]), (&json!("quarantined"), &json!(0)));
    // Everybody else goes on.
    assert_eq!(node.api.instance(&well).await.unwrap().summary.status, "waiting");
    let quick = node.api.start("test/quick", json!({}), None).await.unwrap().id;
    assert_eq!(node.ended(&quick).await.summary.status, "completed");

    let wrong = place.write("wrong.json", r#"{ "Trigger": "Resume" }"#);
    place
        .run(&["quarantine", "edit", &sick[0], "--body", wrong.to_str().unwrap()])
        .failed(2, &["expected the body of an entry for a process", "found one for trigger"]);
    place.run(&["quarantine", "skip", &well]).failed(2, &["expected an actor in quarantine"]);
    let body = place.write("body.json", r#"{ "Process": { "Cancel": { "reason": "mended" } } }"#);
    let body = body.to_str().unwrap().to_owned();
    for (round, id) in sick.iter().enumerate() {
        let path = format!("/api/v1/quarantine/process/{id}");
        let order = json!({ "order": "edit", "body": { "Process": { "Cancel": { "reason": "mended" } } } });
        // Killed sooner or later on the way of the order.
        let request = node.api.request(Method::POST, &path).json(&order);
        let pause = Duration::from_millis(3 * round as u64);
        let api = node.api.clone();
        let (_, ()) = tokio::join!(api.tell(request), async {
            tokio::time::sleep(pause).await;
            node.process.kill().await;
        });
        node = place.start().await;
        // Who was not answered asks again; it may have been carried out.
        let _ = place.run(&["quarantine", "edit", id, "--body", &body]);
        let ended = node.ended(id).await;
        assert_eq!(ended.summary.status, "cancelled");
        assert_eq!(ended.error.unwrap()["detail"], "mended", "round {round}");
    }
    assert_eq!(place.json(&["quarantine"]), json!([]));
    assert_eq!(node.api.instance(&well).await.unwrap().summary.status, "waiting");
    let detail: ActorDetail = {
        let path = format!("/api/v1/actors/process/{well}");
        node.api.ask(node.api.request(Method::GET, &path)).await.unwrap()
    };
    assert!(detail.epoch > 4, "each start is an epoch: {detail:?}");
    node.stop().await;
}
