//! What the doors ask of a node about the cluster's own state: why something waits, whether anything is stuck, and what
//! happened to it.

use crate::audit::AuditReport;
use crate::explain::Explanation;
use crate::orchestrator::Answer;
use crate::system_events::{SystemEventPage, SystemEventQuery};

/// A part of [`crate::orchestrator::Orchestrator`].
pub trait Proof {
    /// Why something waits, or why it ended so.
    fn explain(&self, id: String) -> Answer<Explanation>;
    /// What the last audits of all nodes found.
    fn audit(&self) -> Answer<AuditReport>;
    /// A page of what happened to the cluster, newest first.
    fn system_events(&self, query: SystemEventQuery) -> Answer<SystemEventPage>;
}
