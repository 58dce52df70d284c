//! What very many schedules cost one node:
//! `cargo run --release -p impresario-tests --bin many-schedules -- --rest 100000 --busy 0` for the start and the idle node,
//! `-- --rest 40000 --busy 60000` for how late 1 000 of them a second fire.
//!
//! Options: `--rest N` schedules that are not due for long, `--busy N` that fire every minute, evenly over its seconds,
//! `--seconds N` to look. Build the node first, in the same profile: `cargo build --release -p impresario`.

#![expect(clippy::expect_used, reason = "a measurement stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use impresario_model::ids::instance_of_fire;
use impresario_model::instance::from_rfc3339;
use impresario_tests::machine;
use impresario_tests::node::{Node, Place};

const USAGE: &str = "usage: many-schedules [--rest N] [--busy N] [--seconds N]";
/// A pack has at most so many definitions.
const PACK: usize = 10_000;
/// Ticks of processor time a second, as Linux counts them for programs.
const TICKS: f64 = 100.0;
/// A fire that is later than this is not looked for.
const LATE: u64 = 60;

struct Options {
    rest: usize,
    busy: usize,
    seconds: u64,
}

fn options() -> Option<Options> {
    let mut options = Options { rest: 100_000, busy: 0, seconds: 60 };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number: usize = arguments.next()?.parse().ok()?;
        match argument.as_str() {
            "--rest" => options.rest = number,
            "--busy" => options.busy = number,
            "--seconds" => options.seconds = number as u64,
            _ => return None,
        }
    }
    Some(options)
}

/// The first are busy.
fn definition(number: usize, busy: bool) -> String {
    let cron = match busy {
        true => format!("{} * * * * *", number % 60),
        // Not before the node has ended, if it is not New Year.
        false => format!("{} {} 1 1 *", number % 60, number / 60 % 24),
    };
    format!(
        "document: {{ dsl: '1.0.3', namespace: many, name: s{number}, version: '1.0.0' }}\n\
         schedule: {{ cron: '{cron}' }}\ndo:\n  - done: {{ set: {{ ok: true }} }}\n"
    )
}

fn packs(folder: &Path, options: &Options) -> Vec<PathBuf> {
    let total = options.rest + options.busy;
    let pack = |number: usize| {
        let path = folder.join(format!("pack{number}"));
        fs::create_dir_all(path.join("definitions")).expect("a folder");
        fs::write(path.join("pack.yaml"), format!("name: many{number}\nversion: 1.0.0\n")).expect("a file");
        for number in number * PACK..((number + 1) * PACK).min(total) {
            let file = path.join("definitions").join(format!("s{number}.yaml"));
            fs::write(file, definition(number, number < options.busy)).expect("a file");
        }
        path
    };
    (0..total.div_ceil(PACK)).map(pack).collect()
}

/// The processor time that a process has used, in seconds.
fn used(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let field = |at: usize| behind_name.split_whitespace().nth(at)?.parse::<f64>().ok();
    (field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0)) / TICKS
}

async fn started(place: &Place, what: &str) -> Node {
    let began = Instant::now();
    let node = place.start().await;
    let resident = machine::resident(node.process.pid()) >> 20;
    println!("{what}: ready after {:.2} s, {resident} MiB resident", began.elapsed().as_secs_f64());
    node
}

async fn looked_at(node: &Node, seconds: u64) {
    let (before, began) = (used(node.process.pid()), Instant::now());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let share = (used(node.process.pid()) - before) / began.elapsed().as_secs_f64();
    println!("processor over {seconds} s: {:.1} % of a core", share * 100.0);
}

/// How late each instance of the busy schedules began, in milliseconds.
async fn lags(node: &Node) -> Vec<u64> {
    let all = node.api.instances("status=completed").await.expect("a list");
    let lag = |instance: impresario::orchestrator::InstanceSummary| {
        let began = from_rfc3339(&instance.started_at)?;
        let trigger = format!("{}/cron", instance.definition.split(':').next()?);
        let nominal = |back: &u64| (began / 1_000 - back) * 1_000;
        let found = (0..LATE).find(|back| instance_of_fire(&trigger, nominal(back)) == instance.id)?;
        Some(began - nominal(&found))
    };
    all.into_iter().filter_map(lag).collect()
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    println!(
        "{}, {} schedules of which {} are busy",
        machine::describe(),
        options.rest + options.busy,
        options.busy
    );
    let files = tempfile::tempdir().expect("a temporary folder");
    let packs = packs(files.path(), &options);
    let place = Place::new().set("log.level", "warn").set("shutdown_timeout", "60s");
    let mut deploying = place;
    for pack in &packs {
        deploying = deploying.pack(pack);
    }
    let node = started(&deploying, "first start, with everything to store and to arm").await;
    node.stop().await;
    let node = started(&deploying, "start with the same packs").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    looked_at(&node, options.seconds).await;
    println!("{} MiB resident", machine::resident(node.process.pid()) >> 20);
    if options.busy > 0 {
        let mut lags = lags(&node).await;
        lags.sort_unstable();
        let at = |permille: usize| lags.get(lags.len() * permille / 1_000).copied().unwrap_or_default();
        let most = lags.last().copied().unwrap_or_default();
        println!("{} fires: late by p50 {} ms, p99 {} ms, at most {most} ms", lags.len(), at(500), at(990));
    }
    node.stop().await;
    ExitCode::SUCCESS
}
