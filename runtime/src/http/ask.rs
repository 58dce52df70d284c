//! `POST /api/v1/ask` and `GET /api/v1/instances/{id}?wait=…`: requests that wait for instances, and how many may.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::api::id;
use super::events;
use super::gate::Shared;
use super::openapi::cloud_event;
use super::path::Segment;
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::ask::{AskReply, WAIT_MAX};
use crate::orchestrator::InstanceDetail;

/// How long an answer is waited for if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(30);

type Shares = State<Arc<Shared>>;

pub(super) fn routes() -> Routes {
    let show = Operation::new("showInstance", "instances", "Show an instance")
        .query::<WaitQuery>()
        .reply::<InstanceDetail>(200, "The instance, whole.")
        .problems(&[404]);
    let ask = Operation::new("ask", "events", "Send an event, and wait for what it starts")
        .says(
            "One event, in structured mode, or in binary mode with ce-* headers. The same source and id again starts \
             nothing again, and hears the same answers.",
        )
        .query::<AskQuery>()
        .bodies(vec![("application/cloudevents+json", cloud_event)])
        .reply::<AskReply>(200, "Every answer, or that nothing was started.")
        .reply::<AskReply>(202, "The time is over; the event is durable, and the instances go on.");
    Routes::new()
        .at("/api/v1/instances/{id}", Methods::get(self::instance, show))
        .at("/api/v1/ask", Methods::post(self::ask, ask))
}

/// The places of those who wait.
pub(super) struct Waiting(Arc<Semaphore>);

impl Waiting {
    pub(super) fn new(places: usize) -> Waiting {
        Waiting(Arc::new(Semaphore::new(places)))
    }

    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| Problem::waiting_crowd())
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskQuery {
    /// How long to wait for the answers: 30s if absent, 10min at most.
    #[serde(default)]
    #[schemars(example = "10s")]
    timeout: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitQuery {
    /// Answer once the instance does not go on by itself any more, or after this time: 10min at most.
    #[serde(default)]
    #[schemars(example = "100ms")]
    wait: Option<String>,
}

fn wait_of(name: &str, text: Option<&str>, default: Duration) -> Result<Duration, Problem> {
    let Some(text) = text else { return Ok(default) };
    let wait = humantime::parse_duration(text).ok().filter(|wait| *wait <= WAIT_MAX);
    wait.ok_or_else(|| {
        let most = humantime::format_duration(WAIT_MAX);
        Problem::invalid(format!(
            "expected {name} as a duration of at most {most}, such as 30s, found '{text}'"
        ))
    })
}

/// `POST ask`: 200 with every answer, or that nothing was started; 202 when an answer has not come in time.
pub(super) async fn ask(
    State(shared): Shares,
    query: Result<Query<AskQuery>, QueryRejection>,
    request: Request<Body>,
) -> Result<(StatusCode, Json<AskReply>), Problem> {
    let deadline = shared.deadline();
    let Query(query) = query.map_err(|error| {
        Problem::invalid(format!("expected the parameter timeout, found: {}", error.body_text()))
    })?;
    let wait = wait_of("timeout", query.timeout.as_deref(), TIMEOUT)?;
    let event = events::only_event(&shared, request, deadline).await?;
    let _place = shared.waiting.place()?;
    let reply = shared.ask(shared.deadline() + wait, shared.orchestrator.ask(event, wait)).await?;
    let open = !reply.complete && !reply.instances.is_empty();
    Ok((if open { StatusCode::ACCEPTED } else { StatusCode::OK }, Json(reply)))
}

/// `GET instances/{id}`: at once, or with `wait` once it does not go on by itself.
pub(super) async fn instance(
    State(shared): Shares,
    path: Segment,
    query: Result<Query<WaitQuery>, QueryRejection>,
) -> Result<Json<InstanceDetail>, Problem> {
    let Query(query) = query.map_err(|error| {
        Problem::invalid(format!("expected the parameter wait, found: {}", error.body_text()))
    })?;
    let id = id(path)?;
    let wait = wait_of("wait", query.wait.as_deref(), Duration::ZERO)?;
    if wait.is_zero() {
        return shared.ask(shared.deadline(), shared.orchestrator.instance(id)).await.map(Json);
    }
    let _place = shared.waiting.place()?;
    shared.ask(shared.deadline() + wait, shared.orchestrator.wait_for(id, wait)).await.map(Json)
}
