//! Nodes that share a store: everything that can break is broken under load, and the accounts have to agree.
//!
//! At full length, with a table: `cargo run -p impresario-tests --bin nemesis -- --full`.

mod nemesis;
