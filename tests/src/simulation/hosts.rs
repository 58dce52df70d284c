//! The hosts of a node, and the ledger of what they did in the world: the one thing that no fault takes back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use impresario_actors::activity::{ActivityReport, Outcome, ReportSink, RunRequest};
use impresario_actors::engine::{Flights, LogSink};
use impresario_actors::gate::Gate;
use impresario_actors::shard::{NotRun, Runner};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::link::Link;

/// How long it takes at most from where an attempt was allowed to start until it does.
const QUEUED_MAX: Duration = Duration::from_millis(20);
/// How long an attempt runs at most.
const RUN_MAX: Duration = Duration::from_millis(400);

/// What was done for one activity.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// The attempts that began, in order, with where.
    pub begun: Vec<(String, String)>,
    /// Those that ended.
    pub ended: Vec<String>,
}

/// By the key of the activity.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<String, Work>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// All of it.
    pub fn all(&self) -> BTreeMap<String, Work> {
        lock(&self.0).clone()
    }

    fn note(&self, key: &str, note: impl FnOnce(&mut Work)) {
        note(lock(&self.0).entry(key.to_owned()).or_default());
    }
}

/// The hosts of one node.
pub struct Hosts {
    node: String,
    ledger: Ledger,
    flights: Flights,
    gate: Gate,
    link: Link,
    sink: Arc<LogSink>,
    cancelled: Arc<Mutex<BTreeSet<String>>>,
    runs: Mutex<JoinSet<()>>,
}

impl Hosts {
    /// Without anything to do yet.
    pub fn new(
        node: String,
        (ledger, flights, gate): (Ledger, Flights, Gate),
        link: Link,
        sink: LogSink,
    ) -> Self {
        Hosts {
            node,
            ledger,
            flights,
            gate,
            link,
            sink: Arc::new(sink),
            cancelled: Arc::default(),
            runs: Mutex::default(),
        }
    }

    /// The node has died, and its hosts with it.
    pub fn kill(&self) {
        lock(&self.runs).abort_all();
    }
}

impl Runner for Hosts {
    fn run(&self, request: RunRequest) -> Result<(), NotRun> {
        if !self.gate.is_open() || self.flights.is_disowned(&request.token) {
            return Err(NotRun::Busy(Box::new(request)));
        }
        self.flights.depart(&request.token, request.address.shard.0, &request.adapter);
        let (link, flights, ledger) = (self.link.clone(), self.flights.clone(), self.ledger.clone());
        let (sink, cancelled, node) =
            (Arc::clone(&self.sink), Arc::clone(&self.cancelled), self.node.clone());
        let mut runs = lock(&self.runs);
        while runs.try_join_next().is_some() {}
        runs.spawn(async move {
            let token = request.token;
            sleep(link.some(QUEUED_MAX)).await;
            if !link.stands().await {
                return;
            }
            if lock(&cancelled).remove(&token) {
                flights.land(&token);
                return;
            }
            ledger.note(&request.key, |work| work.begun.push((token.clone(), node)));
            sleep(link.some(RUN_MAX)).await;
            if !link.stands().await {
                return;
            }
            ledger.note(&request.key, |work| work.ended.push(token.clone()));
            let outcome = Outcome::Completed(Value::Null);
            sink.deliver(vec![ActivityReport { address: request.address, token, outcome }]).await;
        });
        Ok(())
    }

    fn abandon(&self, _adapter: &str, token: &str) {
        if self.flights.holds(token) {
            lock(&self.cancelled).insert(token.to_owned());
        }
    }

    fn reserve(&self, _adapter: &str, _token: &str) -> bool {
        self.gate.is_open()
    }

    fn holds(&self, token: &str) -> bool {
        self.flights.holds(token)
    }

    fn abandon_shard(&self, shard: u16) {
        let disowned = self.flights.disown(shard).into_iter().map(|(_, token)| token);
        lock(&self.cancelled).extend(disowned);
    }
}
