//! Missed times of schedules as operators see them, and decide about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many times of a plan are listed.
pub const TIMES_SHOWN: usize = 1_000;

/// What a schedule missed at the last stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissedDetail {
    /// When it noticed: RFC 3339, UTC.
    pub at: String,
    /// The first time that was missed: RFC 3339, UTC.
    pub first: String,
    /// The last one.
    pub last: String,
    /// How many were counted.
    pub count: usize,
    /// There were more.
    pub more: bool,
    /// What the definition says about them: `skip`, `fireOnce`, `fireAll` or `plan`.
    pub rule: String,
}

/// Missed times that wait for a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanDetail {
    /// Names the plan as it is now.
    pub id: String,
    /// Since when it waits: RFC 3339, UTC.
    pub since: String,
    /// The times, oldest first: RFC 3339, UTC.
    pub times: Vec<String>,
    /// There were more; they are skipped, whatever is decided.
    pub more: bool,
    /// The last of all.
    pub last: String,
}

/// A decision about a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveRequest {
    /// The id of the plan that was seen.
    pub plan: String,
    /// What fires of it.
    pub fire: Chosen,
}

/// What fires of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Chosen {
    /// By a word.
    Word(Word),
    /// These times of it, as it has them.
    Times(Vec<String>),
}

/// A word for what fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Word {
    /// All times.
    All,
    /// The last one.
    Last,
    /// None.
    None,
}
