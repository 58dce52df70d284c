//! `/api/v1/nodes`, and the questions of other nodes under `/internal/v1`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use impresario_model::encoding;

use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use crate::log_levels::{LogChange, NodeLog};
use crate::orchestrator::NodeSummary;
use crate::question::MEDIA_TYPE;

type Shares = State<Arc<Shared>>;

fn name(path: Segment) -> Result<String, Problem> {
    segment("a node's name", path)
}

/// `GET nodes`.
pub(super) async fn list(State(shared): Shares) -> Result<Json<Vec<NodeSummary>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.nodes()).await.map(Json)
}

/// `POST nodes/{name}/drain`: 202, as the node leaves in its own time.
pub(super) async fn drain(State(shared): Shares, path: Segment) -> Result<StatusCode, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.drain(name(path)?)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `DELETE nodes/{name}`: 204 once nothing is known of it any more.
pub(super) async fn remove(State(shared): Shares, path: Segment) -> Result<StatusCode, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.remove_node(name(path)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET log`: the levels of the logs of all nodes.
pub(super) async fn levels(State(shared): Shares) -> Result<Json<Vec<NodeLog>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.log_levels(None)).await.map(Json)
}

/// `PUT log`: puts other levels in force, at all nodes or one; the same again changes nothing.
pub(super) async fn set_levels(
    State(shared): Shares,
    request: Request<Body>,
) -> Result<Json<Vec<NodeLog>>, Problem> {
    let deadline = shared.deadline();
    let (head, body) = request.into_parts();
    let change: LogChange = body::read_json(&shared, &head.headers, body, deadline).await?;
    shared.ask(deadline, shared.orchestrator.log_levels(Some(change))).await.map(Json)
}

/// `POST /internal/v1/ask`: answers another node from what this one owns.
pub(super) async fn ask(State(shared): Shares, request: Request<Body>) -> Result<Response, Problem> {
    let deadline = shared.deadline();
    let (head, body) = request.into_parts();
    match body::media_type(&head.headers).as_deref() {
        Some(MEDIA_TYPE) => {}
        found => return Err(Problem::media_type("Content-Type application/msgpack", found)),
    }
    let body = body::read(&shared, &head.headers, body, deadline).await?;
    let question = encoding::decode(&body).map_err(|error| {
        Problem::invalid(format!("expected a question of a node, found one that is {error}"))
    })?;
    let reply = shared.ask(deadline, shared.orchestrator.answer(question)).await?;
    match encoding::encode(&reply) {
        Ok(bytes) => Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], bytes).into_response()),
        Err(error) => {
            tracing::error!(%error, "the answer to another node cannot be written");
            Err(Problem::internal())
        }
    }
}
