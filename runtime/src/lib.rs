//! Impresario: a process orchestrator for IT operations that stays up.

pub mod adapters;
mod banner;
pub mod cli;
pub mod cluster;
pub mod declared;
pub mod diagnostics;
pub mod endpoint;
pub mod hints;
pub mod http;
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
pub mod tcp;
pub mod telemetry;
