//! `/api/v1/users` and `/api/v1/key/rotate`. A secret goes in and never comes out.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::body;
use super::gate::Shared;
use super::path::{Segment, segment};
use super::problem::Problem;
use super::routes::{Methods, Operation, Routes};
use crate::secrets::{UserChange, UserSummary};

type Shares = State<Arc<Shared>>;

/// The environment key that secrets are sealed under from now on.
#[derive(Serialize, JsonSchema)]
struct NewKey {
    /// Its id.
    key: String,
}

pub(super) fn routes() -> Routes {
    let of_list = Operation::new("listUsers", "users", "List runtime users, with the names of their fields")
        .reply::<Vec<UserSummary>>(200, "All of them, by name.");
    let of_set = Operation::new("putUser", "users", "Change a runtime user, or add one")
        .says("Fields that are not named stay as they are; one that is null goes. No request gives a value back.")
        .body::<UserChange>(json!({ "description": "backups", "fields": { "username": "backup", "token": null } }))
        .reply::<UserSummary>(200, "What the list shows of it now.")
        .problems(&[409])
        .once();
    let of_remove = Operation::new("removeUser", "users", "Remove a runtime user")
        .done(204, "It is gone.")
        .problems(&[404, 409])
        .once();
    let of_rotate =
        Operation::new("rotateKey", "users", "Make a new environment key, and seal every secret anew")
            .reply::<NewKey>(200, "The id of the new key.")
            .problems(&[409])
            .once();
    Routes::new()
        .at("/api/v1/users", Methods::get(list, of_list))
        .at("/api/v1/users/{name}", Methods::put(set, of_set).and_delete(remove, of_remove))
        .at("/api/v1/key/rotate", Methods::post(rotate, of_rotate))
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
async fn rotate(State(shared): Shares) -> Result<Json<NewKey>, Problem> {
    let key = shared.ask(shared.deadline(), shared.orchestrator.rotate_key()).await?;
    Ok(Json(NewKey { key }))
}
