//! Traces: what a collector sees of an event that starts an instance whose event starts another; and levels of logs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use impresario_tests::api::event;
use impresario_tests::node::Place;
use impresario_tests::poll::eventually;
use serde_json::{Value, json};

/// How long anything here may take on a busy machine.
const WAIT: Duration = Duration::from_secs(60);

const FIRST: &str = "
document: { dsl: '1.0.3', namespace: test, name: first, version: '1.0.0' }
schedule: { on: { one: { with: { type: greeted } } } }
do:
  - look:
      run: { shell: { command: 'printf %s \"$TRACEPARENT\"' } }
      output: { as: '${ { seen: . } }' }
  - tell: { emit: { event: { with: { type: relayed, data: '${ . }' } } } }
";
const SECOND: &str = "
document: { dsl: '1.0.3', namespace: test, name: second, version: '1.0.0' }
schedule: { on: { one: { with: { type: relayed } } } }
do:
  - give-up: { raise: { error: { type: 'https://example.com/broken', status: 418, title: Broken } } }
";

/// Everything that the collector took, by the name of the span.
type Taken = Arc<Mutex<BTreeMap<String, Value>>>;

async fn take(State(taken): State<Taken>, body: String) -> String {
    let document: Value = serde_json::from_str(&body).unwrap();
    let spans = document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
    for span in spans {
        let again = taken.lock().unwrap().insert(span["name"].as_str().unwrap().to_owned(), span.clone());
        assert!(again.is_none(), "each is told once: {span}");
    }
    "{}".to_owned()
}

async fn collector() -> (Taken, String) {
    let taken = Taken::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let routes = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&taken));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (taken, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_followed_to_the_last_thing_that_it_led_to() {
    let (taken, url) = collector().await;
    let place = Place::new().set("traces.endpoint", &url).define("first", FIRST).define("second", SECOND);
    let node = place.start().await;
    let mut greeted = event("/traced", "1", "greeted", json!({}));
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    greeted["traceparent"] = json!(format!("00-{trace}-00f067aa0ba902b7-01"));
    node.api.send(&greeted).await.unwrap();
    let spans = eventually(WAIT, "five spans", async || {
        let spans = taken.lock().unwrap().clone();
        (spans.len() == 5).then_some(spans)
    })
    .await;
    let span = |name: &str| spans.get(name).unwrap_or_else(|| panic!("{name} in {:?}", spans.keys()));
    for one in spans.values() {
        assert_eq!(one["traceId"], json!(trace));
        let nanos = |key: &str| one[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"), "{one}");
    }
    let id = |name: &str| span(name)["spanId"].clone();
    let parent = |name: &str| span(name)["parentSpanId"].clone();
    // An event that carries a place is passed on as it came, so its span and what it starts are side by side.
    assert_eq!(parent("accept greeted"), json!("00f067aa0ba902b7"));
    assert_eq!(parent("test/first"), json!("00f067aa0ba902b7"));
    assert_eq!(parent("command/shell"), id("test/first"));
    assert_eq!(parent("emit relayed"), id("test/first"));
    assert_eq!(parent("test/second"), id("emit relayed"));
    assert_eq!(span("test/second")["status"], json!({ "code": 2, "message": "Broken" }));
    // The program saw the span of its own activity.
    let all = node.api.instances("definition=test/second").await.unwrap();
    let second = node.api.instance(&all[0].id).await.unwrap();
    let seen = second.input[0]["data"]["seen"].as_str().unwrap().to_owned();
    assert_eq!(seen, format!("00-{trace}-{}-01", id("command/shell").as_str().unwrap()));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_begins_at_the_door_and_a_collector_that_is_gone_holds_nothing_up() {
    let (taken, url) = collector().await;
    let place = Place::new().set("traces.endpoint", &url).define("first", FIRST);
    let node = place.start().await;
    node.api.send(&event("/untraced", "1", "greeted", json!({}))).await.unwrap();
    let spans = eventually(WAIT, "four spans", async || {
        let spans = taken.lock().unwrap().clone();
        (spans.len() == 4).then_some(spans)
    })
    .await;
    assert_eq!(spans["accept greeted"].get("parentSpanId"), None);
    assert_eq!(spans["test/first"]["parentSpanId"], spans["accept greeted"]["spanId"]);
    node.stop().await;
    let gone = Place::new().set("traces.endpoint", "http://127.0.0.1:9").define("first", FIRST);
    let node = gone.start().await;
    node.api.send(&event("/untraced", "1", "greeted", json!({}))).await.unwrap();
    let all = eventually(WAIT, "an instance that completed", async || {
        let all = node.api.instances("status=completed").await.ok()?;
        (!all.is_empty()).then_some(all)
    })
    .await;
    assert_eq!(all.len(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_of_logs_are_changed_while_the_node_runs() {
    let place = Place::new().set("log.level", "warn").define("first", FIRST);
    let node = place.start().await;
    let levels = |shown: &Value| shown[0]["levels"].clone();
    assert_eq!(levels(&place.json(&["log"])), json!("warn"));
    assert_eq!(levels(&place.json(&["log", "warn,impresario=info"])), json!("warn,impresario=info"));
    let changed = "the levels of the log were changed";
    eventually(WAIT, "a line that the level before would have kept back", async || {
        place.log().contains(changed).then_some(())
    })
    .await;
    place.run(&["log", "loud"]).failed(2, &["expected off, error, warn", "found 'loud'"]);
    place.run(&["log", "info", "--node", "nobody"]).failed(2, &["expected a node", "nobody"]);
    assert_eq!(levels(&place.json(&["log"])), json!("warn,impresario=info"));
    place.run(&["log", "error"]).done();
    assert_eq!(place.log().matches(changed).count(), 1, "the level now in force keeps it back");
    node.stop().await;
}
