//! What a node knows of itself at this moment, as figures.

use std::fmt::{Debug, Error};

use impresario_model::definition::Outline;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::adapters::AdapterSummary;
use crate::audit::AuditReport;
use crate::orchestrator::Health;

/// A shard of this node.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardFigures {
    /// Which.
    pub shard: u16,
    /// Entries that wait to be applied.
    pub backlog: u64,
    /// Attempts that wait for room in an adapter host.
    pub waiting: usize,
    /// Actors in memory.
    pub live: usize,
    /// How often it was started here.
    pub starts: u64,
}

/// What a node knows of itself at this moment.
#[derive(Debug)]
pub struct NodeFigures {
    /// How it is.
    pub health: Health,
    /// Its adapter hosts.
    pub adapters: Vec<AdapterSummary>,
    /// The shards that it owns.
    pub shards: Vec<ShardFigures>,
    /// Triggers of the newest definitions that watch the time, and those that watch events.
    pub monitored: (usize, usize),
    /// Targets of the environment.
    pub targets: usize,
    /// Nodes that are alive, as far as this one knows.
    pub nodes: usize,
    /// What the last audit of its shards found.
    pub audit: AuditReport,
}

/// How many triggers of these definitions watch the time, and how many watch events.
pub fn monitored<'d>(definitions: impl Iterator<Item = &'d Outline>) -> (usize, usize) {
    definitions.flat_map(|definition| &definition.triggers).fold((0, 0), |(times, events), trigger| {
        match trigger.events {
            None => (times + 1, events),
            Some(_) => (times, events + 1),
        }
    })
}

/// One figure with its labels.
pub(super) type Figure<'f> = (Vec<(&'static str, &'f str)>, u64);

impl Collector for NodeFigures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(encoder);
        self.encode_node(&mut page)?;
        self.encode_shards(&mut page)?;
        self.encode_adapters(&mut page)
    }
}

impl NodeFigures {
    fn encode_node(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let health = &self.health;
        let about = vec![
            ("version", health.version.as_str()),
            ("node", health.node.as_str()),
            ("durability", health.durability.as_str()),
        ];
        page.gauge("node", "Always 1, with what the node is", [(about, 1)])?;
        page.one(
            "ready",
            "1 while the node takes work and its shards make progress",
            u64::from(health.ready),
        )?;
        page.one("store_up", "1 while the store answers", u64::from(health.store == "up"))?;
        page.one(
            "store_alarms",
            "What the store has lost, and nobody has settled",
            health.alarms.len() as u64,
        )?;
        self.encode_audit(page)?;
        page.one("nodes_alive", "Nodes of the environment that are alive", self.nodes as u64)?;
        page.one("targets", "Targets of the environment", self.targets as u64)?;
        let (times, events) = self.monitored;
        page.gauge(
            "triggers_monitored",
            "Triggers of the environment, by what they watch: schedules or events",
            [(vec![("watches", "schedule")], times as u64), (vec![("watches", "events")], events as u64)],
        )
    }

    fn encode_audit(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let audit = &self.audit;
        page.one(
            "stuck",
            "Instances, schedules and shards of the node that nothing will wake",
            audit.stuck as u64,
        )?;
        page.one(
            "audit_checked",
            "Instances, schedules and shards that the last whole audit of the node looked at",
            audit.checked,
        )?;
        // Before the first one there is no age, and an alert on its absence is one too.
        match audit.proven_ms_ago {
            Some(age) => page.one(
                "audit_age_seconds",
                "How long ago the last whole audit of the node ended",
                age / 1000,
            ),
            None => Ok(()),
        }
    }

    fn encode_shards(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let names: Vec<String> = self.shards.iter().map(|shard| shard.shard.to_string()).collect();
        let each = |figure: fn(&ShardFigures) -> u64| -> Vec<Figure<'_>> {
            let figures = self.shards.iter().zip(&names);
            figures.map(|(shard, name)| (vec![("shard", name.as_str())], figure(shard))).collect()
        };
        page.one("shards", "Shards that the node owns", self.shards.len() as u64)?;
        page.gauge("shard_backlog", "Entries that wait to be applied", each(|shard| shard.backlog))?;
        page.gauge(
            "shard_waiting_activities",
            "Attempts that wait for room in an adapter host",
            each(|shard| shard.waiting as u64),
        )?;
        page.gauge("shard_live_actors", "Actors in memory", each(|shard| shard.live as u64))?;
        page.counter(
            "shard_starts",
            "How often the shard was started at this node",
            each(|shard| shard.starts),
        )
    }

    fn encode_adapters(&self, page: &mut Page<'_>) -> Result<(), Error> {
        let each = |figure: fn(&AdapterSummary) -> u64| -> Vec<Figure<'_>> {
            self.adapters.iter().map(|it| (vec![("adapter", it.name.as_str())], figure(it))).collect()
        };
        let state = self
            .adapters
            .iter()
            .map(|it| (vec![("adapter", it.name.as_str()), ("state", it.state.as_str())], 1));
        page.gauge("adapter_state", "Always 1, with where the adapter's host stands", state)?;
        page.gauge("adapter_running_activities", "Activities at work", each(|it| it.in_flight as u64))?;
        page.gauge(
            "adapter_queued_activities",
            "Activities that wait for a place",
            each(|it| it.queued as u64),
        )?;
        page.gauge(
            "adapter_pid",
            "The process that takes new work; 0 if there is none",
            each(|it| u64::from(it.pid.unwrap_or(0))),
        )?;
        page.gauge(
            "adapter_memory_bytes",
            "What it has in memory with its children",
            each(|it| it.memory_bytes.unwrap_or(0)),
        )?;
        page.counter(
            "adapter_activities_started",
            "Attempts sent to a host",
            each(|it| it.counters.started),
        )?;
        let ended = self.adapters.iter().flat_map(|it| {
            let name = it.name.as_str();
            let counters = &it.counters;
            [
                ("completed", counters.completed),
                ("failed", counters.failed),
                ("lost", counters.lost),
                ("refused", counters.refused),
            ]
            .map(|(outcome, count)| (vec![("adapter", name), ("outcome", outcome)], count))
        });
        page.counter("adapter_activities_ended", "Attempts that ended, by how", ended)?;
        page.counter("adapter_starts", "Processes started", each(|it| it.counters.processes))?;
        page.counter(
            "adapter_disappearances",
            "Processes that ended, or had to be killed, without being asked to end",
            each(|it| it.counters.disappearances),
        )?;
        let restarts = self.adapters.iter().flat_map(|it| {
            let name = it.name.as_str();
            let counters = &it.counters;
            [
                ("disappeared", counters.restarts),
                ("operator", counters.operator_restarts),
                ("settings", counters.settings_restarts),
                ("memory", counters.memory_restarts),
                ("requested", counters.requested_restarts),
            ]
            .map(|(cause, count)| (vec![("adapter", name), ("cause", cause)], count))
        });
        page.counter("adapter_restarts", "Processes replaced, by why", restarts)?;
        page.counter(
            "adapter_idle_shutdowns",
            "Processes stopped because there was nothing to do",
            each(|it| it.counters.idle_shutdowns),
        )
    }
}

/// Where figures are written.
pub(super) struct Page<'p>(pub(super) DescriptorEncoder<'p>);

impl Page<'_> {
    fn one(&mut self, name: &str, help: &str, figure: u64) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&gauge(figure))
    }

    pub(super) fn gauge<'f>(
        &mut self,
        name: &str,
        help: &str,
        figures: impl IntoIterator<Item = Figure<'f>>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, figure) in figures {
            family.encode_family(&labels)?.encode_gauge(&gauge(figure))?;
        }
        Ok(())
    }

    pub(super) fn counter<'f>(
        &mut self,
        name: &str,
        help: &str,
        figures: impl IntoIterator<Item = Figure<'f>>,
    ) -> Result<(), Error> {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, figure) in figures {
            family.encode_family(&labels)?.encode_counter::<[(&str, &str); 0], _, u64>(&figure, None)?;
        }
        Ok(())
    }
}

fn gauge(figure: u64) -> i64 {
    i64::try_from(figure).unwrap_or(i64::MAX)
}
