//! `/api/v1/triggers` and `/api/v1/events`: what is watched, what came, and an operator's orders.
//!
//! Names of triggers have slashes: in a path they are written `%2F`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode};
use serde_json::json;

use super::api::key;
use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::catch_up::ApproveRequest;
use crate::orchestrator::{Started, TriggerSummary};
use crate::triggers::{
    EventsSummary, FireRequest, PauseRequest, RecentPage, RecentQuery, TestReply, TestRequest, TriggerDetail,
    TriggerOrder, TriggerQuery,
};

type Shares = State<Arc<Shared>>;

pub(super) fn routes() -> Routes {
    let of_list = Operation::new("listTriggers", "triggers", "List triggers")
        .query::<TriggerQuery>()
        .reply::<Vec<TriggerSummary>>(200, "A page of them, by name.");
    let of_show = Operation::new("showTrigger", "triggers", "Show a trigger")
        .says("The name of a definition stands for its trigger, if it has one only.")
        .reply::<TriggerDetail>(200, "The trigger, whole.")
        .problems(&[404]);
    let order = |id: &str, words: &str| {
        let operation = Operation::new(id, "triggers", words);
        operation.reply::<TriggerDetail>(200, "The trigger, once the order counts.").problems(&[404, 409])
    };
    let of_pause = order("pauseTrigger", "Have a trigger start nothing until it is resumed")
        .optional_body::<PauseRequest>(json!({ "reason": "an upgrade" }))
        .once();
    let of_resume = order("resumeTrigger", "Have a trigger go on").once();
    let of_approve = order("approvePlan", "Fire for what was missed, or not")
        .body::<ApproveRequest>(json!({ "plan": "the id of the plan", "fire": "last" }))
        .once();
    let of_fire = Operation::new("fireTrigger", "triggers", "Fire a trigger by hand")
        .says("With an input, or with the event that the instance is to get; a schedule needs neither.")
        .optional_body::<FireRequest>(json!({ "input": {} }))
        .reply::<Started>(201, "The instance exists durably.")
        .reply::<Started>(200, "The key has fired it before, as this instance.")
        .problems(&[404, 409])
        .named();
    let of_test = Operation::new("testTrigger", "triggers", "Tell whether events match a trigger, and why")
        .says("Starts nothing. Either an event, or so many of those that came last.")
        .body::<TestRequest>(json!({ "recent": 50 }))
        .reply::<TestReply>(200, "What its filters say.")
        .problems(&[404, 409]);
    let of_events = Operation::new("countEvents", "events", "Count what came in, and what it set going")
        .reply::<EventsSummary>(200, "The figures.");
    let of_recent =
        Operation::new("recentEvents", "events", "List the events that came last, and what they did")
            .query::<RecentQuery>()
            .reply::<RecentPage>(200, "Newest first, of the doors of all nodes.");
    Routes::new()
        .at("/api/v1/triggers", Methods::get(list, of_list))
        .at("/api/v1/triggers/{name}", Methods::get(show, of_show))
        .at("/api/v1/triggers/{name}/pause", Methods::post(pause, of_pause))
        .at("/api/v1/triggers/{name}/resume", Methods::post(resume, of_resume))
        .at("/api/v1/triggers/{name}/approve", Methods::post(approve, of_approve))
        .at("/api/v1/triggers/{name}/fire", Methods::post(fire, of_fire))
        .at("/api/v1/triggers/{name}/test", Methods::post(test, of_test))
        .at("/api/v1/events", Methods::get(events, of_events))
        .at("/api/v1/events/recent", Methods::get(recent, of_recent))
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
    let PauseRequest { reason } =
        if body.is_empty() { PauseRequest::default() } else { body::parse_object(&body)? };
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
    let mut order: FireRequest =
        if body.is_empty() { FireRequest::default() } else { body::parse_object(&body)? };
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
