//! The proof that nothing is stuck: looked for again every few seconds, by code that shares nothing with the engine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the last audit found: of this node's shards, or of all nodes together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditReport {
    /// How many things are stuck.
    pub stuck: usize,
    /// When the oldest of the audits that this rests on ended. RFC 3339, UTC; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_at: Option<String>,
    /// How long ago that is, in milliseconds, by the clock of the node that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven_ms_ago: Option<u64>,
    /// How many instances, schedules and shards were looked at.
    pub checked: u64,
    /// The shards and nodes of which nothing was heard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<String>,
    /// What is stuck; at most a thousand are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

/// Something that nothing will wake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Violation {
    /// The actor or shard.
    pub subject: String,
    /// What is missing, in words.
    pub what: String,
    /// Since when it was seen. RFC 3339, UTC.
    pub since: String,
    /// What was done about it, if that was safe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repaired: Option<String>,
}
