//! The state machine of turns: which instances of a definition run, and which wait until they may.
//!
//! As with the places at a target, an instance asks, waits, runs and leaves, each by a durable message, so what one node
//! began another one goes on with. Nothing here knows of time-outs: an instance says that it leaves when it ends, however
//! it ends.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::definition::OnConflict;
use crate::entry::{Body, Message, OverlapEvent, ProcessEvent, TurnAnswer};
use crate::ids::ActorId;
use crate::instance::Moment;

/// How many instances may wait for their turn; more are skipped.
pub const QUEUE_MAX: usize = 10_000;

/// The turns of the instances that have a definition and a key in common.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Turns {
    /// How many may run, as the last that asked says.
    #[serde(default)]
    pub max: usize,
    /// Those that run, longest first.
    #[serde(default)]
    pub running: VecDeque<Turn>,
    /// Those that wait, longest first.
    #[serde(default)]
    pub queue: VecDeque<Turn>,
    /// Since when nobody runs and nobody waits, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_since: Option<u64>,
    /// The offset of the newest entry applied.
    #[serde(default)]
    pub applied: u64,
}

/// An instance that runs, or waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// The instance.
    pub instance: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Whether it was asked to end, for another one to run.
    #[serde(default)]
    pub replaced: bool,
}

impl Turns {
    /// Applies one entry: whom to tell what.
    pub fn apply(&mut self, event: &OverlapEvent, moment: Moment) -> Vec<Message> {
        if moment.offset <= self.applied {
            return Vec::new();
        }
        self.applied = moment.offset;
        let mut messages = Vec::new();
        match event {
            OverlapEvent::Ask { instance, max, on_conflict } => {
                self.max = *max;
                let known = |turn: &Turn| turn.instance == *instance;
                // One that is known was heard before, and is answered or not yet.
                if !self.running.iter().any(known) && !self.queue.iter().any(known) {
                    self.ask(instance, *on_conflict, moment.now, &mut messages);
                }
            }
            OverlapEvent::Leave { instance } => {
                self.running.retain(|turn| turn.instance != *instance);
                self.queue.retain(|turn| turn.instance != *instance);
            }
        }
        while self.running.len() < self.max
            && let Some(next) = self.queue.pop_front()
        {
            messages.push(answer(&next.instance, TurnAnswer::Run));
            self.running.push_back(Turn { since: moment.now, ..next });
        }
        let idle = self.running.is_empty() && self.queue.is_empty();
        self.idle_since = idle.then_some(moment.now);
        messages
    }

    /// How many have their turn before an instance that waits.
    pub fn before(&self, instance: &str) -> Option<usize> {
        self.queue.iter().position(|turn| turn.instance == instance)
    }

    fn ask(&mut self, instance: &str, on_conflict: OnConflict, now: u64, messages: &mut Vec<Message>) {
        let full = self.running.len() >= self.max;
        match on_conflict {
            OnConflict::Skip if full => {
                let running = self.running.front().map_or("another one", |turn| turn.instance.as_str());
                let reason = format!("skipped: {} may run at the same time, and {running} does", self.max);
                messages.push(answer(instance, TurnAnswer::Skip { reason }));
                return;
            }
            OnConflict::Replace if full => {
                // The newest counts, so nobody else need wait any more.
                for older in std::mem::take(&mut self.queue) {
                    let reason = format!("skipped: {instance} is newer");
                    messages.push(answer(&older.instance, TurnAnswer::Skip { reason }));
                }
                let ending = self.running.iter().filter(|turn| turn.replaced).count();
                if self.running.len() - ending >= self.max
                    && let Some(oldest) = self.running.iter_mut().find(|turn| !turn.replaced)
                {
                    oldest.replaced = true;
                    let reason = Some(format!("replaced by {instance}"));
                    let cancel = Body::Process(ProcessEvent::Cancel { reason });
                    messages.push(Message { to: ActorId::process(&oldest.instance), body: cancel });
                }
            }
            OnConflict::Queue if self.queue.len() >= QUEUE_MAX => {
                let reason = format!("skipped: {} wait for their turn already", self.queue.len());
                messages.push(answer(instance, TurnAnswer::Skip { reason }));
                return;
            }
            OnConflict::Queue | OnConflict::Skip | OnConflict::Replace => {}
        }
        self.queue.push_back(Turn { instance: instance.to_owned(), since: now, replaced: false });
    }
}

fn answer(instance: &str, answer: TurnAnswer) -> Message {
    Message { to: ActorId::process(instance), body: Body::Process(ProcessEvent::Turn(answer)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(instance: &str, max: usize, on_conflict: OnConflict) -> OverlapEvent {
        OverlapEvent::Ask { instance: instance.to_owned(), max, on_conflict }
    }

    fn leaves(instance: &str) -> OverlapEvent {
        OverlapEvent::Leave { instance: instance.to_owned() }
    }

    /// Applies entries, and gives what each made it say: `a runs`, `b: skipped: …`, `cancel a: …`.
    fn told(turns: &mut Turns, events: impl IntoIterator<Item = OverlapEvent>) -> Vec<Vec<String>> {
        let words = |message: Message| match message.body {
            Body::Process(ProcessEvent::Turn(TurnAnswer::Run)) => format!("{} runs", message.to.key()),
            Body::Process(ProcessEvent::Turn(TurnAnswer::Skip { reason })) => {
                format!("{}: {reason}", message.to.key())
            }
            Body::Process(ProcessEvent::Cancel { reason }) => {
                format!("cancel {}: {}", message.to.key(), reason.unwrap())
            }
            other => panic!("{other:?}"),
        };
        let mut apply = |event: OverlapEvent| {
            let moment = Moment { offset: turns.applied + 1, now: turns.applied };
            turns.apply(&event, moment).into_iter().map(words).collect()
        };
        events.into_iter().map(&mut apply).collect()
    }

    #[test]
    fn those_that_queue_run_in_order() {
        let mut turns = Turns::default();
        let queue = |instance| ask(instance, 2, OnConflict::Queue);
        let events = [
            queue("a"),
            queue("b"),
            queue("c"),
            queue("d"),
            queue("c"),
            leaves("b"),
            leaves("d"),
            leaves("a"),
            leaves("c"),
        ];
        let expected: [&[&str]; 9] = [&["a runs"], &["b runs"], &[], &[], &[], &["c runs"], &[], &[], &[]];
        assert_eq!(told(&mut turns, events), expected);
        assert!(turns.idle_since.is_some());
        assert!(turns.apply(&queue("late"), Moment { offset: 1, now: 0 }).is_empty(), "applied before");
    }

    #[test]
    fn one_that_skips_ends_while_another_runs() {
        let mut turns = Turns::default();
        let skip = |instance| ask(instance, 1, OnConflict::Skip);
        let expected: [&[&str]; 4] =
            [&["a runs"], &["b: skipped: 1 may run at the same time, and a does"], &[], &["c runs"]];
        assert_eq!(told(&mut turns, [skip("a"), skip("b"), leaves("a"), skip("c")]), expected);
    }

    #[test]
    fn the_newest_replaces_the_others_and_waits_for_their_end() {
        let mut turns = Turns::default();
        let replace = |instance| ask(instance, 1, OnConflict::Replace);
        let expected: [&[&str]; 5] = [
            &["a runs"],
            &["cancel a: replaced by b"],
            &["b: skipped: c is newer"],
            &["c runs"],
            &["cancel c: replaced by d"],
        ];
        let events = [replace("a"), replace("b"), replace("c"), leaves("a"), replace("d")];
        assert_eq!(told(&mut turns, events), expected);
    }

    #[test]
    fn of_two_that_run_the_oldest_gives_way() {
        let mut turns = Turns::default();
        let replace = |instance| ask(instance, 2, OnConflict::Replace);
        let expected: [&[&str]; 6] = [
            &["a runs"],
            &["b runs"],
            &["cancel a: replaced by c"],
            &["c: skipped: d is newer"],
            &["d runs"],
            &[],
        ];
        let events = [replace("a"), replace("b"), replace("c"), replace("d"), leaves("a"), leaves("b")];
        assert_eq!(told(&mut turns, events), expected);
    }

    #[test]
    fn a_newer_limit_counts_for_all() {
        let mut turns = Turns::default();
        let queue = |instance, max| ask(instance, max, OnConflict::Queue);
        let expected: [&[&str]; 4] = [&["a runs"], &[], &["b runs", "c runs"], &[]];
        assert_eq!(told(&mut turns, [queue("a", 1), queue("b", 1), queue("c", 3), queue("d", 1)]), expected);
    }

    #[test]
    fn a_queue_that_is_full_skips() {
        let mut turns = Turns::default();
        for n in 0..=QUEUE_MAX {
            told(&mut turns, [ask(&n.to_string(), 1, OnConflict::Queue)]);
        }
        let told = told(&mut turns, [ask("late", 1, OnConflict::Queue)]);
        assert_eq!(told, [["late: skipped: 10000 wait for their turn already"]]);
        assert_eq!((turns.before("1"), turns.before("3"), turns.before("0")), (Some(0), Some(2), None));
    }
}
