//! The state machine of a trigger monitor: watches for an event or a time, and starts instances.
//!
//! An instance's id is derived from what fired it (the event's source and id, or the nominal time), so a
//! trigger that fires twice for one cause starts one instance.

mod catch_up;
mod describe;
mod events;
mod history;
mod orders;
mod schedule;
mod sets;
mod times;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::catch_up::{Choice, FIRES_PER_TURN, GRACE_MS, MISSED_MAX, Missed, Owed, PACE_MS, Plan};
pub use self::describe::{describe, millis_words};
pub use self::events::{FUEL_PER_EVENT, Matched, MatchedFilter, match_event};
pub use self::history::{Cause, Fire, HISTORY_MAX, Passed};
pub use self::orders::Paused;
pub use self::sets::{EventSet, HeldEvent, SET_EVENTS_MAX, SETS_BYTES_MAX, Waiting};
use crate::calendar::Calendar;
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
    /// Which deployment armed or disarmed it last.
    #[serde(default)]
    pub generation: u64,
    /// The version of the program that armed it.
    #[serde(default)]
    pub runtime: String,
    /// What it watches, as text: a schedule that is armed anew with the same text keeps its rhythm.
    #[serde(default)]
    pub watches: String,
    /// The calendar that its definition names, as it was when it was armed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
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
    /// What it missed at the last stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Missed>,
    /// Missed times that an operator is to decide about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// Missed times that it is making up for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Owed>,
    /// The instance whose end an `after` schedule waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Why it cannot watch, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Since when it is paused and why, while it is.
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
            generation: 0,
            runtime: String::new(),
            watches: String::new(),
            calendar: None,
            next: None,
            fired: 0,
            last: None,
            skipped: 0,
            missed: None,
            plan: None,
            owed: None,
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
        self.time_due().filter(|_| self.paused.is_none())
    }

    /// The definition that an entry needs: the one it arms with, or else the one it is armed with.
    pub fn needs<'a>(&'a self, event: &'a TriggerEvent) -> Option<&'a DefinitionId> {
        match event {
            TriggerEvent::Arm { definition, .. } => Some(definition),
            TriggerEvent::Disarm
            | TriggerEvent::Retire { .. }
            | TriggerEvent::Approve { .. }
            | TriggerEvent::Pause { .. }
            | TriggerEvent::Resume => None,
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
            // Nodes that deploy at the same time may be heard in any order.
            TriggerEvent::Arm { generation, .. } | TriggerEvent::Retire { generation }
                if *generation < self.generation =>
            {
                Vec::new()
            }
            TriggerEvent::Arm { definition: id, runtime, calendar, generation } => {
                self.generation = *generation;
                self.definition = Some(id.clone());
                self.runtime.clone_from(runtime);
                let before = std::mem::replace(&mut self.calendar, calendar.as_deref().cloned());
                self.arm(spec, before.as_ref(), moment.now);
                Vec::new()
            }
            TriggerEvent::Retire { generation } => {
                self.generation = *generation;
                self.disarm();
                Vec::new()
            }
            TriggerEvent::Disarm => {
                self.disarm();
                Vec::new()
            }
            TriggerEvent::Timer => match spec {
                Some(spec) if self.paused.is_none() => self.fire_due(spec, moment.now),
                _ => Vec::new(),
            },
            TriggerEvent::Event(event) => {
                spec.map_or_else(Vec::new, |spec| self.on_event(spec, event, moment.now))
            }
            TriggerEvent::Pause { reason } => {
                self.pause(reason.as_deref(), moment.now);
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
                    spec.into_iter().for_each(|spec| self.count_from_end(spec, moment.now));
                }
                Vec::new()
            }
            TriggerEvent::Approve { plan, choice } => {
                self.approve(*plan, choice, moment.now);
                Vec::new()
            }
        }
    }

    /// `before` is the calendar that counted until now.
    fn arm(&mut self, spec: Option<(&Definition, &TriggerSpec)>, before: Option<&Calendar>, now: u64) {
        let Some((definition, spec)) = spec else {
            self.problem = Some("its definition has no such trigger".to_owned());
            self.next = None;
            return;
        };
        self.regather(definition);
        let watches = describe(definition, &spec.watch);
        let same = self.watches == watches && (self.next.is_some() || self.waits_for.is_some());
        self.watches = watches;
        let armed = match (&definition.ops.calendar, &self.calendar) {
            // Without its calendar it would fire on days that it must not.
            (Some(name), None) => Err(format!("expected a calendar named '{name}', found none")),
            (Some(_), Some(_)) | (None, _) => self.schedule(definition, &spec.watch, (same, before), now),
        };
        if armed.is_err() {
            self.next = None;
        }
        self.problem = armed.err();
    }

    /// What it did is kept.
    fn disarm(&mut self) {
        *self = Trigger {
            generation: self.generation,
            fired: self.fired,
            last: self.last,
            applied: self.applied,
            paused: self.paused.take(),
            history: std::mem::take(&mut self.history),
            ..Trigger::new(&self.name)
        };
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
            Cause::Hand => format!("operator through trigger {}", self.name),
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
            trace: cause.trace(),
        };
        Message { to: ActorId::process(instance), body: Body::Process(ProcessEvent::Start(Box::new(start))) }
    }
}
