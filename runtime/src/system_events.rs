//! What happened to the cluster itself: one durable list for all nodes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Somebody should look, soon.
    Warning,
    /// Somebody should look now.
    Critical,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemEvent {
    /// Its id; later ones are greater.
    pub id: String,
    /// When. RFC 3339, UTC.
    pub time: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it is, such as `node.up`, `node.down`, `shards.rehomed`, `adapter.disappeared`, `store.trouble`,
    /// `actor.quarantined`, `settings.changed`, `instance.stuck`.
    pub kind: String,
    /// The node that noticed.
    pub node: String,
    /// What it is about: an actor, an adapter, a node.
    pub subject: String,
    /// What happened, in a sentence.
    pub message: String,
}

/// Which of them to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemEventQuery {
    /// This bad at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Only of kinds that begin with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// At most so many (1 to 1000; 50 if absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemEventPage {
    /// Newest first.
    pub items: Vec<SystemEvent>,
    /// The cursor of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
