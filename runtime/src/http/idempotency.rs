//! Writes with an `Idempotency-Key`: a repetition is answered as the first was, and not carried out again.
//!
//! What the node has answered is in its memory, for some minutes and so many keys. That is enough for what it is used for: writes
//! that end in the same state however often they are carried out (declaring, removing, pausing, draining), or do no harm
//! when they are (restarting an adapter, a new key). Whatever begins or decides something is named by its key instead
//! ([`super::routes::Keyed::Named`]): the actor that it is for recognises it, at any node and after any crash.
//!
//! Only what was carried out is remembered. A request that was refused has changed nothing, and may be tried again.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::api::key;
use super::body;
use super::gate::Shared;
use super::problem::Problem;

/// For how long an answer is remembered.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How many answers are remembered, and how many bytes of them: the oldest are forgotten first.
const ANSWERS_MAX: usize = 10_000;
const BYTES_MAX: usize = 16 << 20;
/// The largest answer that is remembered.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Says of an answer that it is that of an earlier request.
const REPEATED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What a request is about: its method, its path with what is behind it, and its body.
type Content = [u8; 32];

/// The requests of late that had a key.
#[derive(Default)]
pub(super) struct Window(Arc<Mutex<Keys>>);

#[derive(Default)]
struct Keys {
    known: HashMap<String, Known>,
    /// The answered ones, oldest first.
    order: VecDeque<(Instant, String)>,
    bytes: usize,
}

struct Known {
    content: Content,
    /// None while the first request is at work.
    answer: Option<Answer>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    media_type: Option<HeaderValue>,
    body: Bytes,
}

/// What a key stands for.
enum Turn {
    First(Ticket),
    Repeated(Answer),
    AtWork,
    Other,
}

/// The right to carry a request out. Dropped without an answer, the key is free again.
struct Ticket {
    keys: Arc<Mutex<Keys>>,
    key: Option<String>,
}

/// Carries a request out unless its key has been answered.
pub(super) async fn once(request: Request<Body>, next: Next) -> Response {
    // The gate puts it there where the request has a key.
    match request.extensions().get::<Arc<Shared>>().cloned() {
        Some(shared) => keyed(&shared, request, next).await.unwrap_or_else(IntoResponse::into_response),
        None => next.run(request).await,
    }
}

/// Whether a request has a key.
pub(super) fn has_key(headers: &HeaderMap) -> bool {
    headers.contains_key(super::api::IDEMPOTENCY_KEY)
}

async fn keyed(shared: &Shared, request: Request<Body>, next: Next) -> Result<Response, Problem> {
    let Some(key) = key(request.headers(), None)? else { return Ok(next.run(request).await) };
    let (head, body) = request.into_parts();
    let body = body::read(shared, &head.headers, body, shared.deadline()).await?;
    let content = {
        let path = head.uri.path_and_query().map_or("", |path| path.as_str());
        let mut content = Sha256::new_with_prefix(format!("{} {path}\n", head.method));
        content.update(&body);
        content.finalize().into()
    };
    match shared.window.turn(&key, content) {
        Turn::First(ticket) => {
            let response = next.run(Request::from_parts(head, Body::from(body))).await;
            Ok(ticket.keep(response).await)
        }
        Turn::Repeated(answer) => Ok(answer.into_response()),
        Turn::AtWork => Err(Problem::key_at_work(&key)),
        Turn::Other => Err(Problem::key_of_another(&key)),
    }
}

impl Window {
    fn turn(&self, key: &str, content: Content) -> Turn {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.forget(Instant::now());
        match keys.known.get(key) {
            Some(known) if known.content != content => Turn::Other,
            Some(Known { answer: Some(answer), .. }) => Turn::Repeated(answer.clone()),
            Some(Known { answer: None, .. }) => Turn::AtWork,
            None => {
                keys.known.insert(key.to_owned(), Known { content, answer: None });
                Turn::First(Ticket { keys: Arc::clone(&self.0), key: Some(key.to_owned()) })
            }
        }
    }
}

impl Keys {
    /// Forgets what is too old, or too much.
    fn forget(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front() {
            let room = self.order.len() <= ANSWERS_MAX && self.bytes <= BYTES_MAX;
            if room && now.duration_since(*at) < REMEMBERED {
                return;
            }
            let Some((_, key)) = self.order.pop_front() else { return };
            let forgotten = self.known.remove(&key).and_then(|known| known.answer);
            self.bytes -= forgotten.map_or(0, |answer| answer.body.len());
        }
    }
}

impl Ticket {
    /// Remembers the answer, if the request was carried out and the answer is not too large.
    async fn keep(mut self, response: Response) -> Response {
        let size = response.body().size_hint().exact();
        let small = size.is_some_and(|size| size <= ANSWER_BYTES_MAX as u64);
        if !response.status().is_success() || !small {
            return response;
        }
        let (head, body) = response.into_parts();
        let Ok(body) = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await else {
            return Problem::internal().into_response();
        };
        if let Some(key) = self.key.take() {
            let media_type = head.headers.get(header::CONTENT_TYPE).cloned();
            let answer = Answer { status: head.status, media_type, body: body.clone() };
            let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            keys.bytes += answer.body.len();
            if let Some(known) = keys.known.get_mut(&key) {
                known.answer = Some(answer);
            }
            let now = Instant::now();
            keys.order.push_back((now, key));
            keys.forget(now);
        }
        Response::from_parts(head, Body::from(body))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.keys.lock().unwrap_or_else(PoisonError::into_inner).known.remove(&key);
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        if let Some(media_type) = self.media_type {
            headers.insert(header::CONTENT_TYPE, media_type);
        }
        headers.insert(REPEATED, HeaderValue::from_static("true"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Response {
        (StatusCode::OK, "done").into_response()
    }

    fn first(turn: Turn) -> Ticket {
        match turn {
            Turn::First(ticket) => ticket,
            Turn::Repeated(_) | Turn::AtWork | Turn::Other => panic!("expected the first request of a key"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_taken_while_its_request_is_at_work() {
        let window = Window::default();
        let ticket = first(window.turn("k", [1; 32]));
        assert!(matches!(window.turn("k", [1; 32]), Turn::AtWork));
        assert!(matches!(window.turn("k", [2; 32]), Turn::Other));
        // A client that goes away ends its request: the key is free.
        drop(ticket);
        let ticket = first(window.turn("k", [2; 32]));
        assert_eq!(ticket.keep(answer()).await.status(), StatusCode::OK);
        assert!(matches!(window.turn("k", [2; 32]), Turn::Repeated(answer) if answer.body == "done"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_by_time_and_count() {
        let window = Window::default();
        first(window.turn("old", [0; 32])).keep(answer()).await;
        tokio::time::advance(REMEMBERED - Duration::from_secs(1)).await;
        assert!(matches!(window.turn("old", [0; 32]), Turn::Repeated(_)));
        for number in 0..=ANSWERS_MAX {
            first(window.turn(&number.to_string(), [1; 32])).keep(answer()).await;
        }
        // The oldest two have gone, for there is no room for them.
        first(window.turn("old", [0; 32]));
        first(window.turn("0", [0; 32]));
        assert!(matches!(window.turn("1", [1; 32]), Turn::Repeated(_)));
        tokio::time::advance(REMEMBERED).await;
        first(window.turn("1", [1; 32]));
        let keys = window.0.lock().unwrap();
        assert_eq!((keys.known.len(), keys.order.len(), keys.bytes), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_answer_is_not_remembered() {
        let window = Window::default();
        let large = vec![b'x'; ANSWER_BYTES_MAX + 1];
        let answered = first(window.turn("k", [1; 32])).keep(large.clone().into_response()).await;
        let body = axum::body::to_bytes(answered.into_body(), usize::MAX).await.unwrap();
        assert_eq!(body.len(), large.len());
        first(window.turn("k", [1; 32]));
    }
}
