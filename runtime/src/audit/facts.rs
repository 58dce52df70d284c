//! Holds what actors need against what there is: pure.

use std::collections::BTreeMap;

use impresario_actors::shard::{ActorEvidence, AttemptPlace};
use impresario_model::instance::rfc3339;
use impresario_model::overlap::Turns;
use impresario_model::places::Places;
use impresario_model::subscription::Subscription;

use super::needs::Need;

/// How long after its time a timer may fire, in milliseconds.
pub const LATE_MS: u64 = 5_000;

/// An actor, as its row says.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The actor.
    pub actor: String,
    /// The shard it is in.
    pub shard: u16,
    /// The offset of the entry that changed it last.
    pub version: u64,
    /// When its row is among those that are due, in milliseconds since the Unix epoch.
    pub due: Option<u64>,
    /// What it needs.
    pub needs: Vec<Need>,
}

/// A row of another actor, as far as it is of interest here.
#[derive(Clone, Debug, PartialEq)]
pub enum Other {
    /// There is none.
    Absent,
    /// The places at a target.
    Places(Box<Places>),
    /// A subscription.
    Subscription(Box<Subscription>),
    /// Turns.
    Turns(Box<Turns>),
    /// An instance: whether it has ended.
    Instance(bool),
}

/// What there is.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The clock of the environment, in milliseconds since the Unix epoch.
    pub now: u64,
    /// Timers of stored actors are in the wheel up to this time.
    pub timers_loaded: u64,
    /// What its shard has of the actor.
    pub actor: ActorEvidence,
    /// Where its attempts are, by token.
    pub attempts: BTreeMap<String, AttemptPlace>,
    /// The rows of others, by actor; one that could not be read is missing, and nothing is concluded of it.
    pub others: BTreeMap<String, Other>,
}

/// What is safe to do about something that is stuck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing: a person looks.
    None,
    /// Put a timer back at this time: the actor is woken, and looks for itself.
    Remind(u64),
    /// Tell an instance to go on.
    Continue,
}

/// Something that an actor needs and that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// In words, the same as long as it is the same.
    pub what: String,
    /// The other actor on which it depends, if any: what is on its way between the two may still arrive.
    pub other: Option<String>,
    /// What may be done about it.
    pub repair: Repair,
}

/// The other actors whose rows have to be read.
pub fn others(stored: &Stored) -> impl Iterator<Item = String> {
    stored.needs.iter().filter_map(|need| match need {
        Need::Place { target, .. } => Some(format!("target/{target}")),
        Need::Subscription { key, .. } => Some(format!("subscription/{key}")),
        Need::Turn(of) => Some(of.clone()),
        Need::End(instance) => Some(format!("process/{instance}")),
        _ => None,
    })
}

/// What is missing.
pub fn missing(stored: &Stored, facts: &Facts) -> Vec<Missing> {
    if facts.actor.aside.is_some() {
        // An operator is told of it, and it waits for him.
        return Vec::new();
    }
    stored.needs.iter().filter_map(|need| missing_one(stored, need, facts)).collect()
}

fn missing_one(stored: &Stored, need: &Need, facts: &Facts) -> Option<Missing> {
    let id = stored.actor.split_once('/').map_or("", |(_, id)| id);
    let lacks = |what: String, repair| Some(Missing { what, other: None, repair });
    match need {
        Need::Operator => None,
        Need::Timer(due) => timer(stored, *due, facts),
        Need::Continue => lacks("no entry came that makes it go on".to_owned(), Repair::Continue),
        Need::Contradiction(what) => {
            let repair = if id.is_empty() { Repair::None } else { Repair::Remind(facts.now) };
            lacks(what.clone(), repair)
        }
        Need::Attempt { adapter, token, activity } => match facts.attempts.get(token) {
            Some(AttemptPlace::Nowhere) => lacks(
                format!(
                    "no host has attempt {token} of activity {activity}, for which it waits (adapter {adapter})"
                ),
                Repair::None,
            ),
            _ => None,
        },
        Need::Place { target, activity } => {
            let actor = format!("target/{target}");
            let what = match facts.others.get(&actor)? {
                Other::Places(places) => {
                    let mine = |claim: &impresario_model::places::Claim| {
                        claim.instance == id && claim.activity == *activity
                    };
                    let most = places.limit.most.map_or(u64::MAX, u64::from);
                    let free = (places.holders.len() as u64) < most;
                    match (places.queue.iter().any(mine), places.holders.iter().any(mine)) {
                        (true, _) if !free => return None,
                        (true, _) => format!(
                            "target {target} has a free place, and does not give it to activity {activity}"
                        ),
                        (false, true) => format!(
                            "target {target} has given activity {activity} a place, and it does not know"
                        ),
                        (false, false) => {
                            format!("activity {activity} is not in the line at target {target}")
                        }
                    }
                }
                _ => format!("activity {activity} is not in the line at target {target}: nobody is"),
            };
            Some(Missing { what, other: Some(actor), repair: Repair::None })
        }
        Need::Subscription { key, listener, holds } => {
            let actor = format!("subscription/{key}");
            let there = match facts.others.get(&actor)? {
                Other::Subscription(subscription) => {
                    subscription.subscribers.iter().any(|one| one.instance == id && one.listener == *listener)
                }
                _ => false,
            };
            let what = match (there, *holds) {
                (true, true) => return None,
                (true, false) => format!("{actor} has listener {listener}, and it does not know"),
                (false, _) => format!("{actor} does not have listener {listener}: no event will come"),
            };
            Some(Missing { what, other: Some(actor), repair: Repair::None })
        }
        Need::Turn(of) => {
            let what = match facts.others.get(of)? {
                Other::Turns(turns) => {
                    let waits = turns.queue.iter().any(|turn| turn.instance == id);
                    let runs = turns.running.iter().any(|turn| turn.instance == id);
                    match (waits, runs) {
                        (true, _) if turns.running.len() >= turns.max => return None,
                        (true, _) => format!("{of} has room, and does not give it its turn"),
                        (false, true) => format!("{of} has given it its turn, and it does not know"),
                        (false, false) => format!("it is not in the line of {of}"),
                    }
                }
                _ => format!("it is not in the line of {of}: nobody is"),
            };
            Some(Missing { what, other: Some(of.clone()), repair: Repair::None })
        }
        Need::End(instance) => {
            let actor = format!("process/{instance}");
            let what = match facts.others.get(&actor)? {
                Other::Instance(false) => return None,
                Other::Instance(true) => format!("instance {instance} has ended, and it does not know"),
                _ => format!("instance {instance}, for whose end it waits, does not exist"),
            };
            Some(Missing { what, other: Some(actor), repair: Repair::None })
        }
    }
}

fn timer(stored: &Stored, due: u64, facts: &Facts) -> Option<Missing> {
    let in_wheel = facts.actor.timer.is_some_and(|timer| timer <= due.max(facts.now));
    // Beyond what is loaded, the row has to be found by its time.
    let in_index = due > facts.timers_loaded && stored.due.is_some_and(|row| row <= due);
    let late = due.saturating_add(LATE_MS) < facts.now;
    let what = match (in_wheel || in_index, late) {
        (true, false) => return None,
        (true, true) => format!("its timer of {} does not fire", rfc3339(due)),
        (false, true) => format!("its timer of {} has not fired, and is in no index", rfc3339(due)),
        (false, false) => format!("its timer of {} is in no index", rfc3339(due)),
    };
    Some(Missing { what, other: None, repair: Repair::Remind(due) })
}
