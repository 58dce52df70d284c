//! Everything that can break, broken under load: `cargo run -p impresario-tests --bin nemesis -- --full`.
//!
//! Options: `--full` (many faults each, and the table in docs/reliability.md), `--only WORDS` (what goes wrong has these
//! words in its name), `--faults N`, `--seed N`. Build the node first, in the same profile: `cargo build -p impresario`.

use std::path::Path;
use std::process::ExitCode;

use impresario_tests::chance::fresh_seed;
use impresario_tests::cluster::{Nemesis, Trial, run, write_report};
use impresario_tests::machine;

const USAGE: &str = "usage: nemesis [--full] [--only WORDS] [--faults N] [--seed N]";
/// What the full length is.
const FAULTS: u32 = 10;
/// How many instances are ordered for each fault.
const INSTANCES: u32 = 100;

#[derive(Debug, Default)]
struct Options {
    full: bool,
    only: String,
    faults: Option<u32>,
    seed: Option<u64>,
}

fn options() -> Option<Options> {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--full" => options.full = true,
            "--only" => options.only = arguments.next()?,
            "--faults" => options.faults = Some(arguments.next()?.parse().ok()?),
            "--seed" => options.seed = Some(arguments.next()?.parse().ok()?),
            _ => return None,
        }
    }
    Some(options)
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let mut outcomes = Vec::new();
    for nemesis in Nemesis::ALL {
        if !nemesis.to_string().contains(&options.only) {
            continue;
        }
        let mut trial = Trial::short(nemesis, options.seed.unwrap_or_else(fresh_seed));
        trial.faults = options.faults.unwrap_or(if options.full { FAULTS } else { trial.faults });
        if options.full {
            trial.instances = INSTANCES * trial.faults;
        }
        println!("{nemesis}: seed {}", trial.seed);
        let outcome = run(trial).await;
        println!("{outcome}");
        for wrong in &outcome.account.wrong {
            println!("  {wrong}");
        }
        outcomes.push(outcome);
    }
    if options.full && options.only.is_empty() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md");
        if let Err(error) = write_report(&page, &machine::describe(), &machine::today(), &outcomes) {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    let is_good = outcomes.iter().all(|outcome| outcome.account.wrong.is_empty());
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
