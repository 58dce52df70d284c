//! `/api/v1/users` and `/api/v1/key/rotate`. A secret goes in and never comes out.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use crate::secrets::{UserChange, UserSummary};

type Shares = State<Arc<Shared>>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/api/v1/users", get(list))
        .route("/api/v1/users/{name}", put(set).delete(remove))
        .route("/api/v1/key/rotate", post(rotate))
}

fn name(path: Segment) -> Result<String, Problem> {
    segment("a name", path)
}

async fn list(State(shared): Shares) -> Result<Json<Vec<UserSummary>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.users()).await.map(Json)
}

/// `PUT`: 200 with the user as it is known now, without any value.
async fn set(
    State(shared): Shares,
    path: Segment,
    request: Request<Body>,
) -> Result<Json<UserSummary>, Problem> {
    let deadline = shared.deadline();
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let body: Value = body::read_json(&shared, &head.headers, body, deadline).await?;
    // The words of a failed reading could quote a value.
    let change: UserChange = serde_json::from_value(body).map_err(|_| {
        Problem::invalid(
            "expected 'description' (a text) and 'fields' (a map of texts, null removes one), found another shape",
        )
    })?;
    shared.ask(deadline, shared.orchestrator.set_user(name, change)).await.map(Json)
}

/// `DELETE`: 204.
async fn remove(State(shared): Shares, path: Segment) -> Result<StatusCode, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.remove_user(name(path)?)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST`: 200 with the id of the new key.
async fn rotate(State(shared): Shares) -> Result<Json<Value>, Problem> {
    let id = shared.ask(shared.deadline(), shared.orchestrator.rotate_key()).await?;
    Ok(Json(json!({ "key": id })))
}
