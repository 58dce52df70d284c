//! The adapters of this node follow what is wanted of them in the environment, level-triggered: whatever has changed,
//! what is stored is read and done. A restart goes from node to node in the order of their names.

mod orders;
pub(super) mod wanted;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use impresario_actors::definitions::Definitions;
use impresario_actors::hosts::{HostSpec, HostState, HostStatus, Hosts};
use impresario_persistence::{Store, StoreError};
use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::{Instant, sleep};

use self::wanted::Wanted;
use super::peers::Peers;
use super::tree::host_state;
use crate::adapters::AdapterSummary;
use crate::cluster::ClusterView;
use crate::question::{Question, Reply};

/// How long a node waits for those before it: one that is dying must not hold the others up.
const TURN_LIMIT: Duration = Duration::from_secs(30);
/// How long a node takes at most until it says that it has restarted an adapter.
const READY_LIMIT: Duration = Duration::from_secs(10);
/// The pauses between two looks at other nodes, and at the own hosts.
const LOOKS: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(20));

/// The adapters of a node. Cheap to clone.
#[derive(Clone)]
pub struct Adapters {
    inner: Arc<Inner>,
}

struct Inner {
    node: String,
    store: Arc<dyn Store>,
    definitions: Arc<Definitions>,
    /// The built-in adapters, as this node starts them.
    builtin: Vec<HostSpec>,
    /// What this node starts any program with.
    template: HostSpec,
    /// Set once they were started.
    hosts: OnceLock<Hosts>,
    cluster: OnceLock<(watch::Receiver<Arc<ClusterView>>, Peers)>,
    known: Mutex<BTreeMap<String, Known>>,
    /// One reader at a time, so that no older state is done after a newer one.
    reading: AsyncMutex<()>,
}

/// What this node knows is wanted of an adapter, and how far it has come.
#[derive(Debug, Default)]
struct Known {
    wanted: Wanted,
    followed: u64,
    /// A task follows already.
    rolling: bool,
}

impl Adapters {
    /// The adapters of a node that has none yet: those that are built in, and what any other is started with.
    pub fn new(
        node: &str,
        store: Arc<dyn Store>,
        definitions: Arc<Definitions>,
        builtin: Vec<HostSpec>,
        template: HostSpec,
    ) -> Adapters {
        let inner = Inner {
            node: node.to_owned(),
            store,
            definitions,
            builtin,
            template,
            hosts: OnceLock::new(),
            cluster: OnceLock::new(),
            known: Mutex::default(),
            reading: AsyncMutex::default(),
        };
        Adapters { inner: Arc::new(inner) }
    }

    /// What the hosts are started with: their processes are new, so no restart is owed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn specs(&self) -> Result<Vec<HostSpec>, StoreError> {
        let all = wanted::read_all(&self.inner.store).await?;
        let mut known = self.known();
        for (name, wanted) in all {
            let followed = wanted.restarts;
            known.insert(name, Known { wanted, followed, rolling: false });
        }
        for spec in &self.inner.builtin {
            known.entry(spec.name.clone()).or_default();
        }
        Ok(known.iter().filter_map(|(name, known)| self.spec(name, &known.wanted)).collect())
    }

    /// These are the hosts that follow from now on.
    pub fn attach(&self, hosts: Hosts) {
        for (name, known) in self.known().iter() {
            // One that was removed has no host.
            let _absent = hosts.pause(name, known.wanted.stopped);
        }
        let _twice = self.inner.hosts.set(hosts);
    }

    /// From now on this node waits for its turn.
    pub fn join(&self, view: watch::Receiver<Arc<ClusterView>>, peers: Peers) {
        let _twice = self.inner.cluster.set((view, peers));
    }

    /// Reads what is wanted, and does it.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let Some(hosts) = self.inner.hosts.get() else { return Ok(()) };
        let _one = self.inner.reading.lock().await;
        for (name, wanted) in wanted::read_all(&self.inner.store).await? {
            self.take_up(hosts, &name, wanted).await;
        }
        Ok(())
    }

    /// [`Adapters::follow`], for what it sets going itself.
    fn follow_again(self) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async move { self.follow().await })
    }

    async fn take_up(&self, hosts: &Hosts, name: &str, wanted: Wanted) {
        let spec = self.spec(name, &wanted);
        let there = hosts.status().iter().any(|host| host.name == name);
        let new = !there && spec.is_some();
        {
            let mut known = self.known();
            let entry = known.entry(name.to_owned()).or_default();
            entry.wanted = wanted.clone();
            if new || spec.is_none() {
                entry.followed = wanted.restarts;
            } else if entry.followed < wanted.restarts && !std::mem::replace(&mut entry.rolling, true) {
                tokio::spawn(self.clone().roll(name.to_owned()));
            }
        }
        let done = match (there, spec) {
            (true, None) => {
                // What it has may take its time, and the others go on meanwhile.
                let (hosts, name, node) = (hosts.clone(), name.to_owned(), self.clone());
                tokio::spawn(async move {
                    if let Err(error) = hosts.remove(&name).await {
                        tracing::debug!(adapter = name, %error, "an adapter that is to go is not there");
                        return;
                    }
                    // It may be wanted again by now.
                    if let Err(error) = node.follow_again().await {
                        tracing::warn!(%error, "what is wanted of adapters was not read; trying again with the next change");
                    }
                });
                return;
            }
            (false, None) => return,
            (false, Some(spec)) => hosts.configure(spec).await,
            (true, Some(_)) => Ok(()),
        };
        if let Err(error) = done.and_then(|()| hosts.pause(name, wanted.stopped)) {
            tracing::warn!(adapter = name, %error, "an adapter does not follow what is wanted of it");
        }
    }

    /// Does the restarts that are owed, when it is this node's turn.
    async fn roll(self, name: String) {
        loop {
            let owed = {
                let mut known = self.known();
                let Some(entry) = known.get_mut(&name) else { return };
                entry.rolling = entry.wanted.restarts > entry.followed;
                if !entry.rolling {
                    return;
                }
                entry.wanted.restarts
            };
            self.turn(&name, owed).await;
            let Some(newest) = self.known().get(&name).map(|entry| entry.wanted.clone()) else { return };
            self.renew(&name, &newest).await;
            if let Some(entry) = self.known().get_mut(&name) {
                entry.followed = entry.followed.max(newest.restarts);
            }
        }
    }

    /// Waits until the nodes before this one, by name, have done as many restarts, or for too long.
    async fn turn(&self, name: &str, restarts: u64) {
        let Some((view, peers)) = self.inner.cluster.get() else { return };
        let by = Instant::now() + TURN_LIMIT;
        while Instant::now() < by {
            let now = Arc::clone(&view.borrow());
            let before = |node: &&crate::cluster::NodeView| {
                node.alive && node.incarnation != now.me && *node.name < *self.inner.node
            };
            let mut waits = false;
            for node in now.nodes.iter().filter(before) {
                let done = match peers.ask(node, &Question::Adapters).await {
                    Ok(Reply::Adapters(adapters)) => adapters
                        .iter()
                        .all(|adapter| adapter.name != name || adapter.restarts_followed >= restarts),
                    // A node that is older follows nothing.
                    Ok(_) => true,
                    Err(_) => false,
                };
                waits |= !done;
            }
            if !waits {
                return;
            }
            sleep(LOOKS.0).await;
        }
        tracing::warn!(adapter = name, "nodes before this one do not restart their host: it goes first");
    }

    /// Replaces the process, and waits until the new one takes work.
    async fn renew(&self, name: &str, wanted: &Wanted) {
        let (Some(hosts), Some(spec)) = (self.inner.hosts.get(), self.spec(name, wanted)) else { return };
        let status = || hosts.status().into_iter().find(|host| host.name == name);
        let Some(before) = status() else { return };
        if let Err(error) = hosts.configure(spec).await {
            tracing::warn!(adapter = name, %error, "an adapter does not follow its settings");
        }
        // A change of settings has replaced it, and nothing is replaced twice.
        let same = |now: &HostStatus| now.counters.settings_restarts == before.counters.settings_restarts;
        if before.generation.is_some() && wanted.reason != SETTINGS && status().as_ref().is_some_and(same) {
            // It may have ended by itself, and then the next is new.
            let _gone = hosts.restart(name, &wanted.reason);
        }
        let by = Instant::now() + READY_LIMIT;
        let ready = |now: &HostStatus| {
            now.generation.is_none() && now.state != HostState::Starting || now.generation > before.generation
        };
        while before.generation.is_some() && Instant::now() < by && !status().is_none_or(|now| ready(&now)) {
            sleep(LOOKS.1).await;
        }
    }

    /// The host that is wanted; nothing for a program that was removed.
    fn spec(&self, name: &str, wanted: &Wanted) -> Option<HostSpec> {
        let builtin = self.inner.builtin.iter().find(|spec| spec.name == name);
        let ground = match builtin {
            Some(spec) => spec.clone(),
            None if wanted.program.is_some() => {
                HostSpec { name: name.to_owned(), ..self.inner.template.clone() }
            }
            None => return None,
        };
        match wanted::host(ground.clone(), wanted) {
            Ok(spec) => Some(spec),
            Err(error) => {
                tracing::error!(
                    adapter = name,
                    error,
                    "its settings make no sense to this version: it has none"
                );
                let plain = Wanted { settings: BTreeMap::new(), ..wanted.clone() };
                wanted::host(ground, &plain).ok()
            }
        }
    }

    /// The adapters of this node, by name.
    pub fn list(&self) -> Vec<AdapterSummary> {
        let Some(hosts) = self.inner.hosts.get() else { return Vec::new() };
        let known = self.known();
        let none = Known::default();
        let summary = |host: &HostStatus| {
            let Known { wanted, followed, .. } = known.get(&host.name).unwrap_or(&none);
            let program = wanted.program.as_ref();
            AdapterSummary {
                name: host.name.clone(),
                node: self.inner.node.clone(),
                state: host_state(&host.state).to_owned(),
                version: host.manifest.as_deref().map(|manifest| manifest.version.clone()),
                command: program.map(|program| program.command.clone()).unwrap_or_default(),
                functions: program
                    .map(|program| program.functions(&host.name).into_keys().collect())
                    .unwrap_or_default(),
                settings: wanted.settings.clone(),
                generation: host.generation,
                pid: host.pid,
                uptime_ms: host.uptime.map(|up| u64::try_from(up.as_millis()).unwrap_or(u64::MAX)),
                memory_bytes: host.memory,
                retiring: host.retiring,
                in_flight: host.in_flight,
                queued: host.queued,
                restarts_wanted: wanted.restarts,
                restarts_followed: *followed,
                last_error: host.last_error.clone(),
                counters: host.counters,
            }
        };
        hosts.status().iter().map(summary).collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reason of a restart that only changed settings make necessary.
const SETTINGS: &str = "its settings have changed";
