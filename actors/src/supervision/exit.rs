//! How an actor ended, decoded once from what ractor says.

use std::fmt;

use ractor::{ActorId, SupervisionEvent};

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It was asked to stop, or stopped itself.
    Normal,
    /// It was killed or its task was cancelled, in the middle of whatever it did.
    Killed,
    /// A handler panicked or returned an error.
    Failed(String),
    /// It could not be started.
    NotStarted(String),
}

/// ractor reports a kill and a cancelled task as terminations, and tells them from a stop by these words alone.
const CUT_OFF: [&str; 2] = ["killed", "actor_task_cancelled"];

impl ExitReason {
    /// The actor that ended and how; nothing if the event is not about an end.
    pub fn decode(event: &SupervisionEvent) -> Option<(ActorId, Self)> {
        match event {
            SupervisionEvent::ActorTerminated(who, _, Some(words)) if CUT_OFF.contains(&words.as_str()) => {
                Some((who.get_id(), Self::Killed))
            }
            SupervisionEvent::ActorTerminated(who, _, _) => Some((who.get_id(), Self::Normal)),
            SupervisionEvent::ActorFailed(who, error) => {
                Some((who.get_id(), Self::Failed(error.to_string())))
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => None,
        }
    }

    /// Whether a transient child is restarted after it.
    pub fn is_abnormal(&self) -> bool {
        match self {
            Self::Normal => false,
            Self::Killed | Self::Failed(_) | Self::NotStarted(_) => true,
        }
    }
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("ended normally"),
            Self::Killed => f.write_str("was killed"),
            Self::Failed(error) => f.write_str(error),
            Self::NotStarted(error) => write!(f, "could not be started: {error}"),
        }
    }
}
