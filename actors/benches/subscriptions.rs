//! What an event costs that one of many instances waits for, with few and with many open subscriptions: from its entry at
//! the router until the instance has ended. Each instance waits for a value of its own. It must cost the same.
//!
//! `cargo bench -p impresario-actors --bench subscriptions`; behind `--`, how many subscriptions instead of 100 and 100 000.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark stops at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use impresario_actors::activity::RunRequest;
use impresario_actors::behaviour::{BuiltinKinds, Inspection};
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
use impresario_persistence::{MemoryStore, Owner, Store};
use serde_json::json;

const SHARDS: u16 = 16;
/// How many events are measured.
const ROUNDS: u64 = 100;
/// How long it takes until a node that has nothing to do has stored everything and parked everybody.
const SETTLED: Duration = Duration::from_secs(20);
/// How many entries are posted together while instances are started.
const STARTED_AT_ONCE: u64 = 500;

const LISTEN: &str = "
document: { dsl: '1.0.3', namespace: bench, name: listen, version: '1.0.0' }
do:
  - hear:
      listen:
        to:
          one:
            with: { type: bench.done, data: '${ .ok }' }
            correlate: { n: { from: .data.n, expect: '${ .n }' } }
";

struct NoHosts;

impl Runner for NoHosts {
    fn run(&self, request: RunRequest) -> Result<(), NotRun> {
        Err(NotRun::Refused(Box::new(request), "there are no hosts here".to_owned()))
    }

    fn abandon(&self, _adapter: &str, _token: &str) {}
}

struct Node {
    engine: Engine,
    definition: DefinitionId,
}

impl Node {
    async fn start() -> Self {
        let definitions = Arc::new(Definitions::default());
        let compiled = compile(LISTEN, &Catalog::default()).unwrap();
        let definition = definitions.add(compiled);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(SHARDS));
        let window = Window { millis: 600_000, count: 100_000 };
        let arguments = EngineArguments {
            owner: Owner { node: "bench".to_owned(), incarnation: "bench 1".to_owned() },
            scope: Scope::All,
            post: Post::new(store, u64::MAX),
            kinds: Arc::new(BuiltinKinds::new(definitions, window)),
            runner: Arc::new(NoHosts),
            clock: Clock::system(),
            settings: ShardSettings::default(),
            tick: Duration::from_millis(10),
        };
        let engine = Engine::start(arguments, None).await.unwrap();
        let listeners = correlation::routes([definition.as_ref()]);
        let routes = |shard| Entry {
            to: ActorId::router(shard),
            origin: None,
            body: Body::Router(RouterEvent::Listeners(listeners.clone())),
        };
        let routes: Vec<Entry> = (0..SHARDS).map(routes).collect();
        engine.post().accept(&routes).await.unwrap();
        Node { engine, definition: definition.id.clone() }
    }

    /// Starts instances that listen, and waits until all are subscribed and nothing is under way.
    async fn listen(&self, count: u64) {
        for first in (0..count).step_by(usize::try_from(STARTED_AT_ONCE).unwrap()) {
            let entries: Vec<Entry> =
                (first..count.min(first + STARTED_AT_ONCE)).map(|n| self.start_of(n)).collect();
            self.engine.post().accept(&entries).await.unwrap();
        }
        self.idle().await;
        // What so many starts left has to be stored and to leave memory first.
        tokio::time::sleep(SETTLED).await;
        for n in [0, count / 2, count - 1] {
            let Inspection::Process(instance) = self.engine.inspect(&process(n)).await.unwrap() else {
                panic!("instance {n} is not there")
            };
            assert!(instance.listeners.open.iter().all(|listener| listener.hears()), "{instance:?}");
        }
    }

    /// Waits until all that was posted is applied.
    async fn idle(&self) {
        let gauges = self.engine.post().gauges();
        let posted = || -> u64 { gauges.iter().map(|gauge| gauge.posted.load(Ordering::Relaxed)).sum() };
        loop {
            let before = posted();
            tokio::time::sleep(Duration::from_millis(100)).await;
            if posted() == before && gauges.iter().all(|gauge| gauge.backlog() == 0) {
                return;
            }
        }
    }

    fn start_of(&self, n: u64) -> Entry {
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
    }

    /// How long it takes until the instance has ended that waits for this.
    async fn event(&self, n: u64) -> Duration {
        let event = CloudEvent::from_json(json!({
            "specversion": "1.0", "id": n.to_string(), "source": "/bench", "type": "bench.done",
            "data": { "n": n, "ok": true },
        }))
        .unwrap();
        let to = ActorId::router(event_shard(&event.source, &event.id, SHARDS));
        let entry = Entry { to, origin: None, body: Body::Router(RouterEvent::Event(Box::new(event))) };
        let began = Instant::now();
        self.engine.post().accept(&[entry]).await.unwrap();
        loop {
            match self.engine.inspect(&process(n)).await.unwrap() {
                Inspection::Process(instance) if instance.status.ended() => return began.elapsed(),
                _ => tokio::task::yield_now().await,
            }
        }
    }
}

fn process(n: u64) -> ActorId {
    ActorId::process(&format!("i{n}"))
}

/// The median and the 99th of 100 of the times, with so many open subscriptions.
async fn measure(count: u64) -> (Duration, Duration) {
    let node = Node::start().await;
    let began = Instant::now();
    node.listen(count).await;
    let opened = began.elapsed();
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        times.push(node.event(round * count / ROUNDS).await);
    }
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap();
    println!("{count:>8} subscriptions, opened in {:.1} s", opened.as_secs_f64());
    node.engine.stop().await;
    (at(50), at(99))
}

fn main() {
    let counts: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![100, 100_000] } else { counts };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for count in counts {
        let (median, most) = runtime.block_on(measure(count));
        println!("{:>8}  median {:>7} µs, p99 {:>7} µs", "", median.as_micros(), most.as_micros());
    }
}
