//! The proof that nothing is stuck: looked for again every few seconds, by code that shares nothing with the engine.
//!
//! [`needs`] reads from a row what its actor needs to be woken, [`facts`] holds that against what there is, and
//! [`Auditor`] goes through all rows and tells what is on its way from what is stuck.

mod auditor;
mod calendar;
mod facts;
mod needs;
#[cfg(test)]
mod tests;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::auditor::{Auditor, Settled, settled_at};

/// How many violations are named.
const VIOLATIONS_MOST: usize = 1_000;

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

impl AuditReport {
    /// Takes in what another node found; nothing is proven that one of the two has not proven.
    pub fn merge(&mut self, other: AuditReport) {
        self.stuck += other.stuck;
        self.checked += other.checked;
        (self.proven_at, self.proven_ms_ago) = match (self.proven_ms_ago, other.proven_ms_ago) {
            (Some(mine), Some(theirs)) if theirs > mine => (other.proven_at, Some(theirs)),
            (Some(mine), Some(_)) => (self.proven_at.take(), Some(mine)),
            _ => (None, None),
        };
        self.unheard.extend(other.unheard);
        self.violations.extend(other.violations);
        self.violations.truncate(VIOLATIONS_MOST);
    }
}
