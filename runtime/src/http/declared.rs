//! `/api/v1/monitors` and `/api/v1/sinks`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use super::body;
use super::gate::Shared;
use super::openapi::described;
use super::path::{Segment, segment};
use super::problem::Problem;
use super::routes::{JSON, Methods, Operation, Routes, camel};
use crate::declared::{Declared, DeclaredKind, DeclaredOrder, DeclaredRequest};

type Shares = State<Arc<Shared>>;

/// The routes of all kinds.
pub(super) fn routes() -> Routes {
    DeclaredKind::ALL.into_iter().fold(Routes::new(), |routes, kind| {
        let list = move |shared: Shares| list(shared, kind);
        let show = move |shared: Shares, name: Segment| show(shared, kind, name);
        let put =
            move |shared: Shares, name: Segment, request: Request<Body>| put(shared, kind, name, request);
        let remove = move |shared: Shares, name: Segment| remove(shared, kind, name);
        let order =
            move |shared: Shares, name: Segment, request: Request<Body>| order(shared, kind, name, request);
        let (path, many) = (format!("/api/v1/{}", kind.plural()), kind.plural());
        let operation = |verb: &str, words: String| Operation::new(camel(verb, many), many, words);
        let of_list =
            operation("list", format!("List {many}")).reply::<Vec<Declared>>(200, "All of them, by name.");
        let of_show = operation("show", format!("Show one of the {many}"))
            .reply::<Declared>(200, "What was declared, and how it does.")
            .problems(&[404]);
        let of_put = operation("put", format!("Declare one of the {many}, whether it is there or not"))
            .bodies(vec![(JSON, described)])
            .reply::<Declared>(200, "As it is kept.")
            .problems(&[404, 409])
            .once();
        let of_remove = operation("remove", format!("Remove one of the {many}"))
            .done(204, "It is gone.")
            .problems(&[404, 409])
            .once();
        let of_order = operation("order", format!("Pause, resume or otherwise operate one of the {many}"))
            .body::<DeclaredOrder>(json!({ "order": "pause" }))
            .reply::<Declared>(200, "As it is then.")
            .problems(&[404, 409])
            .once();
        let of_one = Methods::get(show, of_show)
            .and_put(put, of_put)
            .and_delete(remove, of_remove)
            .and_post(order, of_order);
        routes.at(&path, Methods::get(list, of_list)).at(&format!("{path}/{{name}}"), of_one)
    })
}

fn name(path: Segment) -> Result<String, Problem> {
    segment("a name", path)
}

async fn list(State(shared): Shares, kind: DeclaredKind) -> Result<Json<Vec<Declared>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.declared(kind, DeclaredRequest::List)).await.map(Json)
}

async fn show(shared: Shares, kind: DeclaredKind, path: Segment) -> Result<Json<Declared>, Problem> {
    one(shared, kind, DeclaredRequest::Show(name(path)?)).await
}

/// `PUT`: 200 with it as it is kept.
async fn put(
    State(shared): Shares,
    kind: DeclaredKind,
    path: Segment,
    request: Request<Body>,
) -> Result<Json<Declared>, Problem> {
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let spec: Value = body::read_json(&shared, &head.headers, body, shared.deadline()).await?;
    one(State(shared), kind, DeclaredRequest::Put(name, spec)).await
}

/// `POST`: 200 with it as it is then.
async fn order(
    State(shared): Shares,
    kind: DeclaredKind,
    path: Segment,
    request: Request<Body>,
) -> Result<Json<Declared>, Problem> {
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let order: DeclaredOrder = body::read_json(&shared, &head.headers, body, shared.deadline()).await?;
    one(State(shared), kind, DeclaredRequest::Order(name, order)).await
}

/// `DELETE`: 204.
async fn remove(State(shared): Shares, kind: DeclaredKind, path: Segment) -> Result<StatusCode, Problem> {
    let request = DeclaredRequest::Remove(name(path)?);
    shared.ask(shared.deadline(), shared.orchestrator.declared(kind, request)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn one(
    State(shared): Shares,
    kind: DeclaredKind,
    request: DeclaredRequest,
) -> Result<Json<Declared>, Problem> {
    let answer = shared.ask(shared.deadline(), shared.orchestrator.declared(kind, request)).await?;
    // Whoever asks about one gets one.
    let one = answer.into_iter().next();
    one.map(Json).ok_or_else(|| Problem::invalid("expected something to show, found nothing"))
}
