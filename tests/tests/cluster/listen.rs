//! Instances that wait for events, on nodes of which one is killed while the events come: each hears the one that it waits for,
//! and goes on once.

use std::collections::BTreeMap;
use std::time::Duration;

use impresario_tests::api::{Api, event};
use impresario_tests::cluster::{Cluster, Design, Store, StoreKind};
use impresario_tests::poll::eventually;
use serde_json::{Value, json};

/// A take-over on a busy machine, and what follows from it.
const LIMIT: Duration = Duration::from_secs(120);
/// So many instances, each with a key of its own.
const INSTANCES: usize = 30;
const KILLED: usize = 1;

/// Says what it has heard, so that somebody counts it.
const HEARS: &str = "
document: { dsl: '1.0.3', namespace: test, name: hears, version: '1.0.0' }
do:
  - hear:
      listen: { to: { one: { with: { type: told }, correlate: { host: { from: .data.host, expect: '${ .host }' } } } } }
      output: { as: '{ host: .[0].host, n: .[0].n }' }
  - say:
      emit: { event: { with: { source: /hears, type: heard, data: '${ . }' } } }
      output: { as: $input }
";
/// One instance for each that went on.
const COUNTED: &str = "
document: { dsl: '1.0.3', namespace: test, name: counted, version: '1.0.0' }
schedule: { on: { one: { with: { type: heard } } }, read: data }
do:
  - note: { set: '${ .[0] }' }
";

/// Sends an event until one of the nodes has it: what was in doubt is sent again, as the same event.
async fn tell(apis: &[&Api], n: usize) {
    let told = event("/teller", &n.to_string(), "told", json!({ "host": format!("host {n}"), "n": n }));
    eventually(LIMIT, "a node that takes an event", async || {
        for api in apis {
            if api.send(&told).await.is_ok() {
                return Some(());
            }
        }
        None
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_takes_no_listener_with_it() {
    let design = Design::of(3).set("log.level", "warn");
    let mut cluster = Cluster::prepare(Store::start(StoreKind::Redis).await, design).await;
    for member in 0..3 {
        cluster.define(member, "hears", HEARS);
        cluster.define(member, "counted", COUNTED);
        cluster.restart(member).await;
    }
    let any = cluster.member(0).node().api.clone();
    let mut waiting = BTreeMap::new();
    for n in 0..INSTANCES {
        let started = any.start("test/hears", json!({ "host": format!("host {n}") }), None).await.unwrap();
        waiting.insert(n, started.id);
    }
    for id in waiting.values() {
        eventually(LIMIT, "an instance that listens", async || {
            let detail = any.instance(id).await.ok()?;
            detail.listeners.first().is_some_and(|listener| listener.subscribed).then_some(())
        })
        .await;
    }
    let all: Vec<Api> = (0..3).map(|member| cluster.member(member).node().api.clone()).collect();
    // A third before, through the node that is killed right after; a third at once, a third once more through another.
    for n in 0..INSTANCES / 3 {
        tell(&[&all[KILLED]], n).await;
    }
    cluster.kill(KILLED).await;
    let survivors = [&all[0], &all[2]];
    for n in INSTANCES / 3..INSTANCES {
        tell(&survivors, n).await;
        if n % 2 == 0 {
            tell(&[survivors[1]], n).await;
        }
    }
    for (n, id) in &waiting {
        let output = eventually(LIMIT, "an instance that has heard what it waits for", async || {
            let detail = any.instance(id).await.ok()?;
            (detail.summary.status == "completed").then_some(detail.output)
        })
        .await;
        assert_eq!(output, Some(json!({ "host": format!("host {n}"), "n": n })));
    }
    let counted = eventually(LIMIT, "as many that were counted", async || {
        let counted = any.instances("definition=test/counted").await.ok()?;
        let done = counted.iter().all(|one| one.status == "completed");
        (done && counted.len() >= INSTANCES).then_some(counted)
    })
    .await;
    let mut hosts: BTreeMap<String, usize> = BTreeMap::new();
    for one in &counted {
        let output: Option<Value> = any.instance(&one.id).await.unwrap().output;
        *hosts.entry(output.unwrap_or_default()["host"].to_string()).or_default() += 1;
    }
    assert_eq!((hosts.len(), counted.len()), (INSTANCES, INSTANCES), "each went on once: {hosts:?}");
    cluster.restart(KILLED).await;
    cluster.stop_all().await;
}
