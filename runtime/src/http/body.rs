//! Bodies: read up to the limit and the deadline, parsed once.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::gate::Shared;
use super::problem::Problem;

/// How much of a body that is too large is read all the same, and for how long.
const DRAIN_BYTES: usize = 8 << 20;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Reads a whole body.
pub(super) async fn read(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
    deadline: Instant,
) -> Result<Bytes, Problem> {
    let limit = shared.body_limit;
    // Refused before it is sent, where the client says how much it is going to be.
    if content_length(headers).is_some_and(|length| length > limit) {
        // A client that waits for leave to send its body gets none; any other is sending already.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body.into_data_stream(), deadline).await;
        }
        return Err(Problem::body_too_large(limit));
    }
    match tokio::time::timeout_at(deadline, collect(body, limit, deadline)).await {
        Ok(bytes) => bytes,
        Err(_) => Err(Problem::body_slow()),
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads on for a while and throws it away: a connection that is closed while its client sends is reset, and the
/// client never sees the answer.
async fn drain(chunks: &mut BodyDataStream, deadline: Instant) {
    let mut left = DRAIN_BYTES;
    let all = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Whoever is slower than that may be reset.
    let _ = tokio::time::timeout_at(deadline.min(Instant::now() + DRAIN_TIME), all).await;
}

async fn collect(body: Body, limit: usize, deadline: Instant) -> Result<Bytes, Problem> {
    let broken = |error: axum::Error| Problem::invalid(format!("expected the whole body, found: {error}"));
    let mut chunks = body.into_data_stream();
    // A small body comes as one piece, and is not copied.
    let first = match chunks.next().await {
        Some(chunk) => chunk.map_err(broken)?,
        None => return Ok(Bytes::new()),
    };
    if first.len() > limit {
        drain(&mut chunks, deadline).await;
        return Err(Problem::body_too_large(limit));
    }
    let Some(second) = chunks.next().await else { return Ok(first) };
    let mut whole = Vec::from(first);
    let mut next = Some(second);
    while let Some(chunk) = next {
        let chunk = chunk.map_err(broken)?;
        if whole.len() + chunk.len() > limit {
            drain(&mut chunks, deadline).await;
            return Err(Problem::body_too_large(limit));
        }
        whole.extend_from_slice(&chunk);
        next = chunks.next().await;
    }
    Ok(Bytes::from(whole))
}

/// The media type of a body without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(|essence| essence.trim().to_ascii_lowercase())
}

/// Parses JSON; a mistake is told with its line and column.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let expected = match error.classify() {
            serde_json::error::Category::Data => "a body with the members of this request",
            _ => "a body of JSON",
        };
        Problem::invalid(format!("expected {expected}, found: {error}"))
    })
}

/// Parses a JSON object. Types with members would take a list of them, too, by their order: nobody means that.
pub(super) fn parse_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        // What is no JSON at all is told as that.
        let found: Value = parse(body)?;
        let found = match found {
            Value::Null => "null",
            Value::Array(_) => "a list",
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => "a single value",
        };
        return Err(Problem::invalid(format!("expected a body of a JSON object, found {found}")));
    }
    parse(body)
}

/// Reads and parses a JSON body, an object.
pub(super) async fn read_json<T: DeserializeOwned>(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
    deadline: Instant,
) -> Result<T, Problem> {
    match media_type(headers).as_deref() {
        Some("application/json") => {}
        found => return Err(Problem::media_type("Content-Type application/json", found)),
    }
    parse_object(&read(shared, headers, body, deadline).await?)
}
