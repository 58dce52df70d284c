//! Running definitions in memory: the conformance kit where it is beside the workspace, and scenarios of our own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

#[path = "conformance/executor.rs"]
mod executor;
#[path = "conformance/kit.rs"]
mod kit;
#[path = "conformance/limits.rs"]
mod limits;
#[path = "conformance/reruns.rs"]
mod reruns;
#[path = "conformance/scenarios.rs"]
mod scenarios;
mod support;
