//! Whether anything is stuck, why what waits does so, and what happened to the cluster: told by the real binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::time::Duration;

use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

const WAITS: &str = "
document: { dsl: '1.0.3', namespace: test, name: waits, version: '1.0.0' }
do:
  - hold: { wait: PT1H }
";
const HEARS: &str = "
document: { dsl: '1.0.3', namespace: test, name: hears, version: '1.0.0' }
do:
  - hear: { listen: { to: { one: { with: { type: never.comes } } } } }
";
const TRIES: &str = "
document: { dsl: '1.0.3', namespace: test, name: tries, version: '1.0.0' }
do:
  - guarded:
      try:
        - fail: { raise: { error: { type: 'https://example.com/broken', status: 503, title: No disk } } }
      catch: { retry: { delay: PT1H } }
";
const TURNS: &str = "
document:
  dsl: '1.0.3'
  namespace: test
  name: turns
  version: '1.0.0'
  metadata: { ops: { concurrency: { max: 1, onConflict: queue } } }
do:
  - hold: { wait: PT1H }
";
const TICKS: &str = "
document: { dsl: '1.0.3', namespace: test, name: ticks, version: '1.0.0' }
schedule: { every: PT1S }
do:
  - note: { call: 'echo:1.0.0@default', with: { said: tick } }
";
const FAILS: &str = "
document: { dsl: '1.0.3', namespace: test, name: fails, version: '1.0.0' }
do:
  - work:
      run: { shell: { command: 'exit 7' } }
      metadata: { ops: { restartWhenInterrupted: true } }
";

/// Works until a file is there.
fn works(folder: &Path) -> String {
    let go = folder.join("go").display().to_string();
    format!(
        "
document: {{ dsl: '1.0.3', namespace: test, name: works, version: '1.0.0' }}
do:
  - work:
      run: {{ shell: {{ command: 'while ! test -e {go}; do sleep 0.05; done' }} }}
      metadata: {{ ops: {{ restartWhenInterrupted: true }} }}
"
    )
}

fn place() -> Place {
    let place = Place::new().set("audit.interval", "200ms");
    let works = works(place.path());
    let place = place.define("works", &works).define("waits", WAITS).define("hears", HEARS);
    place.define("tries", TRIES).define("turns", TURNS).define("ticks", TICKS).define("fails", FAILS)
}

async fn audit(node: &Node) -> Value {
    node.api.ask(node.api.request(Method::GET, "/api/v1/audit")).await.unwrap()
}

/// The report of an audit that began after this was asked for, and looked at so many things at least.
async fn proven(node: &Node, least: u64) -> Value {
    let before = audit(node).await["proven_at"].clone();
    let mut seen = 0;
    let mut last = before;
    eventually(LIMIT, "whole audits", async || {
        let report = audit(node).await;
        assert_eq!((&report["stuck"], report["violations"].as_array()), (&json!(0), None), "{report}");
        if report["proven_at"] != last {
            last = report["proven_at"].clone();
            seen += 1;
        }
        // The first that is seen may have begun before.
        (seen >= 3 && report["checked"].as_u64()? >= least).then_some(report)
    })
    .await
}

async fn explain(place: &Place, id: &str, part: &str) {
    eventually(LIMIT, part, async || {
        let told = place.json(&["explain", id]);
        let text = told["text"].as_str().unwrap().to_owned();
        text.contains(part).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_explained_and_nothing_is_stuck_whatever_is_killed() {
    let place = place();
    let mut node = place.start().await;
    let mut ids = Vec::new();
    for round in 0..3 {
        for _ in 0..20 {
            for kind in ["works", "waits", "hears", "tries", "turns", "fails"] {
                ids.push((kind, node.api.start(&format!("test/{kind}"), json!({}), None).await.unwrap().id));
            }
        }
        if round < 2 {
            // In the middle of it.
            node.kill().await;
            node = place.start().await;
        }
    }
    let of = |wanted: &str| {
        let mut found = ids.iter().filter(|(kind, _)| *kind == wanted).map(|(_, id)| id.clone());
        (found.next().unwrap(), found.next_back().unwrap())
    };
    explain(&place, &of("works").0, "works on").await;
    explain(&place, &format!("{}#1", of("works").0), "adapter command at node").await;
    explain(&place, &of("waits").0[..13], "task 'hold' to have waited until").await;
    explain(&place, &of("hears").0, "an event never.comes").await;
    explain(&place, &of("tries").0, "after 'No disk'").await;
    explain(&place, &of("turns").1, "its turn").await;
    explain(&place, &of("fails").0, "It failed at task /do/0/work").await;
    explain(&place, "test/ticks", "every").await;
    explain(&place, "adapter/command", "It works on").await;
    place.run(&["explain", "00000000-0000-4000-8000-000000000000"]).failed(2, &["names none"]);
    // All that has not ended, the trigger, and the shards.
    let report = proven(&node, 5 * 60 + 1).await;
    assert!(report["proven_ms_ago"].as_u64().unwrap() < 60_000, "{report}");
    place.write("go", "");
    for (kind, id) in ids.iter().filter(|(kind, _)| ["works", "fails"].contains(kind)) {
        let ended = node.ended(id).await.summary.status;
        assert_eq!(ended, if *kind == "works" { "completed" } else { "faulted" }, "{id}");
    }
    proven(&node, 3 * 60 + 1).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_listed_and_starts_processes() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("packs/core");
    let place = place().pack(&core);
    let node = place.start().await;
    let work = node.api.start("test/works", json!({}), None).await.unwrap().id;
    explain(&place, &work, "works on").await;
    place.run(&["targets", "set", "web1", "type=unix-server", "properties.host=h"]).done();
    // The process of the adapter is killed: its work is done anew by another one.
    let pid = node.api.ask::<Value>(node.api.request(Method::GET, "/api/v1/adapters/command")).await.unwrap();
    let pid = i32::try_from(pid[0]["pid"].as_u64().unwrap()).unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    let kinds = eventually(LIMIT, "the end of the adapter's process in the list", async || {
        let page = place.json(&["system-events"]);
        let events = page["items"].as_array().unwrap().clone();
        let kinds: Vec<String> =
            events.iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
        kinds.contains(&"adapter.disappeared".to_owned()).then_some(kinds)
    })
    .await;
    assert!(
        kinds.contains(&"settings.changed".to_owned()) && kinds.contains(&"node.up".to_owned()),
        "{kinds:?}"
    );
    let alert = eventually(LIMIT, "an alert", async || {
        let alerts = node.api.instances("definition=core/alert&status=completed").await.unwrap();
        alerts.first().map(|alert| alert.id.clone())
    })
    .await;
    let alert = node.api.instance(&alert).await.unwrap();
    assert_eq!(alert.started_by, "trigger core/alert/on");
    assert_eq!(alert.output.unwrap()["kind"], "adapter.disappeared");
    place.write("go", "");
    node.ended(&work).await;
    let before = place.json(&["system-events", "--limit", "1000"])["items"].as_array().unwrap().len();
    node.kill().await;

    // It is all there after a crash, and read page by page.
    let node = place.start().await;
    eventually(LIMIT, "one more", async || {
        let items = place.json(&["system-events", "--limit", "1000"])["items"].as_array().unwrap().clone();
        let ups = items.iter().filter(|event| event["kind"] == "node.up").count();
        (ups == 2 && items.len() > before).then_some(())
    })
    .await;
    let first = place.json(&["system-events", "--limit", "1", "--severity", "warning"]);
    assert_eq!(first["items"][0]["kind"], "adapter.disappeared");
    let page = place.json(&["system-events", "--limit", "2"]);
    let next = page["next"].as_str().unwrap();
    let second = place.json(&["system-events", "--limit", "2", "--cursor", next]);
    assert!(second["items"][0]["id"].as_str().unwrap() < next, "{second}");
    node.stop().await;
}
