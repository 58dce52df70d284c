//! The actors of Impresario: supervision, shards, processes, triggers, adapter hosts.

pub mod activity;
pub mod behaviour;
pub mod clock;
pub mod definitions;
pub mod engine;
pub mod gate;
pub mod hosts;
pub mod inventory;
pub mod metrics;
pub mod post;
pub mod secrets;
pub mod shard;
pub mod shell;
pub mod spans;
pub mod supervision;
pub mod task;
