//! `send-event`: a CloudEvent to an endpoint, by the HTTP binding of CloudEvents 1.0.
//!
//! Whatever the endpoint answers is the output, with its status: whoever sends events decides what to do about it. Only
//! where there is no answer at all is it a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use impresario_adapter::{Call, Failure};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Request, Response, Url};
use ring::hmac;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::arguments::Redirect;
use super::follow::{Asker, Shared};
use super::tls::{Tls, Trust};
use super::{credentials, request};

/// How long sending may take, unless it is said, in seconds.
const TIMEOUT_SECONDS: u64 = 30;
/// How long it may ask for at most, in seconds.
const TIMEOUT_SECONDS_MAX: u64 = 300;
/// So much of an answer is shown, in bytes.
const SHOWN_BYTES: usize = 512;
/// The field of a runtime user under which bodies are signed.
const KEY_FIELD: &str = "hmacKey";
/// The fields of a runtime user that say how it is shown.
const SHOWN_BY: [&str; 4] = ["token", "username", "clientId", "clientCertificate"];

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Mode {
    #[default]
    Structured,
    Binary,
}

/// Headers by name.
type Headers = Vec<(String, String)>;

/// The arguments of `send-event`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SendArguments {
    uri: String,
    event: Map<String, Value>,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    signature_header: Option<String>,
    #[serde(default = "timeout")]
    timeout_seconds: u64,
}

fn timeout() -> u64 {
    TIMEOUT_SECONDS
}

/// The JSON Schema of the arguments.
pub(super) fn input() -> Value {
    json!({
        "type": "object",
        "required": ["uri", "event"],
        "additionalProperties": false,
        "properties": {
            "uri": {"type": "string", "description": "With http or https."},
            "event": {"type": "object", "required": ["specversion", "id", "source", "type"], "description": "In JSON format."},
            "mode": {"enum": ["structured", "binary"], "default": "structured"},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "signatureHeader": {
                "type": "string",
                "description": "Gets `sha256=` and the HMAC of the body under the field hmacKey of the runtime user.",
            },
            "timeoutSeconds": {"type": "integer", "minimum": 1, "maximum": TIMEOUT_SECONDS_MAX, "default": TIMEOUT_SECONDS},
        },
    })
}

/// The JSON Schema of the output.
pub(super) fn output() -> Value {
    json!({
        "type": "object",
        "required": ["statusCode"],
        "properties": {
            "statusCode": {"type": "integer"},
            "retryAfterSeconds": {"type": "integer"},
            "content": {"type": "string", "description": "The beginning of the answer, if it is no success."},
        },
    })
}

/// Sends it.
pub(super) async fn send(shared: &Shared, arguments: SendArguments, call: &Call) -> Result<Value, Failure> {
    let user = call.user.as_ref();
    let shown = user.filter(|user| SHOWN_BY.iter().any(|field| user.field(field).is_some()));
    let credentials = credentials::read(&Value::Null, shown, None)?;
    let trust = Trust::read(Tls::default(), None, shown).await?;
    let mut request = build(&arguments)?;
    if let Some(header) = &arguments.signature_header {
        let key = user.and_then(|user| user.field(KEY_FIELD)).ok_or_else(|| {
            Failure::configuration("nothing to sign with")
                .with_detail(format!("expected a runtime user with the field `{KEY_FIELD}`"))
        })?;
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let (name, value) = (header_name(header)?, header_value(header, &signature(key, body))?);
        request.headers_mut().insert(name, value);
    }
    let endpoint = request::endpoint(request.url());
    let asker = Asker::new(shared, trust, credentials);
    let exchange = async {
        let (response, _) = asker.send(request, Redirect { follow: false, limit: 0 }).await?;
        Ok(answer(response).await)
    };
    let limit = Duration::from_secs(arguments.timeout_seconds.clamp(1, TIMEOUT_SECONDS_MAX));
    let in_time = tokio::time::timeout(limit, Box::pin(exchange)).await;
    in_time.unwrap_or_else(|_| Err(Failure::timeout(format!("no answer from {endpoint} in time"))))
}

fn signature(key: &str, body: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn build(arguments: &SendArguments) -> Result<Request, Failure> {
    let url = Url::parse(&arguments.uri)
        .map_err(|error| Failure::configuration("the `uri` is not valid").with_detail(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(Failure::configuration(format!("`{}` is not an HTTP endpoint", request::endpoint(&url))));
    }
    let mut request = Request::new(reqwest::Method::POST, url);
    for (name, value) in &arguments.headers {
        request.headers_mut().insert(header_name(name)?, header_value(name, value)?);
    }
    let (headers, body) = match arguments.mode {
        Mode::Structured => {
            let kind = ("content-type".to_owned(), "application/cloudevents+json; charset=utf-8".to_owned());
            (vec![kind], Value::Object(arguments.event.clone()).to_string().into_bytes())
        }
        Mode::Binary => binary(&arguments.event)?,
    };
    for (name, value) in headers {
        request.headers_mut().insert(header_name(&name)?, header_value(&name, &value)?);
    }
    *request.body_mut() = Some(body.into());
    Ok(request)
}

/// The attributes as headers, and the data as the body.
fn binary(event: &Map<String, Value>) -> Result<(Headers, Vec<u8>), Failure> {
    let mut headers = Vec::new();
    for (name, value) in event {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        match name.as_str() {
            "data" | "data_base64" => {}
            "datacontenttype" => headers.push((CONTENT_TYPE.to_string(), text)),
            _ => headers.push((format!("ce-{name}"), encoded(&text))),
        }
    }
    let typed = event.get("datacontenttype").and_then(Value::as_str);
    let json = typed.is_none_or(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        kind.ends_with("/json") || kind.ends_with("+json")
    });
    let body = match (event.get("data_base64").and_then(Value::as_str), event.get("data")) {
        (Some(coded), _) => STANDARD.decode(coded).map_err(|error| {
            Failure::validation("`data_base64` is not base64").with_detail(error.to_string())
        })?,
        (None, None) => Vec::new(),
        (None, Some(Value::String(text))) if !json => text.clone().into_bytes(),
        (None, Some(data)) => {
            if typed.is_none() {
                headers.push((CONTENT_TYPE.to_string(), "application/json".to_owned()));
            }
            data.to_string().into_bytes()
        }
    };
    Ok((headers, body))
}

/// A value of an attribute in a header: what is not printable ASCII, and space, quote and percent, as `%XX` of its UTF-8.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'"' && byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Failure::validation(format!("`{name}` cannot be the name of a header")))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(value).map_err(|_| {
        Failure::validation(format!("the header `{name}` has characters that a header cannot have"))
    })
}

/// What the endpoint says, in short.
async fn answer(mut response: Response) -> Value {
    let status = response.status();
    let mut answer = json!({ "statusCode": status.as_u16() });
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    if let Some(seconds) = after.and_then(retry_after) {
        answer["retryAfterSeconds"] = json!(seconds);
    }
    if !status.is_success() {
        let mut body = Vec::new();
        while body.len() < SHOWN_BYTES
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk);
        }
        body.truncate(SHOWN_BYTES);
        answer["content"] = json!(String::from_utf8_lossy(&body).trim());
    }
    answer
}

/// Seconds, or a time from now on.
fn retry_after(text: &str) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        u64::try_from(at.as_second().saturating_sub(jiff::Timestamp::now().as_second())).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_of_an_answer_is_seconds_or_a_time() {
        assert_eq!(retry_after(" 17 "), Some(17));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), None, "that is over");
        assert!(retry_after("Tue, 31 Dec 2199 23:59:59 GMT").is_some_and(|wait| wait > 1_000_000));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_signature_is_what_others_compute() {
        // RFC 4231, test case 2.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn binary_mode_has_attributes_in_headers_and_data_in_the_body() {
        let event = json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "subject": "Euro € 100 %",
            "floor": 3, "data": { "a": 1 },
        });
        let (headers, body) = binary(event.as_object().unwrap()).unwrap();
        let header =
            |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(header("ce-subject"), Some("Euro%20%E2%82%AC%20100%20%25"));
        assert_eq!((header("ce-floor"), header("content-type")), (Some("3"), Some("application/json")));
        assert_eq!(body, br#"{"a":1}"#);
        let text = json!({ "datacontenttype": "text/plain", "data": "hello" });
        assert_eq!(binary(text.as_object().unwrap()).unwrap().1, b"hello");
        let raw = json!({ "datacontenttype": "image/png", "data_base64": "AAEC" });
        assert_eq!(binary(raw.as_object().unwrap()).unwrap().1, [0, 1, 2]);
        let none = json!({ "id": "1" });
        assert_eq!(binary(none.as_object().unwrap()).unwrap().1, b"");
    }
}
