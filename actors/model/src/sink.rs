//! The state machine of a sink: events that were raised in the environment wait in it to be delivered outside.
//!
//! Each delivery is an attempt like that of an activity; when it fails, it is made again after a wait that grows. What
//! cannot be delivered becomes a dead letter, for an operator to send again or to drop. Everything has a limit: when too
//! much waits, the oldest that is not under way becomes a dead letter, and of too many of those the oldest is dropped.

mod spec;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use self::spec::{DeadLetters, Mode, Retry, SinkFilter, SinkSpec};
use crate::chance::backoff;
use crate::entry::{ActivityOutcome, SinkEvent};
use crate::event::CloudEvent;
use crate::instance::{Attempt, Effect, InFlight, Moment, rfc3339};
use crate::trace::TraceContext;

/// The adapter that delivers, and its function.
pub const ADAPTER: (&str, &str) = ("http", "send-event");
/// The most that waits, in bytes of JSON; the same holds for dead letters.
const BYTES_MAX: usize = 4 << 20;
/// So much of a reason is kept, in characters.
const REASON_CHARS_MAX: usize = 500;
/// The longest that a receiver may ask to wait, in milliseconds.
const RETRY_AFTER_MS_MAX: u64 = 3_600_000;
/// Answers that say that the event itself is not wanted: it is not sent again.
const UNWANTED: [u64; 9] = [400, 405, 406, 410, 413, 414, 415, 422, 501];

/// A sink.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sink {
    /// Its name.
    pub name: String,
    /// What it is to do; nothing once it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Box<SinkSpec>>,
    /// An operator has it rest: events wait.
    #[serde(default)]
    pub paused: bool,
    /// The version of the wish.
    #[serde(default)]
    pub version: u64,
    /// What waits, oldest first.
    #[serde(default)]
    pub queue: VecDeque<Queued>,
    /// What was given up, oldest first.
    #[serde(default)]
    pub dead: VecDeque<Dead>,
    /// The number of the last event.
    #[serde(default)]
    pub number: u64,
    /// How many were delivered.
    #[serde(default)]
    pub delivered: u64,
    /// When the last one was, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u64>,
    /// How many attempts failed.
    #[serde(default)]
    pub failed: u64,
    /// How many dead letters were dropped because there were too many, or they were too old.
    #[serde(default)]
    pub dropped: u64,
    /// Why the last attempt failed; nothing once one has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it was removed, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<u64>,
    /// The offset of the newest entry applied.
    #[serde(default)]
    pub applied: u64,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    /// Its number, in the order of arrival.
    pub number: u64,
    /// It.
    pub event: CloudEvent,
    /// Its size, in bytes of JSON.
    pub bytes: usize,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// How many attempts were begun, also before a restart of the node.
    pub begun: u32,
    /// How many failed.
    pub tries: u32,
    /// When the next one may begin, in milliseconds since the Unix epoch.
    pub next: u64,
    /// Whether one is under way.
    pub busy: bool,
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dead {
    /// Its number.
    pub number: u64,
    /// It.
    pub event: CloudEvent,
    /// Its size, in bytes of JSON.
    pub bytes: usize,
    /// When it was given up, in milliseconds since the Unix epoch.
    pub at: u64,
    /// How many attempts failed.
    pub tries: u32,
    /// Why it was given up.
    pub reason: String,
}

impl Sink {
    /// A sink of which nothing is wanted yet.
    pub fn new(name: &str) -> Self {
        Sink { name: name.to_owned(), ..Sink::default() }
    }

    /// Applies one entry; `filters` are those of the description that it has then.
    pub fn apply(&mut self, event: &SinkEvent, filters: &[SinkFilter], moment: Moment) -> Vec<Effect> {
        if moment.offset <= self.applied {
            return Vec::new();
        }
        self.applied = moment.offset;
        let mut effects = Vec::new();
        match event {
            SinkEvent::Want { spec, paused, version } if *version > self.version => {
                self.version = *version;
                self.paused = *paused;
                self.spec.clone_from(spec);
                self.removed = spec.is_none().then_some(moment.now);
                if spec.is_none() {
                    effects.extend(
                        self.queue.iter().filter(|queued| queued.busy).map(|queued| self.abandon(queued)),
                    );
                    self.queue.clear();
                    self.dead.clear();
                }
                // What waits after a failure is tried under the new description at once.
                self.hurry(moment.now);
            }
            SinkEvent::Event(event) if self.wants(event, filters) => self.take(event, moment.now),
            SinkEvent::Want { .. } | SinkEvent::Event(_) | SinkEvent::Timer => {}
            SinkEvent::Report { activity, token, outcome } => self.report(*activity, token, outcome, moment),
            SinkEvent::Retry { numbers } => self.retry(numbers, moment.now),
            SinkEvent::Drop { numbers } => self.dead.retain(|dead| !meant(numbers, dead.number)),
            SinkEvent::Again => self.hurry(moment.now),
        }
        self.shed(moment.now);
        self.begin(moment.now, &mut effects);
        effects
    }

    fn wants(&self, event: &CloudEvent, filters: &[SinkFilter]) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.enabled) && spec::wants(filters, event)
    }

    fn take(&mut self, event: &CloudEvent, now: u64) {
        self.number += 1;
        let bytes = event.envelope().to_string().len();
        self.queue.push_back(Queued {
            number: self.number,
            event: event.clone(),
            bytes,
            since: now,
            begun: 0,
            tries: 0,
            next: now,
            busy: false,
        });
    }

    fn hurry(&mut self, now: u64) {
        self.queue.iter_mut().for_each(|queued| queued.next = queued.next.min(now));
    }

    fn report(&mut self, number: u64, token: &str, outcome: &ActivityOutcome, moment: Moment) {
        let Some(at) = self.queue.iter().position(|queued| queued.number == number) else { return };
        if !self.queue[at].busy || self.token(&self.queue[at]) != token {
            return;
        }
        let (status, wait, reason) = match outcome {
            // It certainly did not begin.
            ActivityOutcome::NotStarted => {
                self.queue[at].busy = false;
                return;
            }
            ActivityOutcome::Completed(answer) => {
                let status = answer.get("statusCode").and_then(Value::as_u64).unwrap_or(0);
                if (200..300).contains(&status) {
                    self.queue.remove(at);
                    self.delivered += 1;
                    self.last = Some(moment.now);
                    self.problem = None;
                    return;
                }
                let wait = answer.get("retryAfterSeconds").and_then(Value::as_u64).unwrap_or(0);
                let said = answer.get("content").and_then(Value::as_str).unwrap_or_default();
                (status, wait.saturating_mul(1000).min(RETRY_AFTER_MS_MAX), format!("status {status} {said}"))
            }
            ActivityOutcome::Failed(fault) => {
                let title = fault.title.clone().unwrap_or_else(|| "it failed".to_owned());
                let detail = fault.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
                (0, 0, format!("{title}{detail}"))
            }
            ActivityOutcome::Lost { reason } | ActivityOutcome::Refused { reason } => (0, 0, reason.clone()),
        };
        let reason: String = reason.trim().chars().take(REASON_CHARS_MAX).collect();
        self.failed += 1;
        self.problem = Some(reason.clone());
        let retry = self.spec.as_ref().map(|spec| spec.retry.clone()).unwrap_or_default();
        let queued = &mut self.queue[at];
        queued.busy = false;
        queued.tries += 1;
        if UNWANTED.contains(&status) || queued.tries >= retry.attempts {
            self.bury(at, reason, moment.now);
            return;
        }
        let (first, most) = (retry.delay_seconds * 1000, retry.max_delay_seconds * 1000);
        queued.next = moment.now + backoff(moment.offset, queued.tries, first, most).max(wait);
    }

    fn bury(&mut self, at: usize, reason: String, now: u64) {
        let Some(Queued { number, event, bytes, tries, .. }) = self.queue.remove(at) else { return };
        self.dead.push_back(Dead { number, event, bytes, at: now, tries, reason });
    }

    /// Dead letters are sent again, behind what waits, as far as there is room for them.
    fn retry(&mut self, numbers: &[u64], now: u64) {
        let Some(spec) = &self.spec else { return };
        let (mut room, mut bytes) = (spec.queue.saturating_sub(self.queue.len()), waiting(&self.queue));
        for dead in std::mem::take(&mut self.dead) {
            let fits = room > 0 && bytes + dead.bytes <= BYTES_MAX;
            if !meant(numbers, dead.number) || !fits {
                self.dead.push_back(dead);
                continue;
            }
            (room, bytes) = (room - 1, bytes + dead.bytes);
            let Dead { event, bytes, .. } = dead;
            // A new number: attempts of the old one may still be answered.
            self.number += 1;
            let number = self.number;
            self.queue.push_back(Queued {
                number,
                event,
                bytes,
                since: now,
                begun: 0,
                tries: 0,
                next: now,
                busy: false,
            });
        }
    }

    /// Keeps what waits, and what is dead, within its limits.
    fn shed(&mut self, now: u64) {
        let Some(spec) = &self.spec else { return };
        let (most, letters) = (spec.queue, spec.dead_letters.clone());
        let mut bytes = waiting(&self.queue);
        while (self.queue.len() > most || bytes > BYTES_MAX)
            && let Some(at) = self.queue.iter().position(|queued| !queued.busy)
        {
            bytes -= self.queue[at].bytes;
            self.bury(at, "too many events waited".to_owned(), now);
        }
        let mut bytes: usize = self.dead.iter().map(|dead| dead.bytes).sum();
        let oldest = now.saturating_sub(letters.days * 24 * 3_600_000);
        while let Some(first) = self.dead.front()
            && (self.dead.len() > letters.count || bytes > BYTES_MAX || first.at < oldest)
        {
            bytes -= first.bytes;
            self.dead.pop_front();
            self.dropped += 1;
        }
    }

    /// Begins the attempts that may begin: in order, one at a time, unless the description allows several.
    fn begin(&mut self, now: u64, effects: &mut Vec<Effect>) {
        let Some(spec) = self.spec.clone().filter(|_| !self.paused) else { return };
        let mut room = spec.parallel.saturating_sub(self.queue.iter().filter(|queued| queued.busy).count());
        // In order, nobody overtakes the first.
        let reach = if spec.parallel == 1 { 1 } else { self.queue.len() };
        for at in 0..reach.min(self.queue.len()) {
            if room == 0 {
                return;
            }
            if self.queue[at].busy || self.queue[at].next > now {
                continue;
            }
            room -= 1;
            self.queue[at].busy = true;
            self.queue[at].begun += 1;
            effects.push(Effect::Run(self.attempt(&spec, &self.queue[at])));
        }
    }

    fn token(&self, queued: &Queued) -> String {
        format!("sink/{}/{}.{}", self.name, queued.number, queued.begun)
    }

    fn abandon(&self, queued: &Queued) -> Effect {
        Effect::Abandon { adapter: ADAPTER.0.to_owned(), token: self.token(queued) }
    }

    fn attempt(&self, spec: &SinkSpec, queued: &Queued) -> Attempt {
        let mut arguments = json!({
            "uri": spec.uri, "mode": spec.mode, "event": queued.event.envelope(), "headers": spec.headers,
            "timeoutSeconds": spec.timeout_seconds,
        });
        if let Some(header) = &spec.signature_header {
            arguments["signatureHeader"] = json!(header);
        }
        Attempt {
            activity: queued.number,
            token: self.token(queued),
            attempt: queued.begun,
            key: format!("sink/{}/{}", self.name, queued.number),
            adapter: ADAPTER.0.to_owned(),
            function: ADAPTER.1.to_owned(),
            arguments,
            target: None,
            user: spec.runtime_user.clone(),
            secrets: std::collections::BTreeMap::new(),
            unplaced: None,
            marker: None,
            state: None,
            trace: TraceContext::carried_by(&queued.event),
        }
    }

    /// What is under way, for a new owner to settle: a delivery may always be made again.
    pub fn in_flight(&self) -> Vec<InFlight> {
        let busy = self.queue.iter().filter(|queued| queued.busy);
        let flight = |queued: &Queued| InFlight {
            activity: queued.number,
            token: self.token(queued),
            adapter: ADAPTER.0.to_owned(),
            may_have_begun: true,
            restartable: true,
            unplaced: None,
        };
        busy.map(flight).collect()
    }

    /// When an attempt may begin next, in milliseconds since the Unix epoch.
    pub fn due(&self) -> Option<u64> {
        let spec = self.spec.as_ref().filter(|_| !self.paused)?;
        let busy = self.queue.iter().filter(|queued| queued.busy).count();
        if busy >= spec.parallel {
            return None;
        }
        let reach = if spec.parallel == 1 { 1 } else { self.queue.len() };
        self.queue.iter().take(reach).filter(|queued| !queued.busy).map(|queued| queued.next).min()
    }

    /// A word for how it stands.
    pub fn word(&self) -> &'static str {
        match &self.spec {
            None => "removed",
            Some(_) if self.paused => "paused",
            Some(spec) if !spec.enabled => "disabled",
            Some(_) if self.queue.iter().any(|queued| queued.tries > 0) => "failing",
            Some(_) => "delivering",
        }
    }

    /// The dead letters, as people see them.
    pub fn letters(&self) -> Value {
        let letter = |dead: &Dead| {
            json!({
                "number": dead.number, "at": rfc3339(dead.at), "tries": dead.tries, "reason": dead.reason,
                "event": dead.event.envelope(),
            })
        };
        self.dead.iter().map(letter).collect()
    }
}

fn waiting(queue: &VecDeque<Queued>) -> usize {
    queue.iter().map(|queued| queued.bytes).sum()
}

/// Whether an order is about a number; one without numbers is about all.
fn meant(numbers: &[u64], number: u64) -> bool {
    numbers.is_empty() || numbers.contains(&number)
}

#[cfg(test)]
mod tests;
