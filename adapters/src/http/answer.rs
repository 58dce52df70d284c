//! What is made of a response.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use impresario_adapter::Failure;
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use reqwest::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::arguments::{Output, RequestArguments};
use super::{client, request};

/// How much of the body of a failed request is shown.
const SHOWN_BYTES: usize = 1024;
/// Headers whose values are, or may be, credentials.
const SECRET_HEADERS: [&str; 7] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "x-auth-token"];

/// Whether the value of a header is, or may be, a credential: whoever shows headers masks it.
pub fn is_secret_header(name: &str) -> bool {
    SECRET_HEADERS.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

/// What was asked, as it may be shown.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The endpoint, for texts.
    pub(super) endpoint: String,
    method: String,
    uri: String,
    headers: Value,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            endpoint: request::endpoint(request.url()),
            method: request.method().as_str().to_ascii_lowercase(),
            uri: request.url().to_string(),
            headers: shown(request.headers()),
        }
    }
}

/// The output that the definition wants, or the failure that the status is.
pub(super) async fn read(
    mut response: Response,
    asked: Asked,
    arguments: &RequestArguments,
) -> Result<Value, Failure> {
    let status = response.status();
    let accepted = status.is_success() || (arguments.redirect && status.is_redirection());
    if !accepted {
        return Err(refused(response, &asked).await);
    }
    let body = whole(&mut response, arguments.output_limit, &asked).await?;
    let content = |headers: &HeaderMap, body| {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        content(kind, body)
    };
    Ok(match arguments.output {
        Output::Raw => STANDARD.encode(body).into(),
        Output::Content => content(response.headers(), body),
        Output::Response => json!({
            "request": {"method": asked.method, "uri": asked.uri, "headers": asked.headers},
            "headers": shown(response.headers()),
            "statusCode": status.as_u16(),
            "content": content(response.headers(), body),
        }),
    })
}

/// The whole body, if it is not too long.
async fn whole(response: &mut Response, limit: usize, asked: &Asked) -> Result<Vec<u8>, Failure> {
    let endpoint = &asked.endpoint;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| client::explain(&error, endpoint))? {
        if body.len() + chunk.len() > limit {
            let title = format!("the answer of {endpoint} has more than {limit} bytes");
            return Err(
                Failure::communication(title).with_detail("its status was a success: the request was done")
            );
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The failure that a status is, with the beginning of what the endpoint says about it.
async fn refused(mut response: Response, asked: &Asked) -> Failure {
    let status = response.status();
    let mut detail = format!("{} {}", asked.method.to_ascii_uppercase(), asked.endpoint);
    if let Some(location) = response.headers().get(LOCATION).and_then(|location| location.to_str().ok()) {
        let place = response.url().join(location).map(|url| request::endpoint(&url)).unwrap_or_default();
        detail.push_str(&format!(" redirects to {place}; `redirect: true` follows it"));
    }
    let mut body = Vec::new();
    while body.len() < SHOWN_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(SHOWN_BYTES);
    // A character that the limit cut in two is left out.
    let shown = match str::from_utf8(&body) {
        Ok(text) => text,
        Err(error) => str::from_utf8(&body[..error.valid_up_to()]).unwrap_or_default(),
    };
    if !shown.trim().is_empty() {
        detail.push_str(": ");
        detail.push_str(shown.trim());
    }
    Failure::new(Failure::COMMUNICATION, status.as_u16(), reason(status)).with_detail(detail)
}

fn reason(status: StatusCode) -> String {
    status.canonical_reason().map_or_else(|| format!("HTTP status {}", status.as_u16()), str::to_owned)
}

/// The body as a value. What claims to be JSON or text, and is not, is given as what it is.
fn content(content_type: &str, body: Vec<u8>) -> Value {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if body.is_empty() {
        return Value::Null;
    }
    if (kind.ends_with("/json") || kind.ends_with("+json"))
        && let Ok(value) = serde_json::from_slice(&body)
    {
        return value;
    }
    let binary = ["image/", "audio/", "video/", "font/", "application/octet-stream", "application/zip"];
    if binary.iter().any(|prefix| kind.starts_with(prefix)) && !kind.ends_with("+xml") {
        return STANDARD.encode(body).into();
    }
    match String::from_utf8(body) {
        Ok(text) => text.into(),
        Err(error) => STANDARD.encode(error.into_bytes()).into(),
    }
}

/// Headers as they may be shown; several of one name are joined as HTTP allows it.
fn shown(headers: &HeaderMap) -> Value {
    let mut shown = Map::new();
    for name in headers.keys() {
        let secret = is_secret_header(name.as_str());
        let values = headers.get_all(name).iter();
        let texts: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        let text = if secret { "***".into() } else { texts.join(", ") };
        shown.insert(name.to_string(), text.into());
    }
    shown.into()
}
