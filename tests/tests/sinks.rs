//! Sinks at the real binary: what is raised in the environment arrives outside, whatever dies or refuses in between.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use impresario::declared::{Declared, DeclaredOrder};
use impresario_tests::api::{Api, Failure};
use impresario_tests::cli;
use impresario_tests::node::Place;
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

/// Raises as many events as it is told.
const RAISE: &str = "
document: { dsl: '1.0.3', namespace: test, name: raise, version: '1.0.0' }
do:
  - all:
      for: { in: '${ [range(.count)] }' }
      do:
        - tell: { emit: { event: { with: { type: com.example.raised, data: { number: '${ $item }' } } } } }
";

/// Counts the ends of `raise`.
const AFTER: &str = "
document: { dsl: '1.0.3', namespace: test, name: after, version: '1.0.0' }
schedule: { on: { one: { with: {
  type: io.serverlessworkflow.workflow.completed.v1, source: /test/raise/1.0.0 } } } }
do:
  - keep: { set: '${ .[0].data.name }' }
";

/// A status, and the seconds to wait.
type Reply = (u16, Option<&'static str>);

/// What an endpoint got, and what it answers.
#[derive(Clone, Default)]
struct Endpoint {
    got: Arc<Mutex<Vec<(HeaderMap, Value)>>>,
    /// The next answers; 202 once they are used up.
    answers: Arc<Mutex<Vec<Reply>>>,
}

impl Endpoint {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let endpoint = self.clone();
        let take = move |headers: HeaderMap, body: Bytes| {
            let endpoint = endpoint.clone();
            async move {
                let answer = {
                    let mut answers = endpoint.answers.lock().expect("a lock");
                    if answers.is_empty() { (202, None) } else { answers.remove(0) }
                };
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let mut got = endpoint.got.lock().expect("a lock");
                if answer.0 < 300 {
                    got.push((headers, body));
                }
                let mut said = HeaderMap::new();
                if let Some(seconds) = answer.1 {
                    said.insert("retry-after", seconds.parse().expect("a header"));
                }
                (StatusCode::from_u16(answer.0).expect("a status"), said)
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/in", post(take))).await });
        format!("http://{address}/in")
    }

    fn got(&self) -> Vec<(HeaderMap, Value)> {
        self.got.lock().expect("a lock").clone()
    }

    async fn until(&self, count: usize) -> Vec<(HeaderMap, Value)> {
        eventually(LIMIT, "events outside", async || Some(self.got()).filter(|got| got.len() >= count)).await
    }
}

async fn put(api: &Api, name: &str, spec: &Value) -> Result<Declared, Failure> {
    api.ask(api.request(Method::PUT, &format!("/api/v1/sinks/{name}")).json(spec)).await
}

async fn order(api: &Api, name: &str, order: &DeclaredOrder) -> Declared {
    let request = api.request(Method::POST, &format!("/api/v1/sinks/{name}")).json(order);
    api.ask(request).await.expect("an order")
}

async fn until(api: &Api, name: &str, what: &str, so: impl Fn(&Declared) -> bool) -> Declared {
    eventually(LIMIT, what, async || {
        let asked = api.request(Method::GET, &format!("/api/v1/sinks/{name}"));
        api.ask::<Declared>(asked).await.ok().filter(|sink| so(sink))
    })
    .await
}

fn count(sink: &Declared, member: &str) -> u64 {
    sink.status.get(member).and_then(Value::as_u64).unwrap_or(0)
}

fn numbers(got: &[(HeaderMap, Value)]) -> Vec<u64> {
    got.iter().filter_map(|(_, event)| event["data"]["number"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_tasks_raise_arrives_outside_in_whatever_form_was_asked_for() {
    let place = Place::new().define("raise", RAISE);
    let (plain, signed) = (Endpoint::default(), Endpoint::default());
    let node = place.start().await;
    let data = place.data().to_str().expect("a path").to_owned();
    let command = |words: &[&str]| {
        let mut all = vec!["--data", &data];
        all.extend(words);
        cli::run(place.path(), &all)
    };
    command(&["users", "set", "desk", "token=open-sesame", "hmacKey=quite-secret"]).done();
    let uri = format!("uri={}", plain.start().await);
    command(&["sinks", "set", "plain", &uri, "mode=binary", "headers.x-site=berlin"]).done();
    let spec = json!({
        "uri": signed.start().await, "runtimeUser": "desk", "signatureHeader": "x-signature",
        "events": [{ "type": "com.example.raised", "data": "${ .number == 1 }" }],
    });
    put(&node.api, "signed", &spec).await.expect("a sink");
    node.api.start("test/raise", json!({ "count": 3 }), None).await.expect("a start");
    let got = plain.until(3).await;
    let (headers, body) = &got[0];
    assert_eq!(headers["ce-type"], "com.example.raised");
    assert_eq!(headers["x-site"], "berlin");
    assert_eq!(headers["ce-source"], "/test/raise/1.0.0");
    assert!(body.get("number").is_some(), "{body}");
    let got = signed.until(1).await;
    let (headers, event) = &got[0];
    assert_eq!(event["data"], json!({ "number": 1 }));
    assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
    assert_eq!(headers["authorization"], "Bearer open-sesame");
    assert!(
        headers["x-signature"].to_str().is_ok_and(|value| value.starts_with("sha256=") && value.len() == 71)
    );
    until(&node.api, "plain", "three deliveries", |sink| count(sink, "delivered") == 3).await;
    let listed = command(&["sinks"]).done();
    assert!(listed.stdout.contains("plain") && listed.stdout.contains("delivering"), "{listed:?}");
    command(&["sinks", "set", "bad", "uri=ftp://x"]).failed(2, &["http or https"]);
    command(&["sinks", "set", "bad", &uri, "events=[{\"type\": \"^($\"}]"])
        .failed(2, &["regular expression"]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_refuses_and_a_node_that_is_killed_lose_nothing() {
    let place = Place::new().define("raise", RAISE);
    let endpoint = Endpoint::default();
    let uri = endpoint.start().await;
    let mut node = place.start().await;
    put(&node.api, "outside", &json!({ "uri": uri, "retry": { "delaySeconds": 1 } })).await.expect("a sink");
    *endpoint.answers.lock().expect("a lock") = vec![(503, None), (429, Some("1")), (500, None)];
    for round in 1..=3 {
        node.api.start("test/raise", json!({ "count": 20 }), None).await.expect("a start");
        endpoint.until(20 * round - 15).await;
        node.kill().await;
        node = place.start().await;
    }
    let sink = until(&node.api, "outside", "an empty queue", |sink| {
        count(sink, "delivered") >= 60 && count(sink, "waiting") == 0
    })
    .await;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for (_, event) in endpoint.got() {
        *times.entry(event["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    assert_eq!(times.len(), 60, "every event, each with an id of its own: {sink:?}");
    // One at a time is on its way, so each kill repeats one at most.
    assert!(times.values().sum::<usize>() <= 63, "{times:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_delivered_is_a_dead_letter_for_an_operator() {
    let place = Place::new().define("raise", RAISE);
    let endpoint = Endpoint::default();
    let uri = endpoint.start().await;
    let node = place.start().await;
    let api = &node.api;
    put(api, "outside", &json!({ "uri": uri })).await.expect("a sink");
    *endpoint.answers.lock().expect("a lock") = vec![(410, None), (422, None)];
    api.start("test/raise", json!({ "count": 3 }), None).await.expect("a start");
    until(api, "outside", "two dead letters", |sink| {
        count(sink, "dead") == 2 && count(sink, "delivered") == 1
    })
    .await;
    node.kill().await;
    let node = place.start().await;
    let api = &node.api;
    let letters = order(api, "outside", &DeclaredOrder::Dead).await.status["letters"].clone();
    assert_eq!(letters[0]["reason"], "status 410");
    assert_eq!(letters[1]["event"]["type"], "com.example.raised");
    let data = place.data().to_str().expect("a path").to_owned();
    let command = |words: &[&str]| {
        let mut all = vec!["--data", &data, "sinks"];
        all.extend(words);
        cli::run(place.path(), &all).done()
    };
    let dead = command(&["dead", "outside"]);
    assert!(dead.stdout.contains("status 422"), "{dead:?}");
    let number = letters[0]["number"].to_string();
    command(&["retry", "outside", &number]);
    endpoint.until(2).await;
    command(&["drop", "outside"]);
    until(api, "outside", "no dead letters", |sink| count(sink, "dead") == 0).await;
    assert_eq!(endpoint.got().len(), 2);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lifecycle_events_start_processes_and_go_out_where_somebody_asks_for_them() {
    let place = Place::new().define("raise", RAISE).define("after", AFTER);
    let endpoint = Endpoint::default();
    let uri = endpoint.start().await;
    let node = place.start().await;
    let api = &node.api;
    let spec = json!({ "uri": uri, "events": [{ "type": "^io\\.serverlessworkflow\\.workflow\\..*$" }] });
    put(api, "ends", &spec).await.expect("a sink");
    let good = api.start("test/raise", json!({ "count": 1 }), None).await.expect("a start");
    let bad = api.start("test/raise", json!({ "count": "many" }), None).await.expect("a start");
    // Begun and ended: the two, and what the first has started.
    let got = endpoint.until(6).await;
    let of = |instance: &str| {
        let mut types: Vec<String> = got
            .iter()
            .filter(|(_, event)| event["subject"] == instance)
            .map(|(_, event)| event["type"].as_str().unwrap_or_default().to_owned())
            .collect();
        types.sort();
        types
    };
    let kind = |word: &str| format!("io.serverlessworkflow.workflow.{word}.v1");
    assert_eq!(of(&good.id), [kind("completed"), kind("started")]);
    assert_eq!(of(&bad.id), [kind("faulted"), kind("started")]);
    let fault = got.iter().find(|(_, event)| event["type"] == kind("faulted")).expect("a fault");
    assert!(fault.1["data"]["error"]["status"].is_number(), "{fault:?}");
    let after = api.instances("definition=test/after").await.expect("instances");
    assert_eq!(after.len(), 1, "{after:?}");
    let output = node.ended(&after[0].id).await.output;
    assert_eq!(output, Some(json!(format!("raise-{}.test", good.id))));
    assert!(numbers(&got).is_empty(), "what the task has raised was not asked for");
    node.stop().await;
}
