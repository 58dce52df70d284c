//! How a command fails, and the exit code of each.

use super::USAGE;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// It could not be done.
    #[error("{0}")]
    Failed(String),
    /// The node refused it.
    #[error("{0}")]
    Refused(String),
    /// The node knows no such thing, or no such path.
    #[error("{0}")]
    NotFound(String),
    /// It was asked for in a way that makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl CliError {
    pub(super) fn code(&self) -> u8 {
        match self {
            CliError::Failed(_) => 1,
            CliError::Refused(_) | CliError::NotFound(_) => 2,
            CliError::Usage(_) => USAGE,
        }
    }
}
