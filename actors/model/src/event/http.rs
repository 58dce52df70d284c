//! The HTTP binary mode of CloudEvents: attributes in headers, data in the body.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::CloudEvent;
use super::attribute::Builder;
use super::error::{EventError, quoted};
use super::syntax::is_json;

pub(super) fn read<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> Result<CloudEvent, EventError> {
    let mut builder = Builder::default();
    let mut seen: Vec<&str> = Vec::new();
    for (header, value) in headers {
        let name = match header {
            "content-type" => "datacontenttype",
            _ => match header.strip_prefix("ce-") {
                Some("datacontenttype") => {
                    let expected = "the media type in the Content-Type header";
                    return Err(EventError::new("datacontenttype", expected, "a ce-datacontenttype header"));
                }
                Some("data" | "data_base64") => {
                    return Err(EventError::new(
                        "data",
                        "the data in the body",
                        format!("a {header} header"),
                    ));
                }
                Some(name) => name,
                None => continue,
            },
        };
        // Beyond the limit on attributes the builder refuses, so this search stays short.
        if seen.contains(&name) {
            return Err(EventError::new(name, "one header", "several"));
        }
        seen.push(name);
        let text = match header {
            "content-type" => utf8(name, value.to_vec())?,
            _ => decode(name, value)?,
        };
        builder.attribute(name.to_owned(), Value::String(text))?;
    }
    let (data, data_base64) = read_body(body, builder.media_type())?;
    builder.build(data, data_base64)
}

fn read_body(body: &[u8], media_type: Option<&str>) -> Result<(Option<Value>, Option<String>), EventError> {
    if body.is_empty() {
        return Ok((None, None));
    }
    if is_json(media_type) {
        let data = serde_json::from_slice(body).map_err(|error| {
            let declared = media_type.map_or_else(|| "none, which means JSON".to_owned(), quoted);
            EventError::new(
                "data",
                format!("JSON in the body, as the Content-Type is {declared}"),
                error.to_string(),
            )
        })?;
        return Ok((Some(data), None));
    }
    match std::str::from_utf8(body) {
        Ok(text) => Ok((Some(Value::from(text)), None)),
        Err(_) => Ok((None, Some(BASE64_STANDARD.encode(body)))),
    }
}

fn utf8(name: &str, bytes: Vec<u8>) -> Result<String, EventError> {
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        EventError::new(name, "UTF-8 in the header", format!("something else at byte {at}"))
    })
}

/// Undoes a quoted string, then one round of percent-encoding, in this order (HTTP binding, 3.1.3.2).
fn decode(name: &str, value: &[u8]) -> Result<String, EventError> {
    let unquoted = match value {
        [b'"', inner @ .., b'"'] => unescape(inner),
        _ => value.to_vec(),
    };
    let mut decoded = Vec::with_capacity(unquoted.len());
    let mut bytes = unquoted.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        match (digit(), digit()) {
            (Some(high), Some(low)) => decoded.push((high * 16 + low) as u8),
            _ => {
                let found = "'%' without two hexadecimal digits; write %25 for a percent sign";
                return Err(EventError::new(name, "percent-encoding", found));
            }
        }
    }
    utf8(name, decoded)
}

fn unescape(inner: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next()),
            _ => plain.push(byte),
        }
    }
    plain
}
