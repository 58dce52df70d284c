//! The doors of a real node for those who know no CloudEvents: syslog, webhooks, and requests that wait for an answer.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;
use std::time::Duration;

use impresario::endpoint::Endpoint;
use impresario_tests::api::event;
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

const LIMIT: Duration = Duration::from_secs(60);

const LINE: &str = "
document: { dsl: '1.0.3', namespace: test, name: line, version: '1.0.0' }
schedule: { on: { one: { with: { type: io.impresario.syslog.v1 } } } }
do:
  - note: { set: { heard: '${ .[0].data.message }', from: '${ .[0].source }' } }
";

const PUSHED: &str = "
document: { dsl: '1.0.3', namespace: test, name: pushed, version: '1.0.0' }
schedule: { on: { one: { with: { type: com.example.push } } } }
do:
  - note: { set: { by: '${ .[0].data.by }' } }
";

const HOOK: &str = r#"
description: Pushes
verify: { hmac: { header: X-Signature, prefix: "sha256=", secret: { user: example, field: secret } } }
when: '${ .headers["x-kind"] == "push" }'
event: { type: com.example.push, data: { by: '${ .body.name }' } }
"#;

const ANSWER: &str = "
document: { dsl: '1.0.3', namespace: test, name: answer, version: '1.0.0' }
schedule: { on: { any: [ { with: { type: asked } }, { with: { type: other, subject: right } } ] } }
do:
  - wait: { wait: { milliseconds: 50 } }
  - say: { set: { answer: '${ .[0].data.n + 1 }' } }
";

const SLOW: &str = "
document: { dsl: '1.0.3', namespace: test, name: slow, version: '1.0.0' }
schedule: { on: { one: { with: { type: slow } } } }
do:
  - wait: { wait: { seconds: 3 } }
  - say: { set: { done: true } }
";

fn pack(place: &Place) -> std::path::PathBuf {
    let folder = place.path().join("hooks-pack");
    for name in ["definitions", "webhooks"] {
        fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    fs::write(folder.join("pack.yaml"), "{ name: hooks, version: '1.0.0' }").expect("a file");
    fs::write(folder.join("definitions/pushed.yaml"), PUSHED).expect("a file");
    fs::write(folder.join("webhooks/example.yaml"), HOOK).expect("a file");
    folder
}

async fn outputs(node: &Node, definition: &str, count: usize) -> Vec<Value> {
    let done = eventually(LIMIT, "completed instances", async || {
        let all = node.api.instances(&format!("status=completed&definition={definition}")).await.ok()?;
        (all.len() >= count).then_some(all)
    })
    .await;
    let mut outputs = Vec::new();
    for summary in done {
        outputs.push(node.api.instance(&summary.id).await.expect("an instance").output.expect("an output"));
    }
    outputs.sort_by_key(Value::to_string);
    outputs
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_syslog_start_instances_and_survive_a_kill() {
    let place = Place::new()
        .set("syslog.listen", "127.0.0.1:0")
        .set("syslog.listen_udp", "127.0.0.1:0")
        .define("line", LINE);
    let node = place.start().await;
    let told = Endpoint::find(place.data()).expect("a node tells where it is");
    let mut device = TcpStream::connect(told.syslog.expect("a listener")).await.expect("an open door");
    device
        .write_all(b"<13>1 - sw-1 a - - - over TCP\n<13>1 - sw-1 a - - - over TCP\n")
        .await
        .expect("a line");
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    udp.send_to(b"<13>1 - sw-2 a - - - over UDP", told.syslog_udp.expect("a listener"))
        .await
        .expect("a datagram");
    let heard = outputs(&node, "test/line", 3).await;
    let expected = json!([
        { "from": "syslog://sw-1", "heard": "over TCP" }, { "from": "syslog://sw-1", "heard": "over TCP" },
        { "from": "syslog://sw-2", "heard": "over UDP" },
    ]);
    assert_eq!(json!(heard), expected);
    node.kill().await;
    let node = place.start().await;
    assert_eq!(outputs(&node, "test/line", 3).await.len(), 3);
    node.stop().await;
}

/// The signature that the secret `s3cret` makes of a body.
fn signature(body: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s3cret");
    let tag = ring::hmac::sign(&key, body.as_bytes());
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_delivery_starts_one_instance_however_often_it_comes() {
    let place = Place::new();
    let pack = pack(&place);
    let place = place.pack(&pack);
    let node = place.start().await;
    let body = json!({ "name": "ada" }).to_string();
    let deliver = async |signature: Option<String>, kind: &str| {
        let mut request = node.api.anonymous(Method::POST, "/hooks/example").body(body.clone());
        request = request.header("content-type", "application/json").header("x-kind", kind);
        if let Some(signature) = signature {
            request = request.header("x-signature", signature);
        }
        let response = request.send().await.expect("an answer");
        (response.status(), response.text().await.expect("a body"))
    };
    // Until somebody sets the secret, nobody is believed.
    let (early, _) = deliver(Some(signature(&body)), "push").await;
    assert_eq!(early, StatusCode::UNAUTHORIZED);
    place.run(&["users", "set", "example", "secret=s3cret"]).done();
    for wrong in [None, Some(String::new()), Some(signature("another"))] {
        let (status, text) = deliver(wrong, "push").await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(!text.contains("example") && !text.contains("s3cret"), "{text}");
    }
    for _ in 0..3 {
        let (status, text) = deliver(Some(signature(&body)), "push").await;
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    }
    let (status, text) = deliver(Some(signature(&body)), "ping").await;
    assert_eq!((status, text.contains("\"accepted\":0")), (StatusCode::ACCEPTED, true), "{text}");
    assert_eq!(outputs(&node, "test/pushed", 1).await, [json!({ "by": "ada" })]);

    let listed = place.run(&["webhooks"]).done().stdout;
    assert!(
        listed.contains("example") && listed.contains("hmac") && listed.contains("pack hooks"),
        "{listed}"
    );
    let file = place.write("body.json", &body);
    let file = file.to_string_lossy().into_owned();
    let signed = format!("X-Signature: {}", signature(&body));
    let test =
        ["webhooks", "test", "example", "--body", &file, "--header", &signed, "--header", "x-kind: push"];
    let tried = place.run(&test).done().stdout;
    assert!(tried.contains("com.example.push") && tried.contains("verified"), "{tried}");
    node.stop().await;

    // A later version of the pack without it closes it.
    fs::write(pack.join("pack.yaml"), "{ name: hooks, version: '1.0.1' }").expect("a file");
    fs::remove_file(pack.join("webhooks/example.yaml")).expect("a file");
    let node = place.start().await;
    let closed = node
        .api
        .anonymous(Method::POST, "/hooks/example")
        .body(body.clone())
        .send()
        .await
        .expect("an answer");
    assert_eq!(closed.status(), StatusCode::UNAUTHORIZED);
    let listed = place.run(&["webhooks"]).done().stdout;
    assert!(listed.contains("no webhooks"), "{listed}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_hears_the_output_of_what_the_event_started() {
    let place = Place::new().define("answer", ANSWER).define("slow", SLOW);
    let node = place.start().await;
    let ask = async |event: Value, timeout: &str| {
        let path = format!("/api/v1/ask?timeout={timeout}");
        let request =
            node.api.request(Method::POST, &path).header("content-type", "application/cloudevents+json");
        let response = request.body(event.to_string()).send().await.expect("an answer");
        (response.status(), response.json::<Value>().await.expect("a reply"))
    };
    let (status, reply) = ask(event("/t", "1", "asked", json!({ "n": 41 })), "30s").await;
    assert_eq!(status, StatusCode::OK, "{reply}");
    assert_eq!(
        (&reply["complete"], &reply["instances"][0]["output"]),
        (&json!(true), &json!({ "answer": 42 }))
    );
    // The same again hears the same, and starts nothing.
    let (_, again) = ask(event("/t", "1", "asked", json!({ "n": 41 })), "30s").await;
    assert_eq!(again["instances"], reply["instances"]);
    let (status, faulted) = ask(event("/t", "2", "asked", json!({ "n": {} })), "30s").await;
    assert_eq!((status, &faulted["instances"][0]["status"]), (StatusCode::OK, &json!("faulted")));
    assert!(faulted["instances"][0]["error"]["title"].is_string(), "{faulted}");
    for (kind, why) in [("nobody", "no trigger watches"), ("other", "do not match the event: ")] {
        let (status, nothing) = ask(event("/t", "3", kind, json!({})), "30s").await;
        assert_eq!((status, &nothing["instances"]), (StatusCode::OK, &json!([])));
        assert!(nothing["detail"].as_str().is_some_and(|detail| detail.contains(why)), "{nothing}");
    }
    let (status, late) = ask(event("/t", "4", "slow", json!({})), "300ms").await;
    assert_eq!((status, &late["complete"]), (StatusCode::ACCEPTED, &json!(false)));
    let id = late["instances"][0]["id"].as_str().expect("an id").to_owned();
    let waited = node.api.request(Method::GET, &format!("/api/v1/instances/{id}?wait=30s"));
    let detail: Value = node.api.ask(waited).await.expect("an instance");
    assert_eq!((&detail["status"], &detail["output"]), (&json!("completed"), &json!({ "done": true })));

    let said = place.run(&["ask", "asked", "--data", "{\"n\": 1}"]).done().stdout;
    assert_eq!(serde_json::from_str::<Value>(&said).ok(), Some(json!({ "answer": 2 })));
    node.stop().await;
}
