//! Nodes that share a store: everything that can break is broken under load, and the accounts have to agree.
//!
//! At full length, with a table: `cargo run -p impresario-tests --bin nemesis -- --full`.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod eyes;
mod failover;
mod identity;
mod listen;
mod models;
mod nemesis;
mod proof;
mod schedules;
mod wrong_stores;
