//! What an instance knows of its activities: those in flight, and the history of those that ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Status;
use super::turn::{Attempt, Effect, ProbeRequest};
use crate::definition::{SecretField, TaskId};
use crate::doubt::Resolved;
use crate::fault::Fault;
use crate::places::leave;

/// How many ended activities an instance keeps in its history.
pub const HISTORY_LIMIT: usize = 1_000;
/// How many bytes of JSON, about, the arguments and outputs of all ended activities together may have: each
/// checkpoint of the instance writes them.
const HISTORY_BYTES: usize = 1024 * 1024;
/// The largest value, in bytes of JSON, that the history of an ended activity keeps.
const HISTORY_VALUE_BYTES: usize = 32 * 1024;
/// How often an activity may be lost (its host or node gone) before the instance gives up on it.
pub const MAX_LOST: u32 = 10;

/// One activity of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Counted from 1 within the instance.
    pub number: u64,
    /// The task it does.
    pub task: TaskId,
    /// The adapter.
    pub adapter: String,
    /// The adapter's function.
    pub function: String,
    /// The arguments.
    pub arguments: Value,
    /// The name of the target that it is done on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The name of the runtime user as whom it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where a node puts secrets into the arguments, by JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretField>,
    /// Its place at the target, if the target is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Whether it runs again when nobody knows how an attempt ended.
    pub restartable: bool,
    /// Whether its adapter can find out what became of an attempt that was cut off.
    #[serde(default)]
    pub probe: bool,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// How many attempts were lost.
    #[serde(default)]
    pub lost: u32,
    /// The epoch of the start marker of this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<u64>,
    /// What the last attempt that saved anything saved; gone once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Value>,
    /// The operator's decision about it that counted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Resolved>,
    /// When it was asked for, in milliseconds since the Unix epoch.
    pub started: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// How far it is.
    pub state: ActivityState,
    /// About how many bytes of JSON the history keeps of it; 0 until it has ended.
    #[serde(default)]
    pub kept_bytes: usize,
}

/// The place of an activity at its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// It was asked for, and is waited for.
    Asked,
    /// It has one.
    Held,
}

/// How far an activity is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ActivityState {
    /// In flight.
    Running,
    /// Lost, and tried again at this time.
    Retrying(u64),
    /// Ended with an output.
    Completed(Value),
    /// Ended with an error.
    Failed(Fault),
    /// Lost for this reason, and its adapter is asked what became of it.
    Probing(String),
    /// Lost for this reason, and nobody knows whether it was done: an operator decides. An earlier version ended the
    /// instance here.
    #[serde(alias = "Interrupted")]
    Uncertain(String),
    /// Passed over by an operator.
    Skipped,
    /// Nobody waits for it any more.
    Cancelled,
}

/// The token of an attempt.
pub fn token_of(instance: &str, activity: u64, attempt: u32) -> String {
    format!("{instance}.{activity}.{attempt}")
}

impl Activity {
    /// The token of the present attempt: unique within the instance, never used again.
    pub fn token(&self, instance: &str) -> String {
        token_of(instance, self.number, self.attempt)
    }

    /// The idempotency key, the same for all attempts.
    pub fn key(&self, instance: &str) -> String {
        format!("{instance}.{}", self.number)
    }

    /// Whether an attempt is under way or will be, or a question about one.
    pub fn in_flight(&self) -> bool {
        matches!(self.state, ActivityState::Running | ActivityState::Retrying(_) | ActivityState::Probing(_))
    }

    /// Whether an operator has to decide what became of it.
    pub fn is_uncertain(&self) -> bool {
        matches!(self.state, ActivityState::Uncertain(_))
    }

    /// Whether it has not ended.
    pub fn is_open(&self) -> bool {
        self.in_flight() || self.is_uncertain()
    }

    /// What asks the adapter about the present attempt; none unless that is what it waits for.
    pub(super) fn question(&self, instance: &str) -> Option<ProbeRequest> {
        matches!(self.state, ActivityState::Probing(_)).then(|| ProbeRequest {
            activity: self.number,
            token: self.token(instance),
            key: self.key(instance),
            adapter: self.adapter.clone(),
            function: self.function.clone(),
            arguments: self.arguments.clone(),
            target: self.target.clone(),
            user: self.user.clone(),
            secrets: self.secrets.clone(),
        })
    }

    /// Whether an attempt is under way or will be, and does not wait for a place.
    pub fn is_busy(&self) -> bool {
        self.in_flight() && self.place != Some(Place::Asked)
    }

    /// The target at which a place is needed first, if its work is limited.
    pub(super) fn unplaced(&self) -> Option<String> {
        self.target.clone().filter(|_| self.place.is_none())
    }

    /// What starts the present attempt: at once, or by way of a start marker.
    pub(super) fn launch(&self, instance: &str) -> Effect {
        if !self.restartable && self.marker.is_none() {
            return Effect::Mark {
                adapter: self.adapter.clone(),
                activity: self.number,
                token: self.token(instance),
                unplaced: self.unplaced(),
            };
        }
        Effect::Run(Attempt {
            activity: self.number,
            token: self.token(instance),
            attempt: self.attempt,
            key: self.key(instance),
            adapter: self.adapter.clone(),
            function: self.function.clone(),
            arguments: self.arguments.clone(),
            target: self.target.clone(),
            user: self.user.clone(),
            secrets: self.secrets.clone(),
            unplaced: self.unplaced(),
            marker: self.marker,
            state: self.saved.clone(),
            trace: None,
        })
    }

    /// The word of the state, for people.
    pub fn status(&self) -> &'static str {
        match self.state {
            ActivityState::Running if self.place == Some(Place::Asked) => "waiting",
            ActivityState::Running if !self.restartable && self.marker.is_none() => "requested",
            ActivityState::Running => "running",
            ActivityState::Retrying(_) => "retrying",
            ActivityState::Completed(_) => "completed",
            ActivityState::Failed(_) => "failed",
            ActivityState::Probing(_) => "probing",
            ActivityState::Uncertain(_) => "uncertain",
            ActivityState::Skipped => "skipped",
            ActivityState::Cancelled => "cancelled",
        }
    }
}

/// The activities of an instance, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Activities {
    /// Those that are kept.
    pub kept: Vec<Activity>,
    /// How many ended ones were dropped from the history.
    #[serde(default)]
    pub dropped: u64,
    /// The number of the newest.
    #[serde(default)]
    pub last: u64,
}

impl Activities {
    /// The activity of a number, if it is kept.
    pub fn get(&self, number: u64) -> Option<&Activity> {
        // Numbers are in order, so the place is near the distance from the first.
        let at = self.kept.binary_search_by_key(&number, |activity| activity.number).ok()?;
        self.kept.get(at)
    }

    /// The activity of a number, if it is kept.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Activity> {
        let at = self.kept.binary_search_by_key(&number, |activity| activity.number).ok()?;
        self.kept.get_mut(at)
    }

    /// Adds one.
    pub fn push(&mut self, activity: Activity) {
        self.last = activity.number;
        self.kept.push(activity);
    }

    /// Lets an activity that has ended, and whose output nobody needs any more, be history: large values go.
    pub(super) fn archive(&mut self, number: u64) {
        let Some(activity) = self.get_mut(number).filter(|activity| !activity.is_open()) else { return };
        activity.saved = None;
        activity.arguments = for_history(&activity.arguments);
        let mut bytes = approximate_bytes(&activity.arguments);
        if let ActivityState::Completed(output) = &activity.state {
            let output = for_history(output);
            bytes += approximate_bytes(&output);
            activity.state = ActivityState::Completed(output);
        }
        activity.kept_bytes = bytes;
    }

    /// Drops the oldest history beyond its limits. Only between turns: within one, a task may still have to see
    /// how its activity ended.
    pub(super) fn trim(&mut self) {
        let mut bytes: usize = self.kept.iter().map(|activity| activity.kept_bytes).sum();
        while self.kept.len() > HISTORY_LIMIT || bytes > HISTORY_BYTES {
            let Some(at) = self.kept.iter().position(|activity| !activity.is_open()) else { return };
            bytes -= self.kept.remove(at).kept_bytes;
            self.dropped += 1;
        }
    }

    /// Begins the lost activities whose time for another attempt has come: the effects that do it.
    pub(super) fn relaunch(&mut self, instance: &str, now: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        for activity in &mut self.kept {
            if matches!(activity.state, ActivityState::Retrying(until) if until <= now) {
                activity.state = ActivityState::Running;
                if activity.place != Some(Place::Asked) {
                    effects.push(activity.launch(instance));
                }
            }
        }
        effects
    }

    /// The activities that have ended give their places back, or their places in a queue: the messages that do it.
    pub(super) fn leave_places(&mut self, instance: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for activity in self.kept.iter_mut().filter(|activity| !activity.in_flight()) {
            if let (Some(_), Some(target)) = (activity.place.take(), &activity.target) {
                effects.push(Effect::Tell(leave(instance, activity.number, target)));
            }
        }
        effects
    }

    /// The status of an instance that has not ended and is not about to go on by itself.
    pub(super) fn status(&self) -> Status {
        match self.kept.iter().any(Activity::is_uncertain) {
            true => Status::Uncertain,
            false if self.kept.iter().any(Activity::is_busy) => Status::Running,
            false => Status::Waiting,
        }
    }

    /// The earliest time at which a lost activity is tried again.
    pub fn due(&self) -> Option<u64> {
        self.kept
            .iter()
            .filter_map(|activity| match activity.state {
                ActivityState::Retrying(at) => Some(at),
                _ => None,
            })
            .min()
    }

    /// Those that have not ended.
    pub fn open(&self) -> impl Iterator<Item = &Activity> {
        self.kept.iter().filter(|activity| activity.is_open())
    }

    /// Those in flight.
    pub fn in_flight(&self) -> impl Iterator<Item = &Activity> {
        self.kept.iter().filter(|activity| activity.in_flight())
    }
}

/// `value`, or a note of its size where it is too large to keep for the history.
fn for_history(value: &Value) -> Value {
    let size = approximate_bytes(value);
    if size <= HISTORY_VALUE_BYTES { value.clone() } else { json!({ "omitted": format!("{size} bytes") }) }
}

/// About how long the JSON text of a value is, in bytes.
pub(crate) fn approximate_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(|item| approximate_bytes(item) + 1).sum::<usize>() + 2,
        Value::Object(members) => {
            members.iter().map(|(key, member)| key.len() + 4 + approximate_bytes(member)).sum::<usize>() + 2
        }
    }
}
