//! Any node shows any actor, and takes it back from quarantine at whichever node it is.

use std::collections::BTreeSet;
use std::time::Duration;

use impresario::inspect::{ActorDetail, EntryPage, QuarantinedActor, Trace};
use impresario_model::encoding;
use impresario_model::entry::{Body, Entry, TriggerEvent};
use impresario_model::ids::ActorId;
use impresario_persistence::{Append, RedisConfig, RedisStore, ShardId, Store as _};
use impresario_tests::api::Api;
use impresario_tests::cluster::{Cluster, Design, Store, StoreKind};
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(30);
/// As many as the nodes of a cluster have.
const SHARDS: u16 = 12;

const WAITING: &str = "document: { dsl: '1.0.3', namespace: test, name: waiting, version: '1.0.0' }
do: [ { pause: { wait: PT1H } } ]
";

async fn get<T: DeserializeOwned>(api: &Api, path: &str) -> T {
    eventually(LIMIT, path, async || api.ask(api.request(Method::GET, path)).await.ok()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_shows_any_actor_and_takes_it_back() {
    let mut cluster = Cluster::prepare(Store::start(StoreKind::Redis).await, Design::of(3)).await;
    (0..3).for_each(|node| cluster.define(node, "waiting", WAITING));
    for node in 0..3 {
        cluster.restart(node).await;
    }
    let apis = cluster.apis();
    let mut actors = Vec::new();
    for _ in 0..12 {
        let id = apis[0].start("test/waiting", json!({}), None).await.expect("a start").id;
        actors.push(ActorId::process(&id));
    }
    // Once the shards are spread, every node has some of them.
    eventually(LIMIT, "every node has an actor", async || {
        let mut nodes = BTreeSet::new();
        for actor in &actors {
            let shown: ActorDetail = get(&apis[0], &format!("/api/v1/actors/{actor}")).await;
            nodes.insert(shown.node);
        }
        (nodes.len() == 3).then_some(())
    })
    .await;
    for actor in &actors {
        let mut shown: Vec<ActorDetail> = Vec::new();
        for api in &apis {
            shown.push(get(api, &format!("/api/v1/actors/{actor}")).await);
        }
        assert!(shown.iter().all(|one| one.status == "waiting" && one.epoch > 0), "{shown:?}");
        assert!(shown.iter().all(|one| one.state == shown[0].state), "{shown:?}");
    }

    let Store::Redis(server) = &cluster.store else { unreachable!("it was asked for") };
    let address = server.address();
    let (host, port) = address.rsplit_once(':').expect("an address");
    let servers = vec![(host.to_owned(), port.parse().expect("a port"))];
    let store = RedisStore::open(RedisConfig::new("PRODUCTION", SHARDS, servers)).await.expect("a store");
    let poison = actors.iter().map(|to| {
        let shard = ShardId(to.shard(SHARDS));
        let entry = Entry { to: to.clone(), origin: None, body: Body::Trigger(TriggerEvent::Timer) };
        Append { shard, bytes: encoding::encode(&entry).expect("an entry").into() }
    });
    store.append(poison.collect()).await.expect("a poison");
    for api in &apis {
        let listed = eventually(LIMIT, "all in quarantine", async || {
            let listed: Vec<QuarantinedActor> = get(api, "/api/v1/quarantine").await;
            (listed.len() == actors.len()).then_some(listed)
        })
        .await;
        let nodes: BTreeSet<String> = listed.into_iter().map(|one| one.node).collect();
        assert_eq!(nodes.len(), 3, "each owner tells of its own");
    }
    for (number, actor) in actors.iter().enumerate() {
        let api = &apis[number % apis.len()];
        let path = format!("/api/v1/quarantine/{actor}");
        let order = json!({ "order": "skip" });
        eventually(LIMIT, "an order carried out", async || {
            api.tell(api.request(Method::POST, &path).json(&order)).await.ok()
        })
        .await;
        let shown: ActorDetail = get(api, &format!("/api/v1/actors/{actor}")).await;
        assert_eq!((shown.status.as_str(), shown.quarantined), ("waiting", None));
    }
    let left: Vec<QuarantinedActor> = get(&apis[1], "/api/v1/quarantine").await;
    assert_eq!(left, []);

    // Who reads the logs needs no owner.
    for api in &apis {
        let page: EntryPage = get(api, "/api/v1/entries?limit=1").await;
        let path = format!("/api/v1/entries?kind=process.start&after={}&wait=20s", page.next);
        let start = apis[0].start("test/waiting", json!({}), None);
        let (shown, started) = tokio::join!(get::<EntryPage>(api, &path), start);
        let actor = ActorId::process(&started.expect("a start").id);
        assert!(shown.items.iter().any(|entry| entry.actor == actor.as_str()), "{shown:?}");
        let trace: Trace = get(api, &format!("/api/v1/trace?actor={actor}")).await;
        assert_eq!(trace.steps[0].actor, actor.as_str());
    }
    drop(store);
    cluster.stop_all().await;
}
