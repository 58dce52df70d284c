//! CloudEvents 1.0: the type, and the three ways in (JSON, a JSON batch, HTTP binary mode).
//!
//! Nothing invalid gets past this door: each error names the attribute, what was expected and what was found.
//! An event that was read is whole and within [`limits`], so nobody behind the door checks it again.

mod attribute;
mod error;
mod http;
mod json;
mod syntax;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::error::EventError;
pub(crate) use self::syntax::is_json;

/// What an event may hold at most.
pub mod limits {
    /// Attributes, extensions included.
    pub const ATTRIBUTES: usize = 64;
    /// Bytes of one attribute's name.
    pub const NAME_BYTES: usize = 64;
    /// Bytes of all attributes together, names included: the size that every intermediary has to forward.
    pub const ATTRIBUTE_BYTES: usize = 64 * 1024;
    /// Events of one batch.
    pub const BATCH: usize = 10_000;
}

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
    /// Reads an event in JSON format (structured mode). Takes the value apart, copies nothing.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_json(value: Value) -> Result<CloudEvent, EventError> {
        json::read(value)
    }

    /// Reads a batch in JSON format. All events are good, or none is answered.
    ///
    /// # Errors
    /// The first thing that is wrong with the first bad event, with its place in the batch.
    pub fn batch_from_json(value: Value) -> Result<Vec<CloudEvent>, EventError> {
        json::read_batch(value)
    }

    /// Reads an event in HTTP binary mode: attributes in `ce-*` headers, the data in the body.
    ///
    /// Header names are expected in lower case; other headers than `ce-*` and `content-type` are passed over.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_http<'a>(
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
        body: &[u8],
    ) -> Result<CloudEvent, EventError> {
        http::read(headers, body)
    }

    /// The event as its JSON envelope (`specversion`, attributes, extensions, data side by side).
    pub fn envelope(&self) -> Value {
        self.clone().into_envelope()
    }

    /// About how many bytes its JSON has.
    pub fn approximate_bytes(&self) -> usize {
        let texts = [&self.subject, &self.time, &self.datacontenttype, &self.dataschema, &self.data_base64];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        let extensions = self
            .extensions
            .iter()
            .map(|(name, value)| name.len() + crate::instance::approximate_bytes(value));
        let data = self.data.as_ref().map_or(0, crate::instance::approximate_bytes);
        self.id.len() + self.source.len() + self.kind.len() + texts + extensions.sum::<usize>() + data
    }

    /// [`CloudEvent::envelope`] without a copy.
    pub fn into_envelope(self) -> Value {
        json::write(self)
    }
}
