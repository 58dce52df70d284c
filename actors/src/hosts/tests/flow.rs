//! Work as it goes well, and as it is held back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use impresario_adapter::message::{Probe, ProbeOutcome};
use impresario_adapter::{Failure, Target};
use serde_json::json;
use tokio::sync::mpsc;

use super::support::{ADAPTER, Bench, pid, request, scripted};
use crate::activity::{ActivityReport, Outcome, ReportSink, RunRequest};
use crate::gate::Gate;
use crate::hosts::lane::Lane;
use crate::hosts::{HostState, Hosts, Refusal, reporter};

#[tokio::test]
async fn each_way_a_run_can_end_is_reported_once() {
    let mut bench = Bench::new(scripted(&[])).await;
    assert_eq!(bench.status().state, HostState::Idle, "started on demand");
    assert_eq!(bench.output("a", "echo", json!({"x": [1, null]})).await, json!({"x": [1, null]}));
    bench.run("b", "fail", 0);
    assert_eq!(bench.report().await, ("b".into(), Outcome::Failed(Failure::runtime("no luck"))));
    bench.run("c", "busy", 0);
    assert_eq!(bench.refused("c").await, "enough to do");
    bench.run("d", "twice", 0);
    assert_eq!(bench.completed("d").await, 1);
    assert_eq!(bench.output("e", "echo", 5).await, 5);
    bench.no_report();

    let status = bench.status();
    let counters = status.counters;
    assert_eq!((counters.started, counters.completed, counters.failed, counters.refused), (5, 3, 1, 1));
    assert_eq!((counters.stray, counters.processes, counters.restarts, counters.lost), (1, 1, 0, 0));
    assert_eq!(status.state, HostState::Running);
    assert_eq!((status.generation, status.manifest.unwrap().version.as_str()), (Some(1), "1"));
    assert_eq!(
        bench.hosts.run(RunRequest { adapter: "x".into(), ..request("f", "echo", 1) }),
        Err(Refusal::Unknown)
    );
}

#[tokio::test]
async fn a_host_is_told_on_what_it_works() {
    let mut bench = Bench::new(scripted(&[])).await;
    let properties = json!({ "host": "web1.example" });
    let on = Target {
        name: "web1".to_owned(),
        kind: "unix-server".to_owned(),
        properties: properties.as_object().cloned().unwrap(),
    };
    let request =
        RunRequest { target: Some(on.name.clone()), on: Some(on.clone()), ..request("a", "where", 0) };
    bench.hosts.run(request).unwrap();
    assert_eq!(bench.completed("a").await, serde_json::to_value(&on).unwrap());
    assert_eq!(bench.output("b", "where", 0).await, json!(null));
}

#[tokio::test]
async fn many_runs_at_once_come_back_once_each() {
    let mut spec = scripted(&[]);
    spec.queue = 1000;
    let mut bench = Bench::new(spec).await;
    for n in 0..1000 {
        bench.run(&n.to_string(), "echo", n);
    }
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let (token, outcome) = bench.report().await;
        assert_eq!(outcome, Outcome::Completed(token.parse::<u64>().unwrap().into()));
        assert!(seen.insert(token));
    }
    bench.no_report();
}

#[tokio::test]
async fn nothing_of_the_nodes_environment_reaches_a_host() {
    let mut spec = scripted(&[]);
    spec.environment = vec![("GIVEN".into(), "yes".into())];
    let mut bench = Bench::new(spec).await;
    let seen = bench.output("a", "environment", 0).await;
    assert_eq!(seen["GIVEN"], "yes");
    assert!(seen.get("CARGO_MANIFEST_DIR").is_none() && seen.get("PATH").is_none(), "{seen}");
}

#[tokio::test]
async fn a_slow_sink_holds_the_host_back_and_room_is_signalled() {
    let mut spec = scripted(&[]);
    (spec.concurrency, spec.queue) = (2, 2);
    let mut bench = Bench::shut(spec).await;
    bench.run("a", "echo", 1);
    bench.calls.recv().await.unwrap();
    bench.run("b", "echo", 2);
    bench.until(|status| status.undelivered == 2).await;
    bench.run("c", "echo", 3);
    bench.run("d", "echo", 4);
    let mut room = bench.hosts.room(ADAPTER).unwrap();
    assert!(*room.borrow_and_update());
    assert_eq!(bench.hosts.run(request("e", "echo", 5)), Err(Refusal::Busy));
    assert!(!*room.borrow_and_update());
    let status = bench.status();
    assert_eq!((status.counters.started, status.queued, status.counters.busy), (2, 2, 1));

    bench.gate.add_permits(1);
    room.wait_for(|room| *room).await.unwrap();
    bench.run("e", "echo", 5);
    for token in ["a", "b", "c", "d", "e"] {
        bench.completed(token).await;
    }
}

#[tokio::test]
async fn a_token_that_is_on_already_is_the_same_run() {
    let mut bench = Bench::shut(scripted(&[])).await;
    bench.run("a", "echo", 1);
    bench.run("a", "echo", 1);
    bench.calls.recv().await.unwrap();
    bench.run("a", "echo", 1);
    bench.gate.add_permits(1);
    bench.completed("a").await;
    bench.output("b", "echo", 1).await;
    bench.no_report();
}

#[tokio::test]
async fn a_run_is_cancelled_where_it_is() {
    let mut spec = scripted(&[]);
    spec.concurrency = 1;
    let mut bench = Bench::new(spec).await;
    bench.run("held", "hold", 0);
    bench.run("waits", "echo", 0);
    bench.until(|status| status.in_flight == 1).await;
    bench.hosts.cancel(ADAPTER, "waits");
    assert!(bench.refused("waits").await.contains("cancelled"));
    bench.hosts.cancel(ADAPTER, "held");
    assert_eq!(bench.report().await, ("held".into(), Outcome::Failed(Failure::runtime("cancelled"))));
    bench.hosts.cancel(ADAPTER, "held");
    bench.output("after", "echo", 0).await;
}

#[tokio::test]
async fn a_replaced_process_finishes_what_it_has_while_the_new_one_works() {
    let mut bench = Bench::new(scripted(&[])).await;
    let first = bench.output("a", "pid", 0).await;
    bench.run("held", "hold", "finished");
    bench.until(|status| status.in_flight == 1).await;
    bench.hosts.restart(ADAPTER, "a test").unwrap();
    assert_eq!(bench.completed("held").await, "finished");
    let second = bench.output("b", "pid", 0).await;
    assert_ne!(first, second);
    bench.until(|status| status.retiring == 0).await;
    let status = bench.status();
    assert_eq!((status.generation, status.pid), (Some(2), Some(pid(&second))));
    assert_eq!((status.counters.lost, status.counters.restarts), (0, 0));
    assert_eq!(status.last_error, None);

    bench.run("wish", "wish", 0);
    assert_eq!(bench.completed("wish").await, "wished");
    assert_ne!(bench.output("c", "pid", 0).await, second);
}

#[tokio::test]
async fn an_idle_process_ends_and_the_next_run_starts_another() {
    let mut spec = scripted(&[]);
    spec.idle_timeout = Some(Duration::from_millis(50));
    let mut bench = Bench::new(spec).await;
    for token in ["a", "b"] {
        bench.output(token, "echo", 0).await;
        bench.until(|status| status.state == HostState::Idle && status.retiring == 0).await;
    }
    let status = bench.status();
    assert_eq!((status.counters.processes, status.counters.restarts, status.last_error), (2, 0, None));
}

#[tokio::test]
async fn an_eager_host_needs_no_run() {
    let mut spec = scripted(&[]);
    spec.eager = true;
    let bench = Bench::new(spec).await;
    bench.until(|status| status.state == HostState::Running).await;
    assert!(bench.hosts.manifest(ADAPTER).is_some());
}

#[tokio::test]
async fn a_probe_is_answered_or_nobody_can_tell() {
    let bench = Bench::new(scripted(&[])).await;
    let ask = |function: &str, limit| {
        let probe =
            Probe { function: function.into(), key: "k".into(), arguments: json!({}), ..Probe::default() };
        let hosts = bench.hosts.clone();
        async move { hosts.probe(ADAPTER, probe, limit).await }
    };
    let (short, long) = (Duration::from_millis(50), Duration::from_secs(20));
    assert_eq!(
        ask("f", long).await,
        Ok(Some(ProbeOutcome::Done { output: "k".into() })),
        "it starts the host too"
    );
    assert_eq!(ask("silence", short).await, Ok(None));
    assert_eq!(ask("die", long).await, Ok(None));
    assert_eq!(ask("f", long).await, Ok(Some(ProbeOutcome::Done { output: "k".into() })));
    assert_eq!(bench.status().counters.stray, 0);
    bench.hosts.stop().await;
    assert_eq!(ask("f", long).await, Err(Refusal::Stopping));
}

#[tokio::test]
async fn specs_that_could_not_work_are_refused() {
    let sink = || Arc::new(Nowhere);
    let mut zero = scripted(&[]);
    zero.concurrency = 0;
    let error = Hosts::start(vec![zero], sink(), Gate::default(), None).await.err().unwrap();
    assert_eq!(error.to_string(), "adapter scripted: concurrency must be at least 1");
    let error =
        Hosts::start(vec![scripted(&[]), scripted(&[])], sink(), Gate::default(), None).await.err().unwrap();
    assert_eq!(error.to_string(), "there are two adapters named scripted");
}

/// Panics at its first call.
struct Clumsy {
    clumsy: AtomicBool,
    took: mpsc::Sender<Vec<ActivityReport>>,
}

impl ReportSink for Clumsy {
    fn deliver(&self, reports: Vec<ActivityReport>) -> BoxFuture<'static, ()> {
        assert!(!self.clumsy.swap(false, Ordering::Relaxed), "clumsy");
        let took = self.took.clone();
        Box::pin(async move { took.send(reports).await.unwrap() })
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_gets_the_same_reports_again() {
    let (took, mut taken) = mpsc::channel(1);
    let lane = Arc::new(Lane::new(scripted(&[]), Gate::default()));
    let mut reporter = tokio::task::JoinSet::new();
    reporter.spawn(reporter::run(lane.clone(), Arc::new(Clumsy { clumsy: true.into(), took })));
    lane.accept(request("a", "echo", 1)).unwrap();
    lane.cancel("a");
    assert_eq!(taken.recv().await.unwrap()[0].token, "a");
    lane.flushed().await;
    assert_eq!(lane.status().undelivered, 0);
}

struct Nowhere;

impl ReportSink for Nowhere {
    fn deliver(&self, _: Vec<ActivityReport>) -> BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}
