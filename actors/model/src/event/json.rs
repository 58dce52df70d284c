//! The JSON format of CloudEvents: one event, a batch, and back.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value};

use super::attribute::{Builder, described};
use super::error::{EventError, quoted};
use super::syntax::is_json;
use super::{CloudEvent, limits};

pub(super) fn read(value: Value) -> Result<CloudEvent, EventError> {
    let Value::Object(members) = value else {
        return Err(EventError::new("", "a JSON object", described(&value)));
    };
    let mut builder = Builder::default();
    let (mut data, mut data_base64) = (None, None);
    for (name, value) in members {
        match name.as_str() {
            _ if value.is_null() && matches!(name.as_str(), "data" | "data_base64") => {}
            "data" => data = Some(value),
            "data_base64" => data_base64 = Some(base64(value)?),
            _ => builder.attribute(name, value)?,
        }
    }
    if data.is_some() && data_base64.is_some() {
        return Err(EventError::new("data", "either data or data_base64", "both"));
    }
    if let (Some(value), false) = (&data, is_json(builder.media_type()))
        && !value.is_string()
    {
        let media_type = builder.media_type().unwrap_or_default();
        let expected = format!("a string, as datacontenttype is {}", quoted(media_type));
        return Err(EventError::new("data", expected, described(value)));
    }
    builder.build(data, data_base64)
}

fn base64(value: Value) -> Result<String, EventError> {
    let expected = "a string of base64 with padding";
    match value {
        Value::String(text) => match BASE64_STANDARD.decode(&text) {
            Ok(_) => Ok(text),
            Err(error) => {
                Err(EventError::new("data_base64", expected, format!("{}: {error}", quoted(&text))))
            }
        },
        other => Err(EventError::new("data_base64", expected, described(&other))),
    }
}

pub(super) fn read_batch(value: Value) -> Result<Vec<CloudEvent>, EventError> {
    let Value::Array(events) = value else {
        return Err(EventError::new("", "a JSON array of events", described(&value)));
    };
    if events.len() > limits::BATCH {
        let expected = format!("at most {} events in a batch", limits::BATCH);
        return Err(EventError::new("", expected, events.len().to_string()));
    }
    let place = |(index, event)| read(event).map_err(|error| EventError { index: Some(index), ..error });
    events.into_iter().enumerate().map(place).collect()
}

pub(super) fn write(event: CloudEvent) -> Value {
    let CloudEvent {
        id,
        source,
        kind,
        subject,
        time,
        datacontenttype,
        dataschema,
        data,
        data_base64,
        extensions,
    } = event;
    let mut envelope = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            envelope.insert(name.to_owned(), value);
        }
    };
    put("specversion", Some(Value::from("1.0")));
    put("id", Some(Value::String(id)));
    put("source", Some(Value::String(source)));
    put("type", Some(Value::String(kind)));
    put("subject", subject.map(Value::String));
    put("time", time.map(Value::String));
    put("datacontenttype", datacontenttype.map(Value::String));
    put("dataschema", dataschema.map(Value::String));
    for (name, value) in extensions {
        put(&name, Some(value));
    }
    put("data", data);
    put("data_base64", data_base64.map(Value::String));
    Value::Object(envelope)
}
