//! The rules for attributes, whichever way an event came in.

use serde_json::Value;

use super::error::{EventError, quoted, shorten};
use super::syntax::{is_media_type, is_rfc3339, is_uri, is_uri_reference};
use super::{CloudEvent, limits};

/// Collects attributes into an event, and checks each.
#[derive(Debug, Default)]
pub(super) struct Builder {
    id: Option<String>,
    source: Option<String>,
    kind: Option<String>,
    specversion: bool,
    /// The optional attributes, the extensions and the data are filled in here.
    rest: Rest,
    count: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Rest {
    subject: Option<String>,
    time: Option<String>,
    datacontenttype: Option<String>,
    dataschema: Option<String>,
    extensions: serde_json::Map<String, Value>,
}

impl Builder {
    /// Takes one attribute. A null counts as absent.
    pub(super) fn attribute(&mut self, name: String, value: Value) -> Result<(), EventError> {
        check_name(&name)?;
        if value.is_null() {
            return Ok(());
        }
        self.count += 1;
        self.bytes += name.len() + value.as_str().map_or(8, str::len);
        self.within_limits()?;
        match name.as_str() {
            "specversion" => {
                let version = text(&name, value)?;
                if version != "1.0" {
                    return Err(EventError::new(&name, "'1.0'", quoted(&version)));
                }
                self.specversion = true;
            }
            "id" => self.id = Some(text(&name, value)?),
            "source" => self.source = Some(checked(&name, value, "a URI reference", is_uri_reference)?),
            "type" => self.kind = Some(text(&name, value)?),
            "subject" => self.rest.subject = Some(text(&name, value)?),
            "time" => {
                let expected = "an RFC 3339 time such as 2026-01-31T08:30:00Z";
                self.rest.time = Some(checked(&name, value, expected, is_rfc3339)?);
            }
            "datacontenttype" => {
                let expected = "a media type such as application/json";
                self.rest.datacontenttype = Some(checked(&name, value, expected, is_media_type)?);
            }
            "dataschema" => self.rest.dataschema = Some(checked(&name, value, "an absolute URI", is_uri)?),
            _ => {
                let value = extension(&name, value)?;
                self.rest.extensions.insert(name, value);
            }
        }
        Ok(())
    }

    fn within_limits(&self) -> Result<(), EventError> {
        let (count, bytes) = (self.count, self.bytes);
        if count > limits::ATTRIBUTES {
            let found = format!("{count} or more");
            return Err(EventError::new("", format!("at most {} attributes", limits::ATTRIBUTES), found));
        }
        if bytes > limits::ATTRIBUTE_BYTES {
            let expected = format!("at most {} bytes of attributes", limits::ATTRIBUTE_BYTES);
            return Err(EventError::new("", expected, format!("{bytes} or more")));
        }
        Ok(())
    }

    /// The media type of the data, once its attribute was taken.
    pub(super) fn media_type(&self) -> Option<&str> {
        self.rest.datacontenttype.as_deref()
    }

    /// The event, if nothing is missing.
    pub(super) fn build(
        self,
        data: Option<Value>,
        data_base64: Option<String>,
    ) -> Result<CloudEvent, EventError> {
        let missing = |name: &str| EventError::new(name, "a non-empty string", "nothing");
        if !self.specversion {
            return Err(EventError::new("specversion", "'1.0'", "nothing"));
        }
        let Rest { subject, time, datacontenttype, dataschema, extensions } = self.rest;
        Ok(CloudEvent {
            id: self.id.ok_or_else(|| missing("id"))?,
            source: self.source.ok_or_else(|| missing("source"))?,
            kind: self.kind.ok_or_else(|| missing("type"))?,
            subject,
            time,
            datacontenttype,
            dataschema,
            data,
            data_base64,
            extensions,
        })
    }
}

fn check_name(name: &str) -> Result<(), EventError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if name.is_empty() || !name.bytes().all(plain) {
        let expected = "an attribute name of lower-case letters and digits only";
        return Err(EventError::new(name, expected, quoted(name)));
    }
    if name.len() > limits::NAME_BYTES {
        let expected = format!("an attribute name of at most {} characters", limits::NAME_BYTES);
        return Err(EventError::new(name, expected, name.len().to_string()));
    }
    Ok(())
}

/// What a JSON value is, in words.
pub(super) fn described(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(word) => word.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => quoted(text),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn text(name: &str, value: Value) -> Result<String, EventError> {
    match value {
        Value::String(text) if text.is_empty() => {
            Err(EventError::new(name, "a non-empty string", "an empty one"))
        }
        Value::String(text) => match text.chars().find(|c| c.is_control()) {
            Some(c) => Err(EventError::new(name, "no control characters", format!("U+{:04X}", u32::from(c)))),
            None => Ok(text),
        },
        other => Err(EventError::new(name, "a non-empty string", described(&other))),
    }
}

fn checked(name: &str, value: Value, expected: &str, good: fn(&str) -> bool) -> Result<String, EventError> {
    let text = text(name, value)?;
    match good(&text) {
        true => Ok(text),
        false => Err(EventError::new(name, expected, quoted(&text))),
    }
}

/// An extension is a string, a boolean or a 32-bit integer; the specification knows no other types.
fn extension(name: &str, value: Value) -> Result<Value, EventError> {
    match &value {
        Value::String(text) => match text.chars().find(|c| c.is_control()) {
            Some(c) => Err(EventError::new(name, "no control characters", format!("U+{:04X}", u32::from(c)))),
            None => Ok(value),
        },
        Value::Bool(_) => Ok(value),
        Value::Number(number) if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => Ok(value),
        other => {
            let expected = "a string, a boolean or a 32-bit integer";
            Err(EventError::new(name, expected, shorten(&described(other))))
        }
    }
}
