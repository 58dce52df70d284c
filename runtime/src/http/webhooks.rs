//! `POST /hooks/{name}`: what systems send that know no CloudEvents; and `/api/v1/webhooks`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body;
use super::gate::Shared;
use super::openapi::{anything, text};
use super::path::{Segment, segment};
use super::problem::Problem;
use super::routes::{JSON, Methods, Operation, Routes};
use crate::orchestrator::Accepted;
use crate::webhook::{Delivery, WebhookFindings, WebhookOutcome, WebhookSummary, WebhookTrial};

/// What the path of a webhook begins with. Behind it the webhook itself says whom it believes.
const HOOKS: &str = "/hooks/";
/// The most parameters of a request.
const PARAMETERS_MAX: usize = 100;

type Shares = State<Arc<Shared>>;

/// Whether a request is verified by a webhook instead of the node's token.
pub(super) fn is_hook(path: &str) -> bool {
    path.starts_with(HOOKS)
}

pub(super) fn routes() -> Routes {
    let of_deliver = Operation::new(
        "deliver",
        "webhooks",
        "Take a request of a system that knows no CloudEvents",
    )
    .says("The webhook says who may send, and what becomes of the request. It needs no token of the node.")
    .open()
    .any_body(vec![(JSON, anything), ("text/plain", text)])
    .reply_in(200, "What the mapping answers.", JSON, anything)
    .reply::<Accepted>(202, "Its events are durable, or there was nothing to take.")
    .problems(&[400, 401, 429, 504]);
    let of_list = Operation::new("listWebhooks", "webhooks", "List webhooks")
        .reply::<Vec<WebhookSummary>>(200, "All of them, by name.");
    let of_show = Operation::new("showWebhook", "webhooks", "Show a webhook, with its mapping")
        .reply::<WebhookSummary>(200, "The webhook.")
        .problems(&[404]);
    let trial = json!({ "headers": { "content-type": "application/json" }, "body": "{\"state\": \"down\"}" });
    let of_test =
        Operation::new("testWebhook", "webhooks", "Tell what would come of a request; nothing is taken")
            .body::<WebhookTrial>(trial)
            .reply::<WebhookFindings>(200, "What would come of it.")
            .problems(&[404]);
    Routes::new()
        .at("/hooks/{name}", Methods::post(deliver, of_deliver))
        .at("/api/v1/webhooks", Methods::get(list, of_list))
        .at("/api/v1/webhooks/{name}", Methods::get(show, of_show))
        .at("/api/v1/webhooks/{name}/test", Methods::post(test, of_test))
}

/// 202 once the events are durable, or nothing was to be taken; what the mapping answers is 200.
async fn deliver(State(shared): Shares, path: Segment, request: Request<Body>) -> Result<Response, Problem> {
    let deadline = shared.deadline();
    let name = segment("a name", path)?;
    let (head, body) = request.into_parts();
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let query: Vec<(String, String)> = query.into_owned().take(PARAMETERS_MAX + 1).collect();
    if query.len() > PARAMETERS_MAX {
        return Err(Problem::invalid(format!("expected at most {PARAMETERS_MAX} parameters, found more")));
    }
    let headers = texts(&head.headers);
    let body = body::read(&shared, &head.headers, body, deadline).await?;
    let delivery = Delivery { headers, query, body, now: 0 };
    match shared.ask(deadline, shared.orchestrator.deliver(name, delivery)).await? {
        WebhookOutcome::Unverified => Err(Problem::unverified()),
        WebhookOutcome::Accepted { reply: Some(Value::String(text)), .. } => Ok(text.into_response()),
        WebhookOutcome::Accepted { reply: Some(reply), .. } => Ok(Json(reply).into_response()),
        WebhookOutcome::Accepted { accepted, durability, reply: None } => {
            Ok((StatusCode::ACCEPTED, Json(Accepted { accepted, durability })).into_response())
        }
    }
}

fn texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// `GET webhooks`.
async fn list(State(shared): Shares) -> Result<Json<Vec<WebhookSummary>>, Problem> {
    shared.ask(shared.deadline(), shared.orchestrator.webhooks(None)).await.map(Json)
}

/// `GET webhooks/{name}`: the whole mapping.
async fn show(State(shared): Shares, path: Segment) -> Result<Json<WebhookSummary>, Problem> {
    let name = segment("a name", path)?;
    let found = shared.ask(shared.deadline(), shared.orchestrator.webhooks(Some(name))).await?;
    // Whoever asks about one gets one.
    let one = found.into_iter().next();
    one.map(Json).ok_or_else(|| Problem::invalid("expected a webhook to show, found nothing"))
}

/// `POST webhooks/{name}/test`: what would come of a request; nothing is kept.
async fn test(
    State(shared): Shares,
    path: Segment,
    request: Request<Body>,
) -> Result<Json<WebhookFindings>, Problem> {
    let deadline = shared.deadline();
    let name = segment("a name", path)?;
    let (head, body) = request.into_parts();
    let trial: WebhookTrial = body::read_json(&shared, &head.headers, body, deadline).await?;
    shared.ask(deadline, shared.orchestrator.try_webhook(name, trial)).await.map(Json)
}
