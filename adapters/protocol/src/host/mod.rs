//! The host loop: an adapter served over a pair of pipes, or over standard input and output.
//!
//! * Runs are concurrent up to the manifest's `concurrency`; [`QUEUE_LEN_MAX`] more wait; the rest are refused as busy.
//! * A token that arrives twice is worked on and answered once.
//! * Watches are apart from runs: [`WATCHES_MAX`] at once, dropped when they are told to stop or the host drains.
//! * A panic in a run is that run's [`Failure`](crate::Failure), and nothing else.
//! * Input is read whatever the output does: a node that does not read is still able to cancel.
//! * The end of the input means that the node is gone. Every run is dropped, which ends what it has started, and the
//!   host exits. This needs no death signal of the operating system, which is bound to the thread that started the
//!   process, and which would end the host without giving it the time to end the processes that it has started.

mod attempt;
mod recent;
mod serve;
mod stdio;
mod watches;

#[cfg(test)]
mod tests;

pub use attempt::CANCEL_GRACE;
pub use serve::{ExitReason, QUEUE_LEN_MAX, serve, serve_until};
pub use stdio::{run_on_stdio, run_on_stdio_once};
pub use watches::WATCHES_MAX;
