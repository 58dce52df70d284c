//! What an event costs that one of many instances waits for: as many entries, and as many actors brought into memory, with
//! few open subscriptions as with many.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use impresario_actors::activity::RunRequest;
use impresario_actors::behaviour::{Behaviour, BuiltinKinds, Inspection, Kinds, Unfit};
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Scope};
use impresario_actors::post::Post;
use impresario_actors::shard::{NotRun, Runner, ShardSettings};
use impresario_model::correlation;
use impresario_model::definition::DefinitionId;
use impresario_model::entry::{Body, Entry, ProcessEvent, RouterEvent, StartEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, event_shard};
use impresario_model::language::{Catalog, compile};
use impresario_model::router::Window;
use impresario_persistence::{MemoryStore, Owner, Row, Store};
use serde_json::json;
use tokio::time::{sleep, timeout};

const SHARDS: u16 = 4;
const EVENTS: u64 = 10;
const LIMIT: Duration = Duration::from_secs(120);

const LISTEN: &str = "
document: { dsl: '1.0.3', namespace: test, name: listen, version: '1.0.0' }
do:
  - hear:
      listen:
        to:
          one:
            with: { type: done, data: '${ .ok }' }
            correlate: { n: { from: .data.n, expect: '${ .n }' } }
";

struct NoHosts;

impl Runner for NoHosts {
    fn run(&self, request: RunRequest) -> Result<(), NotRun> {
        Err(NotRun::Refused(Box::new(request), "there are no hosts here".to_owned()))
    }

    fn abandon(&self, _adapter: &str, _token: &str) {}
}

/// Counts the actors that are brought into memory, and the rows that are read for them.
struct Counted {
    kinds: BuiltinKinds,
    woken: Arc<AtomicU64>,
}

impl Kinds for Counted {
    fn load(&self, actor: &ActorId, rows: &[Row]) -> Result<Box<dyn Behaviour>, Unfit> {
        self.woken.fetch_add(1, Ordering::Relaxed);
        assert!(rows.len() <= 1 || actor.as_str().starts_with("router/"), "{} rows of {actor}", rows.len());
        self.kinds.load(actor, rows)
    }
}

struct Node {
    engine: Engine,
    definition: DefinitionId,
    woken: Arc<AtomicU64>,
}

impl Node {
    async fn start() -> Self {
        let definitions = Arc::new(Definitions::default());
        let definition = definitions.add(compile(LISTEN, &Catalog::default()).unwrap());
        let woken = Arc::new(AtomicU64::new(0));
        let kinds = BuiltinKinds::new(definitions, Window { millis: 600_000, count: 100_000 });
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(SHARDS));
        let arguments = EngineArguments {
            owner: Owner { node: "test".to_owned(), incarnation: "test 1".to_owned() },
            scope: Scope::All,
            post: Post::new(store, u64::MAX),
            kinds: Arc::new(Counted { kinds, woken: Arc::clone(&woken) }),
            runner: Arc::new(NoHosts),
            clock: Clock::system(),
            // Whoever may leave memory does so after each turn: what an event needs has to be brought back.
            settings: ShardSettings { live_actors: 0, ..ShardSettings::default() },
            tick: Duration::from_millis(10),
        };
        let engine = Engine::start(arguments, None).await.unwrap();
        let listeners = correlation::routes([definition.as_ref()]);
        let routes = |shard| Entry {
            to: ActorId::router(shard),
            origin: None,
            body: Body::Router(RouterEvent::Listeners(listeners.clone())),
        };
        engine.post().accept(&(0..SHARDS).map(routes).collect::<Vec<_>>()).await.unwrap();
        Node { engine, definition: definition.id.clone(), woken }
    }

    async fn listen(&self, count: u64) {
        let start = |n: u64| {
            let start = StartEvent {
                definition: self.definition.clone(),
                input: json!({ "n": n }),
                started_by: "api".to_owned(),
                key: None,
                runtime: "0".to_owned(),
                rerun: None,
                trace: None,
            };
            Entry { to: process(n), origin: None, body: Body::Process(ProcessEvent::Start(Box::new(start))) }
        };
        self.engine.post().accept(&(0..count).map(start).collect::<Vec<_>>()).await.unwrap();
        self.idle().await;
    }

    fn posted(&self) -> u64 {
        self.engine.post().gauges().iter().map(|gauge| gauge.posted.load(Ordering::Relaxed)).sum()
    }

    /// Waits until all that was posted is applied, and nothing more follows from it.
    async fn idle(&self) {
        let quiet = async {
            let mut looks = 0;
            let mut before = self.posted();
            while looks < 20 {
                sleep(Duration::from_millis(10)).await;
                let applied = self.engine.post().gauges().iter().all(|gauge| gauge.backlog() == 0);
                looks = if applied && self.posted() == before { looks + 1 } else { 0 };
                before = self.posted();
            }
        };
        timeout(LIMIT, quiet).await.expect("it comes to rest");
    }

    async fn send(&self, n: u64) {
        let event = CloudEvent::from_json(json!({
            "specversion": "1.0", "id": n.to_string(), "source": "/test", "type": "done",
            "data": { "n": n, "ok": true },
        }))
        .unwrap();
        let to = ActorId::router(event_shard(&event.source, &event.id, SHARDS));
        let entry = Entry { to, origin: None, body: Body::Router(RouterEvent::Event(Box::new(event))) };
        self.engine.post().accept(&[entry]).await.unwrap();
    }

    async fn ended(&self, n: u64) -> bool {
        match self.engine.inspect(&process(n)).await.unwrap() {
            Inspection::Process(instance) => instance.status.ended(),
            other => panic!("instance {n} is not there: {other:?}"),
        }
    }
}

fn process(n: u64) -> ActorId {
    ActorId::process(&format!("i{n}"))
}

/// The entries that follow from events with so many open subscriptions, and the actors that are woken for them.
async fn cost(open: u64) -> (u64, u64) {
    let node = Node::start().await;
    node.listen(open).await;
    let woken = || node.woken.load(Ordering::Relaxed);
    let (posted_before, woken_before) = (node.posted(), woken());
    for number in 0..EVENTS {
        node.send(number * open / EVENTS).await;
        node.idle().await;
    }
    let cost = (node.posted() - posted_before, woken() - woken_before);
    for number in 0..EVENTS {
        assert!(node.ended(number * open / EVENTS).await, "who waits for it has heard it");
    }
    assert!(!node.ended(1).await, "and nobody else");
    node.engine.stop().await;
    cost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_costs_the_same_with_few_open_subscriptions_as_with_many() {
    let (few, many) = (cost(20).await, cost(2_000).await);
    assert_eq!(few.0, many.0, "entries");
    // Two entries for an actor in one step wake it once.
    assert!(few.1.max(many.1) <= few.0, "actors woken: {few:?} with few, {many:?} with many");
}
