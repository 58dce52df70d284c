//! What the TCP door answers: one JSON object a line.

use serde::{Deserialize, Serialize};

use crate::orchestrator::Refusal;

/// The first line of a client: it shows the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// The token of the node, or of one that it shares its store with.
    pub token: String,
}

/// A reply to a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Which line of the connection it answers: the greeting is 0, the first event 1. Empty lines do not count.
    pub line: u64,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What became of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// The token is right: events may follow.
    Ready {
        /// The tier under which events are durable once they are accepted, such as `fsync`.
        durability: String,
        /// How many events may be on their way before the first is answered.
        ahead: usize,
        /// How many bytes a line may have.
        line_limit: usize,
    },
    /// The event is durable.
    Accepted {
        /// Its tier, such as `fsync`.
        durability: String,
    },
    /// It makes no sense: correct it. Nothing was kept.
    Invalid {
        /// What was expected, what was found.
        detail: String,
    },
    /// Too much is waiting already. Nothing was kept: send it again later.
    Busy {
        /// What is full.
        detail: String,
        /// When, in milliseconds.
        retry_after_ms: u64,
    },
    /// It cannot be done now. Nothing was kept: send it again later.
    Unavailable {
        /// What stands in the way.
        detail: String,
        /// When, in milliseconds.
        retry_after_ms: u64,
    },
    /// There was no answer in time. It may be durable or not: send it again with the same source and id, which starts
    /// nothing twice.
    Unknown {
        /// How long was waited.
        detail: String,
    },
    /// The connection ends after this line.
    Closed {
        /// Why.
        detail: String,
    },
}

impl From<Refusal> for Outcome {
    fn from(refusal: Refusal) -> Outcome {
        match refusal {
            Refusal::Invalid(detail) | Refusal::NotFound(detail) | Refusal::Conflict(detail) => {
                Outcome::Invalid { detail }
            }
            Refusal::Busy { reason, retry_after_ms } => Outcome::Busy { detail: reason, retry_after_ms },
            Refusal::Unavailable { reason, retry_after_ms } => {
                Outcome::Unavailable { detail: reason, retry_after_ms }
            }
            Refusal::NotMine => Outcome::from(Refusal::later(refusal.to_string())),
        }
    }
}
