//! Impresario: a process orchestrator for IT operations that stays up.

pub mod http;
pub mod orchestrator;
