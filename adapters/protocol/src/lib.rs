//! What an adapter of Impresario is: the trait, the wire protocol, the host loop.
//!
//! An adapter does one kind of work for processes, in an operating-system process of its own: the adapter host. Any
//! program that speaks the protocol of [`message`] over its standard input and output is one; this crate makes it easy
//! in Rust. Implement [`Adapter`], then let `main` be:
//!
//! ```no_run
//! # use impresario_adapter::{Adapter, BoxFuture, Call, Failure, Function, Manifest, RunContext, PROTOCOL};
//! # use serde_json::Value;
//! struct Greeter;
//!
//! impl Adapter for Greeter {
//!     fn manifest(&self) -> Manifest {
//!         let greet = Function {
//!             name: "greet".into(),
//!             version: "1.0.0".into(),
//!             restartable: true,
//!             ..Function::default()
//!         };
//!         Manifest {
//!             adapter: "greeter".into(),
//!             version: "1.0.0".into(),
//!             protocol: PROTOCOL,
//!             functions: vec![greet],
//!             concurrency: 16,
//!         }
//!     }
//!
//!     fn run(&self, _context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
//!         Box::pin(async move {
//!             let name = call.arguments["name"].as_str().ok_or(Failure::validation("a `name` is needed"))?;
//!             Ok(format!("Hello, {name}!").into())
//!         })
//!     }
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     impresario_adapter::host::run_on_stdio(Greeter)?;
//!     Ok(())
//! }
//! ```
//!
//! The node's side is [`lines::HostReader`] for what a host says, and [`wire::encode_node`] with [`lines::pump`] for
//! what it is told.

#![warn(missing_docs, unreachable_pub)]

mod adapter;
mod failure;
pub mod host;
pub mod lines;
pub mod message;
mod observe;
mod outbox;
mod whom;
pub mod wire;

pub use adapter::{Adapter, BoxFuture, HostHandle, RunContext};
pub use failure::Failure;
pub use message::{
    Answer, CURSOR_BYTES_MAX, Call, Cancel, EVENTS_AHEAD_MAX, ErrorObject, Function, FunctionKind,
    HostMessage, Manifest, NodeMessage, Observed, PROTOCOL, Probe, ProbeOutcome, Progress, RestartWish,
    RunAnswer, SavedState, Taken, Unwatch, Watch,
};
pub use observe::WatchContext;
pub use whom::{RuntimeUser, Target};
