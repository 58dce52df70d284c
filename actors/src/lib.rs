//! The actors of Impresario: supervision, shards, processes, triggers, adapter hosts.

pub mod activity;
pub mod hosts;
pub mod supervision;
