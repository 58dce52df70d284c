//! The request that the arguments describe.

use base64::Engine;
use impresario_adapter::Failure;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Url};
use serde_json::Value;

use super::arguments::{Authentication, RequestArguments};

/// What tells an endpoint that two requests are one.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The request that the arguments describe, with `key` to recognise it by when it is repeated.
pub(super) fn build(client: &Client, arguments: &RequestArguments, key: &str) -> Result<Request, Failure> {
    let method = method(&arguments.method)?;
    let mut url = Url::parse(&arguments.uri)
        .map_err(|error| Failure::configuration("the `uri` is not valid").with_detail(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Failure::configuration(format!("`{}` is not an HTTP endpoint", endpoint(&url))));
    }
    add_query(&mut url, arguments)?;
    let mut headers = headers(arguments)?;
    match arguments.authentication()? {
        Authentication::None => {}
        Authentication::Basic { username, password } => {
            headers.insert(AUTHORIZATION, basic(&username, &password)?);
        }
        Authentication::Bearer { token } => {
            headers.insert(AUTHORIZATION, credential(&format!("Bearer {token}"))?);
        }
    }
    if !is_idempotent(&method) && !headers.contains_key(IDEMPOTENCY_KEY) {
        headers.insert(IDEMPOTENCY_KEY, header_value("Idempotency-Key", key)?);
    }
    let body = body(&arguments.body, &mut headers);
    // This takes credentials out of the URI and makes a header of them, unless there is one already.
    let request = client.request(method, url).headers(headers).timeout(arguments.timeout);
    let request = body.into_iter().fold(request, |request, body| request.body(body));
    request
        .build()
        .map_err(|error| Failure::validation("not a request").with_detail(error.without_url().to_string()))
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

fn basic(username: &str, password: &str) -> Result<HeaderValue, Failure> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    credential(&format!("Basic {encoded}"))
}

fn credential(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = header_value("Authorization", text)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A string is sent as it is, a map as a form if the definition says so; anything else is sent as JSON.
fn body(body: &Value, headers: &mut HeaderMap) -> Option<Vec<u8>> {
    let says = |kind: &str| {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        content_type.is_some_and(|content_type| content_type.starts_with(kind))
    };
    let (default, bytes) = match body {
        Value::Null => return None,
        Value::String(text) => ("text/plain; charset=utf-8", text.clone().into_bytes()),
        Value::Object(fields) if says("application/x-www-form-urlencoded") => {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let mut form = Url::parse("http://localhost").ok()?;
            form.query_pairs_mut().extend_pairs(fields.iter().map(|(name, value)| (name, text(value))));
            ("", form.query().unwrap_or_default().to_owned().into_bytes())
        }
        other => ("application/json", other.to_string().into_bytes()),
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(default));
    Some(bytes)
}
