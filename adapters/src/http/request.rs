//! The request that the arguments describe.

use std::borrow::Cow;

use base64::Engine;
use impresario_adapter::{Call, Failure};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Url};
use serde_json::Value;

use super::arguments::RequestArguments;
use super::body;

/// What tells an endpoint that two requests are one.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The place in a trace (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The request that the arguments describe, with `key` to recognise it by when it is repeated.
pub(super) fn build(
    client: &Client,
    arguments: &RequestArguments,
    base: Option<&str>,
    key: &str,
) -> Result<Request, Failure> {
    let method = method(&arguments.method)?;
    let uri = match base {
        Some(base) if !arguments.uri.contains("://") => {
            Cow::Owned(format!("{}/{}", base.trim_end_matches('/'), arguments.uri.trim_start_matches('/')))
        }
        _ => Cow::Borrowed(arguments.uri.as_str()),
    };
    let mut url = Url::parse(&uri)
        .map_err(|error| Failure::configuration("the `uri` is not valid").with_detail(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Failure::configuration(format!("`{}` is not an HTTP endpoint", endpoint(&url))));
    }
    add_query(&mut url, arguments)?;
    let mut headers = headers(arguments)?;
    if !is_idempotent(&method) && !headers.contains_key(IDEMPOTENCY_KEY) {
        headers.insert(IDEMPOTENCY_KEY, header_value("Idempotency-Key", key)?);
    }
    let body = body::of(arguments, &mut headers, key)?;
    // This takes credentials out of the URI and makes a header of them, unless there is one already.
    let request = client.request(method, url).headers(headers);
    let request = body.into_iter().fold(request, |request, body| request.body(body));
    request
        .build()
        .map_err(|error| Failure::validation("not a request").with_detail(error.without_url().to_string()))
}

/// Tells the endpoint which trace the request belongs to, unless the arguments do.
pub(super) fn trace(request: &mut Request, call: &Call) {
    let context = call.traceparent.as_deref().and_then(|context| HeaderValue::from_str(context).ok());
    if let Some(context) = context {
        request.headers_mut().entry(TRACEPARENT).or_insert(context);
    }
}

/// The method of that name, in whatever case it is written.
pub(super) fn method(name: &str) -> Result<Method, Failure> {
    Method::from_bytes(name.to_ascii_uppercase().as_bytes())
        .map_err(|_| Failure::configuration(format!("`{name}` is not an HTTP method")))
}

/// Whether doing it twice is as good as doing it once (RFC 9110, 9.2.2).
pub(super) fn is_idempotent(method: &Method) -> bool {
    method.is_idempotent()
}

/// An endpoint as it may be shown: without credentials, and without its query, which may hold some.
pub(super) fn endpoint(url: &Url) -> String {
    let mut shown = url.clone();
    // Both fail for a URI that has no place for credentials.
    let _: (Result<(), ()>, Result<(), ()>) = (shown.set_username(""), shown.set_password(None));
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}

/// A list repeats its key; null is left out.
fn add_query(url: &mut Url, arguments: &RequestArguments) -> Result<(), Failure> {
    for (key, value) in &arguments.query {
        let values = match value {
            Value::Array(values) => values.as_slice(),
            single => std::slice::from_ref(single),
        };
        for value in values {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    let title =
                        format!("the query parameter `{key}` is neither a single value nor a list of them");
                    return Err(Failure::validation(title));
                }
            };
            url.query_pairs_mut().append_pair(key, &text);
        }
    }
    Ok(())
}

fn headers(arguments: &RequestArguments) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &arguments.headers {
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| Failure::validation(format!("`{name}` cannot be the name of a header")))?;
        headers.insert(header, header_value(name, &value.0)?);
    }
    Ok(headers)
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(value).map_err(|_| {
        Failure::validation(format!("the header `{name}` has characters that a header cannot have"))
    })
}

pub(super) fn basic(username: &str, password: &str) -> Result<HeaderValue, Failure> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    credential(&format!("Basic {encoded}"))
}

pub(super) fn credential(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = header_value("Authorization", text)?;
    value.set_sensitive(true);
    Ok(value)
}
