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

#[cfg(test)]
mod tests {
    use impresario_model::entry::Limit;
    use impresario_model::overlap::Turn;
    use impresario_model::places::Claim;

    use super::*;

    const NOW: u64 = 1_000_000;

    fn of(need: Need, facts: &Facts) -> Option<String> {
        let actor = "process/one".to_owned();
        let stored = Stored { actor, shard: 0, version: 1, due: None, needs: vec![need] };
        missing(&stored, facts).pop().map(|missing| missing.what)
    }

    fn beside(actor: &str, other: Other) -> Facts {
        Facts { now: NOW, others: [(actor.to_owned(), other)].into(), ..Facts::default() }
    }

    #[test]
    fn a_timer_is_in_the_wheel_or_found_by_its_time_and_never_late() {
        let look = |due: u64, row: Option<u64>, timer: Option<u64>, loaded: u64| {
            let actor = "process/one".to_owned();
            let stored = Stored { actor, shard: 0, version: 1, due: row, needs: vec![Need::Timer(due)] };
            let actor = ActorEvidence { timer, ..ActorEvidence::default() };
            let facts = Facts { now: NOW, timers_loaded: loaded, actor, ..Facts::default() };
            missing(&stored, &facts).pop().map(|missing| missing.what)
        };
        let (soon, far, loaded) = (NOW + 10, NOW + 90_000, NOW + 60_000);
        assert_eq!(look(soon, Some(soon), Some(soon), loaded), None);
        assert_eq!(look(far, Some(far), None, loaded), None, "its row is found when the time is near");
        assert!(look(soon, Some(soon), None, loaded).is_some(), "nobody looks for the row any more");
        assert!(look(far, None, None, loaded).is_some(), "the row has no time");
        assert!(look(far, Some(far + 1), None, loaded).is_some(), "the row is found too late");
        assert!(look(soon, Some(soon), Some(soon + 1), loaded).is_some(), "the wheel wakes it too late");
        let late = NOW - LATE_MS - 1;
        assert!(
            look(late, Some(late), Some(late), loaded).is_some_and(|what| what.contains("does not fire"))
        );
    }

    #[test]
    fn a_place_is_waited_for_in_a_line_that_moves() {
        let claim = |instance: &str| Claim { instance: instance.to_owned(), activity: 1, since: 0 };
        let look = |holders: &[&str], queue: &[&str]| {
            let places = Places {
                limit: Limit { most: Some(1), version: 1 },
                holders: holders.iter().map(|name| claim(name)).collect(),
                queue: queue.iter().map(|name| claim(name)).collect(),
                applied: 1,
            };
            let facts = beside("target/web1", Other::Places(Box::new(places)));
            of(Need::Place { target: "web1".to_owned(), activity: 1 }, &facts)
        };
        assert_eq!(look(&["other"], &["one"]), None);
        assert!(look(&[], &["one"]).is_some_and(|what| what.contains("free place")));
        assert!(look(&["one"], &[]).is_some_and(|what| what.contains("does not know")));
        assert!(look(&["other"], &["another"]).is_some_and(|what| what.contains("not in the line")));
        let need = Need::Place { target: "web1".to_owned(), activity: 1 };
        assert!(of(need.clone(), &beside("target/web1", Other::Absent)).is_some());
        assert_eq!(of(need, &Facts::default()), None, "nothing is concluded of a row that was not read");
    }

    #[test]
    fn a_turn_and_an_end_come_from_somebody() {
        let turn = |instance: &str| Turn { instance: instance.to_owned(), since: 0, replaced: false };
        let look = |running: &[&str], queue: &[&str]| {
            let turns = Turns {
                max: 1,
                running: running.iter().map(|name| turn(name)).collect(),
                queue: queue.iter().map(|name| turn(name)).collect(),
                ..Turns::default()
            };
            of(Need::Turn("overlap/a/b".to_owned()), &beside("overlap/a/b", Other::Turns(Box::new(turns))))
        };
        assert_eq!(look(&["other"], &["one"]), None);
        assert!(look(&[], &["one"]).is_some_and(|what| what.contains("has room")));
        assert!(look(&["one"], &[]).is_some_and(|what| what.contains("does not know")));
        assert!(look(&["other"], &[]).is_some_and(|what| what.contains("not in the line")));
        let end = |other| of(Need::End("two".to_owned()), &beside("process/two", other));
        assert_eq!(end(Other::Instance(false)), None);
        assert!(end(Other::Instance(true)).is_some_and(|what| what.contains("has ended")));
        assert!(end(Other::Absent).is_some_and(|what| what.contains("does not exist")));
    }

    #[test]
    fn what_an_operator_was_told_of_is_not_stuck() {
        assert_eq!(of(Need::Operator, &Facts::default()), None);
        let aside = impresario_actors::shard::AsideEvidence {
            reason: "it panicked".to_owned(),
            since: 0,
            offset: 1,
            held: 1,
        };
        let actor = ActorEvidence { aside: Some(aside), ..ActorEvidence::default() };
        assert_eq!(of(Need::Continue, &Facts { actor, ..Facts::default() }), None);
        assert!(of(Need::Continue, &Facts::default()).is_some());
    }
}
