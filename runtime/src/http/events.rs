//! `POST /events`: CloudEvents in structured, batched and binary mode. 202 means durable.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use impresario_model::event::{CloudEvent, EventError};
use tokio::time::Instant;

use super::body;
use super::gate::Shared;
use super::openapi::{cloud_event, cloud_events};
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::orchestrator::Accepted;

const EXPECTED: &str = "Content-Type application/cloudevents+json (one event), application/cloudevents-batch+json \
                        (an array of events), or ce-* headers with the data in the body";

enum Mode {
    Structured,
    Batch,
    Binary,
}

pub(super) fn routes() -> Routes {
    let accept = Operation::new("sendEvents", "events", "Send CloudEvents")
        .says(
            "One event, a list of events, or one in binary mode: the attributes in ce-* headers, the data in a body of \
             any other media type. All events of a request are taken, or none. The same source and id again starts \
             nothing again.",
        )
        .bodies(vec![
            ("application/cloudevents+json", cloud_event),
            ("application/cloudevents-batch+json", cloud_events),
        ])
        .reply::<Accepted>(202, "All of them are durable.");
    Routes::new().at("/events", Methods::post(self::accept, accept))
}

/// Takes events.
pub(super) async fn accept(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let deadline = shared.deadline();
    let (head, body) = request.into_parts();
    let mode = mode(&head.headers)?;
    let body = body::read(&shared, &head.headers, body, deadline).await?;
    let events = read(&mode, &head.headers, &body)?;
    let accepted = shared.ask(deadline, shared.orchestrator.accept(events)).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

/// Reads the one event of a request that asks about it.
pub(super) async fn only_event(
    shared: &Shared,
    request: Request<Body>,
    deadline: Instant,
) -> Result<CloudEvent, Problem> {
    let (head, body) = request.into_parts();
    let mode = mode(&head.headers)?;
    let body = body::read(shared, &head.headers, body, deadline).await?;
    let mut events = read(&mode, &head.headers, &body)?;
    match (events.pop(), events.len()) {
        (Some(only), 0) => Ok(only),
        (_, more) => Err(Problem::invalid(format!(
            "expected one event, found {}",
            if more == 0 { 0 } else { more + 1 }
        ))),
    }
}

/// The media type decides first, as the specification says; `ce-*` headers count only without one of ours.
fn mode(headers: &HeaderMap) -> Result<Mode, Problem> {
    let found = body::media_type(headers);
    match found.as_deref() {
        Some("application/cloudevents+json") => Ok(Mode::Structured),
        Some("application/cloudevents-batch+json") => Ok(Mode::Batch),
        Some(other) if other.starts_with("application/cloudevents") => {
            Err(Problem::media_type(EXPECTED, Some(other)))
        }
        _ if headers.contains_key("ce-specversion") => Ok(Mode::Binary),
        other => Err(Problem::media_type(EXPECTED, other)),
    }
}

fn read(mode: &Mode, headers: &HeaderMap, body: &[u8]) -> Result<Vec<CloudEvent>, Problem> {
    let invalid = |error: EventError| Problem::invalid(error.to_string());
    match mode {
        Mode::Structured => Ok(vec![CloudEvent::from_json(body::parse(body)?).map_err(invalid)?]),
        Mode::Batch => CloudEvent::batch_from_json(body::parse(body)?).map_err(invalid),
        Mode::Binary => {
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            Ok(vec![CloudEvent::from_http(headers, body).map_err(invalid)?])
        }
    }
}
