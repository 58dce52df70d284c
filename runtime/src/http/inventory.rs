//! `/api/v1/targets`, `/api/v1/target-types`, `/api/v1/groups` and `/api/v1/calendars`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::Value;

use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use crate::inventory::{EntryKind, InventoryEntry};

type Shares = State<Arc<Shared>>;

/// The routes of all four.
pub(super) fn routes() -> Router<Arc<Shared>> {
    EntryKind::ALL.into_iter().fold(Router::new(), |routes, kind| {
        let list = move |shared: Shares| list(shared, kind);
        let show = move |shared: Shares, name: Segment| show(shared, kind, name);
        let put =
            move |shared: Shares, name: Segment, request: Request<Body>| put(shared, kind, name, request);
        let remove = move |shared: Shares, name: Segment| remove(shared, kind, name);
        let path = format!("/api/v1/{}", kind.plural());
        routes.route(&path, get(list)).route(&format!("{path}/{{name}}"), get(show).put(put).delete(remove))
    })
}

fn name(path: Segment) -> Result<String, Problem> {
    segment("a name", path)
}

async fn list(State(shared): Shares, kind: EntryKind) -> Result<Json<Vec<InventoryEntry>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.entries(kind)).await.map(Json)
}

async fn show(
    State(shared): Shares,
    kind: EntryKind,
    path: Segment,
) -> Result<Json<InventoryEntry>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.entry(kind, name(path)?)).await.map(Json)
}

/// `PUT`: 200 with the entry as it is kept.
async fn put(
    State(shared): Shares,
    kind: EntryKind,
    path: Segment,
    request: Request<Body>,
) -> Result<Json<InventoryEntry>, Problem> {
    let deadline = shared.deadline();
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let spec: Value = body::read_json(&shared, &head.headers, body, deadline).await?;
    shared.ask(deadline, shared.orchestrator.put_entry(kind, name, spec)).await.map(Json)
}

/// `DELETE`: 204.
async fn remove(State(shared): Shares, kind: EntryKind, path: Segment) -> Result<StatusCode, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.remove_entry(kind, name(path)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}
