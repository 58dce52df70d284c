//! `/api/v1/adapters`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};

use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use crate::adapters::{AdapterOrder, AdapterSummary};

type Shares = State<Arc<Shared>>;

fn name(path: Segment) -> Result<String, Problem> {
    segment("an adapter's name", path)
}

/// `GET adapters`: at all nodes.
pub(super) async fn list(State(shared): Shares) -> Result<Json<Vec<AdapterSummary>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.adapters(None)).await.map(Json)
}

/// `GET adapters/{name}`: at all nodes.
pub(super) async fn show(State(shared): Shares, path: Segment) -> Result<Json<Vec<AdapterSummary>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.adapters(Some(name(path)?))).await.map(Json)
}

/// `POST adapters/{name}`: 202, as the nodes follow in their own time.
pub(super) async fn order(
    State(shared): Shares,
    path: Segment,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let deadline = shared.deadline();
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let order: AdapterOrder = body::read_json(&shared, &head.headers, body, deadline).await?;
    shared.ask(deadline, shared.orchestrator.order_adapter(name, order)).await?;
    Ok(StatusCode::ACCEPTED)
}
