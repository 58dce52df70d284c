//! The same on a store in Redis, which one or two nodes share: what HTTP acknowledges, what gets done, what Redis holds.
//!
//! Redis, the nodes and the load are on the same cores.

use std::time::{Duration, Instant};

use impresario_test_servers::{Fsync, RedisServer};
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;

use crate::Options;
use crate::bare::{Bare, Into};
use crate::events::{RUNS, WARM, host};
use crate::instances::{THREE, quiet};
use crate::report::{Report, median};
use crate::waiting::PARK;
use crate::wire::{Amount, CONNECTIONS, Template, digits, event_body, load};

const LIMIT: Duration = Duration::from_secs(600);

fn place(server: &RedisServer, name: &str) -> Place {
    Place::new()
        .set("log.level", "warn")
        .set("node.name", name)
        .set("store.kind", "redis")
        .set("redis.servers", &server.address())
}

/// Events per second that are acknowledged, beside a bare server that adds each to a stream.
pub async fn events(options: &Options, report: &mut Report) {
    let time = if options.quick { Duration::from_millis(500) } else { Duration::from_secs(3) };
    for (fsync, name) in [(Fsync::EverySecond, "everysec"), (Fsync::Always, "always")] {
        let server = RedisServer::builder().fsync(fsync).start().await;
        let node = place(&server, "one").start().await;
        let bare = Bare::start(&Into::Redis(server.address()));
        let body = event_body("bench.event");
        let template = |host: &str, token: &str| {
            Template::post(host, "/events", token, "application/cloudevents+json", &body)
        };
        let own = host(&node);
        let targets = [
            (own.clone(), template(&own, node.api.token())),
            (bare.host.clone(), template(&bare.host, "none")),
        ];
        let mut figures = [Vec::new(), Vec::new()];
        let mut first = 0;
        for _ in 0..RUNS {
            for ((host, template), figures) in targets.iter().zip(&mut figures) {
                first += load(host, template, first, Amount::Time(WARM)).await.requests;
                let done = load(host, template, first, Amount::Time(time)).await;
                first += done.requests;
                figures.push(done.per_second());
                // What was appended is applied before it is the other's turn.
                settled(&node).await;
            }
        }
        node.stop().await;
        let [node, bare] = figures.map(median);
        let remark = format!("{} bytes each, {CONNECTIONS} connections, median of {RUNS}", body.len());
        report.add(&format!("events acknowledged, Redis, {name}"), node, "events/s", remark);
        report.add("  bare server, one XADD each", bare, "events/s", "");
        report.add("  share of the bare server", 100.0 * node / bare, "%", "aim: 60");
    }
}

/// Waits until no shard of a node is behind its log.
async fn settled(node: &Node) {
    eventually(LIMIT, "shards without a lag", async || {
        let tree = node.api.tree().await.ok()?;
        let shards = tree.children.iter().find(|group| group.name == "shards")?;
        let behind = |fact: &String| fact.starts_with("lag ") && fact != "lag 0";
        (!shards.children.iter().any(|shard| shard.facts.iter().any(behind))).then_some(())
    })
    .await;
}

/// Instances of three activities per second, with one node and with two.
pub async fn instances(options: &Options, report: &mut Report) {
    let count = options.scaled(20_000) as u64;
    for nodes in [1_usize, 2] {
        let server = RedisServer::start().await;
        let places: Vec<Place> =
            (0..nodes).map(|n| place(&server, &format!("node-{n}")).define("three", THREE)).collect();
        let mut running = Vec::new();
        for place in &places {
            running.push(place.start().await);
        }
        let first = running.first().unwrap();
        eventually(LIMIT, "shards at every node", async || {
            let owned = first.api.nodes().await.ok()?;
            owned.iter().all(|node| node.shards > 0).then_some(())
        })
        .await;
        let body = format!("{{\"definition\":\"bench/three\",\"input\":{{\"n\":\"{}\"}}}}", digits());
        let own = host(first);
        let template =
            Template::post(&own, "/api/v1/instances", first.api.token(), "application/json", &body);
        load(&own, &template, 0, Amount::Count(500)).await;
        quiet(first).await;
        let mut rates = Vec::new();
        for run in 0..3_u64 {
            let began = Instant::now();
            load(&own, &template, 1_000 + run * count, Amount::Count(count)).await;
            quiet(first).await;
            rates.push(count as f64 / began.elapsed().as_secs_f64());
        }
        let completed = first.api.instances("status=completed&definition=bench/three").await.unwrap();
        assert_eq!(completed.len() as u64, 500 + 3 * count, "every instance has to complete");
        let remark = format!("{count} started over {CONNECTIONS} connections, median of 3; aim: 5 000");
        let words = format!("three-activity instances completed, Redis, {nodes} node(s)");
        report.add(&words, median(rates), "instances/s", remark);
        for node in running {
            node.stop().await;
        }
    }
}

/// What Redis holds of instances that wait, and of instances that are long gone.
pub async fn memory(options: &Options, report: &mut Report) {
    let server = RedisServer::start().await;
    let place = place(&server, "one")
        .set("engine.idle_after", "1s")
        .set("engine.retention", "0s")
        .define("park", PARK)
        .define("three", THREE);
    let node = place.start().await;
    let own = host(&node);
    let template = |definition: &str| {
        let body = format!("{{\"definition\":\"bench/{definition}\",\"input\":{{\"n\":\"{}\"}}}}", digits());
        Template::post(&own, "/api/v1/instances", node.api.token(), "application/json", &body)
    };
    let three = template("three");
    let round = options.scaled(250_000) as u64;
    let mut first = 0;
    let mut used_after = Vec::new();
    for _ in 0..4 {
        load(&own, &three, first, Amount::Count(round)).await;
        first += round;
        eventually(LIMIT, "no instance left", async || {
            node.api.page("limit=1").await.ok()?.items.is_empty().then_some(())
        })
        .await;
        used_after.push(used(&server).await);
    }
    let total = 4 * round;
    for (number, used) in (1_u64..).zip(&used_after) {
        let words = format!("Redis memory after {} finished instances", number * round);
        report.add(&words, *used as f64 / 1e6, "MB", if number == 4 { "groomed; it stays flat" } else { "" });
    }
    let count = options.scaled(100_000) as u64;
    let park = template("park");
    let before = used(&server).await;
    load(&own, &park, total, Amount::Count(count)).await;
    eventually(LIMIT, "stored instances", async || {
        settled(&node).await;
        let tree = node.api.tree().await.ok()?;
        let shards = tree.children.iter().find(|group| group.name == "shards")?;
        let live = |fact: &String| fact.strip_suffix(" live")?.parse::<u32>().ok();
        let parked = shards
            .children
            .iter()
            .all(|shard| shard.facts.iter().find_map(live).is_some_and(|live| live <= 1));
        parked.then_some(())
    })
    .await;
    let each = used(&server).await.saturating_sub(before) as f64 / count as f64;
    let remark = format!("{count} instances that wait, in rows and indexes");
    report.add("Redis memory of a waiting instance", each, "bytes", remark);
    node.stop().await;
}

/// What the server has allocated, in bytes.
async fn used(server: &RedisServer) -> u64 {
    let info = server.command(&["INFO", "memory"]).await;
    let line = info.lines().find_map(|line| line.trim().strip_prefix("used_memory:")).unwrap_or_default();
    line.parse().unwrap()
}
