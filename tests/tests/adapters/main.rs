//! Adapters as an operator sees them: taken up, stopped, started, changed and restarted while they work, and those that
//! misbehave in every way that a process can.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod misfortune;
mod operated;
mod restart;

use std::time::Duration;

use impresario::adapters::{AdapterOrder, AdapterSummary};
use impresario_tests::api::{Api, Failure};
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde_json::{Value, json};

/// The adapter of these tests, as a program.
fn program(mode: &str) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/adapters/host.py");
    ["/usr/bin/python3", "-I", "-S", script, mode].map(str::to_owned).to_vec()
}

/// A definition that calls one function of it with its own input.
fn calls(function: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: {function}, version: '1.0.0' }}\n\
         do:\n  - work: {{ call: '{function}:1.0.0@default', with: {{ input: '${{ . }}' }} }}\n"
    )
}

async fn order(api: &Api, name: &str, order: &AdapterOrder) -> Result<(), Failure> {
    let request = api.request(Method::POST, &format!("/api/v1/adapters/{name}")).json(order);
    api.tell(request).await
}

async fn adapters(api: &Api) -> Vec<AdapterSummary> {
    api.ask(api.request(Method::GET, "/api/v1/adapters")).await.expect("the adapters")
}

/// One adapter at one node.
async fn adapter(api: &Api, name: &str) -> AdapterSummary {
    let found = adapters(api).await.into_iter().find(|adapter| adapter.name == name);
    found.expect("the adapter")
}

async fn until(api: &Api, name: &str, what: &str, so: impl Fn(&AdapterSummary) -> bool) -> AdapterSummary {
    eventually(Duration::from_secs(30), what, async || Some(adapter(api, name).await).filter(|now| so(now)))
        .await
}

/// Takes the adapter of these tests up.
async fn add(api: &Api) {
    let add = AdapterOrder::Add { command: program(""), environment: Default::default() };
    order(api, "misfortune", &add).await.expect("the adapter is taken up");
}

/// A node that has it, and definitions for these functions of it.
async fn with(functions: &[&str]) -> (Place, Node) {
    let mut place = Place::new();
    let node = place.start().await;
    add(&node.api).await;
    node.stop().await;
    for function in functions {
        place.deploy(function, &calls(function));
    }
    let node = place.start().await;
    (place, node)
}

/// Runs one activity to its end.
async fn run(node: &Node, function: &str, input: Value) -> impresario::orchestrator::InstanceDetail {
    let started = node.api.start(&format!("test/{function}"), input, None).await.expect("a start");
    node.ended(&started.id).await
}

/// The adapter does its work.
async fn works(node: &Node) -> u64 {
    let ended = run(node, "pid", json!({})).await;
    assert_eq!(ended.summary.status, "completed", "{ended:?}");
    ended.output.and_then(|output| output.as_u64()).expect("a process number")
}
