//! Between shards and adapter hosts: attempts go out, reports come back as entries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use impresario_adapter::Failure;
use impresario_model::definition::standard_error_kind;
use impresario_model::entry::{ActivityOutcome, Body, Entry, Limit, ProcessEvent};
use impresario_model::fault::{Fault, standard_type};
use impresario_model::ids::ActorId;
use impresario_model::inventory::ADAPTER;
use impresario_model::monitor::WatchOrder;
use impresario_persistence::{Append, Epoch, ShardId, StoreError};

use super::flights::Flights;
use super::probes::Probes;
use super::watches::{Prepared, Watches};
use crate::activity::{
    ActivityReport, ActivitySave, Outcome, ProbeQuestion, ReportSink, RunRequest, report_of,
};
use crate::gate::Gate;
use crate::hosts::{Hosts, Refusal, RunPlace};
use crate::inventory::SharedInventory;
use crate::post::{Post, PostError};
use crate::secrets::{NoSecrets, Resolved, Resolver};
use crate::shard::{NotRun, Runner};

/// The largest report, in bytes: an output is kept in the log and in the state of its instance.
pub(super) const REPORT_BYTES_MAX: usize = 4 << 20;
/// How many bytes of reports are appended at once.
const CHUNK_BYTES: usize = 8 << 20;
/// How long to wait before a report is offered again to a store that takes nothing at the moment.
const AGAIN: Duration = Duration::from_millis(50);

/// Makes reports durable in the logs of their instances.
pub struct LogSink {
    post: Post,
    flights: Flights,
    stopping: Arc<AtomicBool>,
}

impl LogSink {
    /// Into the logs behind `post`. Once `stopping` is set, a refused attempt counts as not started: it is the
    /// node that leaves, not the adapter that fails.
    pub fn new(post: Post, flights: Flights, stopping: Arc<AtomicBool>) -> Self {
        LogSink { post, flights, stopping }
    }

    /// The stored form of a report; an output that is too large to keep is a failure of its activity.
    fn address(&self, report: ActivityReport) -> Option<Append> {
        let (address, token) = (report.address.clone(), report.token.clone());
        match self.post.address(&self.entry(report)?) {
            Ok(append) if append.bytes.len() <= REPORT_BYTES_MAX => Some(append),
            too_large => {
                let found = match too_large {
                    Ok(append) => format!("{} bytes", append.bytes.len()),
                    Err(error) => error.to_string(),
                };
                let failure = impresario_adapter::Failure {
                    kind: "runtime".to_owned(),
                    status: 500,
                    title: "Output too large".to_owned(),
                    detail: Some(format!(
                        "expected an output of at most {REPORT_BYTES_MAX} bytes, found {found}"
                    )),
                };
                let report = ActivityReport { address, token, outcome: Outcome::Failed(failure) };
                self.post.address(&self.entry(report)?).ok()
            }
        }
    }

    fn entry(&self, report: ActivityReport) -> Option<Entry> {
        let outcome = match report.outcome {
            Outcome::Completed(output) => ActivityOutcome::Completed(output),
            Outcome::Failed(failure) => ActivityOutcome::Failed(fault(failure)),
            Outcome::Lost { reason } => ActivityOutcome::Lost { reason },
            Outcome::Refused { .. } if self.stopping.load(Ordering::Acquire) => ActivityOutcome::NotStarted,
            Outcome::Refused { reason } => ActivityOutcome::Refused { reason },
        };
        let to = ActorId::parse(&report.address.actor).ok()?;
        let body = report_of(&to, report.address.activity, report.token, outcome);
        Some(Entry { to, origin: None, body })
    }
}

fn fault(failure: impresario_adapter::Failure) -> Fault {
    let kind = if standard_error_kind(&standard_type(&failure.kind)).is_some() {
        standard_type(&failure.kind)
    } else {
        failure.kind
    };
    Fault {
        kind,
        status: failure.status,
        title: Some(failure.title),
        detail: failure.detail,
        instance: None,
        uncatchable: false,
    }
}

impl ReportSink for LogSink {
    fn deliver(&self, reports: Vec<ActivityReport>) -> BoxFuture<'static, ()> {
        let tokens: Vec<String> = reports.iter().map(|report| report.token.clone()).collect();
        // The end of an attempt that a newer owner makes anew, under the same token, is no answer to that one.
        let counts = reports.into_iter().filter(|report| !self.flights.is_disowned(&report.token));
        let mut batch: Vec<Append> = counts.filter_map(|report| self.address(report)).collect();
        let (post, flights) = (self.post.clone(), self.flights.clone());
        Box::pin(async move {
            while !batch.is_empty() {
                let rest = batch.split_off(chunk(&batch));
                if !post_until_taken(&post, batch).await {
                    return;
                }
                batch = rest;
            }
            tokens.iter().for_each(|token| flights.land(token));
        })
    }

    fn save(&self, saves: Vec<ActivitySave>) -> BoxFuture<'static, ()> {
        let counts = saves.into_iter().filter(|save| !self.flights.is_disowned(&save.token));
        let entries = counts.filter_map(|ActivitySave { address, token, state }| {
            let event = ProcessEvent::Saved { activity: address.activity, token, state };
            let to = ActorId::parse(&address.actor).ok()?;
            self.post.address(&Entry { to, origin: None, body: Body::Process(event) }).ok()
        });
        let mut batch: Vec<Append> = entries.collect();
        let post = self.post.clone();
        Box::pin(async move {
            while !batch.is_empty() {
                let rest = batch.split_off(chunk(&batch));
                if !post_until_taken(&post, batch).await {
                    return;
                }
                batch = rest;
            }
        })
    }
}

/// How many of the first appends go together: at least one, and no more than a store takes at once.
fn chunk(batch: &[Append]) -> usize {
    let mut bytes = 0;
    let fits = batch.iter().take_while(|append| {
        bytes += append.bytes.len();
        bytes <= CHUNK_BYTES
    });
    fits.count().max(1).min(batch.len())
}

/// Offers appends until the store takes them; false when it never will.
pub(super) async fn post_until_taken(post: &Post, batch: Vec<Append>) -> bool {
    loop {
        match post.append(batch.clone()).await {
            Ok(_) => return true,
            // Sent again, a report changes nothing.
            Err(PostError::Store(error)) if error.passes() || matches!(error, StoreError::Behind(_)) => {
                tokio::time::sleep(AGAIN).await
            }
            Err(error) => {
                // The store has failed for good, and the node with it; the next owner asks again.
                tracing::error!(%error, "failed to make reports durable");
                return false;
            }
        }
    }
}

/// Gives attempts to the adapter hosts.
pub struct HostRunner {
    hosts: Hosts,
    flights: Flights,
    gate: Gate,
    stopping: Arc<AtomicBool>,
    inventory: SharedInventory,
    probes: Probes,
    watches: Watches,
    secrets: Arc<dyn Resolver>,
}

impl HostRunner {
    /// For the hosts of a node; what they answer to probes goes through `post`. Nothing starts while the gate is closed,
    /// nor once `stopping` is set.
    pub fn new(hosts: Hosts, flights: Flights, gate: Gate, stopping: Arc<AtomicBool>, post: Post) -> Self {
        let watches = Watches::new(hosts.clone(), post.clone(), Arc::clone(&stopping));
        let probes = Probes::new(hosts.clone(), post);
        let inventory = SharedInventory::default();
        let secrets = Arc::new(NoSecrets);
        HostRunner { hosts, flights, gate, stopping, inventory, probes, watches, secrets }
    }

    /// With the targets that attempts may be done on.
    pub fn on(self, inventory: SharedInventory) -> Self {
        HostRunner { inventory, ..self }
    }

    /// With the runtime users as whom attempts may be done.
    pub fn as_users(self, secrets: Arc<dyn Resolver>) -> Self {
        HostRunner { secrets, ..self }
    }

    /// As whom something is done: as the user of its target, if it names none itself.
    fn user_of(&self, user: Option<&str>, target: Option<&str>) -> Option<String> {
        user.map(str::to_owned).or_else(|| self.inventory.user_of(target?))
    }

    /// What is observed, on what and as whom.
    fn prepare(&self, order: &WatchOrder) -> Result<Prepared, Failure> {
        let target = order.spec.target.as_deref();
        let on =
            target.map(|name| self.inventory.look_up(name)).transpose().map_err(|outcome| match outcome {
                ActivityOutcome::Failed(fault) => {
                    let failure = Failure::configuration(fault.title.unwrap_or_default());
                    fault.detail.into_iter().fold(failure, Failure::with_detail)
                }
                other => Failure::configuration(format!("the target cannot be used: {other:?}")),
            })?;
        let user = self.user_of(order.spec.runtime_user.as_deref(), target);
        let resolved = Resolved::of(user.as_deref(), &order.spec.secrets(), self.secrets.as_ref())?;
        Ok(Prepared { on, resolved })
    }

    fn may_start(&self) -> bool {
        !self.stopping.load(Ordering::Acquire) && self.gate.is_open()
    }
}

impl Runner for HostRunner {
    fn run(&self, mut request: RunRequest) -> Result<(), NotRun> {
        // The host still ends an attempt of this token that counts for nothing: it would answer for this one.
        if !self.may_start() || self.flights.is_disowned(&request.token) {
            return Err(NotRun::Busy(Box::new(request)));
        }
        if request.adapter == ADAPTER {
            let outcome = self.inventory.answer(&request);
            return Err(NotRun::Answered(Box::new(request), outcome));
        }
        match request.target.as_deref().map(|name| self.inventory.look_up(name)).transpose() {
            Ok(target) => request.on = target,
            Err(outcome) => return Err(NotRun::Answered(Box::new(request), outcome)),
        }
        let unresolved = request.clone();
        request.user = self.user_of(request.user.as_deref(), request.target.as_deref());
        if let Err(failure) = request.resolve(self.secrets.as_ref()) {
            return Err(NotRun::Answered(Box::new(request), ActivityOutcome::Failed(fault(failure))));
        }
        // Before the host has it: its report may come at once.
        self.flights.depart(&request.token, request.address.shard.0, &request.adapter);
        let token = request.token.clone();
        self.hosts.run(request).map_err(|refusal| {
            // What waits has no secrets with it: they may change until it runs.
            let request = unresolved;
            self.flights.land(&token);
            match refusal {
                Refusal::Busy | Refusal::Stopping => NotRun::Busy(Box::new(request)),
                Refusal::Unknown | Refusal::Quarantined(_) => {
                    NotRun::Refused(Box::new(request), refusal.to_string())
                }
            }
        })
    }

    fn abandon(&self, adapter: &str, token: &str) {
        self.hosts.cancel(adapter, token);
    }

    fn probe(&self, question: ProbeQuestion) {
        // Of a target that is gone the adapter is asked all the same: it may know.
        let on = question.target.as_deref().and_then(|name| self.inventory.look_up(name).ok());
        let user = self.user_of(question.user.as_deref(), question.target.as_deref());
        let resolved = Resolved::of(user.as_deref(), &question.secrets, self.secrets.as_ref());
        self.probes.ask(ProbeQuestion { on, user, ..question }, resolved);
    }

    fn watch(&self, shard: ShardId, epoch: Epoch, order: WatchOrder) {
        let prepared = self.prepare(&order);
        self.watches.begin((shard, epoch), order, prepared);
    }

    fn unwatch(&self, monitor: &str) {
        self.watches.end(monitor);
    }

    fn unwatch_shard(&self, shard: u16) {
        self.watches.end_shard(shard);
    }

    fn reserve(&self, adapter: &str, token: &str) -> bool {
        self.may_start() && self.hosts.reserve(adapter, token)
    }

    fn limit(&self, target: &str) -> Option<Limit> {
        self.inventory.now().limit_of(target)
    }

    fn holds(&self, token: &str) -> bool {
        self.flights.holds(token)
    }

    fn place(&self, adapter: &str, token: &str) -> Option<RunPlace> {
        self.hosts.place(adapter, token).or_else(|| self.probes.asks(token).then_some(RunPlace::Asked))
    }

    fn abandon_shard(&self, shard: u16) {
        self.watches.end_shard(shard);
        for (adapter, token) in self.flights.disown(shard) {
            self.hosts.cancel(&adapter, &token);
        }
    }

    fn unreserve(&self, token: &str) {
        self.hosts.unreserve(token);
    }
}
