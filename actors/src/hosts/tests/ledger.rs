//! Whatever happens in whatever order, each accepted run is reported exactly once, and no limit is exceeded.

use std::collections::{HashMap, HashSet};

use super::support::request;
use crate::activity::Outcome;
use crate::hosts::ledger::{Ledger, Refusal};

/// A small generator of our own, so that a failure names its seed and nothing else is needed to repeat it.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const SLOTS: usize = 4;
const QUEUE: usize = 6;

struct Model {
    ledger: Ledger,
    dice: Dice,
    issued: u64,
    accepted: HashSet<String>,
    reported: HashMap<String, Outcome>,
    /// What each living generation was given and has not answered.
    with_hosts: HashMap<u64, Vec<String>>,
    delivering: Vec<String>,
}

impl Model {
    fn step(&mut self) {
        let token = self.dice.roll(self.issued.max(1)).to_string();
        match self.dice.roll(12) {
            0..=3 => {
                let fresh = self.issued.to_string();
                self.issued += 1;
                match self.ledger.accept(request(&fresh, "echo", 0)) {
                    Ok(()) => assert!(self.accepted.insert(fresh)),
                    Err(refusal) => assert_eq!(refusal, Refusal::Busy),
                }
            }
            4 => self.ledger.cancel(&token),
            5 if self.with_hosts.len() < 3 => {
                let generation = self.ledger.open();
                self.ledger.ready(generation, SLOTS + 3);
                self.with_hosts.insert(generation, Vec::new());
            }
            6 => {
                if let Some(generation) = self.some_generation() {
                    self.ledger.close(generation, "died");
                    self.with_hosts.remove(&generation);
                }
            }
            7 | 8 => {
                if let Some(generation) = self.some_generation() {
                    let work = self.ledger.take(generation, 3);
                    assert!(work.runs.len() <= 3);
                    let host = self.with_hosts.get_mut(&generation).unwrap();
                    host.extend(work.runs.into_iter().map(|run| run.token));
                    assert!(host.len() <= SLOTS, "more than it may have");
                }
            }
            9 | 10 => {
                if let Some(generation) = self.some_generation() {
                    let host = self.with_hosts.get_mut(&generation).unwrap();
                    // Sometimes nonsense, sometimes the answer to what another process was given.
                    let token = host.pop().unwrap_or(token);
                    self.ledger.settle(generation, &token, Outcome::Completed(generation.into()));
                }
            }
            _ => self.deliver(),
        }
        assert!(self.ledger.queued() <= QUEUE);
    }

    fn some_generation(&mut self) -> Option<u64> {
        let mut all: Vec<_> = self.with_hosts.keys().copied().collect();
        all.sort_unstable();
        (!all.is_empty()).then(|| all[self.dice.roll(all.len() as u64) as usize])
    }

    fn deliver(&mut self) {
        let before = std::mem::take(&mut self.delivering);
        self.ledger.delivered(before.iter().map(String::as_str));
        for report in self.ledger.reports(5) {
            assert!(self.accepted.contains(&report.token));
            self.delivering.push(report.token.clone());
            assert!(self.reported.insert(report.token, report.outcome).is_none(), "reported twice");
        }
    }
}

#[test]
fn each_accepted_run_is_reported_exactly_once() {
    for seed in 0..300 {
        let mut model = Model {
            ledger: Ledger::new(SLOTS, QUEUE),
            dice: Dice(seed),
            issued: 0,
            accepted: HashSet::new(),
            reported: HashMap::new(),
            with_hosts: HashMap::new(),
            delivering: Vec::new(),
        };
        for _ in 0..400 {
            model.step();
        }
        model.ledger.shut(Refusal::Stopping);
        for generation in model.with_hosts.keys() {
            model.ledger.close(*generation, "stopped");
        }
        while model.ledger.undelivered() > 0 {
            model.deliver();
        }
        let reported: HashSet<_> = model.reported.keys().cloned().collect();
        assert_eq!(reported, model.accepted, "seed {seed}");
        assert_eq!((model.ledger.in_flight(), model.ledger.queued()), (0, 0), "seed {seed}");
        let counters = model.ledger.counters;
        let ends = counters.completed + counters.failed + counters.lost + counters.refused;
        assert_eq!(ends, model.accepted.len() as u64, "seed {seed}");
        assert!(
            counters.completed > 0 && counters.lost > 0 && counters.stray > 0,
            "seed {seed}: {counters:?}"
        );
    }
}

#[test]
fn as_many_runs_are_in_doubt_as_can_be_at_work() {
    let mut ledger = Ledger::new(2, 10);
    assert!(ledger.reserve("a") && ledger.reserve("b"));
    assert!(ledger.reserve("a"), "a slot is kept once for each run");
    assert!(!ledger.reserve("c"));
    // One that is given up before it is on leaves its slot to the next.
    ledger.unreserve("b");
    assert!(ledger.reserve("c"));
    ledger.accept(request("a", "echo", 0)).unwrap();
    ledger.unreserve("a");
    assert!(!ledger.reserve("d"), "a run that is on keeps its slot until its report is durable");
    let generation = ledger.open();
    ledger.ready(generation, 2);
    assert_eq!(ledger.take(generation, 2).runs.len(), 1);
    ledger.settle(generation, "a", Outcome::Completed(serde_json::Value::Null));
    assert!(!ledger.reserve("d"));
    let tokens: Vec<String> = ledger.reports(10).into_iter().map(|report| report.token).collect();
    ledger.delivered(tokens.iter().map(String::as_str));
    assert!(ledger.reserve("d"));
    ledger.cancel("c");
    assert!(ledger.reserve("e"));
}
