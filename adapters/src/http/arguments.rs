//! The arguments of `request`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::tls::Tls;
use crate::arguments::{Text, at_most, seconds};

/// How long a request may take, unless the definition says otherwise.
pub(super) const TIMEOUT_SECONDS: f64 = 60.0;
/// How long it may ask for at most.
pub(super) const TIMEOUT_SECONDS_MAX: f64 = 3600.0;
/// How long an answer's body may be. In base64, and with its wrapping, it still fits into a line of the protocol.
pub(super) const OUTPUT_LIMIT: usize = 8 * 1024 * 1024;

/// How many redirections are followed, unless the definition says otherwise.
pub(super) const REDIRECTS: u32 = 10;
/// How many it may ask for at most.
pub(super) const REDIRECTS_MAX: u32 = 30;

/// How bytes are written as a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    #[default]
    Text,
    Base64,
}

/// What a request answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Output {
    #[default]
    Content,
    Raw,
    Response,
}

/// The arguments of `request`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestArguments {
    pub(super) method: String,
    pub(super) uri: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Text>,
    #[serde(default)]
    pub(super) query: Map<String, Value>,
    #[serde(default)]
    pub(super) body: Value,
    #[serde(default)]
    pub(super) body_encoding: Encoding,
    #[serde(default)]
    pub(super) output: Output,
    #[serde(default)]
    pub(super) redirect: bool,
    #[serde(default = "redirect_limit", deserialize_with = "few")]
    pub(super) redirect_limit: u32,
    #[serde(default)]
    pub(super) authentication: Value,
    #[serde(default)]
    pub(super) tls: Tls,
    #[serde(default = "timeout", deserialize_with = "within_bounds", rename = "timeoutSeconds")]
    pub(super) timeout: Duration,
    #[serde(default = "output_limit", deserialize_with = "limited")]
    pub(super) output_limit: usize,
}

/// Whether redirections are followed, and how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Redirect {
    pub(super) follow: bool,
    pub(super) limit: u32,
}

impl RequestArguments {
    pub(super) fn redirections(&self) -> Redirect {
        Redirect { follow: self.redirect, limit: self.redirect_limit }
    }
}

fn redirect_limit() -> u32 {
    REDIRECTS
}

fn few<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    at_most("redirectLimit", REDIRECTS_MAX, deserializer)
}

fn timeout() -> Duration {
    Duration::from_secs_f64(TIMEOUT_SECONDS)
}

fn within_bounds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Ok(seconds("timeoutSeconds", TIMEOUT_SECONDS_MAX, deserializer)?.unwrap_or_else(timeout))
}

fn output_limit() -> usize {
    OUTPUT_LIMIT
}

fn limited<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    at_most("outputLimit", OUTPUT_LIMIT, deserializer)
}
