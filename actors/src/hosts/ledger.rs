//! What an adapter has accepted and not yet reported, and the rules for it. Pure: no lock, no clock, no process.
//!
//! The invariant: a token is in `entries` from its acceptance until its report is durable, and moves only forward
//! from queued over sent to answered; each move to answered puts one report into the outbox.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use impresario_adapter::NodeMessage;
use impresario_adapter::message::Probe;

use super::status::Counters;
use crate::activity::{ActivityAddress, ActivityReport, Outcome, RunRequest};
use crate::secrets::Mask;

/// Why a run was not accepted. The caller still has it, and there will be no report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The queue is full: try again when there is room.
    #[error("the adapter has as many runs waiting as it may")]
    Busy,
    /// There is no such adapter on this node.
    #[error("there is no adapter of that name")]
    Unknown,
    /// The adapter is quarantined.
    #[error("the adapter is quarantined: {0}")]
    Quarantined(String),
    /// The node stops.
    #[error("the node stops")]
    Stopping,
}

/// Where a run is that was accepted, or a question about one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPlace {
    /// It waits for a slot.
    Queued,
    /// A process works on it.
    AtWork,
    /// It has ended, and its report is not durable yet.
    Ended,
    /// What became of it is being asked.
    Asked,
}

/// What a session has to write.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) runs: Vec<RunRequest>,
    pub(super) cancels: Vec<String>,
    pub(super) probes: Vec<(String, Probe)>,
    /// What it is told of what it observes, and is to observe.
    pub(super) watching: Vec<NodeMessage>,
    /// Nothing new will come: say so.
    pub(super) retire: bool,
}

#[derive(Debug)]
pub(super) struct Ledger {
    slots_max: usize,
    queue_max: usize,
    shut: Option<Refusal>,
    queue: VecDeque<RunRequest>,
    entries: HashMap<String, Entry>,
    /// Runs that are marked as started, or about to be, and not reported: after a crash each of them is in doubt, so
    /// there are no more than can be at work.
    reserved: HashSet<String>,
    outbox: VecDeque<ActivityReport>,
    generations: BTreeMap<u64, Generation>,
    current: Option<u64>,
    answered: usize,
    pub(super) counters: Counters,
}

#[derive(Debug)]
struct Entry {
    address: ActivityAddress,
    place: Place,
    mask: Mask,
}

#[derive(Debug, PartialEq)]
enum Place {
    Queued,
    Sent(u64),
    Answered,
}

#[derive(Debug, Default)]
struct Generation {
    slots: usize,
    sent: usize,
    cancels: Vec<String>,
    retiring: bool,
}

impl Ledger {
    pub(super) fn new(slots_max: usize, queue_max: usize) -> Self {
        Self {
            slots_max,
            queue_max,
            shut: None,
            queue: VecDeque::new(),
            entries: HashMap::new(),
            reserved: HashSet::new(),
            outbox: VecDeque::new(),
            generations: BTreeMap::new(),
            current: None,
            answered: 0,
            counters: Counters::default(),
        }
    }

    /// Changes the limits. A generation has those that it was given at its hello, if they were not higher.
    pub(super) fn resize(&mut self, slots_max: usize, queue_max: usize) {
        (self.slots_max, self.queue_max) = (slots_max, queue_max);
        for generation in self.generations.values_mut() {
            generation.slots = generation.slots.min(slots_max);
        }
    }

    /// Takes a run on. One that is on already is taken as the same.
    pub(super) fn accept(&mut self, request: RunRequest) -> Result<(), Refusal> {
        if let Some(refusal) = &self.shut {
            return Err(refusal.clone());
        }
        if self.entries.contains_key(&request.token) {
            return Ok(());
        }
        if self.queue.len() >= self.queue_max {
            self.counters.busy += 1;
            return Err(Refusal::Busy);
        }
        let mask = request.resolved.as_ref().map(|resolved| resolved.mask.clone()).unwrap_or_default();
        let entry = Entry { address: request.address.clone(), place: Place::Queued, mask };
        self.entries.insert(request.token.clone(), entry);
        self.queue.push_back(request);
        Ok(())
    }

    /// Keeps a slot for a run that is not on yet.
    pub(super) fn reserve(&mut self, token: &str) -> bool {
        if self.shut.is_some() || self.reserved.contains(token) {
            return true;
        }
        let current = self.current.and_then(|number| self.generations.get(&number));
        let slots = current.map_or(self.slots_max, |generation| generation.slots);
        self.reserved.len() < slots && self.reserved.insert(token.to_owned())
    }

    /// Gives the slot of a run back, unless it is on.
    pub(super) fn unreserve(&mut self, token: &str) {
        if !self.entries.contains_key(token) {
            self.reserved.remove(token);
        }
    }

    /// Ends a run that waits; has a host told if it was sent there. Any other token changes nothing.
    pub(super) fn cancel(&mut self, token: &str) {
        match self.entries.get(token).map(|entry| &entry.place) {
            Some(Place::Queued) => {
                self.queue.retain(|request| request.token != token);
                self.refuse(token, "it was cancelled before it was started");
            }
            Some(Place::Sent(generation)) => {
                if let Some(generation) = self.generations.get_mut(generation) {
                    // Once is enough, and keeps the list no longer than the runs.
                    if !generation.cancels.iter().any(|known| known == token) {
                        generation.cancels.push(token.to_owned());
                    }
                }
            }
            Some(Place::Answered) => {}
            None => self.unreserve(token),
        }
    }

    /// Starts the next generation; it takes work once it is ready.
    pub(super) fn open(&mut self) -> u64 {
        self.counters.processes += 1;
        let number = self.counters.processes;
        self.generations.insert(number, Generation::default());
        number
    }

    /// Gives all new work to this generation, which takes `slots` runs at once; the one before it retires.
    pub(super) fn ready(&mut self, number: u64, slots: usize) {
        let Some(generation) = self.generations.get_mut(&number) else { return };
        generation.slots = slots.clamp(1, self.slots_max);
        // It was told to stop before it had started.
        if generation.retiring {
            return;
        }
        if let Some(before) = self.current.replace(number)
            && before != number
        {
            self.retire(before);
        }
    }

    /// Gives a generation no more work.
    pub(super) fn retire(&mut self, number: u64) {
        if let Some(generation) = self.generations.get_mut(&number) {
            generation.retiring = true;
        }
        if self.current == Some(number) {
            self.current = None;
        }
    }

    /// Retires a generation if there is no work at all.
    pub(super) fn retire_if_idle(&mut self, number: u64) -> bool {
        let idle = self.entries.is_empty() && self.current == Some(number);
        if idle {
            self.retire(number);
        }
        idle
    }

    /// The work of a generation, at most `runs_max` runs of it. Runs still to be reported hold their slot too.
    pub(super) fn take(&mut self, number: u64, runs_max: usize) -> Work {
        let Some(generation) = self.generations.get_mut(&number) else { return Work::default() };
        let mut work = Work {
            runs: Vec::new(),
            cancels: std::mem::take(&mut generation.cancels),
            probes: Vec::new(),
            watching: Vec::new(),
            retire: generation.retiring,
        };
        if self.current != Some(number) {
            return work;
        }
        let free = generation.slots.saturating_sub(generation.sent + self.answered);
        let count = free.min(runs_max).min(self.queue.len());
        for request in self.queue.drain(..count) {
            if let Some(entry) = self.entries.get_mut(&request.token) {
                debug_assert_eq!(entry.place, Place::Queued);
                entry.place = Place::Sent(number);
            }
            work.runs.push(request);
        }
        generation.sent += count;
        self.counters.started += count as u64;
        work
    }

    /// Notes how a run ended. An answer that nothing of this generation waits for is counted and changes nothing.
    pub(super) fn settle(&mut self, number: u64, token: &str, outcome: Outcome) {
        match self.entries.get_mut(token) {
            Some(entry) if entry.place == Place::Sent(number) => self.answer(token, outcome),
            _ => self.counters.stray += 1,
        }
    }

    /// Ends a generation: what it had is lost.
    pub(super) fn close(&mut self, number: u64, reason: &str) {
        self.retire(number);
        if self.generations.get(&number).is_some_and(|generation| generation.sent > 0) {
            let sent = |entry: &Entry| entry.place == Place::Sent(number);
            let tokens: Vec<_> = self
                .entries
                .iter()
                .filter(|(_, entry)| sent(entry))
                .map(|(token, _)| token.clone())
                .collect();
            for token in tokens {
                self.answer(&token, Outcome::Lost { reason: reason.to_owned() });
            }
        }
        let closed = self.generations.remove(&number);
        debug_assert!(closed.is_none_or(|generation| generation.sent == 0));
    }

    /// Accepts nothing more, and refuses what waits.
    pub(super) fn shut(&mut self, why: Refusal) {
        let reason = why.to_string();
        self.shut = Some(why);
        for request in std::mem::take(&mut self.queue) {
            self.refuse(&request.token, &reason);
        }
    }

    /// Accepts again.
    pub(super) fn unshut(&mut self) {
        self.shut = None;
    }

    /// Whose a token is that this generation works on.
    pub(super) fn at_work(&self, number: u64, token: &str) -> Option<&ActivityAddress> {
        let entry = self.entries.get(token).filter(|entry| entry.place == Place::Sent(number))?;
        Some(&entry.address)
    }

    /// Some reports to deliver.
    pub(super) fn reports(&mut self, max: usize) -> Vec<ActivityReport> {
        let count = max.min(self.outbox.len());
        self.outbox.drain(..count).collect()
    }

    /// They are durable: their slots are free.
    pub(super) fn delivered<'a>(&mut self, tokens: impl Iterator<Item = &'a str>) {
        for token in tokens {
            let entry = self.entries.remove(token);
            self.reserved.remove(token);
            debug_assert!(entry.is_some_and(|entry| entry.place == Place::Answered));
            self.answered -= 1;
        }
    }

    fn refuse(&mut self, token: &str, reason: &str) {
        self.answer(token, Outcome::Refused { reason: reason.to_owned() });
    }

    /// The one place where a report comes from.
    fn answer(&mut self, token: &str, outcome: Outcome) {
        let Some(entry) = self.entries.get_mut(token) else { return };
        if let Place::Sent(number) = std::mem::replace(&mut entry.place, Place::Answered)
            && let Some(generation) = self.generations.get_mut(&number)
        {
            generation.sent -= 1;
        }
        let outcome = entry.mask.outcome(outcome);
        match &outcome {
            Outcome::Completed(_) => self.counters.completed += 1,
            Outcome::Failed(_) => self.counters.failed += 1,
            Outcome::Lost { .. } => self.counters.lost += 1,
            Outcome::Refused { .. } => self.counters.refused += 1,
        }
        self.answered += 1;
        let (address, token) = (entry.address.clone(), token.to_owned());
        self.outbox.push_back(ActivityReport { address, token, outcome });
    }

    /// Where a run is. One that was sent to a process that is gone is nowhere.
    pub(super) fn place(&self, token: &str) -> Option<RunPlace> {
        match self.entries.get(token)?.place {
            Place::Queued => Some(RunPlace::Queued),
            Place::Sent(number) => self.generations.contains_key(&number).then_some(RunPlace::AtWork),
            Place::Answered => Some(RunPlace::Ended),
        }
    }

    /// Why nothing is accepted, if nothing is.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        self.shut.as_ref()
    }

    pub(super) fn current(&self) -> Option<u64> {
        self.current
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.generations.values().map(|generation| generation.sent).sum()
    }

    /// Runs that ended and whose report is not durable yet.
    pub(super) fn undelivered(&self) -> usize {
        self.answered
    }

    pub(super) fn is_retiring(&self, number: u64) -> bool {
        self.generations.get(&number).is_some_and(|generation| generation.retiring)
    }

    pub(super) fn retiring(&self) -> usize {
        self.generations.values().filter(|generation| generation.retiring).count()
    }

    pub(super) fn generations(&self) -> usize {
        self.generations.len()
    }

    /// Whether the queue has come down to half: the sign for those who were refused. Not at the first free place,
    /// where each of them would be woken to be refused again.
    pub(super) fn has_room(&self) -> bool {
        self.shut.is_some() || self.queue.len() <= self.queue_max / 2
    }
}
