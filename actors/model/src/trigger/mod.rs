//! The state machine of a trigger monitor: watches for an event or a time, and starts instances.
//!
//! An instance's id is derived from what fired it (the event's source and id, or the nominal time), so a
//! trigger that fires twice for one cause starts one instance.

mod describe;
mod events;
mod history;
mod orders;
mod schedule;
mod sets;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::describe::{describe, millis_words};
pub use self::events::{FUEL_PER_EVENT, Matched, MatchedFilter, match_event};
pub use self::history::{Cause, Fire, HISTORY_MAX, Passed};
pub use self::orders::Paused;
pub use self::sets::{EventSet, HeldEvent, SET_EVENTS_MAX, SETS_BYTES_MAX, Waiting};
use crate::definition::{Definition, DefinitionId, TriggerSpec, key_text};
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
    /// Who paused it and why, while it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// What its events were gathered by, as text: sets of another definition of them mean nothing.
    #[serde(default)]
    pub gathers: String,
    /// The events that wait for others.
    #[serde(default)]
    pub waiting: Waiting,
    /// The times of its newest fires, for its limit of them, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub pace: std::collections::VecDeque<u64>,
    /// How many events matched.
    #[serde(default)]
    pub matched: u64,
    /// What matched, or was complete, and started nothing.
    #[serde(default)]
    pub passed: Passed,
    /// Its newest fires, newest last.
    #[serde(default)]
    pub history: std::collections::VecDeque<Fire>,
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
            paused: None,
            gathers: String::new(),
            waiting: Waiting::default(),
            pace: std::collections::VecDeque::new(),
            matched: 0,
            passed: Passed::default(),
            history: std::collections::VecDeque::new(),
            applied: 0,
        }
    }

    /// When it has to be woken next, in milliseconds since the Unix epoch. What it misses while it is paused it makes up
    /// for as its definition says.
    pub fn due(&self) -> Option<u64> {
        self.next.filter(|_| self.paused.is_none())
    }

    /// The definition that an entry needs: the one it arms with, or else the one it is armed with.
    pub fn needs<'a>(&'a self, event: &'a TriggerEvent) -> Option<&'a DefinitionId> {
        match event {
            TriggerEvent::Arm { definition, .. } => Some(definition),
            TriggerEvent::Disarm | TriggerEvent::Pause { .. } | TriggerEvent::Resume => None,
            TriggerEvent::Timer
            | TriggerEvent::Event(_)
            | TriggerEvent::Ended { .. }
            | TriggerEvent::Fire(_) => self.definition.as_ref(),
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
                    paused: self.paused.take(),
                    history: std::mem::take(&mut self.history),
                    ..Trigger::new(&self.name)
                };
                Vec::new()
            }
            TriggerEvent::Timer => match spec {
                Some(spec) if self.paused.is_none() => self.fire_due(spec, moment.now),
                _ => Vec::new(),
            },
            TriggerEvent::Event(event) => {
                spec.map_or_else(Vec::new, |spec| self.on_event(spec, event, moment.now))
            }
            TriggerEvent::Pause { reason, by } => {
                self.pause(reason.as_deref(), by.as_deref(), moment.now);
                Vec::new()
            }
            TriggerEvent::Resume => {
                self.paused = None;
                Vec::new()
            }
            TriggerEvent::Fire(order) => {
                spec.map_or_else(Vec::new, |_| vec![self.fire_by_hand(order, moment.now)])
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
        self.regather(definition);
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

    /// Forgets the events that wait for others if the definition now says otherwise what belongs together.
    fn regather(&mut self, definition: &Definition) {
        let document = &definition.document;
        let written = [
            document.pointer("/schedule/on"),
            document.pointer("/schedule/read"),
            document.pointer("/document/metadata/ops/triggers"),
        ];
        let gathers = key_text(&json!(written));
        if gathers != self.gathers {
            self.passed.dropped += self.waiting.clear();
            self.pace.clear();
            self.gathers = gathers;
        }
    }

    /// Starts an instance.
    fn fire(&mut self, instance: &str, input: Value, cause: &Cause<'_>, now: u64) -> Message {
        self.fired += 1;
        self.last = Some(now);
        self.remember(instance, cause, now);
        let started_by = match cause {
            Cause::Time(_) | Cause::Events { .. } => format!("trigger {}", self.name),
            // Not the trigger by itself: an `after` schedule does not wait for it.
            Cause::Hand { by: Some(by) } => format!("{by} through trigger {}", self.name),
            Cause::Hand { by: None } => format!("operator through trigger {}", self.name),
        };
        let start = StartEvent {
            // Armed triggers have a definition; a start without one is refused by the process.
            definition: self.definition.clone().unwrap_or_else(|| DefinitionId {
                namespace: String::new(),
                name: String::new(),
                version: String::new(),
            }),
            input,
            started_by,
            key: None,
            runtime: self.runtime.clone(),
            rerun: None,
        };
        Message { to: ActorId::process(instance), body: Body::Process(ProcessEvent::Start(Box::new(start))) }
    }
}
