//! Nothing is stuck on three nodes, one of which is killed, and each that is left tells what happened.

use std::time::Duration;

use impresario_tests::api::Api;
use impresario_tests::cluster::{Cluster, Design, StoreKind};
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);
const EACH: usize = 20;

const WAITS: &str = "
document: { dsl: '1.0.3', namespace: test, name: waits, version: '1.0.0' }
do:
  - hold: { wait: PT1H }
";
const HEARS: &str = "
document: { dsl: '1.0.3', namespace: test, name: hears, version: '1.0.0' }
do:
  - hear: { listen: { to: { one: { with: { type: never.comes } } } } }
";
const TURNS: &str = "
document:
  dsl: '1.0.3'
  namespace: test
  name: turns
  version: '1.0.0'
  metadata: { ops: { concurrency: { max: 1, onConflict: queue } } }
do:
  - hold: { wait: PT1H }
";

async fn ask(api: &Api, path: &str) -> Option<Value> {
    api.ask(api.request(Method::GET, path)).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_stuck_after_a_node_was_killed_and_it_is_told_once() {
    let store = impresario_tests::cluster::Store::start(StoreKind::Redis).await;
    let mut cluster = Cluster::prepare(store, Design::of(3).set("audit.interval", "500ms")).await;
    let kinds = [("waits", WAITS), ("hears", HEARS), ("turns", TURNS)];
    for number in 0..3 {
        for (name, source) in kinds {
            cluster.define(number, name, source);
        }
        cluster.restart(number).await;
    }
    let mut ids = Vec::new();
    for number in 0..EACH {
        for (name, _) in kinds {
            let api = &cluster.apis()[number % 3];
            let started = api.start(&format!("test/{name}"), json!({}), None).await.expect("a start");
            ids.push((name, started.id));
        }
    }
    let gone = cluster.member(2).name.clone();
    let first = cluster.apis().remove(0);
    eventually(LIMIT, "the last node to have its share", async || {
        let nodes = first.nodes().await.ok()?;
        nodes.iter().any(|node| node.name == gone && node.shards > 0).then_some(())
    })
    .await;
    cluster.kill(2).await;
    let apis = cluster.apis_without(2);
    for api in &apis {
        let mut seen = 0;
        let mut last = Value::Null;
        eventually(
            LIMIT,
            "audits of everything, after the shards of the dead node were taken over",
            async || {
                let report = ask(api, "/api/v1/audit").await?;
                assert_eq!(report["stuck"], 0, "{report}");
                if report["proven_at"] != last {
                    last = report["proven_at"].clone();
                    seen += 1;
                }
                let all = report["checked"].as_u64()? >= (kinds.len() * EACH) as u64;
                (seen > 3 && all && report["unheard"].is_null()).then_some(())
            },
        )
        .await;
        // Any node explains what another one runs.
        for (name, part) in [("waits", "waited until"), ("hears", "never.comes"), ("turns", "its turn")] {
            let id = &ids.iter().rfind(|(kind, _)| *kind == name).expect("one of each").1;
            // Its shard may just be on its way to another node, and then that is what it waits for.
            eventually(LIMIT, part, async || {
                let told = ask(api, &format!("/api/v1/explain/{id}")).await?;
                told["text"].as_str().is_some_and(|text| text.contains(part)).then_some(())
            })
            .await;
        }
        let kinds = eventually(LIMIT, "what happened", async || {
            let page = ask(api, "/api/v1/system-events?severity=warning&limit=1000").await?;
            let events = page["items"].as_array()?.clone();
            let of = |kind: &str| {
                let of_node = |event: &&Value| event["kind"] == kind && event["subject"] == gone.as_str();
                events.iter().filter(of_node).count()
            };
            let told = (of("node.down"), of("shards.rehomed"));
            (told.0 > 0 && told.1 > 0).then_some(told)
        })
        .await;
        assert_eq!(kinds.0, 1, "all have seen it, and one tells");
    }
    cluster.stop_all().await;
}
