//! What the HTTP door refuses.

use impresario_tests::api::event;
use impresario_tests::node::Place;
use reqwest::Method;
use serde_json::json;

use super::{GREET, refused, works};

const STRUCTURED: &str = "application/cloudevents+json";

#[tokio::test]
async fn requests_that_make_no_sense_are_refused_and_harm_nobody() {
    let place = Place::new().define("greet", GREET);
    let node = place.start().await;
    let post = |media: &str, body: String| {
        node.api.request(Method::POST, "/events").header("content-type", media).body(body)
    };

    let cut = r#"{"specversion":"1.0","id":"1","#.to_owned();
    refused(&node, post(STRUCTURED, cut), 400, "invalid", &["JSON", "line 1"]).await;

    let mut without_id = event("/x", "1", "greeted", json!({}));
    without_id.as_object_mut().unwrap().remove("id");
    refused(&node, post(STRUCTURED, without_id.to_string()), 400, "invalid", &["id"]).await;
    let empty_id = event("/x", "", "greeted", json!({}));
    refused(&node, post(STRUCTURED, empty_id.to_string()), 400, "invalid", &["id"]).await;

    // One bad event keeps the whole batch out.
    let batch = json!([event("/x", "good", "greeted", json!({ "name": "never" })), without_id]).to_string();
    refused(&node, post("application/cloudevents-batch+json", batch), 400, "invalid", &["id"]).await;

    refused(&node, post("text/plain", "hello".to_owned()), 415, "unsupported-media-type", &["cloudevents"])
        .await;

    let deep = "[".repeat(100_000);
    refused(&node, post(STRUCTURED, deep), 400, "invalid", &["JSON"]).await;

    let request =
        node.api.request(Method::POST, "/api/v1/instances").json(&json!({ "definition": "test/gret" }));
    refused(&node, request, 404, "not-found", &["test/gret", "test/greet:1.0.0"]).await;
    refused(&node, node.api.request(Method::GET, "/api/v1/instances/0190"), 404, "not-found", &["0190"])
        .await;
    refused(&node, node.api.request(Method::GET, "/api/v1/instances?limit=0"), 400, "invalid", &["limit"])
        .await;
    refused(&node, node.api.request(Method::GET, "/api/v1/nothing"), 404, "not-found", &["/api/v1"]).await;
    refused(&node, node.api.request(Method::PUT, "/events"), 405, "method-not-allowed", &["PUT"]).await;

    works(&node, "door").await;
    let all = node.api.instances("definition=test/greet").await.unwrap();
    assert_eq!(all.len(), 1, "something that was refused has started an instance: {all:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_body_of_two_mebibytes_is_refused() {
    let place = Place::new().define("greet", GREET);
    let node = place.start().await;
    let large = event("/x", "large", "greeted", json!({ "name": "x".repeat(2 << 20) })).to_string();
    let told =
        node.api.request(Method::POST, "/events").header("content-type", STRUCTURED).body(large.clone());
    refused(&node, told, 413, "body-too-large", &["1048576", "http.body_limit"]).await;
    // Of unknown length: it has to be read to be refused.
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> =
        large.as_bytes().chunks(64 << 10).map(|chunk| Ok(chunk.to_vec())).collect();
    let stream = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    let untold = node.api.request(Method::POST, "/events").header("content-type", STRUCTURED).body(stream);
    refused(&node, untold, 413, "body-too-large", &["1048576"]).await;
    works(&node, "large").await;
    node.stop().await;
}

#[tokio::test]
async fn nobody_without_the_token_gets_in() {
    let place = Place::new().define("greet", GREET);
    let node = place.start().await;
    for path in ["/api/v1/instances", "/api/v1/tree", "/api/v1/definitions", "/api/v1/triggers"] {
        let none = node.api.anonymous(Method::GET, path);
        refused(&node, none, 401, "unauthorized", &["Authorization", "token"]).await;
        let wrong = node.api.anonymous(Method::GET, path).bearer_auth("not-the-token");
        refused(&node, wrong, 401, "unauthorized", &["another token"]).await;
    }
    let event = event("/x", "1", "greeted", json!({ "name": "never" })).to_string();
    let send =
        || node.api.anonymous(Method::POST, "/events").header("content-type", STRUCTURED).body(event.clone());
    refused(&node, send(), 401, "unauthorized", &["Authorization"]).await;
    let basic = send().basic_auth("admin", Some(node.api.token()));
    refused(&node, basic, 401, "unauthorized", &["another scheme"]).await;
    assert!(node.api.health().await.unwrap().ready, "the health of a node is no secret");
    works(&node, "token").await;
    assert_eq!(node.api.instances("definition=test/greet").await.unwrap().len(), 1);
    // The token lies in the data folder for its owner alone, and nowhere in clear in the log.
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(place.data().join("token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!place.log().contains(node.api.token()), "the token is in the log");
    node.stop().await;
}
