//! An operator's orders: decisions about activities in doubt, and reruns.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};

use super::api::{id, key};
use super::body;
use super::gate::Shared;
use super::path::Segment;
use super::problem::Problem;
use crate::orchestrator::Started;
use crate::orders::{RerunRequest, ResolveReply, ResolveRequest};

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
    let order: ResolveRequest = body::read_json(&shared, &head.headers, body, deadline).await?;
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
    let mut order: RerunRequest = if body.is_empty() { RerunRequest::default() } else { body::parse(&body)? };
    order.key = key(&head.headers, order.key)?;
    let started = shared.ask(deadline, shared.orchestrator.rerun(id, order)).await?;
    let status = if started.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(started)))
}
