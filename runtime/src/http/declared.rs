//! `/api/v1/monitors` and `/api/v1/sinks`.

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
use crate::declared::{Declared, DeclaredKind, DeclaredOrder, DeclaredRequest};

type Shares = State<Arc<Shared>>;

/// The routes of all kinds.
pub(super) fn routes() -> Router<Arc<Shared>> {
    DeclaredKind::ALL.into_iter().fold(Router::new(), |routes, kind| {
        let list = move |shared: Shares| list(shared, kind);
        let show = move |shared: Shares, name: Segment| show(shared, kind, name);
        let put =
            move |shared: Shares, name: Segment, request: Request<Body>| put(shared, kind, name, request);
        let remove = move |shared: Shares, name: Segment| remove(shared, kind, name);
        let order =
            move |shared: Shares, name: Segment, request: Request<Body>| order(shared, kind, name, request);
        let path = format!("/api/v1/{}", kind.plural());
        let of_one = get(show).put(put).delete(remove).post(order);
        routes.route(&path, get(list)).route(&format!("{path}/{{name}}"), of_one)
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
