//! A shard that has a newer owner is stopped at once, and is not claimed back (invariant 3).

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

// The timers of the runtime move only when every task waits: a wait on them is a wait until all is idle.
#[tokio::test(start_paused = true)]
async fn a_shard_with_a_newer_owner_stops_and_stays_stopped() {
    let time = Arc::new(AtomicU64::new(1_000_000));
    let now = Arc::clone(&time);
    let clock = Clock::new(move || now.load(Ordering::SeqCst));
    let now = Arc::clone(&time);
    let store: Arc<dyn Store> =
        Arc::new(MemoryStore::with_clock(2, Arc::new(move || now.load(Ordering::SeqCst))));
    let post = Post::new(Arc::clone(&store), 1_000);
    let window = Window { millis: 60_000, count: 1_000 };
    let arguments = EngineArguments {
        owner: owner("first"),
        scope: Scope::All,
        post: post.clone(),
        kinds: Arc::new(BuiltinKinds::new(Arc::new(Definitions::default()), window)),
        runner: Arc::new(NoHosts),
        clock,
        settings: ShardSettings { checkpoint_entries: 1, ..ShardSettings::default() },
        tick: Duration::from_millis(10),
    };
    let engine = Engine::start(arguments, None).await.unwrap();
    let idle = || tokio::time::sleep(Duration::from_secs(30));
    idle().await;
    assert!(engine.ready());

    let claim = store.claim(ShardId(0), owner("second"), Epoch(1)).await.unwrap();
    let routes =
        Entry { to: ActorId::router(0), origin: None, body: Body::Router(RouterEvent::Routes(Vec::new())) };
    post.accept(&[routes]).await.unwrap();
    time.fetch_add(60_000, Ordering::SeqCst);
    idle().await;

    assert!(!engine.ready(), "the node says that it has lost a shard");
    assert!(post.gauges()[1].ready.load(Ordering::SeqCst), "the other shard goes on");
    assert_eq!(post.gauges()[0].starts.load(Ordering::SeqCst), 1, "nobody started it again");
    let next = store.claim(ShardId(0), owner("third"), claim.epoch).await.unwrap();
    assert_eq!(next.epoch.0, claim.epoch.0 + 1, "nobody claimed it meanwhile");
    engine.stop().await;
}
