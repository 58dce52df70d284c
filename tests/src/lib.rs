//! Support for the system tests: the real binary in folders of its own, clients for its doors, and the kill sweep.
//!
//! Everything here panics when it cannot go on, and says why: it runs in tests only. A node that a test started ends
//! with the test, however the test ends.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "support of tests: what cannot go on says so by panicking"
)]

pub mod accounts;
pub mod api;
pub mod binary;
pub mod chance;
pub mod cli;
pub mod cluster;
pub mod disk;
pub mod failover;
pub mod machine;
pub mod node;
pub mod ownership;
pub mod poll;
pub mod schedules;
pub mod simulation;
pub mod sweep;
