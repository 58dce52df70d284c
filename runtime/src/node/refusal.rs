//! What a sender is told when something is not done.

use impresario_actors::engine::EngineError;
use impresario_actors::post::PostError;
use impresario_persistence::StoreError;

use crate::orchestrator::Refusal;
use crate::settings::SettingError;

/// When a sender that was refused for now should try again, in milliseconds.
const RETRY_AFTER_MS: u64 = 500;
/// The same where a person has to make room first.
const NO_ROOM_RETRY_AFTER_MS: u64 = 5000;

/// When an entry is not taken.
pub(super) fn refusal(error: PostError) -> Refusal {
    match error {
        PostError::Overloaded { .. } | PostError::Store(StoreError::Busy) => {
            Refusal::Busy { reason: error.to_string(), retry_after_ms: RETRY_AFTER_MS }
        }
        PostError::Store(StoreError::TooLarge { .. }) | PostError::Encode(_) => {
            Refusal::Invalid(error.to_string())
        }
        // It comes back by itself.
        PostError::Store(StoreError::Away(_) | StoreError::Behind(_)) => Refusal::later(error.to_string()),
        PostError::Store(_) => {
            Refusal::Unavailable { reason: error.to_string(), retry_after_ms: NO_ROOM_RETRY_AFTER_MS }
        }
    }
}

impl From<SettingError> for Refusal {
    fn from(error: SettingError) -> Refusal {
        match error {
            SettingError::Store(error) => refusal(error.into()),
            SettingError::Damaged { .. } | SettingError::Unwritable { .. } => {
                Refusal::Conflict(error.to_string())
            }
            SettingError::Contended(_) => Refusal::later(error.to_string()),
        }
    }
}

/// When a shard of this node does not answer.
pub(super) fn unanswered(error: EngineError) -> Refusal {
    match error {
        EngineError::NotOwner(_) => Refusal::NotMine,
        EngineError::NoAnswer(_) => Refusal::later(error.to_string()),
        EngineError::Refused(reason) => Refusal::Invalid(reason),
    }
}
