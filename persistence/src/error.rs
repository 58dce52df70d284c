//! What can go wrong in a store, by what the caller does about it.

/// An error of a store.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum StoreError {
    /// The queue of the writer is full: refuse the sender, or wait and try again.
    #[error("the store is busy: its queue of writes is full")]
    Busy,
    /// The store does not answer at the moment: refuse the sender, or wait and try again. Nothing was written.
    #[error("the store cannot be reached: {0}")]
    Away(String),
    /// The log has lost entries that were acknowledged, and what can be has been put back: start the shard again.
    #[error("the store came back without entries that it had acknowledged: {0}")]
    Behind(String),
    /// There is no space: refuse the sender; nothing was written.
    #[error("no space left for the store: {0}")]
    Full(String),
    /// An entry is larger than the store takes: refuse the sender.
    #[error("an entry of {found} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
        /// The most that is taken, in bytes.
        limit: usize,
    },
    /// The shard has a newer owner: stop the shard at once, do not retry.
    #[error("the shard has a newer owner")]
    Fenced,
    /// A setting was changed by somebody else meanwhile: read it again.
    #[error("the setting was changed meanwhile: expected version {expected}, found {found}")]
    Conflict {
        /// The version that the caller knew.
        expected: u64,
        /// The version that is stored.
        found: u64,
    },
    /// What is stored cannot be read: stop, and let an operator repair it.
    #[error("{0}")]
    Corrupt(String),
    /// The store cannot be opened as asked: another process has it, or it is of a newer version.
    #[error("{0}")]
    Refused(String),
    /// The store failed in a way that leaves the outcome of the write unknown: stop the node.
    #[error("the store failed: {0}")]
    Failed(String),
}

impl StoreError {
    /// Whether nothing was written and the same may succeed a little later.
    pub fn passes(&self) -> bool {
        matches!(self, StoreError::Busy | StoreError::Away(_) | StoreError::Full(_))
    }
}
