//! The node's side of adapter hosts: one operating-system process for each adapter, fed with runs, read for results.
//!
//! [`Hosts`] is the handle. Behind it stand, for each adapter,
//! - a *lane*: what was accepted and not yet reported, and the rules for it (`ledger`). It outlives every process, so
//!   that each accepted run is reported exactly once whatever dies;
//! - a supervised *host* actor, which starts processes on demand, replaces them, and fails when one disappears: the
//!   supervisor's back-off and intensity are the host's;
//! - a *session* for each process generation: it speaks the protocol, and kills the process group when it ends;
//! - a *reporter*, which delivers reports in batches.
//!
//! A slot of a host stays taken until the report of its run is durable. So a slow store slows the hosts down by
//! itself, and what is in memory is bounded by queue and concurrency.
//!
//! Absent: durability (a report is durable once the sink says so; what was accepted is the caller's to repeat after a
//! crash of the node) and any knowledge of what a run means.

mod handle;
mod host;
mod lane;
mod ledger;
mod memory;
mod probes;
mod process;
mod reporter;
mod saves;
mod session;
mod spec;
mod status;
mod stderr;
mod trial;
mod watches;
mod watching;

pub use handle::{Hosts, HostsError};
pub use ledger::{Refusal, RunPlace};
pub use spec::{HostSpec, HostSpecError};
pub use status::{Cause, Counters, HostState, HostStatus};
pub use trial::try_out;
pub use watches::{Seen, WatchEnd};
pub use watching::Watching;

#[cfg(test)]
mod tests;
