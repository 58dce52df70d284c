//! Whether schedules of one second each miss nothing while nodes are killed:
//! `cargo run --release -p impresario-tests --bin schedules -- --kills 18`.
//!
//! Options: `--schedules N`, `--kills N`, `--every SECONDS`. Build the node first, in the same profile: `cargo build
//! --release -p impresario`.

use std::process::ExitCode;
use std::time::Duration;

use impresario_tests::machine;
use impresario_tests::schedules::measure;

const USAGE: &str = "usage: schedules [--schedules N] [--kills N] [--every SECONDS]";

fn options() -> Option<(usize, usize, u64)> {
    let (mut schedules, mut kills, mut every) = (100, 18, 10);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = arguments.next()?;
        match argument.as_str() {
            "--schedules" => schedules = number.parse().ok()?,
            "--kills" => kills = number.parse().ok()?,
            "--every" => every = number.parse().ok()?,
            _ => return None,
        }
    }
    Some((schedules, kills, every))
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some((schedules, kills, every)) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let figures = measure(schedules, kills, Duration::from_secs(every)).await;
    println!("{}\n{figures}", machine::describe());
    figures.wrong.iter().take(20).for_each(|wrong| println!("{wrong}"));
    if figures.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
