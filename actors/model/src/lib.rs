//! The pure core of Impresario: ids, entries, definitions, the process language, state machines.
//!
//! No async runtime, no clock, no randomness, no input or output: time and chance arrive inside entries.

pub mod calendar;
pub mod chance;
pub mod correlation;
pub mod definition;
pub mod doubt;
pub mod encoding;
pub mod entry;
pub mod event;
pub mod expression;
pub mod fault;
pub mod ids;
pub mod instance;
pub mod inventory;
pub mod language;
pub mod lifecycle;
pub mod monitor;
pub mod overlap;
pub mod places;
pub mod rerun;
pub mod router;
pub mod sink;
pub mod subscription;
pub mod trace;
pub mod trigger;
