//! The arguments of the functions and monitors.

use std::time::Duration;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::arguments::octal;

/// How many bytes are read unless the call says otherwise.
pub(super) const READ_LIMIT: u64 = 1024 * 1024;
/// How many it may ask for. In base64 they still fit into a line of the protocol.
pub(super) const READ_LIMIT_MAX: u64 = 8 * 1024 * 1024;
/// How many files a list names unless the call says otherwise, and at most.
pub(super) const LIST_LIMIT: usize = 1000;
pub(super) const LIST_LIMIT_MAX: usize = 10_000;
pub(super) const INTERVAL_SECONDS: f64 = 5.0;
pub(super) const INTERVAL_SECONDS_MAX: f64 = 3600.0;

/// What bytes are read as, and written from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Text,
    Json,
    Base64,
}

/// What to do about a file that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Existing {
    /// Take its place, if there is one.
    #[default]
    Replace,
    /// There must be none.
    Refuse,
    /// There must be one.
    Require,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Read {
    pub(super) path: String,
    pub(super) root: Option<String>,
    #[serde(default = "text", rename = "as")]
    pub(super) form: Form,
    #[serde(default)]
    pub(super) offset: u64,
    /// Exactly so many, or as many as there are; without it, all, and more than the limit is a failure.
    pub(super) length: Option<u64>,
    #[serde(default = "read_limit")]
    pub(super) limit: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Write {
    pub(super) path: String,
    pub(super) root: Option<String>,
    pub(super) content: Value,
    /// By default a string is text, and anything else JSON.
    #[serde(rename = "as")]
    pub(super) form: Option<Form>,
    #[serde(default)]
    pub(super) existing: Existing,
    #[serde(default, deserialize_with = "mode")]
    pub(super) mode: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Append {
    pub(super) path: String,
    pub(super) root: Option<String>,
    pub(super) content: Value,
    #[serde(rename = "as")]
    pub(super) form: Option<Form>,
    /// Whether a missing file is made.
    #[serde(default = "yes")]
    pub(super) create: bool,
    #[serde(default, deserialize_with = "mode")]
    pub(super) mode: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Move {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) root: Option<String>,
    /// Whether what is at the new place may be replaced.
    #[serde(default)]
    pub(super) replace: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Delete {
    pub(super) path: String,
    pub(super) root: Option<String>,
    /// Whether it is no failure that there is none.
    #[serde(default)]
    pub(super) missing_ok: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct List {
    pub(super) folder: String,
    pub(super) root: Option<String>,
    #[serde(default = "everything")]
    pub(super) pattern: String,
    #[serde(default = "list_limit")]
    pub(super) limit: usize,
}

/// Of both monitors: what is there when a watch begins for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Initial {
    /// It is not new.
    #[default]
    Skip,
    /// It is told as if it were new.
    Tell,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Watch {
    pub(super) folder: String,
    pub(super) root: Option<String>,
    #[serde(default = "everything")]
    pub(super) pattern: String,
    #[serde(default)]
    pub(super) initial: Initial,
    /// Whether a file is told of only once it did not change for an interval: half a file is of no use.
    #[serde(default = "yes")]
    pub(super) settled: bool,
    #[serde(default = "interval", deserialize_with = "seconds", rename = "intervalSeconds")]
    pub(super) interval: Duration,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Follow {
    pub(super) path: String,
    pub(super) root: Option<String>,
    #[serde(default)]
    pub(super) initial: Initial,
    #[serde(default = "interval", deserialize_with = "seconds", rename = "intervalSeconds")]
    pub(super) interval: Duration,
}

fn text() -> Form {
    Form::Text
}

fn read_limit() -> u64 {
    READ_LIMIT
}

fn list_limit() -> usize {
    LIST_LIMIT
}

fn yes() -> bool {
    true
}

fn everything() -> String {
    "*".to_owned()
}

fn interval() -> Duration {
    Duration::from_secs_f64(INTERVAL_SECONDS)
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let seconds = f64::deserialize(deserializer)?;
    if (0.1..=INTERVAL_SECONDS_MAX).contains(&seconds) {
        return Ok(Duration::from_secs_f64(seconds));
    }
    let reason = format!("`intervalSeconds` is {seconds}, expected 0.1 to {INTERVAL_SECONDS_MAX}");
    Err(D::Error::custom(reason))
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    octal("mode", 0o7777, "0640", deserializer)
}
