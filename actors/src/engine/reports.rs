//! Between shards and adapter hosts: attempts go out, reports come back as entries.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use impresario_model::entry::{ActivityOutcome, Body, Entry, ProcessEvent};
use impresario_model::fault::{Fault, standard_kind, standard_type};
use impresario_model::ids::ActorId;
use impresario_persistence::StoreError;

use crate::activity::{ActivityReport, Outcome, ReportSink, RunRequest};
use crate::hosts::{Hosts, Refusal};
use crate::post::{Post, PostError};
use crate::shard::{NotRun, Runner};

/// How long to wait before a report is offered again to a store that takes nothing at the moment.
const AGAIN: Duration = Duration::from_millis(50);

/// Makes reports durable in the logs of their instances.
pub struct LogSink {
    post: Post,
    stopping: Arc<AtomicBool>,
}

impl LogSink {
    /// Into the logs behind `post`. Once `stopping` is set, a refused attempt counts as not started: it is the
    /// node that leaves, not the adapter that fails.
    pub fn new(post: Post, stopping: Arc<AtomicBool>) -> Self {
        LogSink { post, stopping }
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
        let event = ProcessEvent::Report { activity: report.address.activity, token: report.token, outcome };
        Some(Entry { to, origin: None, body: Body::Process(event) })
    }
}

fn fault(failure: impresario_adapter::Failure) -> Fault {
    let kind = if standard_kind(&standard_type(&failure.kind)).is_some() {
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
        let mut batch = Vec::with_capacity(reports.len());
        for report in reports {
            let Some(entry) = self.entry(report) else { continue };
            match self.post.address(&entry) {
                Ok(append) => batch.push(append),
                Err(error) => {
                    tracing::error!(to = %entry.to, %error, "dropped a report that cannot be stored")
                }
            }
        }
        let post = self.post.clone();
        Box::pin(async move {
            loop {
                match post.append(batch.clone()).await {
                    Ok(_) => return,
                    Err(PostError::Store(StoreError::Busy | StoreError::Full(_))) => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    Err(error) => {
                        // The store has failed for good, and the node with it; the next owner asks again.
                        tracing::error!(%error, "failed to make reports durable");
                        return;
                    }
                }
            }
        })
    }
}

/// Gives attempts to the adapter hosts.
pub struct HostRunner {
    hosts: Hosts,
    stopping: Arc<AtomicBool>,
}

impl HostRunner {
    /// For the hosts of a node. Once `stopping` is set, nothing new starts.
    pub fn new(hosts: Hosts, stopping: Arc<AtomicBool>) -> Self {
        HostRunner { hosts, stopping }
    }
}

impl Runner for HostRunner {
    fn run(&self, request: RunRequest) -> Result<(), NotRun> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(NotRun::Busy(Box::new(request)));
        }
        self.hosts.run(request.clone()).map_err(|refusal| match refusal {
            Refusal::Busy | Refusal::Stopping => NotRun::Busy(Box::new(request)),
            Refusal::Unknown | Refusal::Quarantined(_) => {
                NotRun::Refused(Box::new(request), refusal.to_string())
            }
        })
    }

    fn abandon(&self, adapter: &str, token: &str) {
        self.hosts.cancel(adapter, token);
    }
}
