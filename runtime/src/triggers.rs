//! Triggers as operators see and order them, and the events that they watch.

use std::collections::BTreeMap;

use impresario_model::event::CloudEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::catch_up::{ApproveRequest, MissedDetail, PlanDetail};
use crate::orchestrator::TriggerSummary;

/// At most so many triggers on a page, and if nothing is said.
pub const TRIGGERS_PAGE: usize = 1_000;

/// Which triggers to list, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerQuery {
    /// One of enabled, paused, problem, disarmed. Those that are disarmed, as no definition has them any more, are listed
    /// only if they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What their names begin with, such as `namespace/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Only those whose names come after this one: the last name of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many (1 to 1000; 1000 if absent). A page with fewer is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// One trigger, whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerDetail {
    /// What the list shows too.
    #[serde(flatten)]
    pub summary: TriggerSummary,
    /// What its definition lays down beyond what it watches, in words, such as `rate`: `at most 10 in 1 min`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Since when it is paused, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<PausedDetail>,
    /// What it missed at the last stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<MissedDetail>,
    /// Missed times that wait for a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanDetail>,
    /// What matched, or was complete, and started nothing.
    #[serde(default)]
    pub passed: PassedDetail,
    /// The sets of events that wait for others, oldest first; at most [`SETS_SHOWN`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetDetail>,
    /// Its newest fires, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<FireDetail>,
}

/// How many sets are shown.
pub const SETS_SHOWN: usize = 100;

/// A pause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PausedDetail {
    /// RFC 3339, UTC.
    pub since: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What matched, or was complete, and started nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PassedDetail {
    /// Events that came while it was paused.
    pub paused: u64,
    /// Events that came out of its hours and days.
    pub inactive: u64,
    /// Fires beyond its rate.
    pub limited: u64,
    /// Sets that waited too long.
    pub expired: u64,
    /// Sets and events that there was no room for.
    pub dropped: u64,
    /// Events that an expression failed on.
    pub failed: u64,
    /// Why the last one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A set of events that waits for others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetDetail {
    /// What its events have in common.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
    /// How many events it has.
    pub events: usize,
    /// When the first of them came: RFC 3339, UTC.
    pub since: String,
    /// When it is forgotten: RFC 3339, UTC.
    pub until: String,
    /// What it waits for, in words.
    pub waits_for: String,
}

/// One fire.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FireDetail {
    /// RFC 3339, UTC.
    pub at: String,
    /// Why, in words.
    pub cause: String,
    /// The instance that it started.
    pub instance: String,
}

/// An operator's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerOrder {
    /// Start nothing until it is resumed.
    Pause {
        /// Why.
        reason: Option<String>,
    },
    /// Go on.
    Resume,
    /// Fire for what was missed, or not.
    Approve(ApproveRequest),
}

/// The reason of a pause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The order to fire by hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FireRequest {
    /// The input of the instance; of a schedule `{}` if absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The event that the instance is to get, in JSON, whether it matches or not; instead of an input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// The same key fires a trigger at most once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Tells an input that is null from none at all.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The question whether a trigger matches.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TestRequest {
    /// This event, in JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// So many of those that came last (1 to [`RECENT_MOST`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<usize>,
}

/// How many recent events are told at most.
pub const RECENT_MOST: usize = 200;

/// The answer to a [`TestRequest`]; nothing was started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestReply {
    /// The trigger.
    pub trigger: String,
    /// What it watches.
    pub watches: String,
    /// By event, newest first.
    pub events: Vec<TestedEvent>,
    /// Where recent events came from; absent if none were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<RecentWindow>,
}

/// What the filters of a trigger say of one event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestedEvent {
    /// Its id.
    pub id: String,
    /// Its source.
    pub source: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it matches.
    pub matches: bool,
    /// Whether it ends a set, as the `until` of the trigger says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends: bool,
    /// By filter.
    pub filters: Vec<TestedFilter>,
}

/// What one filter says of an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestedFilter {
    /// `filter 1`, or `until 1`.
    pub name: String,
    /// Whether the event matches it.
    pub matches: bool,
    /// By attribute, then by key of its correlation.
    pub parts: Vec<TestedPart>,
}

/// What became of one attribute, or one key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestedPart {
    /// The attribute, or `correlate.KEY`.
    pub name: String,
    /// Whether it matches.
    pub matches: bool,
    /// What is wanted.
    pub wanted: String,
    /// What was found, cut where it is long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Why that could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// An event that came through a door of a node, as that node remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecentEvent {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Through which node.
    pub node: String,
    /// The event.
    pub event: CloudEvent,
}

/// How far back nodes remember events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RecentWindow {
    /// How many events the nodes that answered remember.
    pub kept: usize,
    /// How many one node remembers at most.
    pub most: usize,
    /// The nodes that did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<String>,
}

/// Which recent events to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecentQuery {
    /// Only of this type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// At most so many (1 to [`RECENT_MOST`]; 20 if absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The recent events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RecentPage {
    /// Newest first.
    pub items: Vec<ToldEvent>,
    /// How far back they go.
    pub window: RecentWindow,
}

/// A recent event, and what it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToldEvent {
    /// When it came: RFC 3339, UTC.
    pub at: String,
    /// Through which node.
    pub node: String,
    /// Its id.
    pub id: String,
    /// Its source.
    pub source: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What it did, in words: `started 0f2c… (ops/clean/on)`, `repetition`, `no trigger matches`.
    pub did: Vec<String>,
}

/// What came in, and what it set going.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventsSummary {
    /// The window in which a repetition is recognised.
    pub dedup: DedupWindow,
    /// The triggers, counted.
    pub triggers: TriggerCounters,
}

/// The window in which the same source and id count as the same event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DedupWindow {
    /// For how long, such as `10m`.
    pub within: String,
    /// For how many events of all shards together; the oldest are forgotten first.
    pub most: usize,
    /// How many are remembered.
    pub remembered: usize,
    /// How many events came in.
    pub events: u64,
    /// How many of them were repetitions and did nothing.
    pub repetitions: u64,
    /// The shards whose owner did not answer: they are not in these numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<u16>,
}

/// What the router of a shard counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouterCount {
    /// The shard.
    pub shard: u16,
    /// How many ids it remembers.
    pub remembered: usize,
    /// How many events came in.
    pub events: u64,
    /// How many of them were repetitions.
    pub repeated: u64,
}

/// The triggers, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TriggerCounters {
    /// Schedules that are watched.
    pub schedules_monitored: u64,
    /// How often schedules were met.
    pub schedules_met: u64,
    /// Event triggers that are watched.
    pub events_monitored: u64,
    /// How often event triggers fired.
    pub events_fired: u64,
}
