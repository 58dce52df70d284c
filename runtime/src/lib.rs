//! Impresario: a process orchestrator for IT operations that stays up.

pub mod adapters;
pub mod ask;
mod banner;
pub mod cli;
pub mod cluster;
pub mod diagnostics;
pub mod endpoint;
pub mod hints;
pub mod http;
mod intake;
pub mod inventory;
mod listener;
pub mod metrics;
pub mod node;
pub mod orchestrator;
pub mod orders;
pub mod pack;
pub mod question;
pub mod secrets;
pub mod settings;
pub mod snmp;
pub mod syslog;
pub mod tcp;
pub mod telemetry;
mod tls;
pub mod webhook;
