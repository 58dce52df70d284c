//! The kill sweep at full length: `cargo run -p impresario-tests --bin kill-sweep -- --kills 200`.
//!
//! Options: `--kills N`, `--instances N` (a quarter of them by starts, the rest by events), `--seed N`, `--terminate` for friendly
//! stops instead. Build the node first, in the same profile: `cargo build -p impresario`.

use std::process::ExitCode;

use impresario_tests::chance::fresh_seed;
use impresario_tests::sweep::{Nemesis, Plan, run};

const USAGE: &str = "usage: kill-sweep [--kills N] [--instances N] [--seed N] [--terminate]";

fn plan() -> Option<Plan> {
    let mut plan = Plan::short(fresh_seed(), Nemesis::Kill);
    (plan.ends, plan.events, plan.starts) = (200, 3_000, 1_000);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next()?.parse::<u32>().ok();
        match argument.as_str() {
            "--kills" => plan.ends = number()?,
            "--instances" => {
                let instances = number()?;
                plan.starts = instances / 4;
                plan.events = instances - plan.starts;
            }
            "--seed" => plan.seed = u64::from(number()?),
            "--terminate" => plan.nemesis = Nemesis::Terminate,
            _ => return None,
        }
    }
    Some(plan)
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(plan) = plan() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    println!("seed {}", plan.seed);
    println!("{}", run(plan).await);
    ExitCode::SUCCESS
}
