//! What people see of an actor and of its log: the replies of the debug console and of `inspect`, `tail`, `trace` and
//! `quarantine`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::orchestrator::Answer;

/// The longest that a page of entries is waited for.
pub const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(25);

/// What the doors ask of a node to look into actors and their logs, and to act on what it finds there.
pub trait Inspector {
    /// Shows an actor, by its id, or an instance by its own id or a prefix of it.
    fn actor(&self, actor: String) -> Answer<ActorDetail>;
    /// Reads the logs of all shards.
    fn log(&self, query: EntryQuery) -> Answer<EntryPage>;
    /// Follows an event or an actor.
    fn trace(&self, query: TraceQuery) -> Answer<Trace>;
    /// Lists the actors that are set aside.
    fn quarantined(&self) -> Answer<Vec<QuarantinedActor>>;
    /// Takes an actor back that is set aside; `entry` is the offset of the entry that the operator saw it fail on.
    fn take_back(&self, actor: String, entry: Option<String>, order: QuarantineOrder) -> Answer<()>;
}

/// One entry of a mailbox log, decoded for people; secrets are masked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntryView {
    /// The shard whose log it is in.
    pub shard: u16,
    /// Its place in that log, such as `1795276490770-3`.
    pub offset: String,
    /// When it became durable. RFC 3339, UTC.
    pub at: String,
    /// The actor it is for.
    pub actor: String,
    /// What it is, such as `process.start` or `trigger.timer`.
    pub kind: String,
    /// The entry that made its sender send it, as `shard/offset`; absent for what came from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What it says, in a few words.
    pub summary: String,
    /// The whole of it.
    pub body: Value,
}

/// Which entries to show, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryQuery {
    /// Only of this actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only of this shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<u16>,
    /// Only of kinds that begin with this, such as `process` or `process.start`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only those whose actor, kind, summary or body contains this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `next` of the page before; without it the newest that the logs still have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// At most so many (1 to 1000; 100 if absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// With nothing to show, wait so long for something, such as `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
}

/// A page of entries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntryPage {
    /// Oldest first.
    pub items: Vec<EntryView>,
    /// Where to read on; there is always one.
    pub next: String,
}

/// One actor, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ActorDetail {
    /// Its id, such as `process/01J…` or `trigger/ops/disk/0`.
    pub actor: String,
    /// Its kind: the id up to the first slash.
    pub kind: String,
    /// The shard it is in.
    pub shard: u16,
    /// The node that owns the shard.
    pub node: String,
    /// The epoch under which it does.
    pub epoch: u64,
    /// Up to where the shard has applied its log.
    pub offset: String,
    /// How many entries of the log the shard has yet to apply.
    pub lag: u64,
    /// Whether the actor is in memory.
    pub live: bool,
    /// A word for its state.
    pub status: String,
    /// When a timer of it is due next. RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Why and on what it was set aside, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<QuarantinedActor>,
    /// What it waits for, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Its state, decoded; secrets are masked.
    pub state: Value,
    /// Those of its entries that the log still has, newest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<EntryView>,
}

/// An actor that was set aside, because it failed on an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinedActor {
    /// The actor.
    pub actor: String,
    /// The shard it is in.
    pub shard: u16,
    /// The node that owns the shard.
    pub node: String,
    /// What went wrong.
    pub reason: String,
    /// Since when. RFC 3339, UTC.
    pub since: String,
    /// The entry that it fails on; absent if it cannot even be loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryView>,
    /// How many entries came for it since, and wait.
    pub held: usize,
    /// How many more came when it held as many as it may, and were dropped.
    #[serde(default)]
    pub dropped: u64,
}

/// What an operator does about an actor that was set aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "order", rename_all = "lowercase", deny_unknown_fields)]
pub enum QuarantineOrder {
    /// Apply the entry again, and then all that came later.
    Retry,
    /// Drop the entry, and apply all that came later.
    Skip,
    /// Put this in the place of the entry, and go on as `retry` does.
    Edit {
        /// The whole of the entry, in the form of [`EntryView::body`]. What is masked in it stays as it is.
        body: Value,
    },
}

/// What to follow: an event by its id, and its source where that is not known any more; or an actor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TraceQuery {
    /// The id of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The source of that event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// An actor, or an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
}

/// An event, followed from its door to its last effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// The event or entry that was asked for.
    pub subject: String,
    /// What came of it. Steps that follow from another come right behind it and are deeper by one, in order of time.
    pub steps: Vec<TraceStep>,
    /// What could not be followed, and why: a log keeps only what is not in a checkpoint yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<String>,
}

/// One step of a [`Trace`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceStep {
    /// How many steps it is away from the event.
    pub depth: usize,
    /// When. RFC 3339, UTC; empty if nobody knows any more.
    pub at: String,
    /// The actor, host or door that did it.
    pub actor: String,
    /// What it did, in words.
    pub what: String,
    /// A word for how it ended or stands, such as `completed`, `running`, `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How long it took, in milliseconds, where it has an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
}

/// Whether a text is the id of an actor rather than that of an event.
pub fn is_actor(text: &str) -> bool {
    impresario_model::ids::ActorId::parse(text).is_ok()
}
