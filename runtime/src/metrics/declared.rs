//! What the monitors and sinks of a node have done, and what its listeners for datagrams have lost.
//!
//! Monitors and sinks are durable actors, and what they count is part of what they are: it goes on after a restart, and after
//! a failover at the node that has them then.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::node::{Figure, Page};

/// A monitor whose shard the node owns.
#[derive(Clone, Debug, Default)]
pub struct MonitorFigures {
    /// Its name.
    pub name: String,
    /// The adapter that observes.
    pub adapter: String,
    /// Whether it does so now.
    pub watching: bool,
    /// Events that were observed.
    pub events: u64,
    /// Observations that made no event.
    pub invalid: u64,
    /// Failures since it worked last.
    pub failures: u64,
}

/// A sink whose shard the node owns.
#[derive(Clone, Debug, Default)]
pub struct SinkFigures {
    /// Its name.
    pub name: String,
    /// Events that were delivered.
    pub delivered: u64,
    /// Attempts that failed, most of which are made again.
    pub failed: u64,
    /// Dead letters that were dropped.
    pub dropped: u64,
    /// Events that wait.
    pub waiting: usize,
    /// Dead letters that there are.
    pub dead: usize,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct DeclaredFigures {
    /// By name.
    pub monitors: Vec<MonitorFigures>,
    /// By name.
    pub sinks: Vec<SinkFigures>,
    /// By listener: datagrams that found no room.
    pub lost: Vec<(&'static str, u64)>,
}

impl Collector for DeclaredFigures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        let monitors = |figure: fn(&MonitorFigures) -> u64| -> Vec<Figure<'_>> {
            self.monitors.iter().map(|it| (labels_of(it), figure(it))).collect()
        };
        page.gauge(
            "monitor_watching",
            "1 while the adapter observes for the monitor",
            monitors(|it| u64::from(it.watching)),
        )?;
        page.gauge("monitor_failures", "Failures since it worked last", monitors(|it| it.failures))?;
        page.counter("monitor_events", "Events that were observed", monitors(|it| it.events))?;
        page.counter("monitor_invalid", "Observations that made no event", monitors(|it| it.invalid))?;
        let sinks = |figure: fn(&SinkFigures) -> u64| -> Vec<Figure<'_>> {
            self.sinks.iter().map(|it| (vec![("sink", it.name.as_str())], figure(it))).collect()
        };
        page.gauge("sink_waiting", "Events that wait to be delivered", sinks(|it| it.waiting as u64))?;
        page.gauge("sink_dead_letters", "Events that were given up", sinks(|it| it.dead as u64))?;
        page.counter("sink_delivered", "Events that were delivered", sinks(|it| it.delivered))?;
        page.counter("sink_failed_attempts", "Attempts that failed", sinks(|it| it.failed))?;
        page.counter("sink_dropped", "Dead letters that were dropped", sinks(|it| it.dropped))?;
        let lost = self.lost.iter().map(|(listener, count)| (vec![("listener", *listener)], *count));
        page.counter("datagrams_lost", "Datagrams that found no room in the queue of their listener", lost)
    }
}

fn labels_of(monitor: &MonitorFigures) -> Vec<(&'static str, &str)> {
    vec![("monitor", monitor.name.as_str()), ("adapter", monitor.adapter.as_str())]
}
