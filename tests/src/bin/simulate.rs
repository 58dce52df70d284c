//! Simulated clusters, seed after seed: `cargo run -p impresario-tests --bin simulate -- --seeds 1000`.
//!
//! Options, each a number: `--seeds` (how many), `--first` (the first one), `--nodes`, `--shards`, `--orders`, `--seconds` (of
//! trouble), `--friendly` (1: nodes only leave and come back). Prints what was wrong, and what happened before.

use std::process::ExitCode;
use std::time::Duration;

use impresario_tests::chance::fresh_seed;
use impresario_tests::simulation::{Faults, Plan, run_alone};

const USAGE: &str = "usage: simulate [--seeds N] [--first N] [--nodes N] [--shards N] [--orders N] [--seconds N] \
                     [--friendly 1]";

fn plan() -> Option<(Plan, u64)> {
    let (mut plan, mut seeds) = (Plan::new(fresh_seed()), 100);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number: u64 = arguments.next()?.parse().ok()?;
        match argument.as_str() {
            "--seeds" => seeds = number,
            "--first" => plan.seed = number,
            "--nodes" => plan.nodes = usize::try_from(number.clamp(1, 20)).ok()?,
            "--shards" => plan.shards = u16::try_from(number.clamp(1, 1_000)).ok()?,
            "--orders" => plan.orders = number,
            "--seconds" => plan.trouble = Duration::from_secs(number),
            "--friendly" if number == 1 => plan.faults = Faults::Friendly,
            _ => return None,
        }
    }
    Some((plan, seeds))
}

fn main() -> ExitCode {
    let Some((first, seeds)) = plan() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let mut bad = 0;
    for seed in first.seed..first.seed + seeds {
        let (verdict, log) = run_alone(Plan { seed, ..first });
        println!("seed {seed}: {verdict}");
        if !verdict.wrong.is_empty() {
            bad += 1;
            println!("{}", log.join("\n"));
        }
    }
    println!("{bad} of {seeds} seeds went wrong");
    ExitCode::from(u8::from(bad > 0))
}
