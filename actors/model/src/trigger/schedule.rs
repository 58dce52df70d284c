//! When a trigger fires that watches the time.

use serde_json::json;

use super::catch_up::{FIRES_PER_TURN, GRACE_MS};
use super::times::{self, Times};
use super::{Cause, Trigger};
use crate::calendar::{Calendar, YEARS_MAX};
use crate::definition::{Definition, TriggerSpec, Watch};
use crate::entry::Message;
use crate::ids;

impl Trigger {
    /// Whether it waits for nothing but a time, the end of an instance, or a decision.
    pub fn watches_time(&self) -> bool {
        self.time_due().is_some() || self.waits_for.is_some()
    }

    /// When a nominal time comes, or it goes on to make up for missed ones, in milliseconds since the Unix epoch.
    pub(super) fn time_due(&self) -> Option<u64> {
        let owed = self.owed.as_ref().map(|owed| owed.at);
        self.next.into_iter().chain(owed).min()
    }

    /// Takes a schedule up: from now on, or where it is if it was watched before.
    pub(super) fn schedule(
        &mut self,
        definition: &Definition,
        watch: &Watch,
        (same, before): (bool, Option<&Calendar>),
        now: u64,
    ) -> Result<(), String> {
        let calendar = self.calendar.as_ref();
        if same && calendar == before {
            return Ok(());
        }
        let times = Times::new(definition, watch, calendar)?;
        let from = match (self.next.filter(|_| same), watch) {
            // It waits for the end of an instance.
            (None, _) if same => return Ok(()),
            // Another calendar takes no time back that has passed, and keeps the rhythm.
            (Some(next), Watch::After(_)) => Some((next, next)),
            (Some(next), _) => Some((next, next.min(now.saturating_add(1)))),
            // The first time is at once: who starts a schedule wants to see it work.
            (None, Watch::Every(_) | Watch::After(_)) => Some((now, now)),
            (None, Watch::Cron(_)) => Some((now, now.saturating_add(1))),
            (None, Watch::Event(_)) => None,
        };
        let next = times.as_ref().zip(from).and_then(|(times, (one, from))| times.at_or_after(one, from));
        let fires = times.is_none() || next.is_some();
        self.next = next;
        if !same {
            self.waits_for = None;
            self.forget_missed();
        }
        if fires { Ok(()) } else { Err(self.never()) }
    }

    fn never(&self) -> String {
        match &self.calendar {
            Some(calendar) => format!(
                "expected a time on a day that calendar '{}' covers within {YEARS_MAX} years, found none",
                calendar.name
            ),
            None => "expected a time at which it fires, found none".to_owned(),
        }
    }

    /// Fires for the nominal times up to now. Those that were missed are for the definition's rule.
    pub(super) fn fire_due(
        &mut self,
        (definition, spec): (&Definition, &TriggerSpec),
        now: u64,
    ) -> Vec<Message> {
        let calendar = self.calendar.clone();
        let Ok(Some(times)) = Times::new(definition, &spec.watch, calendar.as_ref()) else {
            return Vec::new();
        };
        // What counts from the end of the instance before has no nominal time that it could miss; skipped, it would
        // never fire again.
        let counts_from_end = matches!(spec.watch, Watch::After(_));
        if let Some(first) = self.next.filter(|next| !counts_from_end && next.saturating_add(GRACE_MS) < now)
        {
            self.catch_up(&times, first, definition.ops.misfire, now);
        }
        let mut due = self.take_owed(now);
        while let Some(next) = self.next.filter(|next| *next <= now && due.len() < FIRES_PER_TURN) {
            due.push(next);
            self.next = times.at_or_after(next, next.saturating_add(1)).filter(|_| !counts_from_end);
        }
        if self.next.is_none() && !counts_from_end {
            // The days of its calendar have run out.
            self.problem = Some(self.never());
        }
        due.into_iter().map(|nominal| self.fire_time(spec, nominal, now)).collect()
    }

    fn fire_time(&mut self, spec: &TriggerSpec, nominal: u64, now: u64) -> Message {
        let instance = ids::instance_of_fire(&self.name, nominal);
        if matches!(spec.watch, Watch::After(_)) {
            self.waits_for = Some(instance.clone());
        }
        self.fire(&instance, json!({}), &Cause::Time(nominal), now)
    }

    /// The instance that an `after` schedule waited for has ended.
    pub(super) fn count_from_end(&mut self, (definition, spec): (&Definition, &TriggerSpec), now: u64) {
        let Watch::After(delay) = &spec.watch else { return };
        let times = Times::new(definition, &spec.watch, self.calendar.as_ref()).ok().flatten();
        let due = times::millis(delay, now).map(|delay| now.saturating_add(delay));
        self.next = due.zip(times).and_then(|(due, times)| times.at_or_after(due, due));
    }
}
