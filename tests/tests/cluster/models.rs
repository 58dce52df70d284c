//! The deployment models: the same pack, unchanged, in all five.

use std::time::{Duration, Instant};

use impresario_tests::accounts::{Clients, Harm, Placed, pack};
use impresario_tests::api::Api;
use impresario_tests::cluster::{Cluster, Design, Progress, StoreKind, audit, orders};
use impresario_tests::poll::eventually;
use serde_json::json;
use tokio::sync::watch;

const INSTANCES: u32 = 60;
const SOON: Duration = Duration::from_secs(30);

/// Orders while `fault` happens, and compares the accounts.
async fn keeps_its_word(
    cluster: &mut Cluster,
    harm: Harm,
    fault: impl AsyncFnOnce(&mut Cluster, &mut Progress),
) {
    let orders = orders(cluster, INSTANCES);
    let (_allowance, allowed) = watch::channel(u64::from(orders.total()));
    let clients = Clients::start(&orders, cluster.doors(), allowed);
    let mut progress = Progress::new(orders.clone());
    // So that there is something to break.
    progress.whole(Instant::now(), &cluster.apis()).await;
    fault(cluster, &mut progress).await;
    let (mut placed, _) = clients.finish().await;
    placed.append(&mut progress.placed);
    let account = audit(cluster, harm, &orders, &placed).await;
    assert!(account.wrong.is_empty(), "{account}\n{}", account.wrong.join("\n"));
}

async fn killed_and_restarted(cluster: &mut Cluster, progress: &mut Progress) {
    cluster.kill(0).await;
    cluster.restart(0).await;
    progress.whole(Instant::now(), &cluster.apis()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_with_a_store_of_its_own() {
    let mut cluster = Cluster::start(StoreKind::Embedded, Design::of(1)).await;
    keeps_its_word(&mut cluster, Harm::InDoubt(8), killed_and_restarted).await;
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_and_one_redis_server() {
    let mut cluster = Cluster::start(StoreKind::Redis, Design::of(1)).await;
    keeps_its_word(&mut cluster, Harm::InDoubt(8), killed_and_restarted).await;
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_on_one_site() {
    let mut cluster = Cluster::start(StoreKind::Redis, Design::of(2)).await;
    keeps_its_word(&mut cluster, Harm::InDoubt(8), async |cluster, progress| {
        let killed = Instant::now();
        cluster.kill(0).await;
        progress.taken_over(killed, &cluster.apis()).await;
        cluster.restart(0).await;
        progress.whole(Instant::now(), &cluster.apis()).await;
    })
    .await;
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_sites_with_a_store_each() {
    let mut lost = Cluster::start(StoreKind::Redis, Design::of(1)).await;
    let mut other = Cluster::start(StoreKind::Redis, Design::of(1)).await;
    keeps_its_word(&mut lost, Harm::InDoubt(8), async |lost, progress| {
        lost.kill(0).await;
        lost.store.redis().kill();
        // The other site has nothing to do with it.
        keeps_its_word(&mut other, Harm::None, async |_, _| {}).await;
        lost.store.redis().restart().await;
        lost.restart(0).await;
        progress.whole(Instant::now(), &lost.apis()).await;
    })
    .await;
    lost.stop_all().await;
    other.stop_all().await;
}

/// Waits until these nodes have so many shards each.
async fn fair(api: &Api, names: &[&str; 4], expected: [usize; 4]) {
    let what = format!("shards spread as {expected:?}");
    eventually(SOON, &what, async || {
        let nodes = api.nodes().await.ok()?;
        let of = |name: &str| {
            let owned = nodes.iter().filter(|node| node.name == name && node.state != "gone");
            owned.map(|node| node.shards).sum::<usize>()
        };
        (names.map(of) == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_store_across_sites() {
    let mut design = Design::of(0);
    design.sites = vec![Some("north"), Some("north"), Some("south"), Some("south")];
    let mut cluster = Cluster::start(StoreKind::Redis, design).await;
    let names = ["node-0", "node-1", "node-2", "node-3"];
    fair(&cluster.apis()[0], &names, [3, 3, 3, 3]).await;
    keeps_its_word(&mut cluster, Harm::InDoubt(16), async |cluster, progress| {
        let south = cluster.member(2).node().api.clone();
        let killed = Instant::now();
        cluster.kill(0).await;
        progress.taken_over(killed, &cluster.apis()).await;
        fair(&south, &names, [0, 4, 4, 4]).await;
        let killed = Instant::now();
        cluster.kill(1).await;
        progress.taken_over(killed, &cluster.apis()).await;
        // A site is lost, and the other does its work.
        fair(&south, &names, [0, 0, 6, 6]).await;
        cluster.restart(0).await;
        cluster.restart(1).await;
        progress.whole(Instant::now(), &cluster.apis()).await;
        fair(&south, &names, [3, 3, 3, 3]).await;
    })
    .await;
    cluster.stop_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_nodes_that_keep_nothing() {
    let mut cluster = Cluster::start(StoreKind::Memory, Design::of(2)).await;
    // Ten on each node, long enough to be at work when one of them is killed.
    let mut started: [Vec<String>; 2] = Default::default();
    for (node, ids) in started.iter_mut().enumerate() {
        for number in 0..10 {
            let input = json!({ "order": format!("memory-{node}-{number}"), "work": "0.1" });
            let answer = cluster.member(node).node().api.start(pack::NAME, input, None).await.unwrap();
            assert_eq!(answer.durability, "memory");
            ids.push(answer.id);
        }
    }
    cluster.kill(0).await;
    cluster.restart(0).await;
    for id in &started[0] {
        let gone = cluster.member(0).node().api.instance(id).await;
        assert!(gone.is_err(), "a node that keeps nothing has forgotten {id}");
    }
    for id in &started[1] {
        let detail = cluster.member(1).node().ended(id).await;
        assert_eq!(detail.summary.status, "completed", "the work of the other node is its own: {detail:?}");
    }
    // The one that came back works as if it were new.
    let mut progress = Progress::new(orders(&cluster, 0));
    progress.whole(Instant::now(), &cluster.apis()).await;
    assert!(progress.placed.values().all(|placed| matches!(placed, Placed::Start(_))));
    cluster.stop_all().await;
}
