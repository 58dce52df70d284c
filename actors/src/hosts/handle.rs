//! The handle on all adapter hosts of a node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join_all;
use impresario_adapter::message::{Manifest, Probe, ProbeOutcome, Progress, Watch};
use ractor::{Actor, ActorCell};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::host::{Host, Order};
use super::lane::{Lane, Phase};
use super::ledger::{Refusal, RunPlace};
use super::reporter;
use super::spec::{HostSpec, HostSpecError};
use super::status::{Cause, HostStatus};
use super::watching::Watching;
use crate::activity::{ReportSink, RunRequest};
use crate::gate::Gate;
use crate::secrets::Mask;
use crate::supervision::{
    Child, Observer, Regime, Supervisor, SupervisorAction, SupervisorError, SupervisorSettings,
};

/// When the node stops, reports that a sink does not take within this are given up; their runs are cut off in the
/// eyes of the next owner, which asks again.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// How many adapters one node may have: each may have a few processes.
const ADAPTERS_MAX: usize = 256;

/// The lanes by adapter, each with the task that delivers its reports.
type Lanes = RwLock<HashMap<String, (Arc<Lane>, AbortHandle)>>;

/// Why the hosts did not do as they were asked.
#[derive(Debug, thiserror::Error)]
pub enum HostsError {
    /// A host contradicts itself, or another one.
    #[error(transparent)]
    Spec(#[from] HostSpecError),
    /// There is no such adapter, or it is not in the state the order is about.
    #[error("there is no adapter {0} in the state for this")]
    NoSuchAdapter(String),
    /// Supervision failed.
    #[error(transparent)]
    Supervision(#[from] SupervisorError),
}

/// All adapter hosts of a node. Cheap to clone; the last clone kills what was not stopped.
#[derive(Clone)]
pub struct Hosts {
    inner: Arc<Inner>,
}

struct Inner {
    lanes: Arc<Lanes>,
    supervisor: Supervisor,
    sink: Arc<dyn ReportSink>,
    gate: Gate,
    /// Dropped with the handle; nobody else would hear the reports.
    reporters: Mutex<JoinSet<()>>,
}

impl Hosts {
    /// Starts the hosts, under the owner if there is one. Their processes start with their first runs, unless they
    /// are eager. While the gate is closed, runs wait.
    pub async fn start(
        specs: Vec<HostSpec>,
        sink: Arc<dyn ReportSink>,
        gate: Gate,
        owner: Option<ActorCell>,
    ) -> Result<Self, HostsError> {
        let mut lanes = HashMap::new();
        let mut children = Vec::new();
        let mut reporters = JoinSet::new();
        for spec in specs {
            spec.validate()?;
            let lane = Arc::new(Lane::new(spec, gate.clone()));
            let name = lane.name.clone();
            let reporter = reporters.spawn(reporter::run(lane.clone(), sink.clone()));
            if lanes.insert(name.clone(), (lane.clone(), reporter)).is_some() {
                return Err(HostSpecError::Twice(name).into());
            }
            children.push(child(lane));
        }
        let lanes = Arc::new(RwLock::new(lanes));
        let settings = SupervisorSettings {
            name: "hosts".to_owned(),
            regime: Regime::Quarantine,
            // The hosts of one node have different names, which is enough to spread their restarts.
            seed: 0,
            children_max: ADAPTERS_MAX,
            observer: Some(observer(lanes.clone())),
        };
        let supervisor = Supervisor::start(settings, children, owner).await?;
        let reporters = Mutex::new(reporters);
        Ok(Self { inner: Arc::new(Inner { lanes, supervisor, sink, gate, reporters }) })
    }

    /// Makes a host what is wanted: a new one if there is none of that name, else with these settings, which its
    /// process gets by being replaced. Nothing that runs is cut off.
    pub async fn configure(&self, spec: HostSpec) -> Result<(), HostsError> {
        spec.validate()?;
        let name = spec.name.clone();
        if let Some(lane) = self.lane(&name) {
            if lane.configure(spec)
                && let Some(host) = lane.host()
            {
                let _gone =
                    host.cast(Order::Replace(Cause::Settings, "its settings have changed".to_owned()));
            }
            return Ok(());
        }
        let lane = Arc::new(Lane::new(spec, self.inner.gate.clone()));
        let reporter = {
            let mut reporters = self.inner.reporters.lock().unwrap_or_else(PoisonError::into_inner);
            // Those of adapters that were removed.
            while reporters.try_join_next().is_some() {}
            reporters.spawn(reporter::run(lane.clone(), self.inner.sink.clone()))
        };
        write(&self.inner.lanes).insert(name.clone(), (lane.clone(), reporter));
        let added = self.inner.supervisor.add(child(lane)).await;
        if added.is_err()
            && let Some((_, reporter)) = write(&self.inner.lanes).remove(&name)
        {
            reporter.abort();
        }
        Ok(added?)
    }

    /// Ends an adapter for good: it accepts nothing more, finishes what it has within its stop timeout, reports, and is
    /// forgotten.
    pub async fn remove(&self, name: &str) -> Result<(), HostsError> {
        let lane = self.lane(name).ok_or_else(|| HostsError::NoSuchAdapter(name.to_owned()))?;
        lane.stop();
        self.inner.supervisor.remove(name).await?;
        lane.detach(Phase::Stopped);
        let _late = timeout(FLUSH_LIMIT, lane.flushed()).await;
        if let Some((_, reporter)) = write(&self.inner.lanes).remove(name) {
            reporter.abort();
        }
        Ok(())
    }

    /// Stops an adapter, or starts it again. While it is stopped it has no process, and what comes waits for it.
    pub fn pause(&self, adapter: &str, paused: bool) -> Result<(), HostsError> {
        let lane = self.lane(adapter).ok_or_else(|| HostsError::NoSuchAdapter(adapter.to_owned()))?;
        if let Some(host) = lane.pause(paused) {
            let _gone = host.cast(Order::Pause);
        }
        Ok(())
    }

    fn lane(&self, adapter: &str) -> Option<Arc<Lane>> {
        let lanes = self.inner.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.get(adapter).map(|(lane, _)| lane.clone())
    }

    fn lanes(&self) -> Vec<Arc<Lane>> {
        let lanes = self.inner.lanes.read().unwrap_or_else(PoisonError::into_inner);
        lanes.values().map(|(lane, _)| lane.clone()).collect()
    }

    /// Takes a run on: exactly one report of it will reach the sink. A refused run stays the caller's.
    ///
    /// A token that is on already is taken as the same run.
    pub fn run(&self, request: RunRequest) -> Result<(), Refusal> {
        self.lane(&request.adapter).ok_or(Refusal::Unknown)?.accept(request)
    }

    /// Keeps a slot for a run that has to be marked as started before it is given here, until it is reported or
    /// cancelled; false when all slots are kept. True where a run would be refused anyway.
    pub fn reserve(&self, adapter: &str, token: &str) -> bool {
        self.lane(adapter).is_none_or(|lane| lane.reserve(token))
    }

    /// Gives the slot of a run back that is not given here for now.
    pub fn unreserve(&self, token: &str) {
        self.lanes().iter().for_each(|lane| lane.unreserve(token));
    }

    /// The gate may have opened: what waits for it is looked at again.
    pub fn wake(&self) {
        self.lanes().iter().for_each(|lane| lane.wake());
    }

    /// Turns true when an adapter that refused with [`Refusal::Busy`] has room again. Absent for an unknown adapter.
    pub fn room(&self, adapter: &str) -> Option<watch::Receiver<bool>> {
        self.lane(adapter).map(|lane| lane.room())
    }

    /// Where a run is that an adapter has accepted.
    pub fn place(&self, adapter: &str, token: &str) -> Option<RunPlace> {
        self.lane(adapter)?.place(token)
    }

    /// Ends a run if it still can be ended. It is reported all the same, with whatever became of it.
    pub fn cancel(&self, adapter: &str, token: &str) {
        if let Some(lane) = self.lane(adapter) {
            lane.cancel(token);
        }
    }

    /// Asks a host what became of work that was cut off. Nothing if it does not answer within `limit`, or ends first.
    ///
    /// # Errors
    /// [`Refusal`]; it was not asked.
    pub async fn probe(
        &self,
        adapter: &str,
        probe: Probe,
        limit: Duration,
    ) -> Result<Option<ProbeOutcome>, Refusal> {
        let answer = self.lane(adapter).ok_or(Refusal::Unknown)?.probe(probe)?;
        Ok(timeout(limit, answer).await.ok().and_then(Result::ok))
    }

    /// Has an adapter observe something for a monitor of that name, whichever process of it, until what this answers is
    /// dropped. An adapter that observes something keeps its process.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn watch(&self, adapter: &str, monitor: &str, watch: Watch, mask: Mask) -> Result<Watching, Refusal> {
        self.lane(adapter).ok_or(Refusal::Unknown)?.watch(monitor, watch, mask)
    }

    /// Whether a process of an adapter observes something for this monitor now.
    pub fn observes(&self, adapter: &str, monitor: &str) -> bool {
        self.lane(adapter).is_some_and(|lane| lane.observes(monitor))
    }

    /// What an attempt that is at work here last said of its progress.
    pub fn progress(&self, adapter: &str, token: &str) -> Option<Progress> {
        self.lane(adapter)?.progress(token)
    }

    /// What an adapter's host last said of itself; absent until it said hello for the first time.
    pub fn manifest(&self, adapter: &str) -> Option<Arc<Manifest>> {
        self.lane(adapter)?.manifest()
    }

    /// Replaces an adapter's process by a fresh one: the new one takes new work once it is ready, the old one ends
    /// when it has finished. Without a process there is nothing to do.
    pub fn restart(&self, adapter: &str, reason: &str) -> Result<(), HostsError> {
        let host = self.lane(adapter).and_then(|lane| lane.host());
        let told =
            host.is_some_and(|host| host.cast(Order::Replace(Cause::Operator, reason.to_owned())).is_ok());
        if told { Ok(()) } else { Err(HostsError::NoSuchAdapter(adapter.to_owned())) }
    }

    /// Gives a quarantined adapter another chance.
    pub async fn release(&self, adapter: &str) -> Result<(), HostsError> {
        let lane = self.lane(adapter);
        let lane = lane.ok_or_else(|| HostsError::NoSuchAdapter(adapter.to_owned()))?;
        self.inner.supervisor.release(adapter).await?;
        lane.release();
        Ok(())
    }

    /// All hosts as they are now, by name.
    pub fn status(&self) -> Vec<HostStatus> {
        let mut all: Vec<_> = self.lanes().iter().map(|lane| lane.status()).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The supervisor, for the tree of the console.
    pub fn supervisor(&self) -> &Supervisor {
        &self.inner.supervisor
    }

    /// Accepts nothing more, refuses what waits, lets what is in flight finish within each host's stop timeout, kills
    /// the rest, and waits for the reports of all of it to be durable.
    pub async fn stop(&self) {
        // All are told before any is waited for, so that the slowest decides and not the sum.
        for host in self.lanes().iter().filter_map(|lane| lane.stop()) {
            let _gone = host.cast(Order::Stop);
        }
        self.inner.supervisor.stop().await;
        for lane in self.lanes() {
            lane.detach(Phase::Stopped);
        }
        let lanes = self.lanes();
        let flushed = join_all(lanes.iter().map(|lane| lane.flushed()));
        if timeout(FLUSH_LIMIT, flushed).await.is_err() {
            tracing::error!("some reports of adapter hosts are not durable: the store did not take them");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Its children are killed with it, and their processes with them.
        self.supervisor.cell().kill();
    }
}

fn write(lanes: &Lanes) -> std::sync::RwLockWriteGuard<'_, HashMap<String, (Arc<Lane>, AbortHandle)>> {
    lanes.write().unwrap_or_else(PoisonError::into_inner)
}

fn child(lane: Arc<Lane>) -> Child {
    let spec = lane.spec().child();
    let start = move |supervisor: ActorCell| -> crate::supervision::Starting {
        let lane = lane.clone();
        Box::pin(async move { Ok(Actor::spawn_linked(None, Host, lane, supervisor).await?.0.get_cell()) })
    };
    Child { spec, start: Arc::new(start) }
}

/// The supervisor sees every end of a host actor, even those that the actor itself does not.
fn observer(lanes: Arc<Lanes>) -> Observer {
    Arc::new(move |name, reason, action| {
        let lane =
            lanes.read().unwrap_or_else(PoisonError::into_inner).get(name).map(|(lane, _)| lane.clone());
        let Some(lane) = lane else { return };
        lane.failed(&reason.to_string());
        match action {
            SupervisorAction::RestartAfter(_) => lane.detach(Phase::Restarting),
            SupervisorAction::Quarantine(reason) => lane.detach(Phase::Quarantined(reason.clone())),
            SupervisorAction::Remove => lane.detach(Phase::Stopped),
            SupervisorAction::Escalate(_) => {}
        }
    })
}
