//! What the doors say while the store does not do what it should.

use std::sync::atomic::AtomicBool;

use impresario_actors::behaviour::BuiltinKinds;
use impresario_actors::clock::Clock;
use impresario_actors::engine::{EngineArguments, Flights, HostRunner, LogSink, Scope};
use impresario_actors::gate::Gate;
use impresario_actors::hosts::HostSpec;
use impresario_actors::post::Post;
use impresario_actors::shard::ShardSettings;
use impresario_model::router::Window;
use impresario_persistence::{MemoryMembership, MemoryStore, Owner, Store, system_clock};
use serde_json::json;

use super::super::test_store::{Appends, Slow};
use super::*;
use crate::cluster::NodeView;
use crate::metrics::NodeMetrics;

/// A node without shards, on a store that does what the test says.
async fn node() -> (Local, Arc<Slow>) {
    // A second test of the process has it installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let slow = Arc::new(Slow::new(Arc::new(MemoryStore::new(2)), 0));
    let store: Arc<dyn Store> = slow.clone();
    let definitions = Arc::new(Definitions::default());
    let stopping = Arc::new(AtomicBool::new(false));
    let (flights, gate) = (Flights::default(), Gate::default());
    let post = Post::new(store, 1000);
    let sink = Arc::new(LogSink::new(post.clone(), flights.clone(), Arc::clone(&stopping)));
    let hosts = Hosts::start(vec![], sink, gate.clone(), None).await.unwrap();
    let window = Window { millis: 60_000, count: 100 };
    let arguments = EngineArguments {
        owner: Owner { node: "a".to_owned(), incarnation: "1".to_owned() },
        scope: Scope::OnDemand,
        post: post.clone(),
        kinds: Arc::new(BuiltinKinds::new(Arc::clone(&definitions), window)),
        runner: Arc::new(HostRunner::new(hosts.clone(), flights, gate, stopping, post)),
        clock: Clock::system(),
        settings: ShardSettings::default(),
        tick: Duration::from_secs(1),
    };
    let me = NodeView {
        name: "a".to_owned(),
        incarnation: "1".to_owned(),
        alive: true,
        record: crate::cluster::NodeRecord::default(),
    };
    let view = ClusterView { me: "1".to_owned(), nodes: vec![me], shards: vec![] };
    let keys = tempfile::tempdir().unwrap();
    let vault = Arc::new(MemoryStore::new(1));
    let vault = crate::secrets::Vault::open(vault, keys.path().join("environment.key")).await.unwrap();
    let local = Local::new(LocalArguments {
        node: "a".to_owned(),
        engine: Engine::start(arguments, None).await.unwrap(),
        hosts,
        adapters: Adapters::new("a", slow.clone(), Arc::clone(&definitions), vec![], HostSpec::new("", "/")),
        raised: crate::node::Raised::new(slow.clone(), Arc::clone(&definitions)),
        definitions,
        inventory: SharedInventory::default(),
        vault,
        view: watch::channel(Arc::new(view)).1,
        peers: Peers::new("token").unwrap(),
        membership: Arc::new(MemoryMembership::new(system_clock())),
        drain: mpsc::channel(1).0,
        recent: Recent::new(100, 10_000),
        dedup: (Duration::from_secs(60), 100),
        webhooks: SharedWebhooks::default(),
        lost: vec![],
        metrics: NodeMetrics::default(),
    });
    (local, slow)
}

fn events() -> Vec<CloudEvent> {
    let event = json!({"specversion": "1.0", "id": "1", "source": "/disk", "type": "full"});
    vec![CloudEvent::from_json(event).unwrap()]
}

#[tokio::test(start_paused = true)]
async fn a_door_does_not_wait_for_ever_for_the_store_to_confirm() {
    let (node, store) = node().await;
    node.accept(events()).await.unwrap();
    *store.appends.lock().unwrap() = Appends::Waiting;
    let began = tokio::time::Instant::now();
    let refused = node.accept(events()).await;
    let Err(Refusal::Unavailable { reason, retry_after_ms }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("within 5s, and may still") && reason.contains("same event id"), "{reason}");
    assert!(retry_after_ms > 0);
    assert!((DURABLE..DURABLE * 2).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_store_that_is_away_is_told_with_a_time_to_try_again() {
    let (node, store) = node().await;
    assert_eq!((node.health().ready, node.health().store), (true, "up".to_owned()));
    *store.appends.lock().unwrap() = Appends::Refused;
    store.standing.send_replace(Standing::Away("no server answers".to_owned()));
    let refused = node.accept(events()).await;
    let Err(Refusal::Unavailable { reason, retry_after_ms }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("cannot be reached: no server answers") && retry_after_ms > 0, "{reason}");
    let health = node.health();
    assert_eq!((health.ready, health.store.as_str()), (false, "away: no server answers"));
    assert_eq!(health.problems, ["the store does not answer: no server answers"]);

    // Once it is back the node is ready by itself, whatever was lost meanwhile.
    store.standing.send_replace(Standing::Up);
    *store.appends.lock().unwrap() = Appends::Taken;
    store.alarms.lock().unwrap().push("shard 1 has lost 3 entries".to_owned());
    let health = node.health();
    assert_eq!((health.ready, health.alarms.len()), (true, 1), "{health:?}");
    node.accept(events()).await.unwrap();
}
