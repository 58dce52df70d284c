//! `/api/v1/triggers` and `/api/v1/events`: what is watched, what came, and an operator's orders.
//!
//! Names of triggers have slashes: in a path they are written `%2F`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::api::key;
use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use crate::catch_up::ApproveRequest;
use crate::orchestrator::{Started, TriggerSummary};
use crate::triggers::{
    EventsSummary, FireRequest, PauseRequest, RecentPage, RecentQuery, TestReply, TestRequest, TriggerDetail,
    TriggerOrder, TriggerQuery,
};

type Shares = State<Arc<Shared>>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/triggers", get(list))
        .route("/api/v1/triggers/{name}", get(show))
        .route("/api/v1/triggers/{name}/pause", post(pause))
        .route("/api/v1/triggers/{name}/resume", post(resume))
        .route("/api/v1/triggers/{name}/approve", post(approve))
        .route("/api/v1/triggers/{name}/fire", post(fire))
        .route("/api/v1/triggers/{name}/test", post(test))
        .route("/api/v1/events", get(events))
        .route("/api/v1/events/recent", get(recent))
}

fn name(path: Segment) -> Result<String, Problem> {
    segment("the name of a trigger", path)
}

async fn list(
    State(shared): Shares,
    query: Result<Query<TriggerQuery>, QueryRejection>,
) -> Result<Json<Vec<TriggerSummary>>, Problem> {
    let expected = "expected the parameters state, prefix, after and limit";
    let Query(query) =
        query.map_err(|error| Problem::invalid(format!("{expected}, found: {}", error.body_text())))?;
    shared.ask(shared.deadline(), shared.orchestrator.triggers(query)).await.map(Json)
}

async fn show(State(shared): Shares, path: Segment) -> Result<Json<TriggerDetail>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.trigger(name(path)?)).await.map(Json)
}

/// `POST …/pause`: 200 with the trigger once the order counts. The body may be left out.
async fn pause(
    State(shared): Shares,
    path: Segment,
    request: Request<Body>,
) -> Result<Json<TriggerDetail>, Problem> {
    let deadline = shared.deadline();
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let body = body::read(&shared, &head.headers, body, deadline).await?;
    let PauseRequest { reason } = if body.is_empty() { PauseRequest::default() } else { body::parse(&body)? };
    let order = TriggerOrder::Pause { reason };
    shared.ask(deadline, shared.orchestrator.order_trigger(name, order)).await.map(Json)
}

/// `POST …/resume`: 200 with the trigger once the order counts.
async fn resume(State(shared): Shares, path: Segment) -> Result<Json<TriggerDetail>, Problem> {
    let order = shared.orchestrator.order_trigger(name(path)?, TriggerOrder::Resume);
    shared.ask(shared.deadline(), order).await.map(Json)
}

/// `POST …/approve`: 200 with the trigger once the decision counts; 409 if the plan is not the one that was seen.
async fn approve(
    State(shared): Shares,
    path: Segment,
    request: Request<Body>,
) -> Result<Json<TriggerDetail>, Problem> {
    let deadline = shared.deadline();
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let decision: ApproveRequest = body::read_json(&shared, &head.headers, body, deadline).await?;
    let order = shared.orchestrator.order_trigger(name, TriggerOrder::Approve(decision));
    shared.ask(deadline, order).await.map(Json)
}

/// `POST …/fire`: 201 with the new instance, 200 with the one that the key had started before.
async fn fire(
    State(shared): Shares,
    path: Segment,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let deadline = shared.deadline();
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let body = body::read(&shared, &head.headers, body, deadline).await?;
    let mut order: FireRequest = if body.is_empty() { FireRequest::default() } else { body::parse(&body)? };
    order.key = key(&head.headers, order.key)?;
    let started = shared.ask(deadline, shared.orchestrator.fire_trigger(name, order)).await?;
    let status = if started.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(started)))
}

/// `POST …/test`: 200 with what the filters say; nothing is started.
async fn test(
    State(shared): Shares,
    path: Segment,
    request: Request<Body>,
) -> Result<Json<TestReply>, Problem> {
    let deadline = shared.deadline();
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let request: TestRequest = body::read_json(&shared, &head.headers, body, deadline).await?;
    shared.ask(deadline, shared.orchestrator.test_trigger(name, request)).await.map(Json)
}

async fn events(State(shared): Shares) -> Result<Json<EventsSummary>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.events()).await.map(Json)
}

async fn recent(
    State(shared): Shares,
    query: Result<Query<RecentQuery>, QueryRejection>,
) -> Result<Json<RecentPage>, Problem> {
    let Query(query) = query.map_err(|error| {
        Problem::invalid(format!("expected the parameters type and limit, found: {}", error.body_text()))
    })?;
    shared.ask(shared.deadline(), shared.orchestrator.recent_events(query)).await.map(Json)
}
