//! The state machine of a trigger monitor: watches for an event or a time, and starts instances.
//!
//! An instance's id is derived from what fired it (the event's source and id, or the nominal time), so a
//! trigger that fires twice for one cause starts one instance.

mod events;
mod schedule;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::{Definition, DefinitionId, TriggerSpec, Watch};
use crate::entry::{Body, Message, ProcessEvent, StartEvent, TriggerEvent};
use crate::ids::ActorId;
use crate::instance::Moment;

/// A trigger monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// The definition it starts; none when it is disarmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<DefinitionId>,
    /// The version of the program that armed it.
    #[serde(default)]
    pub runtime: String,
    /// What it watches, as text: a schedule that is armed anew with the same text keeps its rhythm.
    #[serde(default)]
    pub watches: String,
    /// The next nominal time, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// How often it fired.
    #[serde(default)]
    pub fired: u64,
    /// When it fired last, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// How many nominal times it looked at and skipped because they were missed.
    #[serde(default)]
    pub skipped: u64,
    /// The instance whose end an `after` schedule waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Why it cannot watch, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The offset of the newest entry applied.
    pub applied: u64,
}

impl Trigger {
    /// A trigger that watches nothing yet.
    pub fn new(name: &str) -> Self {
        Trigger {
            name: name.to_owned(),
            definition: None,
            runtime: String::new(),
            watches: String::new(),
            next: None,
            fired: 0,
            last: None,
            skipped: 0,
            waits_for: None,
            problem: None,
            applied: 0,
        }
    }

    /// The definition that an entry needs: the one it arms with, or else the one it is armed with.
    pub fn needs<'a>(&'a self, event: &'a TriggerEvent) -> Option<&'a DefinitionId> {
        match event {
            TriggerEvent::Arm { definition, .. } => Some(definition),
            TriggerEvent::Disarm => None,
            TriggerEvent::Timer | TriggerEvent::Event(_) | TriggerEvent::Ended { .. } => {
                self.definition.as_ref()
            }
        }
    }

    /// Applies one entry; `definition` is the one that [`Trigger::needs`] names, if it is known.
    pub fn apply(
        &mut self,
        event: &TriggerEvent,
        definition: Option<&Definition>,
        moment: Moment,
    ) -> Vec<Message> {
        if moment.offset <= self.applied {
            return Vec::new();
        }
        self.applied = moment.offset;
        let spec = definition.and_then(|definition| {
            definition.triggers.iter().find(|spec| spec.name == self.name).map(|spec| (definition, spec))
        });
        match event {
            TriggerEvent::Arm { definition: id, runtime } => {
                self.definition = Some(id.clone());
                self.runtime.clone_from(runtime);
                self.arm(spec, moment.now);
                Vec::new()
            }
            TriggerEvent::Disarm => {
                *self = Trigger {
                    fired: self.fired,
                    last: self.last,
                    applied: self.applied,
                    ..Trigger::new(&self.name)
                };
                Vec::new()
            }
            TriggerEvent::Timer => spec.map_or_else(Vec::new, |spec| self.fire_due(spec, moment.now)),
            TriggerEvent::Event(event) => {
                spec.map_or_else(Vec::new, |(_, spec)| self.on_event(spec, event, moment.now))
            }
            TriggerEvent::Ended { instance } => {
                if self.waits_for.as_ref() == Some(instance) {
                    self.waits_for = None;
                    self.next = spec.and_then(|(_, spec)| schedule::after(spec, moment.now));
                }
                Vec::new()
            }
        }
    }

    fn arm(&mut self, spec: Option<(&Definition, &TriggerSpec)>, now: u64) {
        let Some((definition, spec)) = spec else {
            self.problem = Some("its definition has no such trigger".to_owned());
            self.next = None;
            return;
        };
        self.problem = None;
        let watches = describe(definition, &spec.watch);
        let same = self.watches == watches && (self.next.is_some() || self.waits_for.is_some());
        self.watches = watches;
        if same {
            return;
        }
        self.waits_for = None;
        match schedule::first(definition, &spec.watch, now) {
            Ok(next) => self.next = next,
            Err(problem) => {
                self.next = None;
                self.problem = Some(problem);
            }
        }
    }

    fn start(&mut self, instance: &str, input: Value, now: u64) -> Message {
        self.fired += 1;
        self.last = Some(now);
        let start = StartEvent {
            // Armed triggers have a definition; a start without one is refused by the process.
            definition: self.definition.clone().unwrap_or_else(|| DefinitionId {
                namespace: String::new(),
                name: String::new(),
                version: String::new(),
            }),
            input,
            started_by: format!("trigger {}", self.name),
            key: None,
            runtime: self.runtime.clone(),
            rerun: None,
        };
        Message { to: ActorId::process(instance), body: Body::Process(ProcessEvent::Start(Box::new(start))) }
    }
}

/// What a trigger watches, in words.
pub fn describe(definition: &Definition, watch: &Watch) -> String {
    match watch {
        Watch::Every(delay) => format!("every {}", delay_words(delay)),
        Watch::After(delay) => format!("{} after it ended", delay_words(delay)),
        Watch::Cron(pattern) => {
            format!("cron '{pattern}' in {}", definition.ops.time_zone.as_deref().unwrap_or("UTC"))
        }
        Watch::Event(filters) => {
            let types: Vec<&str> =
                filters.iter().map(|filter| filter.event_type().unwrap_or("any type")).collect();
            if types.is_empty() { "every event".to_owned() } else { format!("event {}", types.join(" or ")) }
        }
        Watch::Unsupported(what) => format!("{what} (not supported by this version)"),
    }
}

fn delay_words(delay: &crate::definition::Delay) -> String {
    match delay {
        crate::definition::Delay::Millis(millis) if millis % 1000 == 0 => {
            let seconds = millis / 1000;
            match seconds {
                s if s % 86_400 == 0 && s > 0 => format!("{} d", s / 86_400),
                s if s % 3_600 == 0 && s > 0 => format!("{} h", s / 3_600),
                s if s % 60 == 0 && s > 0 => format!("{} min", s / 60),
                s => format!("{s} s"),
            }
        }
        crate::definition::Delay::Millis(millis) => format!("{millis} ms"),
        crate::definition::Delay::Calendar(span) => span.to_string(),
        crate::definition::Delay::Expression(expression) => expression.source().to_owned(),
    }
}
