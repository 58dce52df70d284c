//! Goes through every order of events of the ownership protocol in a scope of your choice.
//!
//! `cargo run --release -p impresario-tests --bin check-ownership -- --nodes 3 --asks 1 --deaths 1 --lapses 1 --late 1`. Each option is a number:
//! see `impresario_tests::ownership::Limits`. Prints how many states there are, and the trace to what breaks a property.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use impresario_tests::ownership::{Limits, Protocol, Rules};
use stateright::{Checker, Model};

const USAGE: &str = "usage: check-ownership [--nodes N] [--asks N] [--deaths N] [--lapses N] [--crashes N] [--moves N] \
                     [--checkpoints N] [--late N] [--failovers N]";

fn protocol() -> Option<Protocol> {
    let mut protocol = Protocol { nodes: 2, limits: Limits { asks: 1, ..Limits::NONE }, rules: Rules::all() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let number: u8 = arguments.next()?.parse().ok()?;
        let limits = &mut protocol.limits;
        match argument.as_str() {
            "--nodes" => protocol.nodes = usize::from(number.clamp(2, 5)),
            "--asks" => limits.asks = number,
            "--deaths" => limits.deaths = number,
            "--lapses" => limits.lapses = number,
            "--crashes" => limits.crashes = number,
            "--moves" => limits.moves = number,
            "--checkpoints" => limits.checkpoints = number,
            "--late" => limits.late = number,
            "--failovers" => limits.failovers = number,
            _ => return None,
        }
    }
    Some(protocol)
}

fn main() -> ExitCode {
    let Some(protocol) = protocol() else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let begin = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let checker =
        protocol.checker().threads(threads).timeout(Duration::from_secs(24 * 3600)).spawn_bfs().join();
    println!(
        "{} states, {} steps deep, in {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        begin.elapsed().as_secs_f64()
    );
    let broken: Vec<_> =
        checker.discoveries().into_iter().filter(|(name, _)| !name.starts_with("reached")).collect();
    for (name, path) in &broken {
        println!("\nbroken: {name}");
        path.clone().into_actions().iter().for_each(|action| println!("  {action:?}"));
    }
    ExitCode::from(u8::from(!broken.is_empty()))
}
