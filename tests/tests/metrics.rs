//! The figures of a node: each moves when what it counts happens, and everything that names one names one that there is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use regex::Regex;
use reqwest::Method;
use serde_json::json;

/// How long anything here may take on a busy machine.
const WAIT: Duration = Duration::from_secs(60);

const GREET: &str = "
document: { dsl: '1.0.3', namespace: test, name: greet, version: '1.0.0' }
schedule: { on: { one: { with: { type: greeted } } } }
do:
  - note: { call: 'echo:1.0.0@default', with: { said: hello } }
";
const TELLS: &str = "
document: { dsl: '1.0.3', namespace: test, name: tells, version: '1.0.0' }
do:
  - tell: { emit: { event: { with: { type: heard, data: { n: 1 } } } } }
";
const FAIL: &str = "
document: { dsl: '1.0.3', namespace: test, name: fail, version: '1.0.0' }
schedule: { every: PT1H }
do:
  - give-up: { raise: { error: { type: 'https://example.com/broken', status: 418, title: Broken } } }
";

async fn page(node: &Node) -> String {
    let answer = node.api.request(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

/// The figure of a line that begins so; the sum, if there are several.
fn figure(page: &str, begin: &str) -> Option<f64> {
    let found: Vec<f64> = page
        .lines()
        .filter(|line| line.starts_with(begin))
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    (!found.is_empty()).then(|| found.iter().sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_move_when_what_they_count_happens() {
    let place = Place::new().define("greet", GREET).define("fail", FAIL).define("tells", TELLS);
    let node = place.start().await;
    for _ in 0..3 {
        place.run(&["send", "greeted"]).done();
    }
    let all = eventually(WAIT, "three instances that ended well, and one that did not", async || {
        let page = page(&node).await;
        let completed = figure(&page, "impresario_instances_ended_total{status=\"completed\"}");
        let faulted = figure(&page, "impresario_instances_ended_total{status=\"faulted\"}");
        (completed == Some(3.0) && faulted == Some(1.0)).then_some(page)
    })
    .await;
    for (name, expected) in [
        ("impresario_ready ", 1.0),
        ("impresario_store_up ", 1.0),
        ("impresario_instances_started_total ", 4.0),
        ("impresario_events_total{outcome=\"accepted\"}", 3.0),
        ("impresario_triggers_fired_total{watches=\"events\"}", 3.0),
        ("impresario_triggers_fired_total{watches=\"schedule\"}", 1.0),
        ("impresario_triggers_monitored{watches=\"events\"}", 1.0),
        ("impresario_triggers_monitored{watches=\"schedule\"}", 1.0),
        ("impresario_adapter_activities_ended_total{adapter=\"command\",outcome=\"completed\"}", 3.0),
        ("impresario_adapter_starts_total{adapter=\"command\"}", 1.0),
        ("impresario_adapter_running_activities{adapter=\"command\"}", 0.0),
        ("impresario_actors_quarantined_total ", 0.0),
    ] {
        assert_eq!(figure(&all, name), Some(expected), "{name} in:\n{all}");
    }
    let at_least = |name: &str, least: f64| {
        let found = figure(&all, name);
        assert!(
            found.is_some_and(|found| found >= least),
            "{name}: expected {least}, found {found:?} in:\n{all}"
        );
    };
    at_least("impresario_entries_total ", 12.0);
    at_least("impresario_store_operation_seconds_count{operation=\"append\"}", 4.0);
    at_least("impresario_store_appended_entries_total ", 12.0);
    at_least("impresario_entry_lag_seconds_count ", 1.0);
    at_least("impresario_shard_recovery_seconds_count ", 1.0);
    at_least("impresario_shard_live_actors{", 2.0);
    // Nobody listens there, so what is raised waits.
    let sink = json!({ "uri": "http://127.0.0.1:1/in", "events": [{ "type": "heard" }] });
    node.api.tell(node.api.request(Method::PUT, "/api/v1/sinks/away").json(&sink)).await.unwrap();
    node.api.start("test/tells", json!({}), None).await.unwrap();
    eventually(WAIT, "an event that waits in a sink, and an attempt that failed", async || {
        let page = page(&node).await;
        let waiting = figure(&page, "impresario_sink_waiting{sink=\"away\"}") == Some(1.0);
        let failed = figure(&page, "impresario_sink_failed_attempts_total{sink=\"away\"}");
        let delivered = figure(&page, "impresario_sink_delivered_total{sink=\"away\"}") == Some(0.0);
        (waiting && delivered && failed.is_some_and(|failed| failed >= 1.0)).then_some(())
    })
    .await;
    place.run(&["adapters", "restart", "command"]).done();
    eventually(WAIT, "a restart that is counted", async || {
        let restarts = "impresario_adapter_restarts_total{adapter=\"command\",cause=\"operator\"}";
        (figure(&page(&node).await, restarts) == Some(1.0)).then_some(())
    })
    .await;
    // A replay after a crash is not counted as if it had happened again.
    node.kill().await;
    let node = place.start().await;
    let again = page(&node).await;
    assert_eq!(figure(&again, "impresario_instances_started_total "), Some(0.0), "{again}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_names_a_figure_names_one_that_there_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let place = Place::new().define("greet", GREET);
    let node = place.start().await;
    let started = node.api.start("test/greet", json!({}), None).await.unwrap();
    eventually(WAIT, "an instance that ended", async || {
        place.json(&["show", &started.id])["ended_at"].is_string().then_some(())
    })
    .await;
    let page = page(&node).await;
    let kinds = Regex::new(r"(?m)^# TYPE (\w+) (\w+)$").unwrap();
    let mut told = BTreeSet::new();
    for kind in kinds.captures_iter(&page) {
        let suffixes: &[&str] = match &kind[2] {
            "counter" => &["_total"],
            "histogram" => &["", "_bucket", "_sum", "_count"],
            _ => &[""],
        };
        told.extend(suffixes.iter().map(|suffix| format!("{}{suffix}", &kind[1])));
    }
    let names = Regex::new(r"impresario_[a-z_]*[a-z]").unwrap();
    for path in
        ["docs/metrics.md", "deploy/prometheus/impresario.rules.yml", "deploy/grafana/impresario.json"]
    {
        let text = read(path);
        let named: BTreeSet<&str> = names.find_iter(&text).map(|name| name.as_str()).collect();
        assert!(named.len() > 5, "{path}");
        for name in named {
            assert!(told.contains(name), "{path} names {name}, which no node tells:\n{page}");
        }
    }
    let documented = read("docs/metrics.md");
    for kind in kinds.captures_iter(&page) {
        assert!(
            documented.contains(&format!("`{}", &kind[1])),
            "docs/metrics.md says nothing of {}",
            &kind[1]
        );
    }
    node.stop().await;
}

#[test]
fn the_alerts_fire_for_what_they_are_about() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy/prometheus");
    let output = Command::new("promtool")
        .args(["test", "rules", "impresario.rules.test.yml"])
        .current_dir(folder)
        .output()
        .expect("expected the program promtool (tests/run installs it)");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
}
