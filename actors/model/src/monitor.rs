//! The state machine of a monitor: an adapter observes something for it, and what is observed becomes events.
//!
//! Each observation is one entry, with its event and with the place to go on from: so a crash never keeps the one
//! without the other, and what is observed again after it is recognised by the routers. When the adapter cannot go on,
//! the monitor waits longer each time, or, if it would only hear the same again, until something changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::chance::backoff;
use crate::definition::SecretField;
use crate::entry::MonitorEvent;
use crate::event::CloudEvent;
use crate::ids;
use crate::instance::{Effect, Moment};
use crate::language::secret_field;

/// The first wait after a failure, and the longest, in milliseconds.
const WAIT_MS: (u64, u64) = (1_000, 300_000);
/// What was observed for so long before it failed counts as having worked: the waits begin anew, in milliseconds.
const WORKED_MS: u64 = 60_000;
/// The largest arguments of a monitor, in bytes of JSON.
const ARGUMENTS_BYTES_MAX: usize = 64 << 10;
/// The largest event that is taken from an adapter, in bytes of its JSON: every trigger that it starts stores it again.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// What a monitor is to observe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MonitorSpec {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `ADAPTER/FUNCTION`, a function that is watched.
    pub function: String,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub arguments: Map<String, Value>,
    /// On which target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// As which runtime user; that of the target if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_user: Option<String>,
    /// What events are made of, where the adapter gives data alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventMaking>,
    /// Whether it observes at all.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Whether it goes on where it was when its arguments or target change. Otherwise it begins anew, as the place is one
    /// in what it observed before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_cursor: bool,
}

/// What an event is made of around data alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventMaking {
    /// Its type; `impresario.monitor.observed` if absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its source; `/monitors/NAME` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

fn enabled() -> bool {
    true
}

impl MonitorSpec {
    /// The adapter and the function of it.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn function(&self) -> Result<(&str, &str), String> {
        let parts = self.function.split_once('/');
        parts.filter(|(adapter, function)| !adapter.is_empty() && !function.is_empty()).ok_or_else(|| {
            format!("function: expected ADAPTER/FUNCTION such as file/file-watch, found '{}'", self.function)
        })
    }

    /// Whether it makes sense by itself.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn check(&self) -> Result<(), String> {
        self.function()?;
        let bytes = Value::Object(self.arguments.clone()).to_string().len();
        if bytes > ARGUMENTS_BYTES_MAX {
            return Err(format!("arguments: expected at most {ARGUMENTS_BYTES_MAX} bytes, found {bytes}"));
        }
        visit(&Value::Object(self.arguments.clone()), &mut String::new(), &mut |place, text| {
            let plain = !text.contains("$secrets")
                || !text.trim_start().starts_with("${")
                || secret_field(text).is_some();
            if plain {
                return Ok(());
            }
            Err(format!(
                "arguments: expected '${{ $secrets.NAME.FIELD }}' as the whole of {place}, found '{text}'"
            ))
        })?;
        // Whatever is made of data can only be wrong by what is said here.
        make("check", self.event.as_ref(), Value::Null, None)
            .map(drop)
            .map_err(|error| format!("event: {error}"))
    }

    /// Where its arguments name secrets, `${ $secrets.NAME.FIELD }`, by JSON pointer: a node puts the values there just before
    /// it has the adapter observe.
    pub fn secrets(&self) -> BTreeMap<String, SecretField> {
        let mut found = BTreeMap::new();
        let arguments = Value::Object(self.arguments.clone());
        let all = visit(&arguments, &mut String::new(), &mut |place, text| {
            found.extend(secret_field(text).map(|secret| (place.to_owned(), secret)));
            Ok(())
        });
        // The visitor above refuses nothing.
        all.map(|()| found).unwrap_or_default()
    }

    /// Whether the place in what this observes is one in what the other observes too.
    fn same_source(&self, other: &MonitorSpec) -> bool {
        self.function == other.function
            && (other.keep_cursor || (self.arguments == other.arguments && self.target == other.target))
    }
}

/// Shows each text in a value, with its JSON pointer.
fn visit(
    value: &Value,
    place: &mut String,
    each: &mut dyn FnMut(&str, &str) -> Result<(), String>,
) -> Result<(), String> {
    let length = place.len();
    match value {
        Value::String(text) => each(place, text),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(at, item)| {
            place.push_str(&format!("/{at}"));
            let shown = visit(item, place, each);
            place.truncate(length);
            shown
        }),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            place.push_str(&format!("/{}", name.replace('~', "~0").replace('/', "~1")));
            let shown = visit(member, place, each);
            place.truncate(length);
            shown
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// A monitor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    /// Its name.
    pub name: String,
    /// What it is to observe; nothing once it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<MonitorSpec>>,
    /// An operator has it rest.
    #[serde(default)]
    pub paused: bool,
    /// The version of the wish.
    #[serde(default)]
    pub version: u64,
    /// The version of the wish since which the place is one in what is observed now.
    #[serde(default)]
    pub since_version: u64,
    /// Where to go on: everything before it is durable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Value>,
    /// How it stands.
    #[serde(default)]
    pub standing: MonitorStanding,
    /// How often in a row it could not go on.
    #[serde(default)]
    pub failures: u32,
    /// Why it could not go on, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How many events it has raised, repetitions among them.
    #[serde(default)]
    pub events: u64,
    /// How much of what was observed was no event.
    #[serde(default)]
    pub invalid: u64,
    /// Why, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_last: Option<String>,
    /// How often it began to observe.
    #[serde(default)]
    pub begun: u64,
    /// When it last raised an event, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// When it was removed, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<u64>,
    /// The offset of the newest entry applied.
    #[serde(default)]
    pub applied: u64,
}

/// How a monitor stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MonitorStanding {
    /// It does not observe: it is removed, disabled or paused.
    #[default]
    Off,
    /// It observes, or waits for its adapter.
    Watching {
        /// Since when, in milliseconds since the Unix epoch.
        since: u64,
    },
    /// It could not go on, and begins again.
    Waiting {
        /// When, in milliseconds since the Unix epoch.
        until: u64,
    },
    /// It could not go on, and would not the next time: it waits for a change.
    Stuck {
        /// The version of the adapter that says so.
        adapter: String,
    },
}

/// What a node is to have observed for a monitor.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchOrder {
    /// The monitor.
    pub monitor: String,
    /// The version of the wish.
    pub version: u64,
    /// What to observe.
    pub spec: MonitorSpec,
    /// Where to go on.
    pub cursor: Option<Value>,
    /// Nothing is observed as long as the adapter is of this version, which has refused.
    pub not_with: Option<String>,
}

impl Monitor {
    /// A monitor of which nothing is wanted yet.
    pub fn new(name: &str) -> Self {
        Monitor { name: name.to_owned(), ..Monitor::default() }
    }

    /// Applies one entry.
    pub fn apply(&mut self, event: &MonitorEvent, moment: Moment) -> Vec<Effect> {
        if moment.offset <= self.applied {
            return Vec::new();
        }
        self.applied = moment.offset;
        match event {
            MonitorEvent::Want { spec, paused, version } => {
                self.want(spec.as_deref(), *paused, *version, moment.now)
            }
            MonitorEvent::Observed { version, event, cursor, invalid } => {
                if cursor.is_some() && *version >= self.since_version && self.spec.is_some() {
                    self.cursor.clone_from(cursor);
                }
                if let Some(invalid) = invalid {
                    self.invalid += 1;
                    self.invalid_last = Some(invalid.clone());
                }
                // Its source may have forgotten it already, so it counts whatever is wanted by now.
                let Some(event) = event else { return Vec::new() };
                self.events += 1;
                self.last = Some(moment.now);
                vec![Effect::Emit(event.clone())]
            }
            MonitorEvent::Ended { version, problem, lasting } => {
                self.ended(*version, problem, lasting.as_deref(), moment)
            }
            MonitorEvent::Again => match self.standing {
                MonitorStanding::Waiting { .. } | MonitorStanding::Stuck { .. } => self.begin(moment.now),
                MonitorStanding::Off | MonitorStanding::Watching { .. } => Vec::new(),
            },
            MonitorEvent::Timer => match self.standing {
                MonitorStanding::Waiting { until } if until <= moment.now => self.begin(moment.now),
                MonitorStanding::Waiting { .. }
                | MonitorStanding::Off
                | MonitorStanding::Watching { .. }
                | MonitorStanding::Stuck { .. } => Vec::new(),
            },
        }
    }

    fn want(&mut self, spec: Option<&MonitorSpec>, paused: bool, version: u64, now: u64) -> Vec<Effect> {
        if version <= self.version {
            return Vec::new();
        }
        self.version = version;
        let same = matches!((&self.spec, spec), (Some(before), Some(after)) if before.same_source(after));
        if !same {
            self.cursor = None;
            self.since_version = version;
        }
        self.spec = spec.cloned().map(Box::new);
        self.paused = paused;
        self.removed = spec.is_none().then_some(now);
        self.failures = 0;
        self.problem = None;
        self.begin(now)
    }

    /// Begins to observe, if that is wanted.
    fn begin(&mut self, now: u64) -> Vec<Effect> {
        if !self.spec.as_ref().is_some_and(|spec| spec.enabled) || self.paused {
            self.standing = MonitorStanding::Off;
            return vec![Effect::Unwatch];
        }
        self.standing = MonitorStanding::Watching { since: now };
        self.begun += 1;
        self.order().map(|order| Effect::Watch(Box::new(order))).into_iter().collect()
    }

    fn ended(&mut self, version: u64, problem: &str, lasting: Option<&str>, moment: Moment) -> Vec<Effect> {
        let MonitorStanding::Watching { since } = self.standing else { return Vec::new() };
        if version != self.version {
            return Vec::new();
        }
        if moment.now.saturating_sub(since) >= WORKED_MS {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.problem = Some(problem.to_owned());
        match lasting {
            Some(adapter) => {
                self.standing = MonitorStanding::Stuck { adapter: adapter.to_owned() };
                self.order().map(|order| Effect::Watch(Box::new(order))).into_iter().collect()
            }
            None => {
                let wait = backoff(moment.offset, self.failures, WAIT_MS.0, WAIT_MS.1);
                self.standing = MonitorStanding::Waiting { until: moment.now + wait };
                Vec::new()
            }
        }
    }

    /// What a node has to have observed now, for this owner or the next.
    pub fn order(&self) -> Option<WatchOrder> {
        let not_with = match &self.standing {
            MonitorStanding::Watching { .. } => None,
            MonitorStanding::Stuck { adapter } => Some(adapter.clone()),
            MonitorStanding::Off | MonitorStanding::Waiting { .. } => return None,
        };
        let spec = self.spec.as_deref()?.clone();
        let (monitor, cursor) = (self.name.clone(), self.cursor.clone());
        Some(WatchOrder { monitor, version: self.version, spec, cursor, not_with })
    }

    /// When it begins again, in milliseconds since the Unix epoch.
    pub fn due(&self) -> Option<u64> {
        match self.standing {
            MonitorStanding::Waiting { until } => Some(until),
            MonitorStanding::Off | MonitorStanding::Watching { .. } | MonitorStanding::Stuck { .. } => None,
        }
    }

    /// A word for how it stands.
    pub fn word(&self) -> &'static str {
        match self.standing {
            MonitorStanding::Off if self.spec.is_none() => "removed",
            MonitorStanding::Off if self.paused => "paused",
            MonitorStanding::Off => "disabled",
            MonitorStanding::Watching { .. } => "watching",
            MonitorStanding::Waiting { .. } => "failing",
            MonitorStanding::Stuck { .. } => "stuck",
        }
    }
}

/// The event that was observed: as the adapter gives it, or made around data alone. The same observation gives the same
/// event every time.
///
/// # Errors
/// What was expected and found.
pub fn make(
    monitor: &str,
    making: Option<&EventMaking>,
    observed: Value,
    cursor: Option<&Value>,
) -> Result<CloudEvent, String> {
    let envelope = if observed.get("specversion").is_some() {
        observed
    } else {
        let none = EventMaking::default();
        let making = making.unwrap_or(&none);
        let place = cursor.map(Value::to_string).unwrap_or_default();
        let mut envelope = json!({
            "specversion": "1.0",
            "id": ids::event_of_monitor(monitor, &observed.to_string(), &place),
            "source": making.source.clone().unwrap_or_else(|| format!("/monitors/{monitor}")),
            "type": making.kind.as_deref().unwrap_or("impresario.monitor.observed"),
            "datacontenttype": "application/json",
        });
        envelope["data"] = observed;
        if let Some(subject) = &making.subject {
            envelope["subject"] = json!(subject);
        }
        envelope
    };
    let bytes = envelope.to_string().len();
    if bytes > EVENT_BYTES_MAX {
        return Err(format!("expected an event of at most {EVENT_BYTES_MAX} bytes, found {bytes}"));
    }
    CloudEvent::from_json(envelope).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
