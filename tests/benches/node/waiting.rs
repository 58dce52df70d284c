//! What waiting instances cost: memory, disk, and the time to take them up again after a kill.

use std::time::{Duration, Instant};

use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;

use crate::Options;
use crate::events::host;
use crate::report::Report;
use crate::wire::{Amount, Template, digits, load};
use impresario_tests::machine::{folder_bytes, resident};

const LIMIT: Duration = Duration::from_secs(600);

pub const PARK: &str = "
document: { dsl: '1.0.3', namespace: bench, name: park, version: '1.0.0' }
do:
  - prepare: { set: { n: '${ .n }', ready: true } }
  - hold: { wait: P30D }
";

pub async fn measure(options: &Options, report: &mut Report) {
    let count = options.scaled(100_000) as u64;
    let place = Place::new().set("log.level", "warn").set("engine.idle_after", "1s").define("park", PARK);
    let node = place.start().await;
    let body = format!("{{\"definition\":\"bench/park\",\"input\":{{\"n\":\"{}\"}}}}", digits());
    let own = host(&node);
    let template = Template::post(&own, "/api/v1/instances", node.api.token(), "application/json", &body);
    load(&own, &template, 0, Amount::Count(1_000)).await;
    parked(&node).await;
    let before = resident(node.process.pid());
    let done = load(&own, &template, 1_000, Amount::Count(count)).await;
    parked(&node).await;
    let after = resident(node.process.pid());
    let each = |bytes: u64| bytes as f64 / count as f64;
    let remark = format!("{count} instances that wait, parked; aim: under 2 048");
    report.add("memory of a waiting instance", each(after.saturating_sub(before)), "bytes", remark);
    report.add("  node with none of them", before as f64 / 1e6, "MB", "resident, after the first 1 000");
    report.add("  their starts acknowledged", done.per_second(), "starts/s", "");
    report.add("  on disk", each(folder_bytes(place.data())), "bytes", "log and state, each");
    node.kill().await;
    let began = Instant::now();
    let node = place.start().await;
    report.add(
        "recovery after kill -9",
        began.elapsed().as_secs_f64(),
        "s",
        "from the start of the process until ready; aim: under 5",
    );
    report.add("  node after recovery", resident(node.process.pid()) as f64 / 1e6, "MB", "resident");
    let waiting = node.api.instances("status=waiting&definition=bench/park").await.unwrap();
    assert_eq!(waiting.len() as u64, count + 1_000, "every waiting instance has to be there after a kill");
    node.stop().await;
}

/// Waits until every instance has left memory.
async fn parked(node: &Node) {
    eventually(LIMIT, "parked instances", async || {
        let tree = node.api.tree().await.ok()?;
        let shards = tree.children.iter().find(|group| group.name == "shards")?;
        // The router of a shard stays, as does whoever else is at work.
        let live = |fact: &String| fact.strip_suffix(" live")?.parse::<u32>().ok();
        shards
            .children
            .iter()
            .all(|shard| shard.facts.iter().find_map(live).is_some_and(|live| live <= 1))
            .then_some(())
    })
    .await;
}
