//! Instances of three activities per second, and how long one of them takes when nothing else is going on.

use std::time::{Duration, Instant};

use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use serde_json::json;

use crate::Options;
use crate::events::host;
use crate::report::{Report, median, percentile};
use crate::wire::{Amount, CONNECTIONS, Template, digits, load};

const RUNS: usize = 3;
const LIMIT: Duration = Duration::from_secs(600);

pub const THREE: &str = "
document: { dsl: '1.0.3', namespace: bench, name: three, version: '1.0.0' }
do:
  - one: { call: 'echo:1.0.0@default', with: { n: '${ .n }' } }
  - two: { call: 'echo:1.0.0@default', with: { n: '${ .n }' } }
  - three: { call: 'echo:1.0.0@default', with: { n: '${ .n }' } }
";

fn place() -> Place {
    Place::new().set("log.level", "warn").define("three", THREE)
}

/// From the first start until the last instance has completed.
pub async fn throughput(options: &Options, report: &mut Report) {
    let count = options.scaled(20_000) as u64;
    let place = place();
    let node = place.start().await;
    let body = format!("{{\"definition\":\"bench/three\",\"input\":{{\"n\":\"{}\"}}}}", digits());
    let own = host(&node);
    let template = Template::post(&own, "/api/v1/instances", node.api.token(), "application/json", &body);
    // The adapter host starts, and everything that is made once is made.
    load(&own, &template, 0, Amount::Count(500)).await;
    quiet(&node).await;
    let (mut rates, mut starts) = (Vec::new(), Vec::new());
    for run in 0..RUNS as u64 {
        let began = Instant::now();
        let started = load(&own, &template, 1_000 + run * count, Amount::Count(count)).await;
        quiet(&node).await;
        rates.push(count as f64 / began.elapsed().as_secs_f64());
        starts.push(started.per_second());
    }
    let completed = node.api.instances("status=completed&definition=bench/three").await.unwrap();
    assert_eq!(completed.len() as u64, 500 + RUNS as u64 * count, "every instance has to complete");
    node.stop().await;
    let remark = format!("{count} started over {CONNECTIONS} connections, median of {RUNS}; aim: 3 000");
    report.add("three-activity instances completed", median(rates), "instances/s", remark);
    report.add("  their starts acknowledged", median(starts), "starts/s", "while they run");
}

/// Waits until no instance is open any more.
pub async fn quiet(node: &Node) {
    eventually(LIMIT, "no open instance", async || {
        for status in ["running", "waiting", "pending"] {
            let page = node.api.page(&format!("status={status}&limit=1")).await.ok()?;
            if !page.items.is_empty() {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// As a client sees it: from the request for a start until a look finds the instance completed.
pub async fn latency(options: &Options, report: &mut Report) {
    let count = options.scaled(1_000);
    let place = place();
    let node = place.start().await;
    let mut acknowledged = Vec::with_capacity(count);
    let mut completed = Vec::with_capacity(count);
    for number in 0..count + 20 {
        let began = Instant::now();
        let started = node.api.start("bench/three", json!({ "n": number }), None).await.unwrap();
        let durable = began.elapsed();
        while node.api.instance(&started.id).await.unwrap().summary.ended_at.is_none() {}
        // The first ones start the adapter host.
        if number >= 20 {
            acknowledged.push(durable.as_secs_f64() * 1e3);
            completed.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    node.stop().await;
    let remark = format!("one after another, {count} times");
    report.add("start acknowledged, unloaded, p50", percentile(&mut acknowledged, 50), "ms", remark);
    report.add("start acknowledged, unloaded, p99", percentile(&mut acknowledged, 99), "ms", "");
    report.add(
        "start to completed, three activities, p50",
        percentile(&mut completed, 50),
        "ms",
        "as a client sees it",
    );
    report.add("start to completed, three activities, p99", percentile(&mut completed, 99), "ms", "");
}
