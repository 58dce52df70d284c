//! Webhooks: requests of systems that know no CloudEvents, and the mapping that makes events of them.
//!
//! A mapping is a file of a pack, `webhooks/NAME.yaml`, for requests to `POST /hooks/NAME`: how the sender is verified, which
//! requests count, and by expressions what the event is. It is compiled when it is loaded, so that a mistake is told there.

mod mapping;
mod spec;
pub mod verify;

use std::collections::BTreeMap;

use impresario_model::definition::Template;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::mapping::Mapped;
pub use self::spec::{BodyKind, WebhookSpec};
use self::verify::Verifier;

/// A request as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Header names in lower case, and their values.
    pub headers: Vec<(String, String)>,
    /// The parameters behind the path.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: bytes::Bytes,
    /// When it came, in milliseconds since the Unix epoch.
    pub now: u64,
}

impl Delivery {
    /// The value of a header that is there once; none if it is missing, or there several times.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        only(&self.headers, |known| known.eq_ignore_ascii_case(name))
    }

    /// The value of a parameter that is there once.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        only(&self.query, |known| known == name)
    }
}

fn only(pairs: &[(String, String)], is: impl Fn(&str) -> bool) -> Option<&str> {
    let mut found = pairs.iter().filter(|(name, _)| is(name)).map(|(_, value)| value.as_str());
    found.next().filter(|_| found.next().is_none())
}

/// A webhook, ready to take requests.
#[derive(Clone, Debug)]
pub struct Webhook {
    name: String,
    verifier: Verifier,
    body: BodyKind,
    when: Option<Template>,
    each: Option<Template>,
    event: Vec<(String, Template)>,
    reply: Option<Template>,
}

/// A webhook as it is listed and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookSummary {
    /// Its name; it takes `POST /hooks/NAME`.
    pub name: String,
    /// Which pack has brought it.
    pub by: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How its senders are verified: `hmac`, `token` or `none`.
    pub verify: String,
    /// The whole mapping, where one webhook is shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Value>,
}

/// A request that is only tried: what would come of it?
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookTrial {
    /// Its headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Its parameters.
    #[serde(default)]
    pub query: BTreeMap<String, String>,
    /// Its body.
    #[serde(default)]
    pub body: String,
}

impl WebhookTrial {
    /// The request that it stands for.
    pub fn delivery(self, now: u64) -> Delivery {
        let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
        Delivery {
            headers: self.headers.into_iter().map(lower).collect(),
            query: self.query.into_iter().collect(),
            body: self.body.into(),
            now,
        }
    }
}

/// What a request would come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookFindings {
    /// Whether its sender would be believed.
    pub verified: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The events, in JSON form; none if the request is passed over.
    pub events: Vec<Value>,
    /// What would be answered, if the mapping says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Value>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum WebhookOutcome {
    /// There is no such webhook, or its sender is not believed. Whoever sent it is told no more.
    Unverified,
    /// Its events are durable.
    Accepted {
        /// How many; 0 if it was passed over.
        accepted: usize,
        /// Their tier.
        durability: String,
        /// What to answer, if the mapping says so.
        reply: Option<Value>,
    },
}

#[cfg(test)]
mod tests;
