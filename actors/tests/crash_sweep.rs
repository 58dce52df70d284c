//! The engine against crashes: whatever it does, stopped at every durable write and started again, it ends as if
//! nothing had happened.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

#[path = "crash_sweep/emit.rs"]
mod emit;
#[path = "crash_sweep/events.rs"]
mod events;
#[path = "crash_sweep/gathering.rs"]
mod gathering;
#[path = "crash_sweep/listen.rs"]
mod listen;
#[path = "crash_sweep/monitors.rs"]
mod monitors;
#[path = "crash_sweep/node.rs"]
mod node;
#[path = "crash_sweep/overlap.rs"]
mod overlap;
#[path = "crash_sweep/places.rs"]
mod places;
#[path = "crash_sweep/poison.rs"]
mod poison;
#[path = "crash_sweep/pressure.rs"]
mod pressure;
#[path = "crash_sweep/recovery.rs"]
mod recovery;
#[path = "crash_sweep/refusing.rs"]
mod refusing;
#[path = "crash_sweep/scenarios.rs"]
mod scenarios;
#[path = "crash_sweep/schedules.rs"]
mod schedules;
#[path = "crash_sweep/sinks.rs"]
mod sinks;
#[path = "crash_sweep/storm.rs"]
mod storm;
#[path = "../model/tests/support/mod.rs"]
mod support;
