//! Measures how many runs a second pass through an adapter host and back, with work that is nothing.
//!
//! `cargo run --release -p impresario-actors --example host_round_trips [RUNS]`: the example is its own host.

use std::sync::Arc;
use std::time::Instant;

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
        "{concurrency:>4} at once: {:>8.0} round trips/s, {:.1} reports a batch",
        runs as f64 / seconds,
        runs as f64 / f64::from(batches)
    );
    hosts.stop().await;
    Ok(())
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
        target: None,
        on: None,
    }
}
