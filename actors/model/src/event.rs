//! CloudEvents 1.0.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One CloudEvent (specification 1.0.2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// `id`: unique with [`CloudEvent::source`].
    pub id: String,
    /// `source`, a URI reference.
    pub source: String,
    /// `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `time`, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// `datacontenttype`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// `dataschema`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataschema: Option<String>,
    /// `data`: JSON data, or text that is not JSON as a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// `data_base64`: binary data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_base64: Option<String>,
    /// Extension attributes.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub extensions: Map<String, Value>,
}

impl CloudEvent {
    /// The event as its JSON envelope (`specversion`, attributes, extensions, data side by side).
    pub fn envelope(&self) -> Value {
        Value::Null
    }
}
