//! Events per second that are acknowledged over HTTP, and the raw limits beside them.

use std::time::Duration;

use impresario_tests::node::{Node, Place};
use tempfile::TempDir;

use crate::Options;
use crate::bare::{Bare, Into};
use crate::report::{Report, median};
use crate::wire::{Amount, CONNECTIONS, Template, event_body, load};

/// Runs of each; they take turns, so that a slow minute of the machine meets all of them.
pub const RUNS: usize = 5;
pub const WARM: Duration = Duration::from_millis(500);

/// A definition that watches another type, so that the routers have something to compare with.
const OTHER: &str = "
document: { dsl: '1.0.3', namespace: bench, name: other, version: '1.0.0' }
schedule: { on: { one: { with: { type: bench.other } } } }
do: [ { nothing: { set: { a: 1 } } } ]
";

pub async fn measure(options: &Options, report: &mut Report) {
    let time = if options.quick { Duration::from_millis(500) } else { Duration::from_secs(3) };
    let folder = TempDir::new().unwrap();
    let place = Place::new().set("log.level", "warn").define("other", OTHER);
    let node = place.start().await;
    let (synced, nothing) =
        (Bare::start(&Into::File(folder.path().join("log"))), Bare::start(&Into::Nothing));
    let body = event_body("bench.event");
    let template = |host: &str, token: &str| {
        Template::post(host, "/events", token, "application/cloudevents+json", &body)
    };
    let own = host(&node);
    let targets = [
        (own.clone(), template(&own, node.api.token())),
        (synced.host.clone(), template(&synced.host, "none")),
        (nothing.host.clone(), template(&nothing.host, "none")),
    ];
    let mut figures = [Vec::new(), Vec::new(), Vec::new()];
    let mut first = 0;
    for _ in 0..RUNS {
        for ((host, template), figures) in targets.iter().zip(&mut figures) {
            first += load(host, template, first, Amount::Time(WARM)).await.requests;
            let done = load(host, template, first, Amount::Time(time)).await;
            first += done.requests;
            figures.push(done.per_second());
        }
    }
    node.stop().await;
    let [node, synced, nothing] = figures.map(median);
    let remark = format!("{} bytes each, {CONNECTIONS} connections, median of {RUNS}", body.len());
    report.add("events acknowledged, fsync", node, "events/s", remark);
    report.add("  bare server, appends in groups and syncs", synced, "events/s", "");
    report.add("  bare server, stores nothing", nothing, "events/s", "");
    report.add("  share of the bare server that syncs", 100.0 * node / synced, "%", "aim: 50");
}

/// The node's address without the scheme.
pub fn host(node: &Node) -> String {
    node.api.url().trim_start_matches("http://").to_owned()
}
