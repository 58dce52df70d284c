//! Shards by themselves: one that has a newer owner is stopped at once and is not claimed back (invariant 3), and what
//! waits in one is not overcounted.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use impresario_actors::activity::RunRequest;
use impresario_actors::behaviour::BuiltinKinds;
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Scope};
use impresario_actors::post::Post;
use impresario_actors::shard::{NotRun, Runner, ShardSettings};
use impresario_model::entry::{Body, Entry, RouterEvent};
use impresario_model::ids::ActorId;
use impresario_model::router::Window;
use impresario_persistence::{Epoch, MemoryStore, Owner, ShardId, Store};

struct NoHosts;

impl Runner for NoHosts {
    fn run(&self, request: RunRequest) -> Result<(), NotRun> {
        Err(NotRun::Refused(Box::new(request), "there are no hosts here".to_owned()))
    }

    fn abandon(&self, _adapter: &str, _token: &str) {}
}

fn owner(node: &str) -> Owner {
    Owner { node: node.to_owned(), incarnation: format!("{node} 1") }
}

/// A node's shards over a store in memory, on a clock of the test's.
struct Bench {
    time: Arc<AtomicU64>,
    store: Arc<dyn Store>,
    post: Post,
    engine: Engine,
}

impl Bench {
    async fn start() -> Self {
        let time = Arc::new(AtomicU64::new(1_000_000));
        let clock = || {
            let now = Arc::clone(&time);
            move || now.load(Ordering::SeqCst)
        };
        let store: Arc<dyn Store> = Arc::new(MemoryStore::with_clock(2, Arc::new(clock())));
        let post = Post::new(Arc::clone(&store), 1_000);
        let window = Window { millis: 60_000, count: 1_000 };
        let arguments = EngineArguments {
            owner: owner("first"),
            scope: Scope::All,
            post: post.clone(),
            kinds: Arc::new(BuiltinKinds::new(Arc::new(Definitions::default()), window)),
            runner: Arc::new(NoHosts),
            clock: Clock::new(clock()),
            settings: ShardSettings { checkpoint_entries: 1, ..ShardSettings::default() },
            tick: Duration::from_millis(10),
        };
        let engine = Engine::start(arguments, None).await.unwrap();
        idle().await;
        assert!(engine.ready());
        Bench { time, store, post, engine }
    }
}

/// The timers of the runtime move only when every task waits: a wait on them is a wait until all is idle.
async fn idle() {
    tokio::time::sleep(Duration::from_secs(30)).await;
}

fn routes() -> Entry {
    Entry { to: ActorId::router(0), origin: None, body: Body::Router(RouterEvent::Routes(Vec::new())) }
}

#[tokio::test(start_paused = true)]
async fn a_shard_with_a_newer_owner_stops_and_stays_stopped() {
    let Bench { time, store, post, engine } = Bench::start().await;
    let claim = store.claim(ShardId(0), owner("second"), Epoch(1)).await.unwrap();
    post.accept(&[routes()]).await.unwrap();
    time.fetch_add(60_000, Ordering::SeqCst);
    idle().await;

    assert!(!engine.ready(), "the node says that it has lost a shard");
    assert!(post.gauges()[1].ready.load(Ordering::SeqCst), "the other shard goes on");
    assert_eq!(post.gauges()[0].starts.load(Ordering::SeqCst), 1, "nobody started it again");
    let next = store.claim(ShardId(0), owner("third"), claim.epoch).await.unwrap();
    assert_eq!(next.epoch.0, claim.epoch.0 + 1, "nobody claimed it meanwhile");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_in_a_shard_that_has_applied_its_log() {
    let Bench { post, engine, .. } = Bench::start().await;
    let backlog = || post.gauges()[0].backlog();
    // Counted after the claim that replayed it, as when a node begins to serve while it starts.
    post.count(ShardId(0));
    assert_eq!(backlog(), 1);
    idle().await;
    assert_eq!(backlog(), 0, "and the limit of what may wait is not reached by what is not there");
    // Posted by another node, so that it is applied here and was not counted here.
    let append = post.address(&routes()).unwrap();
    post.store().append(vec![append]).await.unwrap();
    idle().await;
    post.count(ShardId(0));
    assert_eq!(backlog(), 1, "what others posted hides nothing");
    engine.stop().await;
}
