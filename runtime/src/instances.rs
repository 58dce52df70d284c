//! Which instances are looked for, and the pages that they are listed on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::orchestrator::InstanceSummary;

/// Which instances to list, newest first. All that is given has to hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceQuery {
    /// One or several, with commas between them, of pending, running, waiting, uncertain, suspended, cancelled, faulted,
    /// completed, quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "faulted,uncertain")]
    pub status: Option<String>,
    /// `namespace/name` or `namespace/name:version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// Only those that started at this time or later. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub started_after: Option<String>,
    /// Only those that started before this time. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub started_before: Option<String>,
    /// Only those whose id has this in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Only what was started, or run again, with this idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only what this has started: `api`, `trigger NAME`, or only the first word, `trigger`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_by: Option<String>,
    /// Only instances with an activity on this target, among those that they still keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Only instances with this text in their error, or in that of an activity that they still keep, in upper or lower
    /// case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// At most so many (1 to 1000; 50 if absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// A page of instances.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InstancePage {
    /// The page, newest first.
    pub items: Vec<InstanceSummary>,
    /// The cursor of the next page, if there may be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The shards whose owner did not answer: of their instances the page has what was stored last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<u16>,
    /// How many instances were looked at, where that was as many as one page allows before it was full: `next` looks on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<usize>,
}
