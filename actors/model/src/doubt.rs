//! What settles an activity of which nobody knows whether it was done: the adapter's answer to a probe, or an
//! operator's decision.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an adapter says of work that was cut off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ProbeAnswer {
    /// It was done, with this output.
    Done(Value),
    /// It was not done, and no earlier attempt will do it any more: it may be done.
    NotDone,
    /// Nobody can tell, or nobody answered in time.
    Unknown {
        /// Why, in words for an operator.
        reason: String,
    },
}

/// What an operator decides about an activity in doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Decision {
    /// It is done once more, with the same key.
    Retry,
    /// It was done, with this output.
    Accept(Value),
    /// The task is passed over, as if its `if` had been false.
    Skip,
    /// It failed, with an error that the definition may catch.
    Fail {
        /// Why, in words.
        reason: Option<String>,
    },
}

impl Decision {
    /// The word of the decision.
    pub fn word(&self) -> &'static str {
        match self {
            Decision::Retry => "retry",
            Decision::Accept(_) => "accept",
            Decision::Skip => "skip",
            Decision::Fail { .. } => "fail",
        }
    }
}

/// An operator's decision about one attempt of an activity. It counts if it comes first while that attempt is in doubt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// Unique for this decision: how whoever made it sees that it was this one that counted.
    pub id: String,
    /// The activity.
    pub activity: u64,
    /// The attempt.
    pub token: String,
    /// What is decided.
    pub decision: Decision,
}

/// The decision that counted, as the activity keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The id of the [`Resolution`].
    pub id: String,
    /// [`Decision::word`].
    pub decision: String,
    /// The number of the attempt that was in doubt.
    pub attempt: u32,
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
}
