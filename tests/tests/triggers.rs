//! Event triggers at a real node: an event that was acknowledged starts its instances exactly once, whatever happens right
//! after; operators see, pause, fire and try triggers; and instances wait for their turn.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use impresario_tests::api::event;
use impresario_tests::node::Place;
use impresario_tests::poll::eventually;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

/// Started by `disk.full`, with the events that the trigger gives on; `ops` are the options of its triggers.
fn watching(name: &str, on: &str, ops: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '1.0.0', metadata: {{ ops: {ops} }} }}
schedule: {{ on: {on} }}
do: [ {{ note: {{ set: {{ ids: '${{ map(.id) }}' }} }} }} ]
"
    )
}

#[tokio::test]
async fn what_was_acknowledged_right_before_a_kill_starts_its_instances_once() {
    let one = "{ one: { with: { type: disk.full, data: '${ .used > 90 }' } } }";
    let place = Place::new()
        .define("first", &watching("first", one, "{}"))
        .define("second", &watching("second", one, "{}"));
    let mut sent = BTreeSet::new();
    for round in 0..5 {
        let node = place.start().await;
        for at in 0..10 {
            let id = format!("{round}-{at}");
            node.api.send(&event("/disks", &id, "disk.full", json!({ "used": 95 }))).await.unwrap();
            sent.insert(id);
        }
        // Nothing was waited for but the acknowledgement.
        node.kill().await;
    }
    let node = place.start().await;
    // Whoever did not hear it sends again.
    for id in sent.iter().filter(|id| id.starts_with('4')) {
        node.api.send(&event("/disks", id, "disk.full", json!({ "used": 95 }))).await.unwrap();
    }
    for definition in ["test/first", "test/second"] {
        let query = format!("definition={definition}&status=completed");
        let all = eventually(LIMIT, "each event has started its instance", async || {
            let found = node.api.instances(&query).await.ok()?;
            (found.len() >= sent.len()).then_some(found)
        })
        .await;
        let mut started = Vec::new();
        for instance in all {
            let detail = node.api.instance(&instance.id).await.unwrap();
            started.push(detail.output.unwrap()["ids"][0].as_str().unwrap().to_owned());
        }
        started.sort();
        assert_eq!(started, sent.iter().cloned().collect::<Vec<_>>(), "{definition}: each of them, once");
    }
    let seen = place.json(&["events"]);
    let counted: Vec<u64> = ["events", "repetitions", "remembered"]
        .iter()
        .map(|name| seen["dedup"][name].as_u64().unwrap())
        .collect();
    // That a node has started is an event too, which it may not have come to when it was killed.
    let of_starts = counted[2] - 50;
    assert!(of_starts <= 6, "{counted:?}");
    assert_eq!(counted, [60 + of_starts, 10, 50 + of_starts]);
    assert_eq!(seen["dedup"]["within"], "10m");
    assert_eq!(
        (&seen["triggers"]["events_monitored"], &seen["triggers"]["events_fired"]),
        (&json!(2), &json!(100))
    );
    let told = place.json(&["events", "recent", "--limit", "3"]);
    let did: Vec<&str> =
        told["items"][0]["did"].as_array().unwrap().iter().map(|did| did.as_str().unwrap()).collect();
    assert_eq!(did.len(), 2, "{told}");
    assert!(did.iter().all(|did| did.starts_with("started ")), "{told}");
    node.stop().await;
}

#[tokio::test]
async fn operators_pause_fire_and_try_triggers_and_a_restart_forgets_nothing() {
    let any = "{ any: [ { with: { type: disk.full, data: '${ .used > 90 }' } }, { with: { type: '^disk\\..*$', subject: urgent } } ] }";
    let all = "{ all: [ { with: { type: a }, correlate: { host: { from: .data.host } } }, { with: { type: b }, correlate: { host: { from: .data.host } } } ] }";
    let place = Place::new()
        .define("each", &watching("each", any, "{ triggers: { rate: { max: 3, per: PT1H } } }"))
        .define("pair", &watching("pair", all, "{}"));
    let node = place.start().await;
    let send = async |id: &str, kind: &str, data: Value| {
        node.api.send(&event("/s", id, kind, data)).await.unwrap();
    };
    send("1", "disk.full", json!({ "used": 95 })).await;
    send("2", "disk.full", json!({ "used": 5 })).await;
    send("3", "disk.full", json!("none")).await;
    send("4", "a", json!({ "host": "x" })).await;
    let shown = eventually(LIMIT, "the trigger has seen them", async || {
        let shown = place.json(&["triggers", "show", "test/each"]);
        (shown["failed"] == 1 && shown["fired"] == 1).then_some(shown)
    })
    .await;
    assert!(shown["passed"]["failure"].as_str().unwrap().starts_with("its filter failed: data: "), "{shown}");
    assert_eq!(shown["history"][0]["cause"], "event 1 of /s");
    assert_eq!(shown["options"]["rate"], "at most 3 in 1 h");

    let paused = place.json(&["triggers", "pause", "test/each/on", "--reason", "upgrade"]);
    assert_eq!((&paused["state"], &paused["paused"]["reason"]), (&json!("paused"), &json!("upgrade")));
    node.kill().await;
    let node = place.start().await;
    let send = async |id: &str, kind: &str, data: Value| {
        node.api.send(&event("/s", id, kind, data)).await.unwrap();
    };
    // What waits for another event waits on.
    let waits = place.json(&["triggers", "show", "test/pair"]);
    assert_eq!(
        (&waits["sets"][0]["keys"]["host"], &waits["sets"][0]["waits_for"]),
        (&json!("\"x\""), &json!("b"))
    );
    send("5", "b", json!({ "host": "x" })).await;
    send("6", "disk.full", json!({ "used": 99 })).await;
    eventually(LIMIT, "the pause held and the pair is complete", async || {
        let each = place.json(&["triggers", "show", "test/each"]);
        let pair = place.json(&["triggers", "show", "test/pair"]);
        (each["passed"]["paused"] == 1 && pair["fired"] == 1).then_some(())
    })
    .await;

    let event_file =
        place.write("event.json", &event("/s", "7", "disk.full", json!({ "used": 50 })).to_string());
    let event_file = event_file.to_str().unwrap();
    let tried = place.json(&["triggers", "test", "test/each", "--event", event_file]);
    let parts = &tried["events"][0]["filters"][0]["parts"];
    assert_eq!((&parts[0]["matches"], &parts[1]["matches"]), (&json!(true), &json!(false)), "{tried}");
    let recent = place.json(&["triggers", "test", "test/each", "--recent", "2"]);
    let matches: Vec<&Value> =
        recent["events"].as_array().unwrap().iter().map(|event| &event["matches"]).collect();
    assert_eq!(
        matches,
        [&json!(true), &json!(false)],
        "the newest first, of those since the start: {recent}"
    );

    let fired = place.json(&["triggers", "fire", "test/each", "--event", event_file, "--key", "k"]);
    let id = fired["id"].as_str().unwrap();
    let instance = node.ended(id).await;
    assert_eq!(instance.started_by, "operator through trigger test/each/on");
    assert_eq!(instance.output, Some(json!({ "ids": ["7"] })));
    let again = place.json(&["triggers", "fire", "test/each", "--event", event_file, "--key", "k"]);
    assert_eq!((&again["id"], &again["created"]), (&fired["id"], &json!(false)));
    place
        .run(&["triggers", "fire", "test/each", "--input", "[]", "--key", "k"])
        .failed(2, &["with another input"]);
    place.run(&["triggers", "fire", "test/each"]).failed(2, &["expected an event or an input"]);
    place.run(&["triggers", "show", "test/eahc/on"]).failed(2, &["did you mean 'test/each/on'?"]);
    place.run(&["triggers", "test", "test/each", "--recent", "0"]).failed(2, &["1 to 200"]);
    let resumed = place.json(&["triggers", "resume", "test/each"]);
    assert_eq!((&resumed["state"], &resumed["paused"]), (&json!("enabled"), &Value::Null));
    node.stop().await;
}

#[tokio::test]
async fn instances_wait_for_their_turn_and_say_so() {
    let mut place = Place::new();
    let go = place.path().join("go").display().to_string();
    let turns = |rule: &str| {
        format!(
            "document: {{ dsl: '1.0.3', namespace: test, name: {rule}, version: '1.0.0', metadata: {{ ops: {{ concurrency: {{ key: .host, onConflict: {rule} }} }} }} }}
do:
  - work: {{ run: {{ shell: {{ command: 'until [ -e {go} ]; do sleep 0.05; done' }} }}, metadata: {{ ops: {{ restartWhenInterrupted: true }} }} }}
"
        )
    };
    for rule in ["queue", "skip"] {
        place.deploy(rule, &turns(rule));
    }
    let node = place.start().await;
    let start = async |rule: &str, host: &str| {
        node.api.start(&format!("test/{rule}"), json!({ "host": host }), None).await.unwrap().id
    };
    let first = start("queue", "a").await;
    let runs = async |node: &impresario_tests::node::Node, id: &str| {
        eventually(LIMIT, "it runs", async || {
            let shown = node.api.instance(id).await.ok()?;
            shown.activities.iter().any(|activity| activity.status == "running").then_some(())
        })
        .await;
    };
    runs(&node, &first).await;
    let second = start("queue", "a").await;
    eventually(LIMIT, "the second waits", async || {
        let shown = node.api.instance(&second).await.ok()?;
        shown.waits_for.iter().any(|wait| wait == "its turn: next in line").then_some(())
    })
    .await;
    let third = start("queue", "a").await;
    let waits = eventually(LIMIT, "the third waits", async || {
        let shown = node.api.instance(&third).await.ok()?;
        shown.waits_for.contains(&"its turn: 1 before it".to_owned()).then_some(shown)
    })
    .await;
    assert_eq!((waits.summary.status.as_str(), waits.activities.len()), ("waiting", 0));
    let other = start("queue", "b").await;
    runs(&node, &other).await;
    let kept = start("skip", "a").await;
    runs(&node, &kept).await;
    let skipped = node.ended(&start("skip", "a").await).await;
    assert_eq!(skipped.summary.status, "cancelled");
    let detail = skipped.error.unwrap()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("1 may run at the same time") && detail.contains(&kept), "{detail}");

    node.kill().await;
    let node = place.start().await;
    let shown = node.api.instance(&third).await.unwrap();
    assert_eq!(
        (shown.summary.status.as_str(), shown.activities.len()),
        ("waiting", 0),
        "a crash lets nobody pass"
    );
    place.run(&["cancel", &second]).done();
    assert_eq!(node.ended(&second).await.summary.status, "cancelled");
    place.write("go", "");
    for id in [&first, &third, &other, &kept] {
        assert_eq!(node.ended(id).await.summary.status, "completed");
    }
    node.stop().await;
}

#[tokio::test]
async fn triggers_are_listed_page_by_page_and_by_state() {
    let mut place = Place::new();
    for number in 0..7 {
        let cron = format!(
            "document: {{ dsl: '1.0.3', namespace: pages, name: s{number}, version: '1.0.0' }}
schedule: {{ cron: '0 0 1 1 *' }}
do: [ {{ note: {{ set: {{ ok: true }} }} }} ]
"
        );
        place = place.define(&format!("s{number}"), &cron);
    }
    let one = "{ one: { with: { type: disk.full } } }";
    let place = place.define("watches", &watching("watches", one, "{}"));
    let node = place.start().await;
    let names = |arguments: &[&str]| -> Vec<String> {
        let listed = place.json(&[&["triggers", "list"], arguments].concat());
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<String> = (0..7).map(|number| format!("pages/s{number}/cron")).collect();
    eventually(LIMIT, "all are armed", async || (names(&["--prefix", "pages/"]) == all).then_some(())).await;
    assert_eq!(names(&["--prefix", "pages/", "--limit", "3"]), all[..3]);
    assert_eq!(names(&["--prefix", "pages/", "--limit", "3", "--after", &all[2]]), all[3..6]);
    assert_eq!(names(&["--limit", "3", "--after", &all[5]]), [all[6].as_str(), "test/watches/on"]);
    for name in [&all[1], &all[4]] {
        place.run(&["triggers", "pause", name]).done();
    }
    assert_eq!(names(&["--state", "paused"]), [all[1].as_str(), &all[4]]);
    assert_eq!(names(&["--state", "enabled", "--limit", "2"]), [all[0].as_str(), &all[2]]);
    assert_eq!(names(&["--state", "problem"]), Vec::<String>::new());
    let page = place.run(&["triggers", "list", "--limit", "2"]).done().stdout;
    assert!(page.contains(&format!("more: --after {}", all[1])), "{page}");
    let asleep = place.run(&["triggers", "list", "--state", "asleep"]);
    asleep.failed(2, &["enabled, paused, problem, disarmed"]);
    node.kill().await;

    // The same from the rows alone, and definitions that are not compiled for it.
    let node = place.start().await;
    assert_eq!(names(&["--state", "paused"]), [all[1].as_str(), &all[4]]);
    let summary = place.json(&["events"]);
    assert_eq!(summary["triggers"]["schedules_monitored"], json!(5), "{summary}");
    assert_eq!(summary["triggers"]["events_monitored"], json!(1), "{summary}");
    let started = node.api.start("pages/s3", json!({}), None).await.unwrap();
    assert_eq!(
        node.ended(&started.id).await.output,
        Some(json!({ "ok": true })),
        "it is compiled when it is needed"
    );
    node.stop().await;
}
