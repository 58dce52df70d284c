//! Why something waits, since when, and what will wake it; or why it ended so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The reply of `explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// What was asked about: an actor id or `adapter NAME`, `activity ID#N`.
    pub subject: String,
    /// A word for its state, such as `waiting` or `faulted`.
    pub state: String,
    /// One or two sentences.
    pub text: String,
    /// Since when it is so. RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What will wake it, if anything has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wakes: Option<String>,
    /// What the sentences rest on: `subscription 3f… on shard 5 waits for com.example.done`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What an operator can do about it, as commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub can_do: Vec<String>,
}
