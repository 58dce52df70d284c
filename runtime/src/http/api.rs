//! `/api/v1`: instances, definitions, the tree.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Request, StatusCode};
use impresario_model::trace::TRACEPARENT;
use serde::{Deserialize, Serialize};

use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use crate::orchestrator::{DefinitionSummary, InstancePage, InstanceQuery, StartRequest, Started, TreeNode};
use crate::orders::REASON_LIMIT;

/// The header that makes a start safe to repeat.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The longest idempotency key.
const KEY_LIMIT: usize = 256;
/// The largest page of instances.
const PAGE_LIMIT: usize = 1000;

type Shares = State<Arc<Shared>>;
pub(super) fn id(path: Segment) -> Result<String, Problem> {
    segment("an instance id", path)
}

/// `POST instances`: 201 with the new instance, 200 with the one that the key had started before.
pub(super) async fn start(
    State(shared): Shares,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Started>), Problem> {
    let deadline = shared.deadline();
    let (head, body) = request.into_parts();
    let mut start: StartRequest = body::read_json(&shared, &head.headers, body, deadline).await?;
    start.key = key(&head.headers, start.key)?;
    // One that cannot be read is no reason to refuse anybody, as the standard has it.
    let traceparent = head.headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
    start.trace = traceparent.and_then(|text| text.parse().ok());
    let started = shared.ask(deadline, shared.orchestrator.start(start)).await?;
    let status = if started.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(started)))
}

/// The idempotency key of the header or the body.
pub(super) fn key(headers: &HeaderMap, in_body: Option<String>) -> Result<Option<String>, Problem> {
    let in_header = headers.get(IDEMPOTENCY_KEY).map(|value| value.to_str().map(str::to_owned));
    let in_header = in_header
        .transpose()
        .map_err(|_| Problem::invalid("expected an Idempotency-Key of ASCII characters, found others"))?;
    let key = match (in_header, in_body) {
        (Some(header), Some(body)) if header != body => {
            return Err(Problem::invalid(
                "expected one key, found another in the Idempotency-Key header than in 'key'",
            ));
        }
        (header, body) => header.or(body),
    };
    match key {
        Some(key) if key.is_empty() || key.len() > KEY_LIMIT => {
            let found = key.len();
            Err(Problem::invalid(format!(
                "expected an idempotency key of 1 to {KEY_LIMIT} bytes, found {found}"
            )))
        }
        key => Ok(key),
    }
}

/// `GET instances`.
pub(super) async fn instances(
    State(shared): Shares,
    query: Result<Query<InstanceQuery>, QueryRejection>,
) -> Result<Json<InstancePage>, Problem> {
    let expected = "expected the parameters status, definition, target, limit and cursor";
    let Query(query) =
        query.map_err(|error| Problem::invalid(format!("{expected}, found: {}", error.body_text())))?;
    if let Some(limit) = query.limit.filter(|limit| !(1..=PAGE_LIMIT).contains(limit)) {
        return Err(Problem::invalid(format!("expected a limit of 1 to {PAGE_LIMIT}, found {limit}")));
    }
    shared.ask(shared.deadline(), shared.orchestrator.instances(query)).await.map(Json)
}

/// The body of a cancel; it may be left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelRequest {
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// `POST instances/{id}/cancel`: 202, as the instance ends in its own time.
pub(super) async fn cancel(
    State(shared): Shares,
    path: Segment,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let deadline = shared.deadline();
    let id = id(path)?;
    let (head, body) = request.into_parts();
    let body = body::read(&shared, &head.headers, body, deadline).await?;
    let CancelRequest { reason } =
        if body.is_empty() { CancelRequest::default() } else { body::parse(&body)? };
    if let Some(found) = reason.as_ref().map(String::len).filter(|length| *length > REASON_LIMIT) {
        return Err(Problem::invalid(format!(
            "expected a reason of at most {REASON_LIMIT} bytes, found {found}"
        )));
    }
    shared.ask(deadline, shared.orchestrator.cancel(id, reason)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET definitions`.
pub(super) async fn definitions(State(shared): Shares) -> Result<Json<Vec<DefinitionSummary>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.definitions()).await.map(Json)
}

/// `GET tree`.
pub(super) async fn tree(State(shared): Shares) -> Result<Json<TreeNode>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.tree()).await.map(Json)
}
