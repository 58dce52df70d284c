//! What the doors ask of the engine. The doors own this port and know no actor; the node implements it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use impresario_model::event::CloudEvent;
use impresario_model::trace::TraceContext;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::adapters::{AdapterOrder, AdapterSummary};
use crate::ask::AskReply;
use crate::declared::{Declared, DeclaredKind, DeclaredRequest};
use crate::inventory::{EntryKind, InventoryEntry};
use crate::log_levels::{LogChange, NodeLog};
use crate::orders::{RerunRequest, ResolveReply, ResolveRequest};
use crate::question::{Question, Reply};
use crate::secrets::{UserChange, UserSummary};
use crate::triggers::{
    EventsSummary, FireRequest, RecentPage, RecentQuery, TestReply, TestRequest, TriggerDetail, TriggerOrder,
};
use crate::webhook::{Delivery, WebhookFindings, WebhookOutcome, WebhookSummary, WebhookTrial};

/// Why the engine refuses a request, by what the sender does about it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// The request makes no sense: correct it.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// It contradicts what is there, such as an idempotency key used with another input.
    #[error("{0}")]
    Conflict(String),
    /// Too much is waiting already: try again after `retry_after_ms`.
    #[error("{reason}")]
    Busy {
        /// What is full.
        reason: String,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// It cannot be done now (the store does not answer or has no space, or a shard moves to another node): try again
    /// after `retry_after_ms`.
    #[error("{reason}")]
    Unavailable {
        /// What stands in the way.
        reason: String,
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
    /// A node asked this one for a shard that another node has: look again who owns it.
    #[error("the shard is not with this node")]
    NotMine,
}

/// When to try again if nothing better is known, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;

impl Refusal {
    /// It cannot be done now, and may soon.
    pub fn later(reason: impl Into<String>) -> Refusal {
        Refusal::Unavailable { reason: reason.into(), retry_after_ms: RETRY_AFTER_MS }
    }
}

/// An instance to start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// `namespace/name` (its newest version) or `namespace/name:version`.
    pub definition: String,
    /// The input; `{}` if absent.
    #[serde(default)]
    pub input: Option<Value>,
    /// The same key starts at most one instance of a definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The place in a trace that the request has; it comes in a header.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
}

/// The reply to a start: the instance exists durably.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Started {
    /// The instance.
    pub id: String,
    /// Its definition, with version.
    pub definition: String,
    /// False when the key had started this instance before.
    pub created: bool,
    /// The tier under which it is durable, such as `fsync` or `everysec+replicated(1)`.
    pub durability: String,
}

/// The reply to events: they are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// How many events.
    pub accepted: usize,
    /// The tier under which they are durable.
    pub durability: String,
}

/// Which instances to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceQuery {
    /// One of pending, running, waiting, uncertain, suspended, cancelled, faulted, completed, quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// `namespace/name` or `namespace/name:version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Only instances with an activity on this target, among those that they still keep. A page is looked through after
    /// it was made, so it may have fewer than `limit`, even none, and yet a next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// At most so many (1 to 1000; 50 if absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One line of the list of instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceSummary {
    /// The instance.
    pub id: String,
    /// Its definition, with version.
    pub definition: String,
    /// See [`InstanceQuery::status`].
    pub status: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC; once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// A page of instances.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstancePage {
    /// The page, newest first.
    pub items: Vec<InstanceSummary>,
    /// The cursor of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The shards whose owner did not answer: of their instances the page has what was stored last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<u16>,
}

/// One instance, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceDetail {
    /// What the list shows too.
    #[serde(flatten)]
    pub summary: InstanceSummary,
    /// What started it: `api`, `trigger NAME`.
    pub started_by: String,
    /// Its raw input.
    pub input: Value,
    /// Its output, once it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Its error (RFC 9457 members), once it faulted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// The instance that it runs again, if it is a rerun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    /// The start point at which it began, if it is a rerun from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<String>,
    /// The actor that gives it its turn, where only so many instances may run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_of: Option<String>,
    /// The start points of its definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start_points: Vec<StartPointDetail>,
    /// What it waits for now, in words, such as `activity 3 checkDisk (command/shell), attempt 1, since …`.
    pub waits_for: Vec<String>,
    /// The events that it listens for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerDetail>,
    /// Its activities, oldest first.
    pub activities: Vec<ActivityDetail>,
    /// How many older activities are no longer kept.
    pub activities_dropped: u64,
}

/// A `listen` task under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerDetail {
    /// The task's name.
    pub task: String,
    /// The task's place in the document.
    pub pointer: String,
    /// What it waits for, in words: types, and what their keys have to be.
    pub waits_for: String,
    /// How many events it has consumed.
    pub consumed: usize,
    /// How many have come and wait for their turn.
    pub queued: usize,
    /// Whether all its subscriptions hold; until then, what came early is being looked for.
    pub subscribed: bool,
    /// Since when it listens. RFC 3339, UTC.
    pub since: String,
    /// How far it looks back. RFC 3339, UTC.
    pub looks_back_to: String,
}

/// A start point of an instance's definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartPointDetail {
    /// Its id.
    pub id: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The task's name.
    pub task: String,
    /// Whether the instance can run again from there: `kept`, `too large`, or `not reached`.
    pub data: String,
}

/// How far an attempt says that it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgressDetail {
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// In numbers, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
}

/// The operator's decision about an activity that counted last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedDetail {
    /// Its own id.
    pub id: String,
    /// `retry`, `accept`, `skip` or `fail`.
    pub decision: String,
    /// The number of the attempt that was in doubt.
    pub attempt: u32,
    /// RFC 3339, UTC.
    pub at: String,
}

/// One activity of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityDetail {
    /// Its number within the instance, from 1.
    pub number: u64,
    /// The task's name.
    pub task: String,
    /// The task's pointer in the definition.
    pub pointer: String,
    /// `adapter/function`.
    pub function: String,
    /// The target that it is done on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// One of `requested`, `waiting` (for a place at its target), `running`, `retrying`, `probing`, `uncertain`,
    /// `completed`, `failed`, `skipped`, `cancelled`.
    pub status: String,
    /// The idempotency key of all its attempts.
    pub key: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// Whether it runs again after an interruption.
    pub restartable: bool,
    /// The arguments.
    pub input: Value,
    /// How far the present attempt says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressDetail>,
    /// Whether it has saved something that the next attempt would go on from.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub saved: bool,
    /// What an operator decided about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedDetail>,
    /// The output, once it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The error, once it failed; why nobody knows, while it is uncertain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// A loaded definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DefinitionSummary {
    /// `namespace/name:version`.
    pub id: String,
    /// `document.title`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `document.summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What starts it, such as `every 10s`.
    pub triggers: Vec<String>,
}

/// A trigger monitor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TriggerSummary {
    /// Its name.
    pub name: String,
    /// The definition that it starts, with version.
    pub definition: String,
    /// `schedule` or `event`.
    #[serde(default)]
    pub kind: String,
    /// What it watches, in words.
    pub watches: String,
    /// `enabled`, `paused`, `problem` (it cannot watch), or `disarmed` (no definition has it any more).
    #[serde(default)]
    pub state: String,
    /// Why it cannot watch, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How often it fired.
    pub fired: u64,
    /// How many events matched.
    #[serde(default)]
    pub matched: u64,
    /// What started nothing on purpose: it came while it was paused, out of hours, or beyond its rate.
    #[serde(default)]
    pub suppressed: u64,
    /// How many events an expression failed on.
    #[serde(default)]
    pub failed: u64,
    /// How many sets of events wait to be complete.
    #[serde(default)]
    pub waiting: usize,
    /// The calendar on whose days it fires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<String>,
    /// How many missed times it skipped.
    #[serde(default)]
    pub skipped: u64,
    /// How many missed times wait for a decision.
    #[serde(default)]
    pub planned: usize,
    /// RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_fire: Option<String>,
    /// RFC 3339, UTC; schedules only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_fire: Option<String>,
}

/// A node of the live actor tree.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TreeNode {
    /// Such as `shards`, `shard 3`, `process/01…`, `trigger/…`, `adapter http`.
    pub name: String,
    /// Such as `running`, `waiting`, `restarting`, `quarantined`.
    pub state: String,
    /// Facts for a person: `lag 0`, `pid 4711`, `restarts 1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
    /// What it supervises.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<TreeNode>,
    /// How many children are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A node of the cluster, as the node that is asked sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeSummary {
    /// Its name.
    pub name: String,
    /// This start of it: the first characters of its incarnation.
    pub incarnation: String,
    /// `alive`, `draining` or `gone`.
    pub state: String,
    /// Whether it is the node that answers.
    pub me: bool,
    /// Where its HTTP door is.
    pub url: String,
    /// Where it stands, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The program's version.
    pub version: String,
    /// Since when it runs: RFC 3339, UTC.
    pub started: String,
    /// How many shards it owns.
    pub shards: usize,
    /// How many actors it has in memory.
    pub live: u64,
    /// How many activities it runs.
    pub running: u64,
}

/// How the node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Whether it accepts writes and its shards make progress.
    pub ready: bool,
    /// The node's name.
    pub node: String,
    /// The program's version.
    pub version: String,
    /// What is wrong, for a person; empty when ready.
    pub problems: Vec<String>,
    /// The tier of the store.
    pub durability: String,
    /// `up`, or why the store does not answer.
    pub store: String,
    /// How many shards the node owns.
    pub shards: usize,
    /// What somebody has to look into, though the node works: what the store has lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
}

/// The result of an operation of the engine.
pub type Answer<T> = BoxFuture<'static, Result<T, Refusal>>;

/// The engine as the doors see it.
pub trait Orchestrator: Send + Sync + 'static {
    /// Makes events durable: all of them, or none and a refusal.
    fn accept(&self, events: Vec<CloudEvent>) -> Answer<Accepted>;
    /// Starts an instance.
    fn start(&self, request: StartRequest) -> Answer<Started>;
    /// Lists instances.
    fn instances(&self, query: InstanceQuery) -> Answer<InstancePage>;
    /// Shows one instance; `id` may be a unique prefix of at least 8 characters.
    fn instance(&self, id: String) -> Answer<InstanceDetail>;
    /// Shows one instance once it does not go on by itself any more, or as it is when the time is over.
    fn wait_for(&self, id: String, wait: Duration) -> Answer<InstanceDetail>;
    /// Makes an event durable, and waits for the answers of the instances that it starts.
    fn ask(&self, event: CloudEvent, wait: Duration) -> Answer<AskReply>;
    /// Asks an instance to cancel; durable once answered.
    fn cancel(&self, id: String, reason: Option<String>) -> Answer<()>;
    /// Decides about an activity of which nobody knows whether it was done; answered once the decision counts.
    fn resolve(&self, id: String, activity: u64, request: ResolveRequest) -> Answer<ResolveReply>;
    /// Runs an instance again, as a new one.
    fn rerun(&self, id: String, request: RerunRequest) -> Answer<Started>;
    /// Lists the definitions.
    fn definitions(&self) -> Answer<Vec<DefinitionSummary>>;
    /// Lists the trigger monitors.
    fn triggers(&self) -> Answer<Vec<TriggerSummary>>;
    /// Shows one trigger.
    fn trigger(&self, name: String) -> Answer<TriggerDetail>;
    /// Does what an operator asks of a trigger; answered once it counts.
    fn order_trigger(&self, name: String, order: TriggerOrder) -> Answer<TriggerDetail>;
    /// Fires a trigger by hand.
    fn fire_trigger(&self, name: String, request: FireRequest) -> Answer<Started>;
    /// Tells whether events match a trigger, and why; starts nothing.
    fn test_trigger(&self, name: String, request: TestRequest) -> Answer<TestReply>;
    /// What came in, and what it set going.
    fn events(&self) -> Answer<EventsSummary>;
    /// The events that came through the doors last, and what they did.
    fn recent_events(&self, query: RecentQuery) -> Answer<RecentPage>;
    /// The live actor tree: of this node if it is alone, else of all nodes.
    fn tree(&self) -> Answer<TreeNode>;
    /// The nodes of the cluster, by name.
    fn nodes(&self) -> Answer<Vec<NodeSummary>>;
    /// Asks a node to finish what it does, hand its shards over and leave.
    fn drain(&self, node: String) -> Answer<()>;
    /// Forgets a node that is gone, and its token with it.
    fn remove_node(&self, node: String) -> Answer<()>;
    /// The levels of the logs of all nodes; puts others in force first, if they are given.
    fn log_levels(&self, change: Option<LogChange>) -> Answer<Vec<NodeLog>>;
    /// The adapters at all nodes, or one of them.
    fn adapters(&self, name: Option<String>) -> Answer<Vec<AdapterSummary>>;
    /// Does what an operator asks of an adapter; durable once answered, and followed by all nodes.
    fn order_adapter(&self, name: String, order: AdapterOrder) -> Answer<()>;
    /// Lists the targets, their types, or the groups of them, by name.
    fn entries(&self, kind: EntryKind) -> Answer<Vec<InventoryEntry>>;
    /// Shows one of them.
    fn entry(&self, kind: EntryKind, name: String) -> Answer<InventoryEntry>;
    /// Describes one of them, whether it is there or not: as it is kept then.
    fn put_entry(&self, kind: EntryKind, name: String, spec: Value) -> Answer<InventoryEntry>;
    /// Removes one of them.
    fn remove_entry(&self, kind: EntryKind, name: String) -> Answer<()>;
    /// Lists, shows, puts, removes or orders what was declared of a kind.
    fn declared(&self, kind: DeclaredKind, request: DeclaredRequest) -> Answer<Vec<Declared>>;
    /// The runtime users, by name, without their secrets.
    fn users(&self) -> Answer<Vec<UserSummary>>;
    /// Changes a runtime user, or adds one.
    fn set_user(&self, name: String, change: UserChange) -> Answer<UserSummary>;
    /// Removes a runtime user.
    fn remove_user(&self, name: String) -> Answer<()>;
    /// Makes a new environment key, and seals every secret anew under it: its id.
    fn rotate_key(&self) -> Answer<String>;
    /// Lists the webhooks, by name; or shows one of them, whole.
    fn webhooks(&self, name: Option<String>) -> Answer<Vec<WebhookSummary>>;
    /// What would come of a request to a webhook.
    fn try_webhook(&self, name: String, trial: WebhookTrial) -> Answer<WebhookFindings>;
    /// Takes a request to a webhook: its events are durable once answered.
    fn deliver(&self, name: String, delivery: Delivery) -> Answer<WebhookOutcome>;
    /// Answers another node from what this one owns; never asks a third.
    fn answer(&self, question: Question) -> Answer<Reply>;
    /// How the node is; cheap.
    fn health(&self) -> Health;
    /// Registers what the node counts, and what it knows of itself at this moment; cheap.
    fn figures(&self, registry: &mut Registry);
}
