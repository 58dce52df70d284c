//! The state machine of the places at a target: who works on it, and who waits, first come first served.
//!
//! An activity asks, waits, has a place, and leaves; each is a durable message between its instance and the target, so
//! what one node began another one goes on with. Nothing here knows of time-outs or ends: an instance that gives an
//! activity up, for whatever reason, says that it leaves.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::entry::{Body, Limit, Message, ProcessEvent, TargetEvent};
use crate::ids::ActorId;
use crate::instance::Moment;

/// How many activities may wait for one target; more are refused.
pub const QUEUE_MAX: usize = 10_000;

/// The places at one target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Places {
    /// The limit, as the newest description that was heard of says it.
    #[serde(default)]
    pub limit: Limit,
    /// Those that have a place, longest first.
    #[serde(default)]
    pub holders: VecDeque<Claim>,
    /// Those that wait for one, longest first.
    #[serde(default)]
    pub queue: VecDeque<Claim>,
    /// The offset of the newest entry applied.
    #[serde(default)]
    pub applied: u64,
}

/// An activity that has a place, or waits for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Its instance.
    pub instance: String,
    /// The activity.
    pub activity: u64,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
}

impl Claim {
    fn is(&self, instance: &str, activity: u64) -> bool {
        self.instance == instance && self.activity == activity
    }

    fn tell(&self, event: ProcessEvent) -> Message {
        Message { to: ActorId::process(&self.instance), body: Body::Process(event) }
    }
}

impl Places {
    /// Applies one entry, at the target of that name: whom to tell what.
    pub fn apply(&mut self, target: &str, event: &TargetEvent, moment: Moment) -> Vec<Message> {
        if moment.offset <= self.applied {
            return Vec::new();
        }
        self.applied = moment.offset;
        let mut messages = Vec::new();
        match event {
            TargetEvent::Ask { instance, activity, limit } => {
                self.adopt(*limit);
                let claim = Claim { instance: instance.clone(), activity: *activity, since: moment.now };
                let known = |claim: &Claim| claim.is(instance, *activity);
                if self.holders.iter().any(known) || self.queue.iter().any(known) {
                    // It was heard before, and answered or not yet.
                } else if self.queue.len() >= QUEUE_MAX {
                    let waiting = self.queue.len();
                    messages.push(claim.tell(ProcessEvent::Crowded { activity: *activity, waiting }));
                } else {
                    self.queue.push_back(claim);
                }
            }
            TargetEvent::Leave { instance, activity } => {
                self.holders.retain(|claim| !claim.is(instance, *activity));
                self.queue.retain(|claim| !claim.is(instance, *activity));
            }
            TargetEvent::Limit(limit) => self.adopt(*limit),
        }
        self.fill(target, moment.now, &mut messages);
        messages
    }

    fn adopt(&mut self, limit: Limit) {
        if limit.version > self.limit.version {
            self.limit = limit;
        }
    }

    /// Gives free places to those who wait longest.
    fn fill(&mut self, target: &str, now: u64, messages: &mut Vec<Message>) {
        let most = self.limit.most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        while self.holders.len() < most
            && let Some(claim) = self.queue.pop_front()
        {
            let (activity, target) = (claim.activity, target.to_owned());
            messages.push(claim.tell(ProcessEvent::Placed { activity, target }));
            self.holders.push_back(Claim { since: now, ..claim });
        }
    }
}

/// That an activity needs no place at a target any more.
pub fn leave(instance: &str, activity: u64, target: &str) -> Message {
    let leave = TargetEvent::Leave { instance: instance.to_owned(), activity };
    Message { to: ActorId::target(target), body: Body::Target(leave) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(activity: u64, most: u32) -> TargetEvent {
        TargetEvent::Ask { instance: "i".to_owned(), activity, limit: Limit { most: Some(most), version: 1 } }
    }

    fn leave(activity: u64) -> TargetEvent {
        TargetEvent::Leave { instance: "i".to_owned(), activity }
    }

    /// The activities that are told, after each event.
    fn told(events: &[TargetEvent]) -> (Vec<Vec<u64>>, Places) {
        let mut places = Places::default();
        let told = events.iter().enumerate().map(|(at, event)| {
            let at = at as u64 + 1;
            let messages = places.apply("t", event, Moment { offset: at, now: at * 100 });
            assert_eq!(places.apply("t", event, Moment { offset: at, now: 0 }), [], "seen before");
            let placed = messages.into_iter().map(|message| match message.body {
                Body::Process(ProcessEvent::Placed { activity, target }) if target == "t" => activity,
                other => panic!("{other:?}"),
            });
            placed.collect()
        });
        (told.collect(), places)
    }

    #[test]
    fn first_come_first_served_up_to_the_limit() {
        let (told, places) =
            told(&[ask(1, 2), ask(2, 2), ask(3, 2), ask(4, 2), ask(3, 2), leave(1), leave(4), leave(2)]);
        assert_eq!(told, [vec![1], vec![2], vec![], vec![], vec![], vec![3], vec![], vec![]]);
        assert_eq!((places.holders.len(), places.queue.len()), (1, 0));
        assert_eq!(places.holders[0].since, 600, "since it has the place");
    }

    #[test]
    fn who_leaves_the_queue_gets_no_place_and_leaving_twice_changes_nothing() {
        let (told, places) = told(&[ask(1, 1), ask(2, 1), ask(3, 1), leave(2), leave(2), leave(1), leave(9)]);
        assert_eq!(told.concat(), [1, 3]);
        assert_eq!(places.queue.len(), 0);
    }

    #[test]
    fn a_new_limit_counts_at_once_and_an_old_one_not_any_more() {
        let limit = |most, version| TargetEvent::Limit(Limit { most, version });
        let (told, places) = told(&[
            ask(1, 1),
            ask(2, 1),
            ask(3, 1),
            ask(4, 1),
            limit(Some(2), 3),
            limit(Some(9), 2),
            limit(Some(1), 4),
            leave(1),
            limit(None, 5),
        ]);
        assert_eq!(told, [vec![1], vec![], vec![], vec![], vec![2], vec![], vec![], vec![], vec![3, 4]]);
        assert_eq!(places.holders.len(), 3);
    }

    #[test]
    fn a_queue_that_is_full_refuses() {
        let mut places = Places::default();
        for activity in 0..=QUEUE_MAX as u64 {
            let messages = places.apply("t", &ask(activity, 1), Moment { offset: activity + 1, now: 1 });
            assert_eq!(messages.len(), usize::from(activity == 0));
        }
        let messages = places.apply("t", &ask(99_999, 1), Moment { offset: 99_999, now: 1 });
        let [Message { body: Body::Process(ProcessEvent::Crowded { activity, waiting }), .. }] =
            messages.as_slice()
        else {
            panic!("{messages:?}")
        };
        assert_eq!((*activity, *waiting), (99_999, QUEUE_MAX));
    }
}
