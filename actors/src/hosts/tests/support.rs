//! A scripted host, a sink that can be held shut, and waiting for a condition.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use impresario_persistence::ShardId;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use crate::activity::{ActivityAddress, ActivityReport, Outcome, ReportSink, RunRequest};
use crate::gate::Gate;
use crate::hosts::{HostSpec, HostStatus, Hosts};
use crate::supervision::{Backoff, Intensity};

/// Beyond this a test has failed. Starting an interpreter on a busy machine takes its time.
const LIMIT: Duration = Duration::from_secs(20);

pub(super) const ADAPTER: &str = "scripted";

pub(super) fn scripted(arguments: &[&str]) -> HostSpec {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/hosts/tests/host.py");
    let mut spec = HostSpec::new(ADAPTER, "/usr/bin/python3");
    spec.arguments = ["-I", "-S", script].iter().chain(arguments).map(|&word| word.to_owned()).collect();
    spec.hello_timeout = LIMIT;
    spec.intensity = Intensity { restarts: 3, period: Duration::from_secs(60) };
    spec.backoff =
        Backoff { initial: Duration::from_millis(10), max: Duration::from_millis(20), jitter: 0.0 };
    spec
}

pub(super) fn request(token: &str, function: &str, arguments: impl Into<Value>) -> RunRequest {
    RunRequest {
        address: ActivityAddress { shard: ShardId(7), actor: "process/p".into(), activity: 1 },
        token: token.into(),
        attempt: 1,
        key: format!("key of {token}"),
        adapter: ADAPTER.into(),
        function: function.into(),
        arguments: arguments.into(),
        state: None,
        target: None,
        on: None,
        user: None,
        secrets: std::collections::BTreeMap::new(),
        resolved: None,
        trace: None,
    }
}

/// Hands each report on once the gate lets its batch through.
struct Sink {
    gate: Arc<Semaphore>,
    calls: mpsc::Sender<()>,
    reports: mpsc::Sender<ActivityReport>,
}

impl ReportSink for Sink {
    fn deliver(&self, reports: Vec<ActivityReport>) -> BoxFuture<'static, ()> {
        let (gate, calls, out) = (self.gate.clone(), self.calls.clone(), self.reports.clone());
        async move {
            // Nobody may be interested in the calls.
            let _full = calls.try_send(());
            gate.acquire().await.unwrap().forget();
            gate.add_permits(1);
            for report in reports {
                out.send(report).await.unwrap();
            }
        }
        .boxed()
    }
}

pub(super) struct Bench {
    pub(super) hosts: Hosts,
    pub(super) gate: Arc<Semaphore>,
    pub(super) calls: mpsc::Receiver<()>,
    reports: mpsc::Receiver<ActivityReport>,
}

impl Bench {
    pub(super) async fn new(spec: HostSpec) -> Self {
        let bench = Self::shut(spec).await;
        bench.gate.add_permits(1);
        bench
    }

    /// With a sink that takes nothing until the gate gets a permit.
    pub(super) async fn shut(spec: HostSpec) -> Self {
        let gate = Arc::new(Semaphore::new(0));
        let (calls_in, calls) = mpsc::channel(16);
        let (reports_in, reports) = mpsc::channel(1024);
        let sink = Arc::new(Sink { gate: gate.clone(), calls: calls_in, reports: reports_in });
        let hosts = Hosts::start(vec![spec], sink, Gate::default(), None).await.unwrap();
        Self { hosts, gate, calls, reports }
    }

    pub(super) fn run(&self, token: &str, function: &str, arguments: impl Into<Value>) {
        self.hosts.run(request(token, function, arguments)).unwrap();
    }

    pub(super) async fn report(&mut self) -> (String, Outcome) {
        let report = timeout(LIMIT, self.reports.recv()).await.expect("no report").expect("no sink");
        (report.token, report.outcome)
    }

    /// Runs one and waits for its report.
    pub(super) async fn output(&mut self, token: &str, function: &str, arguments: impl Into<Value>) -> Value {
        self.run(token, function, arguments);
        self.completed(token).await
    }

    pub(super) async fn completed(&mut self, token: &str) -> Value {
        match self.report().await {
            (reported, Outcome::Completed(output)) if reported == token => output,
            other => panic!("expected the output of {token}, not {other:?}"),
        }
    }

    /// The next report says that this token was lost; says why.
    pub(super) async fn lost(&mut self, token: &str) -> String {
        match self.report().await {
            (reported, Outcome::Lost { reason }) if reported == token => reason,
            other => panic!("expected the loss of {token}, not {other:?}"),
        }
    }

    /// The next report says that this token was refused; says why.
    pub(super) async fn refused(&mut self, token: &str) -> String {
        match self.report().await {
            (reported, Outcome::Refused { reason }) if reported == token => reason,
            other => panic!("expected the refusal of {token}, not {other:?}"),
        }
    }

    pub(super) fn no_report(&mut self) {
        assert!(self.reports.try_recv().is_err());
    }

    pub(super) fn status(&self) -> HostStatus {
        self.hosts.status().remove(0)
    }

    pub(super) async fn until(&self, condition: impl Fn(&HostStatus) -> bool) {
        until(|| condition(&self.status()), || format!("{:?}", self.status())).await;
    }
}

/// Waits for something that no signal tells, such as the end of a process that is not ours.
pub(super) async fn until(condition: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let by = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < by, "{}", otherwise());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process does anything any more: it may be dead and not yet reaped.
pub(super) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')))
}

pub(super) fn pid(output: &Value) -> u32 {
    u32::try_from(output.as_u64().unwrap()).unwrap()
}
