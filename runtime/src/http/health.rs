//! Health, for probes: no token, no place needed, nothing secret in the reply. And the figures, which need the token.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};

use super::gate::Shared;
use super::problem::Problem;
use crate::metrics;
use crate::orchestrator::Health;

pub(super) const LIVE: &str = "/health/live";
pub(super) const READY: &str = "/health/ready";

pub(super) fn is_probe(path: &str) -> bool {
    path == LIVE || path == READY
}

/// 200 as long as the process answers at all.
pub(super) async fn live() -> StatusCode {
    StatusCode::OK
}

/// The figures of the node. They name adapters, so whoever asks needs the token.
pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
) -> Result<([(HeaderName, &'static str); 1], String), Problem> {
    let mut registry = shared.ask(shared.deadline(), shared.orchestrator.figures()).await?;
    shared.requests.register(&mut registry);
    Ok(([(CONTENT_TYPE, metrics::MEDIA_TYPE)], metrics::text(&registry)))
}

/// 200 when the node takes work, else 503 with what is wrong.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Health>) {
    let health = shared.orchestrator.health();
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health))
}
