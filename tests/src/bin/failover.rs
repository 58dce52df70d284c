//! How soon the work of a killed node goes on elsewhere:
//! `cargo run --release -p impresario-tests --bin failover -- --kills 20`.
//!
//! Options: `--kills N`, `--instances N`. Build the node first, in the same profile: `cargo build --release -p impresario`.

use std::process::ExitCode;

use impresario_tests::failover::measure;
use impresario_tests::machine;

const USAGE: &str = "usage: failover [--kills N] [--instances N]";

fn options() -> Option<(usize, usize)> {
    let (mut kills, mut instances) = (20, 10_000);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number = arguments.next()?.parse().ok()?;
        match argument.as_str() {
            "--kills" => kills = number,
            "--instances" => instances = number,
            _ => return None,
        }
    }
    Some((kills, instances))
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some((kills, instances)) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    println!("{}\n{}", machine::describe(), measure(kills, instances).await);
    ExitCode::SUCCESS
}
