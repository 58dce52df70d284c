//! The doors of a node from outside: HTTP over a real socket, and the binary, both against a mock engine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod cli_commands;
mod cli_pages;
mod http;
mod idempotency;
mod ingress;
mod inspect;
mod metrics;
mod openapi;
mod proof;
mod snmp;
mod support;
mod syslog;
mod tcp;
mod triggers;
