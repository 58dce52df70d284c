//! `/api/v1/adapters`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::adapters::{AdapterOrder, AdapterSummary};

type Shares = State<Arc<Shared>>;

pub(super) fn routes() -> Routes {
    let list = Operation::new("listAdapters", "adapters", "List adapters, at all nodes")
        .reply::<Vec<AdapterSummary>>(200, "Each adapter once for each node.");
    let show = Operation::new("showAdapter", "adapters", "Show an adapter, at all nodes")
        .reply::<Vec<AdapterSummary>>(200, "The adapter, once for each node.")
        .problems(&[404]);
    let order = Operation::new("orderAdapter", "adapters", "Operate an adapter")
        .body::<AdapterOrder>(json!({ "order": "restart", "reason": "an upgrade" }))
        .done(202, "The order is durable; the nodes follow in their own time.")
        .problems(&[404, 409])
        .once();
    Routes::new()
        .at("/api/v1/adapters", Methods::get(self::list, list))
        .at("/api/v1/adapters/{name}", Methods::get(self::show, show).and_post(self::order, order))
}

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
