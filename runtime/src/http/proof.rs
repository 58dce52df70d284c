//! `/api/v1/explain`, `/api/v1/audit` and `/api/v1/system-events`: why something waits, whether anything is stuck, and what
//! happened to the cluster.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};

use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::audit::AuditReport;
use crate::explain::Explanation;
use crate::system_events::{SystemEventPage, SystemEventQuery};

type Shares = State<Arc<Shared>>;

pub(super) fn routes() -> Routes {
    let of_explain = Operation::new("explain", "proof", "Tell why something waits, and what will wake it")
        .says("Of an instance, a trigger or another actor; or why an instance ended so.")
        .reply::<Explanation>(200, "One or two sentences, with what they rest on.")
        .problems(&[404, 409]);
    let of_audit = Operation::new("showAudit", "proof", "Tell whether anything is stuck")
        .reply::<AuditReport>(200, "What the last audits of all nodes found.");
    let of_events = Operation::new("listSystemEvents", "proof", "List what happened to the cluster")
        .query::<SystemEventQuery>()
        .reply::<SystemEventPage>(200, "Newest first.");
    Routes::new()
        .at("/api/v1/explain/{*id}", Methods::get(explain, of_explain))
        .at("/api/v1/audit", Methods::get(audit, of_audit))
        .at("/api/v1/system-events", Methods::get(system_events, of_events))
}

/// `GET explain/{*id}`: slashes in the id may stand as they are; the `#` before an activity is written `%23`.
async fn explain(State(shared): Shares, path: Segment) -> Result<Json<Explanation>, Problem> {
    let id = segment("the id of an instance, a trigger or another actor", path)?;
    shared.ask(shared.deadline(), shared.orchestrator.explain(id)).await.map(Json)
}

/// `GET audit`.
async fn audit(State(shared): Shares) -> Result<Json<AuditReport>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.audit()).await.map(Json)
}

/// `GET system-events`.
async fn system_events(
    State(shared): Shares,
    query: Result<Query<SystemEventQuery>, QueryRejection>,
) -> Result<Json<SystemEventPage>, Problem> {
    let expected = "expected the parameters severity (info, warning or critical), kind, limit and cursor";
    let Query(query) =
        query.map_err(|error| Problem::invalid(format!("{expected}, found: {}", error.body_text())))?;
    shared.ask(shared.deadline(), shared.orchestrator.system_events(query)).await.map(Json)
}
