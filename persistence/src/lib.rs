//! The store port of Impresario and its stores.
//!
//! [`port`] says what the engine asks of a store. Stores keep bytes and know nothing of what they mean.
//!
//! - [`MemoryStore`] keeps everything in memory: the model without persistence.
//! - [`EmbeddedStore`] keeps a mailbox log of its own and a SQLite database in one folder.
//! - [`RedisStore`] keeps everything in Redis, for several nodes; [`RedisMembership`] says which of them are there.
//! - [`LossyStore`] is for tests: it crashes at a chosen write and reopens with what was durable.
//!
//! All of them pass the one suite in [`conformance`].
#![warn(missing_docs, unreachable_pub)]

pub mod clock;
pub mod conformance;
pub mod embedded;
pub mod error;
pub mod lossy;
pub mod membership;
pub mod memory;
pub mod port;
pub mod redis;
mod sync;

pub use self::redis::{RedisConfig, RedisMembership, RedisStore, TlsConfig, Topology};
pub use clock::{Clock, monotonic_ms, system_clock};
pub use embedded::{EmbeddedConfig, EmbeddedStore, OpenReport, RepairReport, repair};
pub use error::StoreError;
pub use lossy::LossyStore;
pub use membership::{Census, Member, Membership, MemoryMembership, Sighting};
pub use memory::MemoryStore;
pub use port::*;
