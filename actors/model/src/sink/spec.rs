//! What a sink is to deliver, and where to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::definition::{AttributeMatch, EventFilter};
use crate::event::CloudEvent;
use crate::expression::{Expression, Fuel};
use crate::lifecycle;

/// The most filters of one sink.
const FILTERS_MAX: usize = 100;
/// The most headers of one sink.
const HEADERS_MAX: usize = 50;
/// The longest header, or URI, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;
/// The longest wait of a retry, in seconds.
const DELAY_SECONDS_MAX: u64 = 24 * 3_600;
/// The attributes in which a string that is anchored at both ends is a regular expression.
const MATCHED_BY_PATTERN: [&str; 3] = ["type", "source", "subject"];

/// What a sink is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SinkSpec {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where events are posted to: http or https.
    pub uri: String,
    /// Which events: those that one of these filters matches; all that tasks emit if there is none. Each is what `with` of
    /// an event filter is. Lifecycle events are those alone whose type a filter asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Map<String, Value>>,
    /// How they are written.
    #[serde(default)]
    pub mode: Mode,
    /// Further headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// As which runtime user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_user: Option<String>,
    /// The header with the HMAC-SHA256 of the body under the field `hmacKey` of the runtime user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_header: Option<String>,
    /// How long one attempt may take.
    #[serde(default = "timeout")]
    pub timeout_seconds: u64,
    /// How many are delivered at the same time. With 1, they are delivered in the order in which they came.
    #[serde(default = "one")]
    pub parallel: usize,
    /// How often, and after which waits, one is tried.
    #[serde(default)]
    pub retry: Retry,
    /// How many may wait.
    #[serde(default = "queue")]
    pub queue: usize,
    /// How many of those that could not be delivered are kept, and for how long.
    #[serde(default)]
    pub dead_letters: DeadLetters,
    /// Whether events come to it at all.
    #[serde(default = "enabled")]
    pub enabled: bool,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// The whole event is the body, in JSON.
    #[default]
    Structured,
    /// The data is the body, and the attributes are headers.
    Binary,
}

/// How often, and after which waits, a delivery is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// After so many attempts that failed it is given up.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// The first wait. Each one after it is twice as long, and each is shortened by chance, to a half at most.
    #[serde(default = "delay")]
    pub delay_seconds: u64,
    /// The longest wait.
    #[serde(default = "max_delay")]
    pub max_delay_seconds: u64,
}

/// What is kept of that which could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetters {
    /// How many.
    #[serde(default = "letters")]
    pub count: usize,
    /// For how many days.
    #[serde(default = "days")]
    pub days: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts: attempts(), delay_seconds: delay(), max_delay_seconds: max_delay() }
    }
}

impl Default for DeadLetters {
    fn default() -> Self {
        DeadLetters { count: letters(), days: days() }
    }
}

fn timeout() -> u64 {
    30
}

fn one() -> usize {
    1
}

fn queue() -> usize {
    1_000
}

fn attempts() -> u32 {
    12
}

fn delay() -> u64 {
    1
}

fn max_delay() -> u64 {
    600
}

fn letters() -> usize {
    1_000
}

fn days() -> u64 {
    7
}

fn enabled() -> bool {
    true
}

/// A filter of a sink.
#[derive(Clone, Debug)]
pub struct SinkFilter(EventFilter);

impl SinkSpec {
    /// Its filters.
    ///
    /// # Errors
    /// What was expected and found in the first that makes no sense.
    pub fn filters(&self) -> Result<Vec<SinkFilter>, String> {
        self.events.iter().map(filter).collect()
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn check(&self) -> Result<(), String> {
        let scheme = ["http://", "https://"].iter().any(|scheme| self.uri.starts_with(scheme));
        if !scheme || self.uri.len() > TEXT_BYTES_MAX || self.uri.contains(char::is_whitespace) {
            return Err(format!("uri: expected an http or https URI, found '{}'", shortened(&self.uri)));
        }
        if self.uri.contains('@') && self.uri.split('/').nth(2).is_some_and(|host| host.contains('@')) {
            return Err("uri: expected no credentials in it, found some: give a runtimeUser".to_owned());
        }
        for (name, value) in &self.headers {
            let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
            let lower = name.to_ascii_lowercase();
            if name.is_empty() || !name.chars().all(token) || value.len() > TEXT_BYTES_MAX {
                return Err(format!("headers: expected names and values of HTTP headers, found '{name}'"));
            }
            if lower.starts_with("ce-") || lower == "content-type" || lower == "authorization" {
                return Err(format!(
                    "headers: expected none that the event or the runtimeUser gives, found '{name}'"
                ));
            }
        }
        bound("headers", self.headers.len() as u64, 0, HEADERS_MAX as u64)?;
        bound("events", self.events.len() as u64, 0, FILTERS_MAX as u64)?;
        bound("timeoutSeconds", self.timeout_seconds, 1, 300)?;
        bound("parallel", self.parallel as u64, 1, 16)?;
        bound("queue", self.queue as u64, 1, 1_000)?;
        bound("retry.attempts", u64::from(self.retry.attempts), 1, 1_000)?;
        bound("retry.delaySeconds", self.retry.delay_seconds, 1, DELAY_SECONDS_MAX)?;
        bound("retry.maxDelaySeconds", self.retry.max_delay_seconds, 1, DELAY_SECONDS_MAX)?;
        bound("deadLetters.count", self.dead_letters.count as u64, 0, 1_000)?;
        bound("deadLetters.days", self.dead_letters.days, 1, 365)?;
        if self.signature_header.is_some() && (self.mode == Mode::Binary || self.runtime_user.is_none()) {
            return Err(
                "signatureHeader: expected the mode structured, of which the body is everything, and a \
                        runtimeUser with the field hmacKey"
                    .to_owned(),
            );
        }
        self.filters().map(drop)
    }

    /// The literal types that it asks for; nothing if a filter does not name one.
    pub fn types(&self) -> Option<Vec<String>> {
        let filters = self.filters().ok()?;
        let types: Option<Vec<String>> =
            filters.iter().map(|SinkFilter(filter)| filter.event_type().map(str::to_owned)).collect();
        types.filter(|types| !types.is_empty())
    }

    /// The types of lifecycle events that it asks for.
    pub fn lifecycle(&self) -> Vec<String> {
        let filters = self.filters().unwrap_or_default();
        let asks = |kind: &&&str| filters.iter().any(|SinkFilter(filter)| lifecycle::asks_for(filter, kind));
        lifecycle::TYPES.iter().filter(asks).map(|kind| (*kind).to_owned()).collect()
    }
}

fn bound(name: &str, found: u64, low: u64, high: u64) -> Result<(), String> {
    let good = (low..=high).contains(&found);
    good.then_some(()).ok_or_else(|| format!("{name}: expected a number from {low} to {high}, found {found}"))
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Whether one of the filters matches; without any, all that processes raise. What tells of instances or of the cluster itself
/// goes to those alone who ask for its type.
pub(super) fn wants(filters: &[SinkFilter], event: &CloudEvent) -> bool {
    let of_ours = lifecycle::is_lifecycle(&event.kind) || lifecycle::is_system(&event.kind);
    if filters.is_empty() {
        return !of_ours;
    }
    filters.iter().any(|SinkFilter(filter)| {
        (!of_ours || lifecycle::asks_for(filter, &event.kind))
            && filter.check(event, &mut Fuel(Fuel::PER_EXPRESSION)) == Ok(true)
    })
}

/// Reads what `with` of an event filter is.
fn filter(with: &Map<String, Value>) -> Result<SinkFilter, String> {
    if with.is_empty() {
        return Err("events: expected at least one attribute in a filter, found none".to_owned());
    }
    let mut attributes = Vec::new();
    for (name, value) in with {
        attributes.push((
            name.clone(),
            attribute(name, value).map_err(|found| format!("events: {name}: {found}"))?,
        ));
    }
    Ok(SinkFilter(EventFilter { attributes, correlate: Vec::new() }))
}

fn attribute(name: &str, value: &Value) -> Result<AttributeMatch, String> {
    let Value::String(text) = value else { return Ok(AttributeMatch::Equals(value.clone())) };
    if let Some(source) = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        let expression = Expression::parse(source, &[]).map_err(|error| error.to_string())?;
        return Ok(AttributeMatch::Predicate(expression));
    }
    if MATCHED_BY_PATTERN.contains(&name) && text.starts_with('^') && text.ends_with('$') {
        let pattern = regex::Regex::new(text).map_err(|error| {
            let reason = error.to_string();
            format!("expected a regular expression: {}", reason.lines().last().unwrap_or_default())
        })?;
        return Ok(AttributeMatch::Regex(pattern));
    }
    Ok(AttributeMatch::Equals(value.clone()))
}
