//! Events by every way into the HTTP door: the cases of the CloudEvents JSON format, the binding's finer points, webhooks, and
//! requests that wait.

use std::sync::atomic::Ordering;
use std::time::Duration;

use impresario_model::event::CloudEvent;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::TestDoor;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";

fn rows(name: &str) -> Vec<(String, Value, String)> {
    let table = include_str!("../../../actors/model/tests/cloudevents/vectors.json");
    let all: Value = serde_json::from_str(table).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = all[name].as_array().unwrap();
    rows.iter().map(|row| (text(&row[0]), row[1].clone(), text(&row[2]))).collect()
}

async fn post(door: &TestDoor, media_type: &str, body: &Value) -> (StatusCode, Value) {
    let request = door.request("POST", "/events").header("content-type", media_type);
    let response = request.body(body.to_string()).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn taken(door: &TestDoor) -> Vec<CloudEvent> {
    std::mem::take(&mut *door.mock.events.lock().unwrap())
}

#[tokio::test]
async fn the_cases_of_the_json_format_go_through_the_door_as_they_should() {
    let door = TestDoor::open(|_| {}).await;
    for (valid, invalid, media_type) in
        [("valid", "invalid", STRUCTURED), ("validBatches", "invalidBatches", BATCHED)]
    {
        for (name, body, _) in rows(valid) {
            let (status, answer) = post(&door, &format!("{media_type}; charset=utf-8"), &body).await;
            let count = body.as_array().map_or(1, Vec::len);
            assert_eq!((status, &answer["accepted"]), (StatusCode::ACCEPTED, &json!(count)), "{name}");
            assert_eq!(taken(&door).len(), count, "{name}");
        }
        for (name, body, reason) in rows(invalid) {
            let (status, answer) = post(&door, media_type, &body).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {answer}");
            let detail = answer["detail"].as_str().unwrap();
            assert!(detail.starts_with(&reason), "{name}: {detail}");
            assert!(taken(&door).is_empty(), "{name}: nothing of it is taken");
        }
    }
}

#[tokio::test]
async fn binary_mode_keeps_to_the_binding() {
    let door = TestDoor::open(|_| {}).await;
    let base =
        [("CE-SpecVersion", "1.0"), ("ce-id", "a%20b%25"), ("Ce-Source", "/h%C3%BCt"), ("ce-type", "t")];
    let send = async |more: &[(&str, &str)], body: &[u8]| {
        let mut request = door.request("POST", "/events").body(body.to_owned());
        for (name, value) in base.iter().chain(more) {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        let answer = (response.status(), response.text().await.unwrap());
        (answer, taken(&door).pop().map(CloudEvent::into_envelope))
    };
    let ((status, text), event) =
        send(&[("content-type", "application/json"), ("ce-subject", "\"a \\\" b\"")], b"{}").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    let expected = json!({
        "specversion": "1.0", "id": "a b%", "source": "/hüt", "type": "t", "subject": "a \" b",
        "datacontenttype": "application/json", "data": {},
    });
    assert_eq!(event, Some(expected));
    let (_, event) = send(&[("content-type", "application/octet-stream")], b"\x00\xff").await;
    assert_eq!(event.unwrap()["data_base64"], "AP8=");
    let (_, event) = send(&[("content-type", "text/plain; charset=utf-8")], "grün".as_bytes()).await;
    assert_eq!(event.unwrap()["data"], "grün");
    for nothing in [&[][..], &[("content-type", "application/json")][..]] {
        let (_, event) = send(nothing, b"").await;
        assert!(event.unwrap().get("data").is_none(), "no body is no data");
    }
    for (more, found) in [
        (&[("ce-id", "twice")][..], "'id': expected one header, found several"),
        (&[("ce-my-own", "x")], "lower-case letters and digits only"),
        (&[("ce-mine", "%zz")], "two hexadecimal digits"),
        (&[("ce-datacontenttype", "text/plain")], "Content-Type header"),
        (&[("content-type", "application/json")], "expected JSON in the body"),
    ] {
        let ((status, text), event) = send(more, b"no JSON").await;
        assert_eq!((status, &event), (StatusCode::BAD_REQUEST, &None), "{more:?}: {text}");
        assert!(text.contains(found), "{more:?}: {text}");
    }
    let (status, _) = post(&door, "application/cloudevents+avro", &json!({})).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_webhook_needs_no_token_of_the_node_and_tells_strangers_nothing() {
    let door = TestDoor::open(|_| {}).await;
    let url = |name: &str| format!("{}/hooks/{name}?a=1&a=%20", door.url);
    let post = async |name: &str, body: &str| {
        let response = door.client.post(url(name)).body(body.to_owned()).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        (status, headers, response.text().await.unwrap())
    };
    let (status, _, text) = post("open", "x").await;
    assert_eq!((status, text.as_str()), (StatusCode::ACCEPTED, "{\"accepted\":1,\"durability\":\"memory\"}"));
    assert!(door.mock.orders.lock().unwrap()[0].contains(r#"deliver open [("a", "1"), ("a", " ")] b"x""#));
    let (status, _, text) = post("answers", "x").await;
    assert_eq!((status, text.as_str()), (StatusCode::OK, "{\"challenge\":1}"));
    let (status, headers, text) = post("closed", "x").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(!headers.contains_key("www-authenticate") && !text.contains("closed"), "{text}");
    let (status, ..) = post("open", &"x".repeat(5000)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let got = door.client.get(url("open")).send().await.unwrap();
    assert_eq!(got.status(), StatusCode::METHOD_NOT_ALLOWED);
    // What is behind /api is not open for that.
    let api = door.client.get(format!("{}/api/v1/webhooks", door.url)).send().await.unwrap();
    assert_eq!(api.status(), StatusCode::UNAUTHORIZED);
    let trial = json!({ "headers": { "A": "b" }, "body": "c" });
    let tried = door.request("POST", "/api/v1/webhooks/open/test").json(&trial).send().await.unwrap();
    assert_eq!(tried.json::<Value>().await.unwrap()["verified"], true);
}

#[tokio::test]
async fn who_asks_hears_the_answer_or_where_to_look_for_it() {
    let door = TestDoor::open(|_| {}).await;
    let ask = async |id: &str, query: &str| {
        let event = json!({ "specversion": "1.0", "id": id, "source": "/t", "type": "t" });
        let request = door.request("POST", &format!("/api/v1/ask{query}")).header("content-type", STRUCTURED);
        let response = request.body(event.to_string()).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
    let (status, reply) = ask("1", "?timeout=2s").await;
    assert_eq!((status, &reply["instances"][0]["status"]), (StatusCode::OK, &json!("faulted")));
    assert!(door.mock.orders.lock().unwrap().contains(&"ask 1 2s".to_owned()));
    let (status, reply) = ask("late", "").await;
    assert_eq!((status, &reply["instances"][0]["status"]), (StatusCode::ACCEPTED, &json!("unknown")));
    for (query, found) in
        [("?timeout=soon", "such as 30s"), ("?timeout=11m", "at most 10m"), ("?wait=1s", "timeout")]
    {
        let (status, problem) = ask("1", query).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(problem["detail"].as_str().unwrap().contains(found), "{problem}");
    }
    let batch = door.request("POST", "/api/v1/ask").header("content-type", BATCHED).body("[]");
    let refused = batch.send().await.unwrap();
    assert!(refused.text().await.unwrap().contains("expected one event, found 0"));
}

#[tokio::test]
async fn those_who_wait_are_bounded_and_cost_nothing_once_they_are_gone() {
    let door = TestDoor::open(|settings| settings.waiting = 1).await;
    door.mock.waiting_held.store(true, Ordering::Relaxed);
    let path = "/api/v1/instances/01900000?wait=10s";
    let first = tokio::spawn(door.request("GET", path).send());
    let asked = || door.mock.orders.lock().unwrap().iter().filter(|order| order.starts_with("wait")).count();
    while asked() < 1 {
        tokio::task::yield_now().await;
    }
    let crowded = door.request("GET", path).send().await.unwrap();
    assert_eq!(crowded.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(crowded.text().await.unwrap().contains("http.waiting"));
    let plain = door.request("GET", "/api/v1/instances/01900000").send().await.unwrap();
    assert_eq!(plain.status(), StatusCode::OK, "who does not wait is served");
    // The client hangs up; its place is free again, and the next one waits in it.
    first.abort();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while asked() < 2 {
        let next = door.request("GET", path).timeout(Duration::from_millis(200)).send().await;
        assert!(next.is_err() || tokio::time::Instant::now() < deadline, "{next:?}");
    }
    door.mock.waiting_held.store(false, Ordering::Relaxed);
    loop {
        let next = door.request("GET", path).send().await.unwrap();
        if next.status() == StatusCode::OK {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{next:?}");
    }
}
