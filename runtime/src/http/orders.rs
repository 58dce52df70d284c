//! An operator's orders: decisions about activities in doubt, and reruns.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::api::{id, key};
use super::body;
use super::gate::Shared;
use super::path::Segment;
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::orchestrator::Started;
use crate::orders::{RerunRequest, ResolveReply, ResolveRequest};

pub(super) fn routes() -> Routes {
    let resolve = Operation::new("resolveActivity", "instances", "Decide about an activity in doubt")
        .says("An output is needed with `accept`, and a reason may be given with `fail`.")
        .body::<ResolveRequest>(json!({ "decision": "accept", "output": { "n": 1 }, "attempt": 1 }))
        .reply::<ResolveReply>(200, "The decision counts.")
        .problems(&[404, 409])
        .named();
    let rerun = Operation::new("rerunInstance", "instances", "Run an instance again, as a new one")
        .optional_body::<RerunRequest>(json!({}))
        .reply::<Started>(201, "The new instance exists durably.")
        .reply::<Started>(200, "The key has run it again before, as this instance.")
        .problems(&[404, 409])
        .named();
    Routes::new()
        .at("/api/v1/instances/{id}/rerun", Methods::post(self::rerun, rerun))
        .at("/api/v1/instances/{id}/activities/{activity}/resolve", Methods::post(self::resolve, resolve))
}

/// `POST instances/{id}/activities/{n}/resolve`: 200 once the decision counts, 409 if another one did.
pub(super) async fn resolve(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<(String, u64)>, PathRejection>,
    request: Request<Body>,
) -> Result<Json<ResolveReply>, Problem> {
    let deadline = shared.deadline();
    let Path((instance, activity)) = path.map_err(|error| {
        Problem::invalid(format!("expected an instance id and the number of an activity, found: {error}"))
    })?;
    let instance = id(Ok(Path(instance)))?;
    let (head, body) = request.into_parts();
    let mut order: ResolveRequest = body::read_json(&shared, &head.headers, body, deadline).await?;
    order.key = key(&head.headers, order.key)?;
    shared.ask(deadline, shared.orchestrator.resolve(instance, activity, order)).await.map(Json)
}

/// `POST instances/{id}/rerun`: 201 with the new instance, 200 with the one that the key had started before.
pub(super) async fn rerun(
    State(shared): State<Arc<Shared>>,
    path: Segment,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let deadline = shared.deadline();
    let id = id(path)?;
    let (head, body) = request.into_parts();
    let body = body::read(&shared, &head.headers, body, deadline).await?;
    let mut order: RerunRequest =
        if body.is_empty() { RerunRequest::default() } else { body::parse_object(&body)? };
    order.key = key(&head.headers, order.key)?;
    let started = shared.ask(deadline, shared.orchestrator.rerun(id, order)).await?;
    let status = if started.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(started)))
}
