//! The memory store: the whole environment in this process's memory, lost with it.
//!
//! Every operation takes effect when it is called, under one lock; its future is ready at once. What is
//! appended is "durable" from that moment, under [`crate::Tier::MEMORY`].

mod rows;
mod state;
mod store;

pub(crate) use state::{check_size, no_shard};
pub use store::MemoryStore;
