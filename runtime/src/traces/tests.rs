//! What a collector gets, and what becomes of what it does not take.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode as Status;
use axum::routing::post;
use impresario_config::Url;
use impresario_model::trace::{SpanKind, TraceContext};
use serde_json::{Value, json};

use super::*;

/// A collector that answers as it is told, and keeps what it took.
#[derive(Clone, Default)]
struct Fake {
    answers: Arc<Mutex<Vec<(u16, Value)>>>,
    took: Arc<Mutex<Vec<Value>>>,
}

async fn take(State(fake): State<Fake>, body: String) -> (Status, String) {
    let (status, said) = fake.answers.lock().unwrap().pop().unwrap_or((200, json!({})));
    if status == 200 {
        fake.took.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    }
    (Status::from_u16(status).unwrap(), said.to_string())
}

async fn collector(answers: &[(u16, Value)]) -> (Fake, Traces) {
    // The program does this first of all; another test may have done it here.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let fake = Fake::default();
    fake.answers.lock().unwrap().extend(answers.iter().rev().cloned());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/v1/traces", post(take)).with_state(fake.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let endpoint = Some(Url::new(&format!("http://{address}")).unwrap());
    (fake, Traces { endpoint, percent: 100, queue: 1000 })
}

fn resource() -> Resource {
    Resource { environment: "TEST".to_owned(), node: "n1".to_owned(), incarnation: "i1".to_owned() }
}

fn span(number: usize) -> Span {
    let parent = TraceContext::of_instance(None, "i");
    Span {
        context: TraceContext::of_activity(parent, &number.to_string()),
        parent: Some(parent.span),
        name: "command/shell".to_owned(),
        kind: SpanKind::Client,
        start: 1_700_000_000_000,
        end: 1_700_000_000_250,
        attributes: vec![("impresario.instance", "i".to_owned())],
        error: (number == 1).then(|| "exit code 1".to_owned()),
    }
}

#[tokio::test]
async fn spans_reach_the_collector_as_the_protocol_says_and_the_end_waits_for_them() {
    let (fake, settings) = collector(&[]).await;
    let counters = SpanCounters::default();
    let (spans, exporter) = start(&settings, resource(), &counters).unwrap();
    (0..3).for_each(|number| spans.tell(span(number)));
    exporter.unwrap().stop().await;
    assert_eq!((counters.exported.get(), counters.lost.get()), (3, 0));
    let took = fake.took.lock().unwrap().clone();
    let all: Vec<&Value> = took
        .iter()
        .flat_map(|document| document["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap())
        .collect();
    let (first, second) = (all[0], all[1]);
    let parent = TraceContext::of_instance(None, "i");
    assert_eq!(first["traceId"], json!(format!("{:032x}", parent.trace)));
    assert_eq!(first["parentSpanId"], json!(format!("{:016x}", parent.span)));
    assert_eq!(first["startTimeUnixNano"], json!("1700000000000000000"));
    assert_eq!(first["endTimeUnixNano"], json!("1700000000250000000"));
    assert_eq!(first["kind"], json!(3));
    assert_eq!(first["attributes"][0]["value"]["stringValue"], json!("i"));
    assert_eq!(first.get("status"), None);
    assert_eq!(second["status"], json!({ "code": 2, "message": "exit code 1" }));
    let about = took[0]["resourceSpans"][0]["resource"]["attributes"].to_string();
    assert!(
        about.contains("\"impresario\"") && about.contains("\"TEST\"") && about.contains("\"n1\""),
        "{about}"
    );
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again_and_what_it_does_not_want_is_counted() {
    let rejects = json!({ "partialSuccess": { "rejectedSpans": "2", "errorMessage": "too old" } });
    let (fake, settings) = collector(&[(503, json!({})), (200, rejects)]).await;
    let counters = SpanCounters::default();
    let (spans, exporter) = start(&settings, resource(), &counters).unwrap();
    (0..5).for_each(|number| spans.tell(span(number)));
    exporter.unwrap().stop().await;
    assert_eq!((counters.exported.get(), counters.lost.get()), (3, 2));
    assert_eq!(fake.took.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_refused_for_good_is_lost_and_holds_nobody_up() {
    let (_fake, settings) = collector(&[(400, json!({}))]).await;
    let counters = SpanCounters::default();
    let (spans, exporter) = start(&settings, resource(), &counters).unwrap();
    spans.tell(span(0));
    exporter.unwrap().stop().await;
    assert_eq!((counters.exported.get(), counters.lost.get()), (0, 1));
}

#[tokio::test]
async fn without_a_collector_nothing_is_recorded() {
    let settings = Traces { endpoint: None, percent: 100, queue: 1 };
    let (spans, exporter) = start(&settings, resource(), &SpanCounters::default()).unwrap();
    assert!(!spans.wanted() && exporter.is_none());
}
