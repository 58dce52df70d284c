//! `/api/v1/adapters`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{Request, StatusCode};

use super::body;
use super::gate::Shared;
use super::problem::Problem;
use crate::adapters::{AdapterOrder, AdapterSummary};

/// The longest name of an adapter that is looked for.
const NAME_LIMIT: usize = 256;

type Shares = State<Arc<Shared>>;
type Name = Result<Path<String>, PathRejection>;

fn name(path: Name) -> Result<String, Problem> {
    match path {
        Ok(Path(name)) if name.len() <= NAME_LIMIT => Ok(name),
        Ok(_) => {
            Err(Problem::invalid(format!("expected an adapter's name, found more than {NAME_LIMIT} bytes")))
        }
        Err(error) => Err(Problem::invalid(format!("expected an adapter's name, found: {error}"))),
    }
}

/// `GET adapters`: at all nodes.
pub(super) async fn list(State(shared): Shares) -> Result<Json<Vec<AdapterSummary>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.adapters(None)).await.map(Json)
}

/// `GET adapters/{name}`: at all nodes.
pub(super) async fn show(State(shared): Shares, path: Name) -> Result<Json<Vec<AdapterSummary>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.adapters(Some(name(path)?))).await.map(Json)
}

/// `POST adapters/{name}`: 202, as the nodes follow in their own time.
pub(super) async fn order(
    State(shared): Shares,
    path: Name,
    request: Request<Body>,
) -> Result<StatusCode, Problem> {
    let deadline = shared.deadline();
    let name = name(path)?;
    let (head, body) = request.into_parts();
    let order: AdapterOrder = body::read_json(&shared, &head.headers, body, deadline).await?;
    shared.ask(deadline, shared.orchestrator.order_adapter(name, order)).await?;
    Ok(StatusCode::ACCEPTED)
}
