//! How soon the work of a node that was killed goes on elsewhere.
//!
//! One node owns all instances of a round, each with an activity that is under way or waits for its place: a request to
//! a server of the test, which does not answer. Then the node is killed. Another one, which has joined meanwhile and has
//! nothing to do yet, takes everything over and makes the requests again; the server notes when each comes, and answers.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::api::Api;
use crate::cluster::{Cluster, Design, StoreKind};
use crate::poll::eventually;

/// How long one step of a round may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How many starts are under way at once.
const STARTS: usize = 32;
const NAME: &str = "failover/held";

/// What was found: one time for each round.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// How many instances the killed node owned.
    pub instances: usize,
    /// From the kill until the first activity was made again elsewhere.
    pub first: Vec<Duration>,
    /// From the kill until the activity of every instance was.
    pub all: Vec<Duration>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} instances, {} kills: first activity after {} s, all after {} s (median, p99, max)",
            self.instances,
            self.first.len(),
            spread(&self.first),
            spread(&self.all)
        )
    }
}

/// Median, 99th percentile and maximum, in seconds.
pub fn spread(times: &[Duration]) -> String {
    let mut times = times.to_vec();
    times.sort();
    let at = |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1));
    let [median, high, max] =
        [50, 99, 100].map(|percent| at(percent).copied().unwrap_or_default().as_secs_f64());
    format!("{median:.2}, {high:.2}, {max:.2}")
}

/// The server that the activities ask.
#[derive(Debug)]
struct Sink {
    /// When each instance's request came that was answered.
    arrivals: Mutex<HashMap<u64, Instant>>,
    /// Whether it answers what comes now.
    open: AtomicBool,
}

impl Sink {
    async fn arrive(State(sink): State<Arc<Sink>>, Path(number): Path<u64>) -> &'static str {
        if !sink.open.load(Ordering::SeqCst) {
            // Until its connection is gone, with the host that made it.
            std::future::pending::<()>().await;
        }
        let mut arrivals = sink.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.entry(number).or_insert_with(Instant::now);
        "{}"
    }

    fn arrivals(&self) -> HashMap<u64, Instant> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn definition(address: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: failover, name: held, version: '1.0.0' }}
do:
  - ask:
      call: http
      with: {{ method: get, endpoint: 'http://{address}/{{number}}' }}
"
    )
}

/// Kills the owner of so many instances so many times.
///
/// # Panics
/// When an instance does not go on, or anything else does not happen in time.
pub async fn measure(kills: usize, instances: usize) -> Figures {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a listener has an address").to_string();
    let sink = Arc::new(Sink { arrivals: Mutex::default(), open: AtomicBool::new(false) });
    let router = Router::new().route("/{number}", get(Sink::arrive)).with_state(Arc::clone(&sink));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, router).await });
    let queue = (instances * 2).to_string();
    let design = Design::of(2)
        .set("log.level", "warn")
        .set("adapters.concurrency", "128")
        .set("adapters.queue", &queue)
        .set("engine.checkpoint_interval", "2s");
    let mut cluster = Cluster::prepare(crate::cluster::Store::start(StoreKind::Redis).await, design).await;
    for member in [0, 1] {
        cluster.define(member, "held", &definition(&address));
    }
    let mut figures = Figures { instances, ..Figures::default() };
    cluster.restart(0).await;
    for round in 0..kills {
        let (owner, heir) = (round % 2, (round + 1) % 2);
        sink.open.store(false, Ordering::SeqCst);
        sink.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clear();
        start(&cluster.member(owner).node().api, round, instances).await;
        cluster.restart(heir).await;
        let killed = Instant::now();
        cluster.kill(owner).await;
        sink.open.store(true, Ordering::SeqCst);
        let arrivals = eventually(LIMIT, "the activity of every instance is made again", async || {
            let arrivals = sink.arrivals();
            (arrivals.len() == instances).then_some(arrivals)
        })
        .await;
        let since = |time: &Instant| time.duration_since(killed);
        figures.first.push(arrivals.values().map(since).min().unwrap_or_default());
        figures.all.push(arrivals.values().map(since).max().unwrap_or_default());
        completed(&cluster.member(heir).node().api, (round + 1) * instances).await;
    }
    cluster.stop_all().await;
    figures
}

async fn start(api: &Api, round: usize, instances: usize) {
    let starts = stream::iter(0..instances).map(|number| {
        let key = format!("{round}-{number}");
        async move {
            let input = json!({ "number": number });
            api.start(NAME, input, Some(&key)).await.expect("a node at rest takes a start");
        }
    });
    starts.buffer_unordered(STARTS).collect::<()>().await;
}

/// Waits until as many instances have completed, in lists that miss nothing.
async fn completed(api: &Api, count: usize) {
    eventually(LIMIT, "every instance has completed", async || {
        for status in ["running", "waiting", "uncertain", "pending", "faulted"] {
            let page = api.page(&format!("status={status}&limit=1")).await.ok()?;
            if !page.items.is_empty() || !page.unheard.is_empty() {
                return None;
            }
        }
        Some(())
    })
    .await;
    let query = format!("status=completed&definition={NAME}");
    let all = eventually(LIMIT, "a list", async || api.instances(&query).await.ok()).await;
    assert_eq!(all.len(), count, "every instance that was started completes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_median_high_and_maximum() {
        let times: Vec<Duration> = (1..=200).rev().map(Duration::from_secs).collect();
        assert_eq!(spread(&times), "100.00, 198.00, 200.00");
        assert_eq!(spread(&times[..1]), "200.00, 200.00, 200.00");
    }
}
