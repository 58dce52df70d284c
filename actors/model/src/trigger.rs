//! The state machine of a trigger monitor: watches for an event or a time, and starts instances.
//!
//! An instance's id is derived from what fired it (the event's source and id, or the nominal time), so a
//! trigger that fires twice for one cause starts one instance.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::definition::{Definition, DefinitionId, Misfire, TriggerSpec, Watch};
use crate::entry::{Body, Message, ProcessEvent, StartEvent, TriggerEvent};
use crate::event::CloudEvent;
use crate::expression::{Fuel, Variables};
use crate::ids::{self, ActorId};
use crate::instance::Moment;

/// How many missed times one turn looks at; the rest wait for the next turn.
const FIRES_PER_TURN: usize = 100;
/// A schedule that skips what it missed still fires for a time that passed no longer than this ago.
const GRACE_MS: u64 = 30_000;

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

struct Nothing;

impl Variables for Nothing {
    fn get(&self, _name: &str) -> Option<std::borrow::Cow<'_, Value>> {
        None
    }
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
                    self.next = spec.and_then(|(_, spec)| after(spec, moment.now));
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
        self.next = match &spec.watch {
            // The first time is at once: who starts a schedule wants to see it work.
            Watch::Every(_) | Watch::After(_) => Some(now),
            Watch::Cron(pattern) => match next_cron(pattern, zone(definition), now) {
                Ok(next) => next,
                Err(problem) => {
                    self.problem = Some(problem);
                    None
                }
            },
            Watch::Event(_) => None,
            Watch::Unsupported(what) => {
                self.problem = Some(format!("this version does not watch '{what}'"));
                None
            }
        };
    }

    /// Fires for the nominal times up to now, as the definition's misfire rule says.
    fn fire_due(&mut self, (definition, spec): (&Definition, &TriggerSpec), now: u64) -> Vec<Message> {
        let mut due = Vec::new();
        while let Some(next) = self.next.filter(|next| *next <= now) {
            due.push(next);
            self.next = following(definition, &spec.watch, next, now);
            if matches!(spec.watch, Watch::After(_)) || due.len() >= FIRES_PER_TURN {
                break;
            }
        }
        let seen = due.len();
        match definition.ops.misfire {
            // What counts from the end of the instance before has no nominal time that it could miss; skipped, it
            // would never fire again.
            _ if matches!(spec.watch, Watch::After(_)) => {}
            Misfire::FireAll => {}
            Misfire::FireOnce => drop(due.drain(..seen.saturating_sub(1))),
            Misfire::Skip => {
                drop(due.drain(..seen.saturating_sub(1)));
                due.retain(|nominal| now - nominal <= GRACE_MS);
            }
        }
        self.skipped += (seen - due.len()) as u64;
        due.into_iter().map(|nominal| self.fire_time(spec, nominal, now)).collect()
    }

    fn fire_time(&mut self, spec: &TriggerSpec, nominal: u64, now: u64) -> Message {
        let instance = ids::instance_of_fire(&self.name, nominal);
        if matches!(spec.watch, Watch::After(_)) {
            self.waits_for = Some(instance.clone());
        }
        self.start(&instance, json!({}), now)
    }

    fn on_event(&mut self, spec: &TriggerSpec, event: &CloudEvent, now: u64) -> Vec<Message> {
        let Watch::Event(filters) = &spec.watch else { return Vec::new() };
        let matches =
            |filter: &crate::definition::EventFilter| filter.matches(event, &mut Fuel(Fuel::PER_EXPRESSION));
        if !filters.is_empty() && !filters.iter().any(matches) {
            return Vec::new();
        }
        let instance = ids::instance_of_event(&self.name, &event.source, &event.id);
        vec![self.start(&instance, json!([event.envelope()]), now)]
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

fn zone(definition: &Definition) -> &str {
    definition.ops.time_zone.as_deref().unwrap_or("UTC")
}

fn millis(delay: &crate::definition::Delay, now: u64) -> Option<u64> {
    delay.millis(now, &Value::Null, &Nothing, &mut Fuel(Fuel::PER_EXPRESSION)).ok()
}

fn after(spec: &TriggerSpec, now: u64) -> Option<u64> {
    match &spec.watch {
        Watch::After(delay) => Some(now.saturating_add(millis(delay, now)?)),
        _ => None,
    }
}

/// The nominal time after `nominal`; far behind `now`, an interval jumps close to it.
fn following(definition: &Definition, watch: &Watch, nominal: u64, now: u64) -> Option<u64> {
    match watch {
        Watch::Every(delay) => {
            let interval = millis(delay, nominal)?.max(1);
            let behind = now.saturating_sub(nominal) / interval;
            let most = FIRES_PER_TURN as u64;
            let jump =
                if definition.ops.misfire != Misfire::FireAll && behind > most { behind - 1 } else { 1 };
            Some(nominal.saturating_add(interval.saturating_mul(jump)))
        }
        Watch::Cron(pattern) => {
            let from = if definition.ops.misfire == Misfire::FireAll {
                nominal
            } else {
                nominal.max(now.saturating_sub(GRACE_MS))
            };
            next_cron(pattern, zone(definition), from).ok().flatten()
        }
        Watch::After(_) | Watch::Event(_) | Watch::Unsupported(_) => None,
    }
}

/// The first time of a cron expression after `from`, in milliseconds since the Unix epoch.
fn next_cron(pattern: &str, zone: &str, from: u64) -> Result<Option<u64>, String> {
    let cron = croner::Cron::from_str(pattern).map_err(|error| format!("cron '{pattern}': {error}"))?;
    let moment = i64::try_from(from)
        .ok()
        .and_then(|from| jiff::Timestamp::from_millisecond(from).ok())
        .ok_or_else(|| "a time out of range".to_owned())?;
    let zoned = moment.in_tz(zone).map_err(|error| format!("time zone '{zone}': {error}"))?;
    let next = cron
        .find_next_occurrence(&zoned, false)
        .map_err(|error| format!("cron '{pattern}' never fires: {error}"))?;
    Ok(u64::try_from(next.timestamp().as_millisecond()).ok())
}
