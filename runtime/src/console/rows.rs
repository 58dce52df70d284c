//! Replies of the API as rows of a table.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::page::Content;
use super::table::{Cell, Column, column};
use super::text;
use crate::adapters::AdapterSummary;
use crate::cli::style::{ACTIVE, BAD, FAINT, PAUSED, of_status};
use crate::inspect::{EntryView, QuarantinedActor, TraceStep};
use crate::orchestrator::{InstanceSummary, NodeSummary, TriggerSummary};
use crate::system_events::{Severity, SystemEvent};

/// One row.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// What it is of, to find it again.
    pub(super) key: String,
    pub(super) cells: Vec<Cell>,
    /// The actor that it is about.
    pub(super) actor: Option<String>,
}

impl Row {
    /// Whether it has a text; `needle` is in lower case.
    pub(super) fn has(&self, needle: &str) -> bool {
        self.cells.iter().any(|cell| cell.text.to_lowercase().contains(needle))
    }
}

/// Rows under headings.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
}

const INSTANCES: &[Column] = &[
    column("INSTANCE", 36, 40, 0),
    column("STATUS", 9, 12, 1),
    column("DEFINITION", 16, 80, 2),
    column("AGE", 6, 8, 3),
    column("TOOK", 6, 8, 4),
    column("STARTED", 24, 30, 5),
];
const NODES: &[Column] = &[
    column("NODE", 10, 40, 0),
    column("STATE", 8, 12, 1),
    column("SHARDS", 6, 6, 2),
    column("LIVE", 6, 9, 3),
    column("RUNNING", 7, 9, 4),
    column("UP", 6, 8, 5),
    column("VERSION", 7, 16, 7),
    column("SITE", 4, 20, 6),
    column("URL", 16, 60, 8),
    column("LABELS", 10, 60, 9),
];
const ADAPTERS: &[Column] = &[
    column("ADAPTER", 8, 32, 0),
    column("NODE", 8, 24, 2),
    column("STATE", 9, 26, 1),
    column("GEN", 3, 6, 3),
    column("PID", 6, 8, 6),
    column("BUSY", 4, 7, 4),
    column("QUEUED", 6, 7, 5),
    column("RESTARTS", 8, 8, 7),
    column("UP", 6, 8, 9),
    column("MEMORY", 6, 9, 10),
    column("LAST ERROR", 20, 160, 8),
];
const TRIGGERS: &[Column] = &[
    column("TRIGGER", 14, 60, 0),
    column("STATE", 8, 10, 1),
    column("FIRED", 6, 9, 3),
    column("NEXT", 8, 12, 2),
    column("LAST", 8, 12, 5),
    column("WATCHES", 16, 90, 4),
    column("STARTS", 16, 60, 6),
];
const ENTRIES: &[Column] = &[
    column("TIME", 12, 12, 3),
    column("SHARD", 5, 5, 5),
    column("ACTOR", 20, 50, 0),
    column("KIND", 14, 28, 1),
    column("SUMMARY", 30, 160, 2),
    column("OFFSET", 14, 20, 6),
    column("ORIGIN", 14, 26, 7),
];
const QUARANTINE: &[Column] = &[
    column("ACTOR", 20, 60, 0),
    column("SINCE", 6, 8, 2),
    column("HELD", 4, 6, 3),
    column("FAILED ON", 12, 30, 4),
    column("REASON", 34, 200, 1),
    column("NODE", 8, 24, 5),
];
const EVENTS: &[Column] = &[
    column("AGE", 6, 8, 2),
    column("SEVERITY", 8, 8, 1),
    column("KIND", 12, 30, 3),
    column("MESSAGE", 44, 200, 0),
    column("SUBJECT", 12, 50, 5),
    column("NODE", 8, 24, 4),
];
const TRACE: &[Column] = &[
    column("TIME", 12, 12, 4),
    column("TOOK", 7, 8, 3),
    column("STATUS", 9, 12, 2),
    column("ACTOR", 20, 70, 1),
    column("WHAT", 20, 200, 0),
];

/// The table of what a page shows; of a tree there is none.
pub(super) fn table(content: &Content, now: SystemTime) -> Table {
    match content {
        Content::Actors(_) | Content::Detail(_) => Table::default(),
        Content::Instances(page) => rows(INSTANCES, &page.items, |item| instance(item, now)),
        Content::Nodes(nodes) => rows(NODES, nodes, |item| node(item, now)),
        Content::Adapters(adapters) => rows(ADAPTERS, adapters, adapter),
        Content::Triggers(triggers) => rows(TRIGGERS, triggers, |item| trigger(item, now)),
        Content::Entries(page) => rows(ENTRIES, &page.items, entry),
        Content::Quarantine(actors) => rows(QUARANTINE, actors, |item| quarantined(item, now)),
        Content::Events(page) => rows(EVENTS, &page.items, |item| event(item, now)),
        Content::Trace(trace) => {
            let mut table = rows(TRACE, &trace.steps, step);
            // Two steps may look the same.
            for (number, row) in table.rows.iter_mut().enumerate() {
                row.key = number.to_string();
            }
            table
        }
    }
}

fn rows<T>(columns: &'static [Column], items: &[T], row: impl Fn(&T) -> Row) -> Table {
    Table { columns, rows: items.iter().map(row).collect() }
}

fn instance(item: &InstanceSummary, now: SystemTime) -> Row {
    let took = item.ended_at.as_ref().and_then(|ended| {
        let end = humantime::parse_rfc3339_weak(ended).ok()?;
        let start = humantime::parse_rfc3339_weak(&item.started_at).ok()?;
        Some(took(end.duration_since(start).ok()?))
    });
    let cells = vec![
        Cell::new(&item.id),
        Cell::status(&item.status),
        Cell::new(&item.definition),
        Cell::new(text::age(&item.started_at, now)),
        Cell::faint(took.unwrap_or_default()),
        Cell::faint(&item.started_at),
    ];
    Row { key: item.id.clone(), cells, actor: Some(format!("process/{}", item.id)) }
}

fn took(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ 0..1000 => format!("{milliseconds}ms"),
        milliseconds @ 1000..60_000 => format!("{:.1}s", milliseconds as f64 / 1000.0),
        _ => text::span(duration),
    }
}

fn node(item: &NodeSummary, now: SystemTime) -> Row {
    let labels: Vec<String> = item.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let gone = item.state == "gone";
    // What a node that is gone had in memory is nowhere now, but its shards wait for an owner.
    let now_only = |value: String| Cell::new(if gone { String::new() } else { value });
    let waiting = if gone && item.shards > 0 { PAUSED } else { anstyle::Style::new() };
    let cells = vec![
        Cell::new(if item.me { format!("{} (asked)", item.name) } else { item.name.clone() }),
        Cell::status(&item.state),
        Cell::styled(item.shards.to_string(), waiting),
        now_only(item.live.to_string()),
        now_only(item.running.to_string()),
        now_only(text::age(&item.started, now)),
        Cell::new(&item.version),
        Cell::new(item.site.as_deref().unwrap_or_default()),
        Cell::new(&item.url),
        Cell::faint(labels.join(" ")),
    ];
    Row { key: format!("{} {}", item.name, item.incarnation), cells, actor: None }
}

fn adapter(item: &AdapterSummary) -> Row {
    let behind = item.restarts_wanted.saturating_sub(item.restarts_followed);
    let state = if behind > 0 { format!("{} (restart owed)", item.state) } else { item.state.clone() };
    let number = |value: Option<u64>| Cell::new(value.map(|value| value.to_string()).unwrap_or_default());
    let up = item.uptime_ms.map(|up| text::span(Duration::from_millis(up)));
    let memory = item.memory_bytes.map(|bytes| format!("{}MiB", bytes >> 20));
    let busy = if item.in_flight > 0 { ACTIVE } else { FAINT };
    let queued = if item.queued > 0 { PAUSED } else { FAINT };
    let cells = vec![
        Cell::new(&item.name),
        Cell::new(&item.node),
        Cell::styled(state, of_status(&item.state)),
        number(item.generation),
        number(item.pid.map(u64::from)),
        Cell::styled(item.in_flight.to_string(), busy),
        Cell::styled(item.queued.to_string(), queued),
        Cell::new(item.counters.restarts.to_string()),
        Cell::new(up.unwrap_or_default()),
        Cell::new(memory.unwrap_or_default()),
        Cell::faint(item.last_error.as_deref().unwrap_or_default()),
    ];
    Row { key: format!("{} {}", item.name, item.node), cells, actor: None }
}

fn trigger(item: &TriggerSummary, now: SystemTime) -> Row {
    let watches = match &item.problem {
        None => item.watches.clone(),
        Some(problem) => format!("{} (cannot watch: {problem})", item.watches),
    };
    let last = item.last_fire.as_ref().map(|last| format!("{} ago", text::age(last, now)));
    let next = item.next_fire.as_ref().map(|next| text::until(next, now));
    let cells = vec![
        Cell::new(&item.name),
        Cell::status(&item.state),
        Cell::new(item.fired.to_string()),
        Cell::new(next.unwrap_or_default()),
        Cell::faint(last.unwrap_or_default()),
        Cell::new(watches),
        Cell::faint(&item.definition),
    ];
    Row { key: item.name.clone(), cells, actor: Some(format!("trigger/{}", item.name)) }
}

fn entry(item: &EntryView) -> Row {
    let cells = vec![
        Cell::faint(text::clock(&item.at)),
        Cell::new(item.shard.to_string()),
        Cell::new(&item.actor),
        Cell::styled(&item.kind, ACTIVE),
        Cell::new(&item.summary),
        Cell::faint(&item.offset),
        Cell::faint(item.origin.as_deref().unwrap_or_default()),
    ];
    Row { key: format!("{}/{}", item.shard, item.offset), cells, actor: Some(item.actor.clone()) }
}

fn quarantined(item: &QuarantinedActor, now: SystemTime) -> Row {
    let on = item.entry.as_ref().map_or("being loaded", |entry| entry.kind.as_str());
    let cells = vec![
        Cell::new(&item.actor),
        Cell::new(text::age(&item.since, now)),
        Cell::alarm(item.held as u64),
        Cell::new(on),
        Cell::styled(&item.reason, BAD),
        Cell::new(&item.node),
    ];
    Row { key: item.actor.clone(), cells, actor: Some(item.actor.clone()) }
}

fn event(item: &SystemEvent, now: SystemTime) -> Row {
    let (word, style) = match item.severity {
        Severity::Info => ("info", FAINT),
        Severity::Warning => ("warning", PAUSED),
        Severity::Critical => ("critical", BAD),
    };
    let cells = vec![
        Cell::new(text::age(&item.time, now)),
        Cell::styled(word, style),
        Cell::styled(&item.kind, ACTIVE),
        Cell::new(&item.message),
        Cell::faint(&item.subject),
        Cell::faint(&item.node),
    ];
    Row { key: item.id.clone(), cells, actor: actor(&item.subject) }
}

fn step(item: &TraceStep) -> Row {
    // Deeper than this there is no room for words.
    let indent = "  ".repeat(item.depth.min(20));
    let cells = vec![
        Cell::faint(text::clock(&item.at)),
        Cell::new(item.took_ms.map(|took_ms| took(Duration::from_millis(took_ms))).unwrap_or_default()),
        Cell::status(item.status.as_deref().unwrap_or_default()),
        Cell::new(format!("{indent}{}", item.actor)),
        Cell::new(&item.what),
    ];
    Row { key: String::new(), cells, actor: actor(&item.actor) }
}

/// The text itself, if it may be the id of an actor.
fn actor(text: &str) -> Option<String> {
    (text.contains('/') && !text.contains(char::is_whitespace)).then(|| text.to_owned())
}

/// A row, whole.
pub(super) fn record(content: &Content, row: usize) -> Option<Value> {
    fn of<T: serde::Serialize>(items: &[T], row: usize) -> Option<Value> {
        items.get(row).and_then(|item| serde_json::to_value(item).ok())
    }
    match content {
        Content::Actors(_) | Content::Detail(_) => None,
        Content::Instances(page) => of(&page.items, row),
        Content::Nodes(nodes) => of(nodes, row),
        Content::Adapters(adapters) => of(adapters, row),
        Content::Triggers(triggers) => of(triggers, row),
        Content::Entries(page) => of(&page.items, row),
        Content::Quarantine(actors) => of(actors, row),
        Content::Events(page) => of(&page.items, row),
        Content::Trace(trace) => of(&trace.steps, row),
    }
}
