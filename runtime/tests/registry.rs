//! Several nodes in one process on one store: who takes which shard when nodes come, go and leave.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use impresario::cluster::placement::PlacementSettings;
use impresario::cluster::presence::{Identity, Monotonic, Presence, PresenceSettings};
use impresario::cluster::registry::{Registry, RegistryArguments, RegistrySettings};
use impresario::cluster::{ClusterView, NodeRecord};
use impresario_actors::activity::RunRequest;
use impresario_actors::behaviour::BuiltinKinds;
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Flights, Scope};
use impresario_actors::post::Post;
use impresario_actors::shard::{NotRun, Runner, ShardSettings};
use impresario_model::router::Window;
use impresario_persistence::{Membership, MemoryMembership, MemoryStore, Owner, Store};
use tokio::time::Instant;

const SHARDS: u16 = 16;
const TTL: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(250);

struct NoHosts;

impl Runner for NoHosts {
    fn run(&self, request: RunRequest) -> Result<(), NotRun> {
        Err(NotRun::Refused(Box::new(request), "there are no hosts".to_owned()))
    }

    fn abandon(&self, _: &str, _: &str) {}
}

/// What the nodes share.
struct Site {
    store: Arc<MemoryStore>,
    membership: Arc<MemoryMembership>,
    monotonic: Monotonic,
}

impl Site {
    fn new() -> Self {
        let began = Instant::now();
        let monotonic: Monotonic = Arc::new(move || 1 + began.elapsed().as_millis() as u64);
        let clock: impresario_persistence::Clock = Arc::clone(&monotonic) as _;
        Site {
            store: Arc::new(MemoryStore::with_clock(SHARDS, Arc::clone(&clock))),
            membership: Arc::new(MemoryMembership::new(clock)),
            monotonic,
        }
    }

    async fn node(&self, name: &str, site: Option<&str>) -> Node {
        let identity =
            Identity { node: name.to_owned(), incarnation: format!("{name}-{}", (self.monotonic)()) };
        let record = NodeRecord { weight: 100, site: site.map(str::to_owned), ..NodeRecord::default() };
        let settings = PresenceSettings { ttl: TTL, interval: TTL / 4, poll: POLL, wedged_after: 5 * TTL };
        let presence = Presence::start_here(
            Arc::clone(&self.membership) as _,
            identity.clone(),
            record,
            settings,
            Arc::clone(&self.monotonic),
        );
        let presence = Arc::new(presence.await.unwrap());
        let store: Arc<dyn Store> = Arc::clone(&self.store) as _;
        let window = Window { millis: 600_000, count: 1_000 };
        let monotonic = Arc::clone(&self.monotonic);
        let arguments = EngineArguments {
            owner: Owner { node: name.to_owned(), incarnation: identity.incarnation.clone() },
            scope: Scope::OnDemand,
            post: Post::new(store, 1_000),
            kinds: Arc::new(BuiltinKinds::new(Arc::new(Definitions::default()), window)),
            runner: Arc::new(NoHosts),
            clock: Clock::new(move || monotonic()),
            settings: ShardSettings::default(),
            tick: Duration::from_millis(50),
        };
        let engine = Engine::start(arguments, None).await.unwrap();
        let registry = Registry::start(RegistryArguments {
            me: identity.incarnation.clone(),
            engine: engine.clone(),
            flights: Flights::default(),
            hosts: None,
            presence: Arc::clone(&presence),
            clock: Arc::clone(&self.monotonic),
            refresh: Arc::new(|| Box::pin(std::future::ready(()))),
            settings: RegistrySettings {
                poll: POLL,
                ttl: TTL,
                move_patience: Duration::from_secs(5),
                placement: PlacementSettings::default(),
            },
        });
        Node { engine, registry, presence }
    }

    /// How many shards each node owns, and how many nobody does.
    async fn spread(&self) -> BTreeMap<String, usize> {
        let mut spread = BTreeMap::new();
        for owned in self.store.owners().await.unwrap() {
            let name = owned.owner.map_or_else(|| "nobody".to_owned(), |owner| owner.node);
            *spread.entry(name).or_default() += 1;
        }
        spread
    }

    /// Waits until the shards are spread so.
    async fn until(&self, limit: Duration, expected: &[(&str, std::ops::RangeInclusive<usize>)]) -> Duration {
        let began = Instant::now();
        loop {
            let spread = self.spread().await;
            let fits = expected
                .iter()
                .all(|(name, range)| spread.get(*name).is_some_and(|count| range.contains(count)));
            if fits && spread.len() == expected.len() {
                return began.elapsed();
            }
            assert!(began.elapsed() < limit, "expected {expected:?} within {limit:?}, found {spread:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

struct Node {
    engine: Engine,
    registry: Registry,
    presence: Arc<Presence>,
}

impl Node {
    /// As a crash: nothing is said to anybody.
    fn kill(self) {
        self.engine.supervisor().cell().kill();
    }

    async fn leave(self) {
        let failed = self.registry.drain(Instant::now() + Duration::from_secs(30)).await;
        assert_eq!(failed, Vec::<u16>::new());
        self.engine.stop().await;
        self.presence.leave().await.unwrap();
    }

    fn view(&self) -> Arc<ClusterView> {
        self.registry.view().borrow().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn shards_follow_the_nodes_that_are_there() {
    let site = Site::new();
    let a = site.node("a", None).await;
    site.until(Duration::from_secs(5), &[("a", 16..=16)]).await;
    let b = site.node("b", None).await;
    let c = site.node("c", None).await;
    site.until(Duration::from_secs(30), &[("a", 5..=6), ("b", 5..=6), ("c", 5..=6)]).await;
    assert!(a.engine.ready() && b.engine.ready() && c.engine.ready());
    let took_over = Duration::from_secs(4);

    b.kill();
    site.until(took_over, &[("a", 8..=8), ("c", 8..=8)]).await;
    let b = site.node("b", None).await;
    site.until(Duration::from_secs(30), &[("a", 5..=6), ("b", 5..=6), ("c", 5..=6)]).await;

    c.leave().await;
    let took = site.until(took_over, &[("a", 8..=8), ("b", 8..=8)]).await;
    assert!(took <= Duration::from_secs(1), "a hand-over is quick: {took:?}");
    tokio::time::sleep(2 * POLL).await;
    let expected: Vec<u16> = (0..SHARDS).filter(|shard| a.view().is_mine(*shard)).collect();
    assert_eq!(a.engine.running(), expected, "what a node runs and what it knows to be its own");
    a.leave().await;
    site.until(took_over, &[("b", 16..=16)]).await;
    b.leave().await;
    assert_eq!(site.spread().await, BTreeMap::from([("nobody".to_owned(), 16)]));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_one_nodes_at_a_time() {
    let site = Site::new();
    let first = site.node("a", None).await;
    let identity = Identity { node: "a".to_owned(), incarnation: "other".to_owned() };
    let settings = PresenceSettings { ttl: TTL, interval: TTL / 4, poll: POLL, wedged_after: 5 * TTL };
    let second = Presence::start_here(
        Arc::clone(&site.membership) as _,
        identity,
        NodeRecord::default(),
        settings,
        Arc::clone(&site.monotonic),
    );
    let refused = second.await.err().unwrap().to_string();
    assert!(refused.contains("the node name 'a' is taken"), "{refused}");
    first.leave().await;
    site.node("a", None).await.leave().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_makes_no_progress_is_not_kept_alive() {
    let site = Site::new();
    let identity = Identity { node: "wedged".to_owned(), incarnation: "wedged-1".to_owned() };
    let wedged_after = 5 * TTL;
    let settings = PresenceSettings { ttl: TTL, interval: TTL / 4, poll: POLL, wedged_after };
    let presence = Presence::start_here(
        Arc::clone(&site.membership) as _,
        identity,
        NodeRecord::default(),
        settings,
        Arc::clone(&site.monotonic),
    );
    let presence = presence.await.unwrap();
    let alive = async || site.membership.census().await.unwrap().members[0].alive;
    // It beats for a while, which is more than one presence.
    for _ in 0..8 {
        presence.beat((site.monotonic)());
        tokio::time::sleep(TTL / 2).await;
        assert!(alive().await);
    }
    tokio::time::sleep(wedged_after + TTL + POLL).await;
    assert!(!alive().await, "its thread goes on, and the node does not");
    assert!(!presence.lease.holds((site.monotonic)()));
    presence.beat((site.monotonic)());
    tokio::time::sleep(TTL / 2).await;
    assert!(alive().await, "it is back with its next sign of life");
}

#[tokio::test(start_paused = true)]
async fn work_stays_at_its_site_as_far_as_that_is_fair() {
    let site = Site::new();
    let (a, b) = (site.node("north-1", Some("north")).await, site.node("north-2", Some("north")).await);
    let (c, d) = (site.node("south-1", Some("south")).await, site.node("south-2", Some("south")).await);
    let all = ["north-1", "north-2", "south-1", "south-2"].map(|name| (name, 4..=4));
    site.until(Duration::from_secs(30), &all).await;
    a.kill();
    // The fair share of three nodes is five and a third: the one at the same site has it filled first.
    let rest = [("north-2", 6..=6), ("south-1", 5..=5), ("south-2", 5..=5)];
    site.until(Duration::from_secs(4), &rest).await;
    b.kill();
    site.until(Duration::from_secs(6), &[("south-1", 8..=8), ("south-2", 8..=8)]).await;
    c.leave().await;
    d.leave().await;
}
