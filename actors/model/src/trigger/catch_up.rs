//! What becomes of nominal times that were missed: skipped, fired, or shown to an operator who decides.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Trigger;
use super::times::Times;
use crate::definition::Misfire;

/// A time that passed no longer ago than this was not missed: it fires, only late. Another node takes a schedule over
/// within that time, and nobody is to notice.
pub const GRACE_MS: u64 = 30_000;
/// So many missed times are counted and can be made up for; of more, the later ones are skipped.
pub const MISSED_MAX: usize = 1_000;
/// How many times one turn fires for.
pub const FIRES_PER_TURN: usize = 100;
/// How far apart the turns are in which it makes up for missed times, in milliseconds: it must not flood the rest.
pub const PACE_MS: u64 = 1_000;

/// What it has missed at a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// When it noticed, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The first time that was missed.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// How many, at most [`MISSED_MAX`].
    pub count: usize,
    /// There were more.
    #[serde(default)]
    pub more: bool,
    /// By which rule it was decided.
    pub rule: Misfire,
}

/// Missed times about which an operator is to decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Names it as it is now: another stop makes another plan of it.
    pub id: u64,
    /// Since when it waits, in milliseconds since the Unix epoch.
    pub since: u64,
    /// The first [`MISSED_MAX`] of the times, oldest first.
    pub times: Vec<u64>,
    /// There were more.
    #[serde(default)]
    pub more: bool,
    /// The last of all.
    pub last: u64,
}

/// What an operator decides about a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Choice {
    /// Fire for all times in it.
    All,
    /// Fire for the last one.
    Last,
    /// Fire for these of them.
    Times(BTreeSet<u64>),
    /// Fire for none.
    None,
}

/// Missed times that it will fire for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// Oldest first.
    pub times: VecDeque<u64>,
    /// When it goes on, in milliseconds since the Unix epoch.
    pub at: u64,
}

impl Trigger {
    /// Decides about the times from `first` on that are longer ago than the grace.
    pub(super) fn catch_up(&mut self, times: &Times<'_>, first: u64, rule: Misfire, now: u64) {
        let Some(until) = now.checked_sub(GRACE_MS + 1) else { return };
        let mut missed = Vec::new();
        let mut next = Some(first);
        while let Some(at) = next.filter(|at| *at <= until && missed.len() < MISSED_MAX) {
            missed.push(at);
            next = times.at_or_after(at, at.saturating_add(1));
        }
        let more = next.is_some_and(|at| at <= until);
        let listed = missed.last().copied().unwrap_or(first);
        let last = if more { times.last_until(listed, listed, until).unwrap_or(listed) } else { listed };
        self.next = if more { times.at_or_after(listed, until.saturating_add(1)) } else { next };
        let count = missed.len();
        self.missed = Some(Missed { at: now, first, last, count, more, rule });
        match rule {
            Misfire::Skip => self.skipped += count as u64,
            Misfire::FireOnce => {
                self.owe([last], now);
                // The last one is among those that were counted, or there were more of them.
                self.skipped += count as u64 - u64::from(!more);
            }
            Misfire::FireAll => self.owe(missed, now),
            Misfire::Plan => self.plan_for(missed, more, last, now),
        }
    }

    fn plan_for(&mut self, missed: Vec<u64>, more: bool, last: u64, now: u64) {
        let id = self.applied;
        let plan = self.plan.get_or_insert(Plan { id, since: now, times: Vec::new(), more, last });
        let room = MISSED_MAX.saturating_sub(plan.times.len());
        // What does not fit comes behind a gap, and could not be told from what is in the gap.
        plan.more |= more || missed.len() > room;
        plan.times.extend(missed.into_iter().take(room));
        (plan.id, plan.last) = (id, last);
    }

    /// An operator has decided about the plan that he saw; about any other it changes nothing.
    pub(super) fn approve(&mut self, seen: u64, choice: &Choice, now: u64) {
        let Some(plan) = self.plan.take_if(|plan| plan.id == seen) else { return };
        let planned = plan.times.len() as u64;
        let chosen: Vec<u64> = match choice {
            Choice::All => plan.times,
            Choice::Last => vec![plan.last],
            Choice::Times(chosen) => plan.times.into_iter().filter(|at| chosen.contains(at)).collect(),
            Choice::None => Vec::new(),
        };
        self.skipped += planned.saturating_sub(chosen.len() as u64);
        self.owe(chosen, now);
    }

    /// Fires for these later, a few at a time.
    fn owe(&mut self, times: impl IntoIterator<Item = u64>, now: u64) {
        let owed = self.owed.get_or_insert_with(|| Owed { times: VecDeque::new(), at: now });
        for at in times {
            if owed.times.len() < MISSED_MAX {
                owed.times.push_back(at);
            } else {
                self.skipped += 1;
            }
        }
        if owed.times.is_empty() {
            self.owed = None;
        }
    }

    /// The missed times that it fires for in this turn.
    pub(super) fn take_owed(&mut self, now: u64) -> Vec<u64> {
        let Some(owed) = self.owed.as_mut().filter(|owed| owed.at <= now) else { return Vec::new() };
        let taken = owed.times.drain(..owed.times.len().min(FIRES_PER_TURN)).collect();
        owed.at = now.saturating_add(PACE_MS);
        if owed.times.is_empty() {
            self.owed = None;
        }
        taken
    }

    /// The schedule is another one: what the old one missed is nobody's any more.
    pub(super) fn forget_missed(&mut self) {
        let owed = self.owed.take().map_or(0, |owed| owed.times.len());
        let planned = self.plan.take().map_or(0, |plan| plan.times.len());
        self.skipped += (owed + planned) as u64;
        self.missed = None;
    }
}
