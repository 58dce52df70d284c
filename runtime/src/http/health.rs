//! Health, for probes: no token, no place needed, nothing secret in the reply. And the figures, which need the token.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};

use super::gate::Shared;
use super::openapi::text;
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::metrics;
use crate::orchestrator::Health;

pub(super) const LIVE: &str = "/health/live";
pub(super) const READY: &str = "/health/ready";

pub(super) fn is_probe(path: &str) -> bool {
    path == LIVE || path == READY
}

pub(super) fn routes() -> Routes {
    let live =
        Operation::new("isLive", "health", "Tell whether the process answers").open().done(200, "It does.");
    let ready = Operation::new("isReady", "health", "Tell whether the node takes work")
        .open()
        .reply::<Health>(200, "It does.")
        .reply::<Health>(503, "It does not; `problems` says why.");
    let figures = Operation::new("figures", "health", "The figures of the node, for Prometheus").reply_in(
        200,
        "In the text form of OpenMetrics.",
        "application/openmetrics-text",
        text,
    );
    Routes::new()
        .at(LIVE, Methods::get(self::live, live))
        .at(READY, Methods::get(self::ready, ready))
        .at("/metrics", Methods::get(self::metrics, figures))
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
