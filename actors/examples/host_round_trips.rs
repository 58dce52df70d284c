//! Measures how many runs a second pass through an adapter host and back, with work that is nothing: with the time and
//! the bytes that each costs, the memory of a host that is idle, and how long its restart takes.
//!
//! `cargo run --release -p impresario-actors --example host_round_trips [RUNS]`: the example is its own host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use impresario_actors::activity::{ActivityAddress, ActivityReport, Outcome, ReportSink, RunRequest};
use impresario_actors::gate::Gate;
use impresario_actors::hosts::{HostSpec, Hosts, Refusal};
use impresario_adapter::{Adapter, Call, Failure, Function, Manifest, PROTOCOL, RunContext};
use impresario_persistence::ShardId;
use serde_json::{Value, json};
use tokio::sync::mpsc;

struct Echo;

impl Adapter for Echo {
    fn manifest(&self) -> Manifest {
        let echo = Function {
            name: "echo".into(),
            version: "1.0.0".into(),
            restartable: true,
            ..Function::default()
        };
        Manifest {
            adapter: "echo".into(),
            version: "1.0.0".into(),
            protocol: PROTOCOL,
            functions: vec![echo],
            concurrency: 1024,
        }
    }

    fn run(&self, _: RunContext, call: Call) -> impresario_adapter::BoxFuture<'_, Result<Value, Failure>> {
        Box::pin(async move { Ok(call.arguments) })
    }
}

struct Sink(mpsc::Sender<Vec<ActivityReport>>);

impl ReportSink for Sink {
    fn deliver(&self, reports: Vec<ActivityReport>) -> BoxFuture<'static, ()> {
        let out = self.0.clone();
        Box::pin(async move { drop(out.send(reports).await) })
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("host") {
        impresario_adapter::host::run_on_stdio(Echo)?;
        return Ok(());
    }
    let runs = first.map_or(Ok(200_000), |runs| runs.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        for concurrency in [1, 16, 64, 256] {
            measure(concurrency, if concurrency == 1 { runs / 20 } else { runs }).await?;
        }
        restarts(20).await?;
        Ok(())
    })
}

async fn measure(concurrency: usize, runs: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut spec = HostSpec::new("echo", std::env::current_exe()?);
    spec.arguments = vec!["host".into()];
    (spec.concurrency, spec.queue, spec.eager) = (concurrency, 1024, true);
    let (sender, mut reports) = mpsc::channel(64);
    let hosts = Hosts::start(vec![spec], Arc::new(Sink(sender)), Gate::default(), None).await?;
    hosts.run(request(usize::MAX))?;
    reports.recv().await.ok_or("no host")?;
    let pid = hosts.status().first().and_then(|host| host.pid).ok_or("no process")?;
    let bytes_before = bytes(pid)?;

    let start = Instant::now();
    let feed = tokio::spawn(feed(hosts.clone(), runs));
    let (mut done, mut batches) = (0, 0);
    while done < runs {
        let batch = reports.recv().await.ok_or("no reports")?;
        assert!(batch.iter().all(|report| matches!(report.outcome, Outcome::Completed(_))));
        done += batch.len();
        batches += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    feed.await??;
    println!(
        "{concurrency:>4} at once: {:>8.0} round trips/s, {:>6.1} µs and {:.0} bytes each, {:.1} reports a batch",
        runs as f64 / seconds,
        seconds * 1e6 / runs as f64,
        (bytes(pid)? - bytes_before) as f64 / runs as f64,
        runs as f64 / f64::from(batches)
    );
    hosts.stop().await;
    Ok(())
}

/// From the order until the new process has done a run, and what such a process has in memory.
async fn restarts(count: u32) -> Result<(), Box<dyn std::error::Error>> {
    let mut spec = HostSpec::new("echo", std::env::current_exe()?);
    spec.arguments = vec!["host".into()];
    let (sender, mut reports) = mpsc::channel(64);
    let hosts = Hosts::start(vec![spec], Arc::new(Sink(sender)), Gate::default(), None).await?;
    hosts.run(request(0))?;
    reports.recv().await.ok_or("no host")?;
    let generation = || hosts.status().first().and_then(|host| host.generation);
    let mut took = Vec::new();
    for number in 1..=count {
        let (before, start) = (generation(), Instant::now());
        hosts.restart("echo", "measured")?;
        while generation() <= before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        hosts.run(request(number as usize))?;
        reports.recv().await.ok_or("no host")?;
        took.push(start.elapsed());
        // The one before ends, so that each restart is measured alone.
        while hosts.status().first().is_some_and(|host| host.retiring > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    took.sort();
    let pid = hosts.status().first().and_then(|host| host.pid).ok_or("no process")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default().trim();
    println!(
        "idle host: {resident} resident; a restart: {:?} median, {:?} at most",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    hosts.stop().await;
    Ok(())
}

/// What a process has read and written so far.
fn bytes(pid: u32) -> Result<u64, Box<dyn std::error::Error>> {
    let told = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let of = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    Ok(of("rchar:").ok_or("no rchar")? + of("wchar:").ok_or("no wchar")?)
}

async fn feed(hosts: Hosts, runs: usize) -> Result<(), Refusal> {
    let mut room = hosts.room("echo").ok_or(Refusal::Unknown)?;
    for run in 0..runs {
        while let Err(refusal) = hosts.run(request(run)) {
            if refusal != Refusal::Busy {
                return Err(refusal);
            }
            // The hosts hold the sender.
            let _has_room = room.wait_for(|room| *room).await;
        }
    }
    Ok(())
}

fn request(run: usize) -> RunRequest {
    RunRequest {
        address: ActivityAddress { shard: ShardId(1), actor: format!("process/{run}"), activity: 1 },
        token: format!("{run}"),
        attempt: 1,
        key: format!("key-{run}"),
        adapter: "echo".into(),
        function: "echo".into(),
        arguments: json!({"number": run, "text": "some words of an ordinary length"}),
        state: None,
        target: None,
        on: None,
        user: None,
        secrets: std::collections::BTreeMap::new(),
        resolved: None,
        trace: None,
    }
}
