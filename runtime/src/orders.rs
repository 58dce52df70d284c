//! What an operator may order about an instance: a decision about an activity in doubt, and to run it again.

use impresario_model::doubt::Decision;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::orchestrator::Refusal;

/// The longest reason of a decision or a cancel, in bytes.
pub const REASON_LIMIT: usize = 1024;

/// The word of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DecisionWord {
    /// Do it once more, with the same key.
    Retry,
    /// It was done: its output is the one that is given.
    Accept,
    /// Pass the task over, as if its condition had not held.
    Skip,
    /// It failed, with an error that the definition may catch.
    Fail,
}

/// A decision about an activity of which nobody knows whether it was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveRequest {
    /// Which.
    pub decision: DecisionWord,
    /// The output; with `accept`, and there it is needed.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why; with `fail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number of the attempt that is meant; the present one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The same key decides about an activity at most once: repeated, it is answered as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Tells an output that is null from none at all.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl ResolveRequest {
    /// The decision, if it makes sense.
    ///
    /// # Errors
    /// [`Refusal::Invalid`].
    pub fn into_decision(self) -> Result<Decision, Refusal> {
        let invalid = |text: String| Err(Refusal::Invalid(text));
        if let Some(found) = self.reason.as_ref().map(String::len).filter(|length| *length > REASON_LIMIT) {
            return invalid(format!("expected a reason of at most {REASON_LIMIT} bytes, found {found}"));
        }
        match (self.decision, self.output, self.reason) {
            (DecisionWord::Retry, None, None) => Ok(Decision::Retry),
            (DecisionWord::Skip, None, None) => Ok(Decision::Skip),
            (DecisionWord::Accept, Some(output), None) => Ok(Decision::Accept(output)),
            (DecisionWord::Fail, None, reason) => Ok(Decision::Fail { reason }),
            (DecisionWord::Accept, None, _) => {
                invalid("expected an output with 'accept', found none: give null if there is none".to_owned())
            }
            (_, Some(_), _) => invalid("expected an output with 'accept' only".to_owned()),
            (_, _, Some(_)) => invalid("expected a reason with 'fail' only".to_owned()),
        }
    }
}

/// The reply to a decision: it counts, and is durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResolveReply {
    /// The instance.
    pub id: String,
    /// The activity.
    pub activity: u64,
    /// The number of the attempt that was in doubt.
    pub attempt: u32,
    /// What was decided.
    pub decision: DecisionWord,
    /// The tier under which it is durable.
    pub durability: String,
}

/// The order to run an instance again, as a new one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RerunRequest {
    /// The start point; from the beginning if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The input of what it begins with; as it was if absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The same key runs an instance again at most once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
