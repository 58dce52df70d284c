//! Request and reply over events: what is asked, and what the instances that an event started have answered.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::orchestrator::InstanceDetail;

/// The longest wait of one request.
pub const WAIT_MAX: Duration = Duration::from_secs(600);

/// Whether an instance of this status goes on by itself: nobody need wait for any other.
pub fn goes_on(status: &str) -> bool {
    matches!(status, "pending" | "running" | "waiting" | "suspended")
}

/// The reply to an event that was asked about: it is durable in any case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AskReply {
    /// The event's source.
    pub source: String,
    /// The event's id.
    pub id: String,
    /// The tier under which the event is durable.
    pub durability: String,
    /// Whether every instance has answered.
    pub complete: bool,
    /// The instances that it starts, one for each trigger that it matches.
    pub instances: Vec<AskedInstance>,
    /// Why nothing is started, or what is missing, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// An instance that an event starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AskedInstance {
    /// The instance.
    pub id: String,
    /// The trigger that starts it.
    pub trigger: String,
    /// Its definition, with version.
    pub definition: String,
    /// Its status; `unknown` while nobody has seen it.
    pub status: String,
    /// Its output, once it completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Its error (RFC 9457 members), once it faulted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Value>,
}

impl AskedInstance {
    /// What it is known as before anybody has seen it.
    pub fn unseen(id: String, trigger: String, definition: String) -> Self {
        AskedInstance { id, trigger, definition, status: "unknown".to_owned(), output: None, error: None }
    }

    /// With what is known of it now.
    pub fn seen(self, detail: InstanceDetail) -> Self {
        let InstanceDetail { summary, output, error, .. } = detail;
        AskedInstance { definition: summary.definition, status: summary.status, output, error, ..self }
    }

    /// Whether it has said what there is to say.
    pub fn answered(&self) -> bool {
        self.status != "unknown" && !goes_on(&self.status)
    }
}
