//! `/api/v1/actors`, `entries`, `trace` and `quarantine`: a look into actors and logs.
//!
//! Ids of actors have slashes; in these paths they may be written as they are.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Request, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body;
use super::gate::Shared;
use super::path::Segment;
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::inspect::{
    ActorDetail, EntryPage, EntryQuery, QuarantineOrder, QuarantinedActor, Trace, TraceQuery, WAIT_MAX,
};

type Shares = State<Arc<Shared>>;

/// The longest id of an actor: a kind, and a key of at most 512 bytes.
const ID_LIMIT: usize = 600;

pub(super) fn routes() -> Routes {
    let of_actor = Operation::new("showActor", "inspect", "Show an actor")
        .says("Its id as it is, slashes included, or an instance, or its first 8 characters or more.")
        .reply::<ActorDetail>(200, "The actor, whole; credentials are masked.")
        .problems(&[404]);
    let of_entries = Operation::new("listEntries", "inspect", "Read the mailbox logs")
        .says("Without `after` the newest that the logs still have; with `wait` it waits for something to show.")
        .query::<EntryQuery>()
        .reply::<EntryPage>(200, "Entries, oldest first, and where to read on.")
        .problems(&[404]);
    let of_trace = Operation::new("traceEvent", "inspect", "Follow an event to its last effect")
        .query::<TraceQuery>()
        .reply::<Trace>(200, "What came of it, and what could not be followed.")
        .problems(&[404]);
    let of_list = Operation::new("listQuarantine", "inspect", "List the actors that were set aside")
        .reply::<Vec<QuarantinedActor>>(200, "By id.");
    let of_order = Operation::new("takeBack", "inspect", "Take an actor back that was set aside")
        .query::<TakeBackQuery>()
        .body::<QuarantineOrder>(json!({ "order": "retry" }))
        .done(204, "The order counts for good.")
        .problems(&[404, 409])
        .once();
    Routes::new()
        .at("/api/v1/actors/{*actor}", Methods::get(actor, of_actor))
        .at("/api/v1/entries", Methods::get(entries, of_entries))
        .at("/api/v1/trace", Methods::get(trace, of_trace))
        .at("/api/v1/quarantine", Methods::get(quarantined, of_list))
        .at("/api/v1/quarantine/{*actor}", Methods::post(take_back, of_order))
}

fn id(path: Segment) -> Result<String, Problem> {
    let what = "the id of an actor, such as process/…";
    match path {
        Ok(axum::extract::Path(id)) if id.len() <= ID_LIMIT => Ok(id),
        Ok(_) => Err(Problem::invalid(format!("expected {what}, found more than {ID_LIMIT} bytes"))),
        Err(error) => Err(Problem::invalid(format!("expected {what}, found: {error}"))),
    }
}

fn parameters<T>(names: &str, query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    let refused =
        |error: QueryRejection| Problem::invalid(format!("expected {names}, found: {}", error.body_text()));
    query.map(|Query(query)| query).map_err(refused)
}

async fn actor(State(shared): Shares, path: Segment) -> Result<Json<ActorDetail>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.actor(id(path)?)).await.map(Json)
}

/// `GET entries`: at once, or with `wait` once there is something.
async fn entries(
    State(shared): Shares,
    query: Result<Query<EntryQuery>, QueryRejection>,
) -> Result<Json<EntryPage>, Problem> {
    let query = parameters("the parameters actor, shard, kind, text, after, limit and wait", query)?;
    if query.wait.is_none() {
        return shared.ask(shared.deadline(), shared.orchestrator.log(query)).await.map(Json);
    }
    let _place = shared.waiting.place()?;
    shared.ask(shared.deadline() + WAIT_MAX, shared.orchestrator.log(query)).await.map(Json)
}

async fn trace(
    State(shared): Shares,
    query: Result<Query<TraceQuery>, QueryRejection>,
) -> Result<Json<Trace>, Problem> {
    let query = parameters("the parameters event and source, or actor", query)?;
    shared.ask(shared.deadline(), shared.orchestrator.trace(query)).await.map(Json)
}

async fn quarantined(State(shared): Shares) -> Result<Json<Vec<QuarantinedActor>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.quarantined()).await.map(Json)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TakeBackQuery {
    /// The offset of the entry that the operator saw it fail on.
    #[serde(default)]
    entry: Option<String>,
}

/// `POST quarantine/{actor}`: 204 once the order counts for good.
async fn take_back(
    State(shared): Shares,
    path: Segment,
    query: Result<Query<TakeBackQuery>, QueryRejection>,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let deadline = shared.deadline();
    let TakeBackQuery { entry } = parameters("the parameter entry", query)?;
    let actor = id(path)?;
    let (head, body) = request.into_parts();
    let order = order_of(body::read_json(&shared, &head.headers, body, deadline).await?)?;
    shared.ask(deadline, shared.orchestrator.take_back(actor, entry, order)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads an order. Of a tagged value, serde alone would also take a list, and members that do not count.
fn order_of(given: Map<String, Value>) -> Result<QuarantineOrder, Problem> {
    let expected = "expected an order of retry, skip, or edit with a body";
    let names: Vec<String> = given.keys().cloned().collect();
    let order: QuarantineOrder = serde_json::from_value(Value::Object(given))
        .map_err(|error| Problem::invalid(format!("{expected}, found: {error}")))?;
    let counts = |name: &str| match &order {
        QuarantineOrder::Retry | QuarantineOrder::Skip => name == "order",
        QuarantineOrder::Edit { .. } => name == "order" || name == "body",
    };
    match names.iter().find(|name| !counts(name)) {
        None => Ok(order),
        Some(name) => Err(Problem::invalid(format!("{expected}, found the member '{name}'"))),
    }
}
