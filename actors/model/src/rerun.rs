//! Running an instance again, from its beginning or from one of its start points.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The order to run an instance again, as a new one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RerunOrder {
    /// The id of the new instance; ordered again under the same id, nothing happens.
    pub instance: String,
    /// The start point; from the beginning if absent.
    pub from: Option<String>,
    /// The input of what it begins with; as it was if absent.
    pub input: Option<Value>,
    /// The idempotency key of the order, if there was one.
    pub key: Option<String>,
    /// The version of the program that accepted it.
    pub runtime: String,
}

/// How a new instance is the rerun of another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rerun {
    /// The other one.
    pub of: String,
    /// Where it begins; at the beginning if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// Where a rerun begins, with the data that was there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The start point.
    pub start_point: String,
    /// What its task had.
    pub data: PointData,
    /// The input of each task round it, by its index.
    pub around: BTreeMap<u32, Value>,
}

/// What the task of a start point had when it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointData {
    /// Its raw input.
    pub input: Value,
    /// `$context`.
    pub context: Value,
}
