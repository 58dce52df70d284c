//! The node behind the doors, asked about the cluster's own state.

use super::local::Local;
use crate::audit::AuditReport;
use crate::explain::Explanation;
use crate::orchestrator::Answer;
use crate::proof::Proof;
use crate::system_events::{SystemEventPage, SystemEventQuery};

impl Proof for Local {
    fn explain(&self, id: String) -> Answer<Explanation> {
        let node = self.clone();
        Box::pin(async move { node.explain_anything(&id).await })
    }

    fn audit(&self) -> Answer<AuditReport> {
        let node = self.clone();
        Box::pin(async move { Ok(node.gather_audits().await) })
    }

    fn system_events(&self, query: SystemEventQuery) -> Answer<SystemEventPage> {
        let node = self.clone();
        Box::pin(async move { node.list_system_events(query).await })
    }
}
