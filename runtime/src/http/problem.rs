//! Every error of the door as a problem document (RFC 9457), and the one place where status codes are chosen.

use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::orchestrator::Refusal;

/// The members of a problem document, as the door writes and the command line reads them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDocument {
    /// The kind: [`TYPE_PREFIX`] and a word.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The kind, in words.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// What was expected, what was found, what to do.
    #[serde(default)]
    pub detail: String,
}

/// What the type of a problem starts with.
pub const TYPE_PREFIX: &str = "urn:impresario:problem:";

/// An error on its way to the client.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    kind: Kind,
    detail: String,
    retry_after: Option<Duration>,
}

/// What the client can do about it, which is what the status says.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Invalid,
    Unauthorized,
    Unverified,
    NotFound,
    MethodNotAllowed,
    BodyTimeout,
    Conflict,
    BodyTooLarge,
    UnsupportedMediaType,
    NotMine,
    Busy,
    Internal,
    Unavailable,
    EngineTimeout,
}

impl Kind {
    const ALL: [Kind; 14] = [
        Kind::Invalid,
        Kind::Unauthorized,
        Kind::Unverified,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::BodyTimeout,
        Kind::Conflict,
        Kind::BodyTooLarge,
        Kind::UnsupportedMediaType,
        Kind::NotMine,
        Kind::Busy,
        Kind::Internal,
        Kind::Unavailable,
        Kind::EngineTimeout,
    ];

    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid", "The request makes no sense"),
            Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "The token is missing or wrong"),
            Kind::Unverified => (StatusCode::UNAUTHORIZED, "unverified", "The sender is not known"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Kind::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path has no such method")
            }
            Kind::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body took too long"),
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "The request contradicts what is there"),
            Kind::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large"),
            Kind::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The media type is not one of ours",
            ),
            Kind::NotMine => {
                (StatusCode::MISDIRECTED_REQUEST, "not-mine", "Another node has what was asked for")
            }
            Kind::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy", "Too much is waiting already"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The node made a mistake"),
            Kind::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The node cannot do this now")
            }
            Kind::EngineTimeout => {
                (StatusCode::GATEWAY_TIMEOUT, "engine-timeout", "The engine took too long")
            }
        }
    }
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into(), retry_after: None }
    }

    fn later(self, after: Duration) -> Problem {
        Problem { retry_after: Some(after), ..self }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Problem {
        Problem::new(Kind::Invalid, detail)
    }

    pub(super) fn unauthorized(detail: String) -> Problem {
        Problem::new(Kind::Unauthorized, detail)
    }

    /// A webhook that does not exist, and one that does not believe the sender: told alike.
    pub(super) fn unverified() -> Problem {
        Problem::new(
            Kind::Unverified,
            "expected a webhook and what verifies the sender to it, found something else",
        )
    }

    pub(super) fn verifying_another() -> Problem {
        let detail =
            "another unknown token is being verified, one at a time: try again, or correct the token";
        Problem::new(Kind::Busy, detail).later(Duration::from_secs(1))
    }

    pub(super) fn crowded() -> Problem {
        let detail = "as many requests as http.concurrency allows are at work: try again";
        Problem::new(Kind::Unavailable, detail).later(Duration::from_secs(1))
    }

    pub(super) fn crowded_hooks() -> Problem {
        let detail =
            "as many requests to webhooks are at work as may be, half of http.concurrency: try again";
        Problem::new(Kind::Unavailable, detail).later(Duration::from_secs(1))
    }

    pub(super) fn waiting_crowd() -> Problem {
        let detail = "as many requests as http.waiting allows wait for instances: try again, or look at instances by \
                      their ids";
        Problem::new(Kind::Unavailable, detail).later(Duration::from_secs(1))
    }

    pub(super) fn key_at_work(key: &str) -> Problem {
        let detail =
            format!("the first request with the key '{}' is not answered yet: try again", shorten(key));
        Problem::new(Kind::Conflict, detail).later(Duration::from_secs(1))
    }

    pub(super) fn key_of_another(key: &str) -> Problem {
        let detail = format!(
            "expected the request that the key '{}' was used for before, found another path, method or body: use \
             another key",
            shorten(key)
        );
        Problem::new(Kind::Conflict, detail)
    }

    pub(super) fn internal() -> Problem {
        Problem::new(
            Kind::Internal,
            "the node's log says more; the request may or may not have been carried out",
        )
    }

    pub(super) fn no_such_path(path: &str) -> Problem {
        Problem::new(
            Kind::NotFound,
            format!(
                "expected /events, /hooks/NAME, /health/… or /api/v1/… (see /docs), found {}",
                shorten(path)
            ),
        )
    }

    pub(super) fn no_such_method(method: &Method, path: &str) -> Problem {
        let detail = format!("expected a method that {path} has (see the Allow header), found {method}");
        Problem::new(Kind::MethodNotAllowed, detail)
    }

    pub(super) fn body_too_large(limit: usize) -> Problem {
        let detail = format!("expected at most {limit} bytes (setting http.body_limit), found more");
        Problem::new(Kind::BodyTooLarge, detail)
    }

    pub(super) fn body_slow() -> Problem {
        Problem::new(
            Kind::BodyTimeout,
            "expected the whole body within http.request_timeout, found it incomplete",
        )
    }

    pub(super) fn media_type(expected: &str, found: Option<&str>) -> Problem {
        let found = found.map_or_else(|| "none".to_owned(), |found| format!("'{}'", shorten(found)));
        Problem::new(Kind::UnsupportedMediaType, format!("expected {expected}, found {found}"))
    }

    pub(super) fn engine_slow(timeout: Duration) -> Problem {
        let timeout = humantime::format_duration(timeout);
        let detail = format!(
            "no answer within {timeout} (setting http.request_timeout); the request may still be carried out: \
             send it again with the same event id or idempotency key, which changes nothing if it was"
        );
        Problem::new(Kind::EngineTimeout, detail)
    }
}

/// The word and the title of a problem with this status, for the document of the API.
pub(super) fn meaning(status: u16) -> (&'static str, &'static str) {
    let mut known = Kind::ALL.into_iter().map(Kind::parts);
    known.find(|(of, _, _)| of.as_u16() == status).map_or(("", ""), |(_, word, title)| (word, title))
}

/// Text that a client chose, cut to what an error message can carry.
fn shorten(text: &str) -> String {
    const LIMIT: usize = 100;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::Invalid(detail) => Problem::new(Kind::Invalid, detail),
            Refusal::NotFound(detail) => Problem::new(Kind::NotFound, detail),
            Refusal::Conflict(detail) => Problem::new(Kind::Conflict, detail),
            Refusal::Busy { reason, retry_after_ms } => {
                Problem::new(Kind::Busy, reason).later(Duration::from_millis(retry_after_ms))
            }
            Refusal::Unavailable { reason, retry_after_ms } => {
                Problem::new(Kind::Unavailable, reason).later(Duration::from_millis(retry_after_ms))
            }
            Refusal::NotMine => Problem::new(Kind::NotMine, refusal.to_string()),
        }
    }
}

/// What the answer of another node's door means for the node that asked: the way back of the conversion above.
pub(crate) fn refusal_of(status: StatusCode, detail: String) -> Refusal {
    match status {
        StatusCode::MISDIRECTED_REQUEST => Refusal::NotMine,
        StatusCode::BAD_REQUEST => Refusal::Invalid(detail),
        StatusCode::NOT_FOUND => Refusal::NotFound(detail),
        StatusCode::CONFLICT => Refusal::Conflict(detail),
        _ => Refusal::later(detail),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, word, title) = self.kind.parts();
        let document = ProblemDocument {
            kind: format!("{TYPE_PREFIX}{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: self.detail,
        };
        let mut response = (status, axum::Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.retry_after {
            // The header has whole seconds only: rounded up, so that nobody comes back too early.
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(after.as_millis().div_ceil(1000).max(1) as u64),
            );
        }
        if matches!(self.kind, Kind::BodyTooLarge | Kind::BodyTimeout) {
            // The rest of the body is not read, so the connection ends; a client that is not told sends its next
            // request into it.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Kind::Unauthorized = self.kind {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"impresario\""));
        }
        response
    }
}
