//! One node of a simulated cluster: the real engine, presence and registry, on ways that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use impresario::cluster::NodeRecord;
use impresario::cluster::placement::PlacementSettings;
use impresario::cluster::presence::{Identity, Monotonic, Presence, PresenceSettings};
use impresario::cluster::registry::{Registry, RegistryArguments, RegistrySettings};
use impresario_actors::behaviour::BuiltinKinds;
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Flights, LogSink, Scope};
use impresario_actors::gate::Gate;
use impresario_actors::post::Post;
use impresario_actors::shard::ShardSettings;
use impresario_model::router::Window;
use impresario_persistence::{MemoryMembership, MemoryStore, Owner, Store};
use tokio::time::Instant;

use super::hosts::{Hosts, Ledger};
use super::link::{Link, Road};
use super::store::{Defect, LinkedMembership, LinkedStore};
use crate::chance::Chance;

/// How long a presence lasts.
pub const TTL: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(250);
const MOVE_PATIENCE: Duration = Duration::from_secs(2);
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// The wall clock of the store when the simulation begins: some time in 2026.
const WALL_MS: u64 = 1_790_000_000_000;

/// What all nodes share.
pub struct World {
    /// The store itself.
    pub store: Arc<MemoryStore>,
    membership: Arc<MemoryMembership>,
    monotonic: Monotonic,
    /// By how much the store's clock was set, in milliseconds.
    pub clock_set: Arc<AtomicI64>,
    /// What happened in the world.
    pub ledger: Ledger,
    definitions: Arc<Definitions>,
    defect: Defect,
    appends: Arc<AtomicU64>,
}

impl World {
    /// With an empty store.
    pub fn new(shards: u16, definitions: Arc<Definitions>, defect: Defect) -> Self {
        let began = Instant::now();
        let monotonic: Monotonic =
            Arc::new(move || 1 + u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        let clock_set = Arc::new(AtomicI64::new(0));
        let (passed, set) = (Arc::clone(&monotonic), Arc::clone(&clock_set));
        let clock: impresario_persistence::Clock =
            Arc::new(move || (WALL_MS + passed()).saturating_add_signed(set.load(Ordering::Relaxed)));
        World {
            store: Arc::new(MemoryStore::with_clock(shards, Arc::clone(&clock))),
            membership: Arc::new(MemoryMembership::new(clock)),
            monotonic,
            clock_set,
            ledger: Ledger::default(),
            definitions,
            defect,
            appends: Arc::default(),
        }
    }
}

/// A running node.
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its way to the others.
    pub link: Link,
    /// Its engine.
    pub engine: Engine,
    registry: Registry,
    presence: Arc<Presence>,
    hosts: Arc<Hosts>,
    stopping: Arc<AtomicBool>,
}

impl Node {
    /// Starts a node; `None` when its name is still taken.
    pub async fn start(world: &World, name: &str, start: u64, mut chance: Chance) -> Option<Node> {
        let link = Link::new(Chance::new(chance.number()));
        let identity = Identity { node: name.to_owned(), incarnation: format!("{name}-{start}") };
        let membership = LinkedMembership { inner: Arc::clone(&world.membership), link: link.clone() };
        let presence = Presence::start_here(
            Arc::new(membership),
            identity.clone(),
            NodeRecord { weight: 100, ..NodeRecord::default() },
            PresenceSettings { ttl: TTL, interval: TTL / 4, poll: POLL, wedged_after: 5 * TTL },
            Arc::clone(&world.monotonic),
        );
        let presence = Arc::new(presence.await.ok()?);
        let store: Arc<dyn Store> = Arc::new(LinkedStore::new(
            Arc::clone(&world.store),
            link.clone(),
            world.defect,
            Arc::clone(&world.appends),
        ));
        let (post, flights) = (Post::new(store, 10_000), Flights::default());
        let (lease, monotonic) = (Arc::clone(&presence.lease), Arc::clone(&world.monotonic));
        let knowledge = Arc::clone(&presence.knowledge);
        let gate = Gate::new(move || lease.holds(monotonic()) && knowledge.holds(monotonic()));
        let stopping = Arc::new(AtomicBool::new(false));
        let sink = LogSink::new(post.clone(), flights.clone(), Arc::clone(&stopping));
        let parts = (world.ledger.clone(), flights.clone(), gate);
        let hosts = Arc::new(Hosts::new(identity.incarnation.clone(), parts, link.clone(), sink));
        let clock = world.store.clock();
        let engine = Engine::start(
            EngineArguments {
                owner: Owner { node: name.to_owned(), incarnation: identity.incarnation.clone() },
                scope: Scope::OnDemand,
                post,
                kinds: Arc::new(BuiltinKinds::new(
                    Arc::clone(&world.definitions),
                    Window { millis: 3_600_000, count: 10_000 },
                )),
                runner: Arc::clone(&hosts) as _,
                clock: Clock::new(move || clock()),
                settings: settings(),
                tick: Duration::from_millis(50),
            },
            None,
        );
        let engine = engine.await.ok()?;
        let registry = Registry::start(RegistryArguments {
            me: identity.incarnation.clone(),
            engine: engine.clone(),
            flights,
            hosts: None,
            presence: Arc::clone(&presence),
            clock: Arc::clone(&world.monotonic),
            refresh: Arc::new(|| Box::pin(std::future::ready(()))),
            settings: RegistrySettings {
                poll: POLL,
                ttl: TTL,
                move_patience: MOVE_PATIENCE,
                placement: PlacementSettings::default(),
            },
        });
        Some(Node { name: name.to_owned(), link, engine, registry, presence, hosts, stopping })
    }

    /// Why it has to end by itself, if that is so.
    pub async fn ended(&self) -> String {
        let mut replaced = self.presence.replaced.clone();
        tokio::select! {
            reason = self.engine.ended() => reason,
            _ = replaced.wait_for(Option::is_some) => "another has its name".to_owned(),
        }
    }

    /// As a crash: nothing is said to anybody, and what was said may still arrive.
    pub fn kill(self) {
        self.link.set(Road::Gone);
        self.hosts.kill();
        self.engine.supervisor().cell().kill();
    }

    /// Leaves in good order, as the program does. What does not end within its limits is cut off.
    pub async fn leave(self) {
        self.registry.drain(Instant::now() + DRAIN_LIMIT).await;
        self.stopping.store(true, Ordering::Release);
        let stopped = async {
            self.engine.stop().await;
            // Without it, its presence expires.
            let _ = self.presence.leave().await;
        };
        let _ = tokio::time::timeout(DRAIN_LIMIT, stopped).await;
        self.kill();
    }
}

/// Small numbers, so that checkpoints, replays and loads from rows happen all the time.
fn settings() -> ShardSettings {
    ShardSettings {
        batch_entries: 4,
        checkpoint_entries: 8,
        checkpoint_interval: Duration::from_millis(700),
        idle_after: Duration::from_millis(300),
        ..ShardSettings::default()
    }
}
