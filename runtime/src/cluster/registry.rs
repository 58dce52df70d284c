//! The registry of one node: who is there, who owns what, and what this node does about it.
//!
//! It is level-triggered: at every tick it looks at what is, plans ([`super::placement`]), and sets the steps going. A
//! step that fails or is lost is in the next plan again. Only the store's answer to a claim authorises anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use impresario_actors::behaviour::Refresh;
use impresario_actors::engine::{Engine, Flights};
use impresario_actors::hosts::Hosts;
use impresario_model::encoding;
use impresario_persistence::{Epoch, Ownership, ShardId, Standing, Store, StoreError};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::guard::{Guard, GuardSettings};
use super::placement::{self, Memory, PlacementSettings, Step};
use super::presence::{Monotonic, Presence, Seen, millis};
use super::{ClusterView, NodeRecord, NodeView};

/// How many claims are under way at once: loading many shards at the same time makes each of them late.
const CLAIMS_AT_ONCE: usize = 8;
/// How long the question who owns what may take before the tick goes without it.
const OWNERS_LIMIT: Duration = Duration::from_secs(2);

/// How the registry works.
#[derive(Clone, Debug)]
pub struct RegistrySettings {
    /// How often it looks.
    pub poll: Duration,
    /// How long a presence holds.
    pub ttl: Duration,
    /// How long a shard that is to move waits for its attempts under way before it stays.
    pub move_patience: Duration,
    /// How shards are placed.
    pub placement: PlacementSettings,
}

/// What the registry works with.
pub struct RegistryArguments {
    /// The incarnation of this node.
    pub me: String,
    /// Where the shards run.
    pub engine: Engine,
    /// The attempts under way.
    pub flights: Flights,
    /// Where attempts wait while the lease does not hold; none in a simulation.
    pub hosts: Option<Hosts>,
    /// The presence of this node.
    pub presence: Arc<Presence>,
    /// Its monotonic clock.
    pub clock: Monotonic,
    /// Reads what other nodes have added to the environment; asked when the count of changed settings grows.
    pub refresh: Refresh,
    /// How it works.
    pub settings: RegistrySettings,
}

/// A handle on the registry. Its loop ends when the last clone is gone.
#[derive(Clone)]
pub struct Registry {
    with: Arc<RegistryArguments>,
    view: watch::Receiver<Arc<ClusterView>>,
    alarm: watch::Receiver<Option<String>>,
    draining: Arc<watch::Sender<bool>>,
}

impl Registry {
    /// Starts looking.
    pub fn start(arguments: RegistryArguments) -> Self {
        let with = Arc::new(arguments);
        let first = ClusterView { me: with.me.clone(), ..ClusterView::default() };
        let (view, view_now) = watch::channel(Arc::new(first));
        let (alarm, alarm_now) = watch::channel(None);
        let (draining, draining_now) = watch::channel(false);
        let ttl_ms = millis(with.settings.ttl);
        let worker = Worker {
            with: Arc::clone(&with),
            view,
            alarm,
            draining: draining_now,
            memory: Memory::default(),
            guard: Guard::new(GuardSettings::for_ttl(ttl_ms)),
            claiming: BTreeSet::new(),
            claims: JoinSet::new(),
            moving: BTreeSet::new(),
            moves: JoinSet::new(),
            held: false,
            settings_seen: 0,
            looked_at: None,
            wait_until: BTreeMap::new(),
            stay_until: BTreeMap::new(),
        };
        tokio::spawn(worker.run());
        Registry { with, view: view_now, alarm: alarm_now, draining: Arc::new(draining) }
    }

    /// What is known of the cluster, kept up to date.
    pub fn view(&self) -> watch::Receiver<Arc<ClusterView>> {
        self.view.clone()
    }

    /// Why nothing is rehomed at the moment, if that is so.
    pub fn alarm(&self) -> Option<String> {
        self.alarm.borrow().clone()
    }

    /// Gives all shards of this node to others, one at a time, those first that have nothing under way. Answers those
    /// that still had something under way at `deadline` or could not be given up.
    pub async fn drain(&self, deadline: Instant) -> Vec<u16> {
        self.draining.send_replace(true);
        self.with.presence.record.send_modify(|record| record.draining = true);
        let mut view = ClusterView::clone(&self.view.borrow());
        if let Some(me) = view.nodes.iter_mut().find(|node| node.incarnation == self.with.me) {
            me.record.draining = true;
        }
        let mut failed = Vec::new();
        loop {
            let mut left = self.with.engine.running();
            left.retain(|shard| !failed.contains(shard));
            left.sort_by_key(|shard| self.with.flights.count(*shard));
            let Some(&shard) = left.first() else { return failed };
            let patience = deadline.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                failed.extend(left);
                return failed;
            }
            // Short, so that another shard whose work is done meanwhile has its turn.
            let patience = patience.min(self.with.settings.poll);
            let next = placement::successor(&view, ShardId(shard));
            let name = |next: &String| {
                view.nodes.iter().find(|node| node.incarnation == *next).map(|node| node.name.clone())
            };
            tracing::info!(shard, to = next.as_ref().and_then(name), "giving a shard away");
            match self.with.engine.hand_over(ShardId(shard), next.clone(), &self.with.flights, patience).await
            {
                Ok(true) => {
                    if let Some(owned) = view.shards.get_mut(usize::from(shard)) {
                        owned.owner = None;
                        owned.offered = next;
                    }
                }
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(shard, %error, "a shard was not given up in good order; its log has what it did");
                    failed.push(shard);
                }
            }
        }
    }
}

/// The loop's state.
struct Worker {
    with: Arc<RegistryArguments>,
    view: watch::Sender<Arc<ClusterView>>,
    alarm: watch::Sender<Option<String>>,
    draining: watch::Receiver<bool>,
    memory: Memory,
    guard: Guard,
    claiming: BTreeSet<u16>,
    claims: JoinSet<(u16, Result<(), StoreError>)>,
    moving: BTreeSet<u16>,
    moves: JoinSet<(u16, bool)>,
    /// Whether the gate was open at the last tick.
    held: bool,
    settings_seen: u64,
    /// When the last census was answered.
    looked_at: Option<u64>,
    /// Shards that could not be claimed, and until when they are left alone.
    wait_until: BTreeMap<u16, u64>,
    /// Shards that did not move, because of work under way, and until when they stay.
    stay_until: BTreeMap<u16, u64>,
}

impl Worker {
    async fn run(mut self) {
        let mut ticks = interval(self.with.settings.poll);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.with.presence.seen.clone();
        seen.mark_changed();
        loop {
            tokio::select! {
                _ = ticks.tick() => self.beat(),
                changed = seen.changed() => {
                    if changed.is_err() {
                        // The presence has ended, and the node with it.
                        return;
                    }
                    let newest = seen.borrow_and_update().clone();
                    if let Some(newest) = newest {
                        self.tick(newest).await;
                    }
                }
                Some(done) = self.claims.join_next() => self.claimed(done),
                Some(done) = self.moves.join_next() => self.moved(done),
                () = self.view.closed() => return,
            }
        }
    }

    /// What does not depend on who is there.
    fn beat(&mut self) {
        self.with.presence.beat(self.now());
        self.tell_load();
        self.watch_gate();
    }

    fn now(&self) -> u64 {
        (self.with.clock)()
    }

    /// Looks, and sets going what follows.
    async fn tick(&mut self, seen: Seen) {
        self.beat();
        if seen.census.settings != self.settings_seen {
            self.settings_seen = seen.census.settings;
            (self.with.refresh)().await;
        }
        let store = Arc::clone(self.with.engine.store());
        let asked = self.now();
        let shards = match timeout(OWNERS_LIMIT, store.owners()).await {
            Ok(Ok(shards)) => shards,
            Ok(Err(error)) => return tracing::debug!(%error, "who owns what is not known at the moment"),
            Err(_) => return tracing::debug!("who owns what is not known at the moment"),
        };
        let view = self.look(&seen, shards);
        if let Some(alarm) = self.guard.observe(&seen.census, &self.with.me, seen.asked) {
            tracing::error!("{alarm}");
            self.alarm.send_replace(Some(alarm));
        }
        self.memory.freeze(self.guard.frozen_until());
        let ttl_ms = millis(self.with.settings.ttl);
        if self.looked_at.is_some_and(|last| seen.asked.received_ms >= last.saturating_add(ttl_ms)) {
            // Nobody could renew while the store was away, and whoever renews first must not take all for itself. Or this
            // node was frozen, and should look twice before it acts.
            tracing::info!(
                "nobody was seen for a while: shards stay where they are until all could be seen again"
            );
            self.memory.freeze(seen.asked.received_ms.saturating_add(ttl_ms));
        }
        self.looked_at = Some(seen.asked.received_ms);
        if self.now() >= self.guard.frozen_until() && self.alarm.borrow().is_some() {
            self.alarm.send_replace(None);
        }
        self.give_way(&view);
        // Only now: what others have taken over starts nothing here any more.
        self.with.presence.knowledge.renewed(asked);
        self.watch_gate();
        self.act(&view, &store);
        self.view.send_if_modified(|known| {
            let changed = **known != view;
            if changed {
                *known = Arc::new(view);
            }
            changed
        });
    }

    fn tell_load(&self) {
        let live: usize = self
            .with
            .engine
            .post()
            .gauges()
            .iter()
            .map(|gauge| gauge.live.load(std::sync::atomic::Ordering::Relaxed))
            .sum();
        let (live, running) = (live as u64, self.with.flights.total() as u64);
        self.with.presence.record.send_if_modified(|record| {
            (record.live, record.running) = (live, running);
            // It goes out with the next renewal: not worth one of its own.
            false
        });
    }

    /// What waits at the hosts while the gate is closed is looked at again when it opens.
    fn watch_gate(&mut self) {
        let holds = self.with.presence.may_start(self.now());
        if holds && !self.held {
            self.with.hosts.iter().for_each(Hosts::wake);
        } else if self.held && !holds {
            tracing::error!(
                "this node cannot prove its presence, or what it owns: it starts nothing until it can"
            );
        }
        self.held = holds;
    }

    fn look(&self, seen: &Seen, shards: Vec<Ownership>) -> ClusterView {
        let node = |sighting: &impresario_persistence::Sighting| NodeView {
            name: sighting.member.node.clone(),
            incarnation: sighting.member.incarnation.clone(),
            alive: sighting.alive,
            // A newer version may tell more; one that cannot be read at all gets no shards.
            record: encoding::decode(&sighting.member.record)
                .unwrap_or_else(|_| NodeRecord { draining: true, ..NodeRecord::default() }),
        };
        let mut nodes: Vec<NodeView> = seen.census.members.iter().map(node).collect();
        if *self.draining.borrow()
            && let Some(me) = nodes.iter_mut().find(|node| node.incarnation == self.with.me)
        {
            me.record.draining = true;
        }
        ClusterView { me: self.with.me.clone(), nodes, shards }
    }

    /// What runs here although the store has it elsewhere ends: after a pause of this node, the store knows better.
    fn give_way(&self, view: &ClusterView) {
        for number in self.with.engine.running() {
            let Some(owned) = view.shards.get(usize::from(number)) else { continue };
            let elsewhere = owned.owner.as_ref().is_some_and(|owner| owner.incarnation != self.with.me);
            if elsewhere && !self.claiming.contains(&number) {
                self.with.engine.outdated(owned.shard, owned.epoch);
            }
        }
    }

    fn act(&mut self, view: &ClusterView, store: &Arc<dyn Store>) {
        let now = self.now();
        self.wait_until.retain(|_, until| *until > now);
        self.stay_until.retain(|_, until| *until > now);
        let up = *store.standing().borrow() == Standing::Up;
        // Without a lease the others may be claiming the same, and with better reason.
        if *self.draining.borrow() || !up || !self.with.presence.lease.holds(now) {
            return;
        }
        let running: BTreeSet<u16> = self.with.engine.running().into_iter().collect();
        for owned in &view.shards {
            // This node owns it and does not run it: the shard has ended because of the store, or failed.
            if view.is_mine(owned.shard.0) && !running.contains(&owned.shard.0) {
                self.claim(owned.shard, owned.epoch);
            }
        }
        for step in placement::plan(view, &mut self.memory, now, &self.with.settings.placement) {
            match step {
                Step::Claim { shard, seen } => self.claim(shard, seen),
                Step::HandOver { shard, to } => self.hand_over(shard, to),
            }
        }
    }

    fn claim(&mut self, shard: ShardId, seen: Epoch) {
        if self.claims.len() >= CLAIMS_AT_ONCE
            || self.moving.contains(&shard.0)
            || self.wait_until.contains_key(&shard.0)
            || !self.claiming.insert(shard.0)
        {
            return;
        }
        let engine = self.with.engine.clone();
        self.claims.spawn(async move { (shard.0, engine.claim(shard, seen).await) });
    }

    fn claimed(&mut self, done: Result<(u16, Result<(), StoreError>), tokio::task::JoinError>) {
        if self.claims.is_empty() {
            // Nothing is under way, also when a task ended without saying for which shard it was.
            self.claiming.clear();
        }
        let Ok((shard, result)) = done else { return };
        self.claiming.remove(&shard);
        match result {
            Ok(()) => tracing::info!(shard, "took a shard over"),
            Err(StoreError::Fenced) => tracing::debug!(shard, "another node was quicker"),
            Err(error) => {
                tracing::warn!(shard, %error, "a shard was not taken over; trying again");
                self.wait_until.insert(shard, self.now() + millis(self.with.settings.poll));
            }
        }
    }

    fn hand_over(&mut self, shard: ShardId, to: String) {
        if self.claiming.contains(&shard.0)
            || self.stay_until.contains_key(&shard.0)
            || !self.moving.insert(shard.0)
        {
            return;
        }
        tracing::info!(shard = shard.0, to, "moving a shard");
        let with = Arc::clone(&self.with);
        self.moves.spawn(async move {
            let patience = with.settings.move_patience;
            let moved = with.engine.hand_over(shard, Some(to), &with.flights, patience).await;
            // One that is gone has moved too, though not by this.
            (shard.0, !matches!(moved, Ok(false)))
        });
    }

    fn moved(&mut self, done: Result<(u16, bool), tokio::task::JoinError>) {
        if self.moves.is_empty() {
            self.moving.clear();
        }
        let Ok((shard, moved)) = done else { return };
        self.moving.remove(&shard);
        if !moved {
            tracing::info!(shard, "a shard stays for now: it has work under way");
            // Long enough for that work to end, so that the shard is not held up again and again.
            let wait = 3 * millis(self.with.settings.move_patience);
            self.stay_until.insert(shard, self.now() + wait);
        }
    }
}
