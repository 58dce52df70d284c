//! Whether the store can still be trusted: after one failure of unknown outcome it refuses every write.
//!
//! After a failed flush the kernel may have dropped the very pages that were to be written, so a second flush
//! that succeeds proves nothing.

use std::sync::OnceLock;

use crate::StoreError;
use crate::port::Result;

/// The first failure, kept for good.
#[derive(Default)]
pub(super) struct Health(OnceLock<String>);

impl Health {
    /// Records a failure and answers the error that everybody gets from now on.
    pub(super) fn fail(&self, why: String) -> StoreError {
        tracing::error!(error = %why, "the store refuses all writes from now on");
        StoreError::Failed(self.0.get_or_init(|| why).clone())
    }

    /// Whether writes may go on.
    pub(super) fn check(&self) -> Result<()> {
        match self.0.get() {
            None => Ok(()),
            Some(why) => Err(StoreError::Failed(why.clone())),
        }
    }

    /// The answer when a thread went away without one.
    pub(super) fn gone(&self) -> StoreError {
        match self.check() {
            Err(error) => error,
            Ok(()) => StoreError::Failed("the store is shut down".to_owned()),
        }
    }
}
