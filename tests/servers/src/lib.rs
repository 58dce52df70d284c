//! Real Redis servers for tests, each on a folder of its own and at free ports: one ([`RedisServer`]), one with replicas
//! and sentinels ([`Sentinels`]), a cluster ([`RedisCluster`]); and a [`Proxy`] that breaks connections to order.
//!
//! Everything here panics when it cannot go on, and says why: it runs in tests only. What a test started ends with the
//! test, and nothing waits by time: a server is ready when it says so.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "support of tests: what cannot go on says so by panicking"
)]

mod certificates;
mod cluster;
mod ports;
mod process;
mod proxy;
mod sentinels;
mod server;

pub use certificates::Certificates;
pub use cluster::RedisCluster;
pub use process::eventually;
pub use proxy::{Direction, Proxy};
pub use sentinels::Sentinels;
pub use server::{Builder, Fsync, RedisServer};
