//! The figures of one node: `cargo build --release -p impresario && cargo bench -p impresario-tests --bench node`.
//!
//! Everything runs against the real binary, through its HTTP door, with fsync, and beside it in the same run the raw
//! limits: a bare server on the same HTTP library that only appends the same bytes in groups and syncs them, and one
//! that stores nothing. The load comes from one thread of this process, over keep-alive connections; it shares the
//! machine with what it measures.
//!
//! Options behind `--`: `--json`, `--quick` (a tenth of everything), `--only PART`, where a part is `events`, `ingress`, `instances`,
//! `latency` or `waiting`, or, on a store in Redis, `redis-events`, `redis-instances` or `redis-memory`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a benchmark stops at the first surprise")]

mod bare;
mod events;
mod ingress;
mod instances;
mod report;
mod shared;
mod waiting;
mod wire;

use impresario_tests::machine;
use report::Report;

// As the node has it, so that the bare server is no worse off.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What to measure, and how thoroughly.
struct Options {
    only: Option<String>,
    json: bool,
    quick: bool,
}

impl Options {
    fn read() -> Options {
        let mut options = Options { only: None, json: false, quick: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--only" => options.only = arguments.next(),
                "--json" => options.json = true,
                "--quick" => options.quick = true,
                // Cargo says so itself.
                "--bench" => {}
                other => panic!("expected --json, --quick or --only PART, found '{other}'"),
            }
        }
        options
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == part)
    }

    /// So many, or a tenth of it.
    fn scaled(&self, count: usize) -> usize {
        if self.quick { count / 10 } else { count }
    }
}

fn main() {
    if let Some(into) = bare::asked_to_serve() {
        return bare::serve(into);
    }
    let options = Options::read();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let report = runtime.block_on(async {
        let mut report = Report::new(machine::describe());
        if options.wants("events") {
            events::measure(&options, &mut report).await;
        }
        if options.wants("ingress") {
            ingress::measure(&options, &mut report).await;
        }
        if options.wants("instances") {
            instances::throughput(&options, &mut report).await;
        }
        if options.wants("latency") {
            instances::latency(&options, &mut report).await;
        }
        if options.wants("waiting") {
            waiting::measure(&options, &mut report).await;
        }
        if options.wants("redis-events") {
            shared::events(&options, &mut report).await;
        }
        if options.wants("redis-instances") {
            shared::instances(&options, &mut report).await;
        }
        if options.wants("redis-memory") {
            shared::memory(&options, &mut report).await;
        }
        report
    });
    report.print(options.json);
}
