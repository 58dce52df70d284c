//! What the engine of a node counts and measures of its work, since the node's start. A replay counts nothing twice.

use impresario_model::entry::{Body, ProcessEvent};
use impresario_model::ids::{ActorId, ActorKind};
use impresario_model::instance::Effect;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// One label and its value.
pub type Label = [(&'static str, &'static str); 1];

/// The status of an instance that has not begun.
const ABSENT: &str = "absent";
/// The statuses of one that has ended.
const ENDED: [&str; 3] = ["completed", "faulted", "cancelled"];

/// The figures of a node's engine. What it counts is added up over all its shards.
#[derive(Clone, Debug)]
pub struct Metrics {
    entries: Counter,
    lag: Histogram,
    started: Counter,
    ended: Family<Label, Counter>,
    fired: Family<Label, Counter>,
    quarantined: Counter,
    recovery: Histogram,
}

impl Default for Metrics {
    fn default() -> Self {
        // A counter that only appears with the first thing that it counts hides that thing from whoever looks at rates.
        let (ended, fired) = (Family::<Label, Counter>::default(), Family::<Label, Counter>::default());
        for status in ENDED {
            let _at_zero = ended.get_or_create(&[("status", status)]);
        }
        for watches in ["schedule", "events"] {
            let _at_zero = fired.get_or_create(&[("watches", watches)]);
        }
        Metrics {
            entries: Counter::default(),
            // From half a millisecond to half a minute.
            lag: Histogram::new(exponential_buckets(0.0005, 2.0, 17)),
            started: Counter::default(),
            ended,
            fired,
            quarantined: Counter::default(),
            recovery: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
        }
    }
}

impl Metrics {
    /// Makes them known to whoever asks for figures.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "entries",
            "Entries of mailbox logs that were applied to their actors",
            self.entries.clone(),
        );
        registry.register(
            "entry_lag_seconds",
            "From the moment an entry was stamped in its log until it was applied",
            self.lag.clone(),
        );
        registry.register("instances_started", "Process instances that began", self.started.clone());
        registry.register("instances_ended", "Process instances that ended, by how", self.ended.clone());
        registry.register(
            "triggers_fired",
            "Instances that triggers have asked for, by what the trigger watches: a schedule or events",
            self.fired.clone(),
        );
        registry.register("actors_quarantined", "Actors that were set aside", self.quarantined.clone());
        registry.register(
            "shard_recovery_seconds",
            "From the claim of a shard until its log was replayed and its work goes on",
            self.recovery.clone(),
        );
    }

    /// A batch was applied; the newest entry of it had waited for so many milliseconds.
    pub(crate) fn applied(&self, entries: usize, lag_ms: u64) {
        self.entries.inc_by(entries as u64);
        self.lag.observe(lag_ms as f64 / 1000.0);
    }

    /// An actor had its turn.
    pub(crate) fn turn(&self, actor: &ActorId, before: &str, after: &'static str, effects: &[(u64, Effect)]) {
        match actor.kind() {
            Some(ActorKind::Process) => {
                if before == ABSENT && after != ABSENT {
                    self.started.inc();
                }
                if ENDED.contains(&after) && !ENDED.contains(&before) {
                    self.ended.get_or_create(&[("status", after)]).inc();
                }
            }
            Some(ActorKind::Trigger) => {
                let starts = effects.iter().filter(|(_, effect)| starts(effect)).count();
                if starts > 0 {
                    let watches = if actor.key().ends_with("/on") { "events" } else { "schedule" };
                    self.fired.get_or_create(&[("watches", watches)]).inc_by(starts as u64);
                }
            }
            _ => {}
        }
    }

    /// An actor was set aside.
    pub(crate) fn quarantined(&self) {
        self.quarantined.inc();
    }

    /// A shard has caught up with its log.
    pub(crate) fn recovered(&self, took_ms: u64) {
        self.recovery.observe(took_ms as f64 / 1000.0);
    }
}

fn starts(effect: &Effect) -> bool {
    matches!(effect, Effect::Tell(message) if matches!(message.body, Body::Process(ProcessEvent::Start(_))))
}
