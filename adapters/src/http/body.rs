//! The body of a request, as what its content type says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use impresario_adapter::Failure;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::arguments::{Encoding, RequestArguments};

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// A part of a multipart body that is more than a text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Part {
    content: Value,
    #[serde(default)]
    encoding: Encoding,
    filename: Option<String>,
    content_type: Option<String>,
}

/// A string is sent as it is, or as the bytes that it is the base64 of; a map as a form or in parts if the content type
/// says so; anything else as JSON.
pub(super) fn of(
    arguments: &RequestArguments,
    headers: &mut HeaderMap,
    key: &str,
) -> Result<Option<Vec<u8>>, Failure> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (default, bytes) = match &arguments.body {
        Value::Null => return Ok(None),
        body @ Value::String(_) if arguments.body_encoding == Encoding::Base64 => {
            ("application/octet-stream", bytes(body, Encoding::Base64)?)
        }
        Value::String(text) => ("text/plain; charset=utf-8", text.clone().into_bytes()),
        Value::Object(fields) if said.starts_with(FORM) => (FORM, form(fields)),
        Value::Object(fields) if said.starts_with(MULTIPART) => {
            // The same for each attempt, and in no part: that would take somebody who can invert the hash.
            let digest = Sha256::digest(format!("{key} {}", arguments.body));
            let boundary: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
            let kind = HeaderValue::from_str(&format!("{MULTIPART}; boundary={boundary}"))
                .map_err(|_| Failure::runtime("a boundary that is no header"))?;
            headers.insert(CONTENT_TYPE, kind);
            (MULTIPART, parts(fields, &boundary)?)
        }
        other => ("application/json", other.to_string().into_bytes()),
    };
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(default));
    Ok(Some(bytes))
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bytes(value: &Value, encoding: Encoding) -> Result<Vec<u8>, Failure> {
    match encoding {
        Encoding::Text => Ok(text(value).into_bytes()),
        Encoding::Base64 => STANDARD.decode(text(value).trim()).map_err(|error| {
            Failure::validation("what is to be sent is not base64").with_detail(error.to_string())
        }),
    }
}

fn form(fields: &Map<String, Value>) -> Vec<u8> {
    let Ok(mut form) = Url::parse("http://localhost") else { return Vec::new() };
    form.query_pairs_mut().extend_pairs(fields.iter().map(|(name, value)| (name, text(value))));
    form.query().unwrap_or_default().to_owned().into_bytes()
}

/// Each member is a part: a text, or a map with `content` and how to send it.
fn parts(fields: &Map<String, Value>, boundary: &str) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = match value {
            Value::Object(part) => serde_json::from_value(Value::Object(part.clone())).map_err(|error| {
                Failure::validation(format!("the part `{name}` of the body is not valid"))
                    .with_detail(error.to_string())
            })?,
            other => {
                Part { content: other.clone(), encoding: Encoding::Text, filename: None, content_type: None }
            }
        };
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"", escaped(name));
        if let Some(filename) = &part.filename {
            head.push_str(&format!("; filename=\"{}\"", escaped(filename)));
        }
        if let Some(kind) = &part.content_type {
            if kind.contains(['\r', '\n']) {
                return Err(Failure::validation(format!("the part `{name}` has no valid `contentType`")));
            }
            head.push_str(&format!("\r\nContent-Type: {kind}"));
        }
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(&bytes(&part.content, part.encoding)?);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(body)
}

/// As forms do it: what would end the name is written in another way.
fn escaped(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
