//! `/api/v1/targets`, `/api/v1/target-types`, `/api/v1/groups` and `/api/v1/calendars`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use serde_json::Value;

use super::body;
use super::gate::Shared;
use super::openapi::described;
use super::path::{Segment, segment};
use super::problem::Problem;
use super::routes::{JSON, Methods, Operation, Routes, camel};
use crate::inventory::{EntryKind, InventoryEntry};

type Shares = State<Arc<Shared>>;

/// The routes of all four.
pub(super) fn routes() -> Routes {
    EntryKind::ALL.into_iter().fold(Routes::new(), |routes, kind| {
        let list = move |shared: Shares| list(shared, kind);
        let show = move |shared: Shares, name: Segment| show(shared, kind, name);
        let put =
            move |shared: Shares, name: Segment, request: Request<Body>| put(shared, kind, name, request);
        let remove = move |shared: Shares, name: Segment| remove(shared, kind, name);
        let (path, many) = (format!("/api/v1/{}", kind.plural()), kind.plural().replace('-', " "));
        let operation =
            |verb: &str, words: String| Operation::new(camel(verb, kind.plural()), "inventory", words);
        let of_list = operation("list", format!("List {many}"))
            .reply::<Vec<InventoryEntry>>(200, "All of them, by name.");
        let of_show = operation("show", format!("Show one of the {many}"))
            .reply::<InventoryEntry>(200, "What was described, and by whom.")
            .problems(&[404]);
        let of_put = operation("put", format!("Describe one of the {many}, whether it is there or not"))
            .bodies(vec![(JSON, described)])
            .reply::<InventoryEntry>(200, "As it is kept.")
            .problems(&[409])
            .once();
        let of_remove = operation("remove", format!("Remove one of the {many}"))
            .done(204, "It is gone.")
            .problems(&[404, 409])
            .once();
        let of_one = Methods::get(show, of_show).and_put(put, of_put).and_delete(remove, of_remove);
        routes.at(&path, Methods::get(list, of_list)).at(&format!("{path}/{{name}}"), of_one)
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
