//! What an adapter of Impresario is: the trait, the wire protocol, the host loop.

mod failure;
pub mod message;

pub use failure::Failure;
pub use message::{
    Answer, Call, ErrorObject, Function, HostMessage, Manifest, NodeMessage, Probe, ProbeOutcome,
};
