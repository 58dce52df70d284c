//! Wrong things: each gets a clear error at the right door, the node stays up, and nothing accepted is lost.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod activities;
mod definitions;
mod disk;
mod door;
mod folder;
mod ingress;
mod storm;

use std::time::Duration;

use impresario_tests::api::{Failure, event};
use impresario_tests::node::Node;
use impresario_tests::poll::eventually;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// Started by the event `greeted`, it answers what it was told.
const GREET: &str = "
document: { dsl: '1.0.3', namespace: test, name: greet, version: '1.0.0' }
schedule: { on: { one: { with: { type: greeted } } } }
input: { from: 'if type == \"array\" then .[0].data else . end' }
do:
  - answer: { set: { hello: '${ .name }' } }
";

/// Sends a request that the node must refuse with this status, this kind and these words.
async fn refused(node: &Node, request: RequestBuilder, status: u16, kind: &str, words: &[&str]) {
    match node.api.ask::<Value>(request).await {
        Err(Failure::Refused(found, problem)) => {
            assert_eq!(found.as_u16(), status, "{problem:?}");
            assert_eq!(problem.kind, format!("urn:impresario:problem:{kind}"));
            for word in words {
                assert!(problem.detail.contains(word), "expected '{word}' in: {}", problem.detail);
            }
        }
        other => panic!("expected a refusal with {status}, found {other:?}"),
    }
}

/// The node still does its work: an event starts an instance that completes, and the API answers.
async fn works(node: &Node, name: &str) {
    let accepted = node.api.send(&event("/works", name, "greeted", json!({ "name": name }))).await.unwrap();
    assert_eq!(accepted.accepted, 1);
    let detail = eventually(Duration::from_secs(30), "an instance that greets", async || {
        let all = node.api.instances("definition=test/greet&status=completed").await.ok()?;
        for summary in all {
            let detail = node.api.instance(&summary.id).await.ok()?;
            if detail.output == Some(json!({ "hello": name })) {
                return Some(detail);
            }
        }
        None
    })
    .await;
    assert_eq!(detail.summary.status, "completed");
    assert!(node.api.health().await.is_some_and(|health| health.ready), "the node is not ready any more");
}
