//! When a trigger fires that watches the time.

use std::str::FromStr;

use serde_json::{Value, json};

use super::{Cause, Trigger};
use crate::definition::{Definition, Misfire, TriggerSpec, Watch};
use crate::entry::Message;
use crate::expression::{Fuel, Variables};
use crate::ids;

/// How many missed times one turn looks at; the rest wait for the next turn.
const FIRES_PER_TURN: usize = 100;
/// A schedule that skips what it missed still fires for a time that passed no longer than this ago.
const GRACE_MS: u64 = 30_000;

struct Nothing;

impl Variables for Nothing {
    fn get(&self, _name: &str) -> Option<std::borrow::Cow<'_, Value>> {
        None
    }
}

impl Trigger {
    /// Fires for the nominal times up to now, as the definition's misfire rule says.
    pub(super) fn fire_due(
        &mut self,
        (definition, spec): (&Definition, &TriggerSpec),
        now: u64,
    ) -> Vec<Message> {
        let mut due = Vec::new();
        while let Some(next) = self.next.filter(|next| *next <= now) {
            due.push(next);
            self.next = following(definition, &spec.watch, next, now);
            if matches!(spec.watch, Watch::After(_)) || due.len() >= FIRES_PER_TURN {
                break;
            }
        }
        let seen = due.len();
        match definition.ops.misfire {
            // What counts from the end of the instance before has no nominal time that it could miss; skipped, it
            // would never fire again.
            _ if matches!(spec.watch, Watch::After(_)) => {}
            Misfire::FireAll => {}
            Misfire::FireOnce => drop(due.drain(..seen.saturating_sub(1))),
            Misfire::Skip => {
                drop(due.drain(..seen.saturating_sub(1)));
                due.retain(|nominal| now - nominal <= GRACE_MS);
            }
        }
        self.skipped += (seen - due.len()) as u64;
        due.into_iter().map(|nominal| self.fire_time(spec, nominal, now)).collect()
    }

    fn fire_time(&mut self, spec: &TriggerSpec, nominal: u64, now: u64) -> Message {
        let instance = ids::instance_of_fire(&self.name, nominal);
        if matches!(spec.watch, Watch::After(_)) {
            self.waits_for = Some(instance.clone());
        }
        self.fire(&instance, json!({}), &Cause::Time(nominal), now)
    }
}

/// The first nominal time of a trigger that is armed now; none if it watches no time.
///
/// # Errors
/// Why it cannot watch.
pub(super) fn first(definition: &Definition, watch: &Watch, now: u64) -> Result<Option<u64>, String> {
    match watch {
        // The first time is at once: who starts a schedule wants to see it work.
        Watch::Every(_) | Watch::After(_) => Ok(Some(now)),
        Watch::Cron(pattern) => next_cron(pattern, zone(definition), now),
        Watch::Event(_) => Ok(None),
        Watch::Unsupported(what) => Err(format!("this version does not watch '{what}'")),
    }
}

fn zone(definition: &Definition) -> &str {
    definition.ops.time_zone.as_deref().unwrap_or("UTC")
}

fn millis(delay: &crate::definition::Delay, now: u64) -> Option<u64> {
    delay.millis(now, &Value::Null, &Nothing, &mut Fuel(Fuel::PER_EXPRESSION)).ok()
}

pub(super) fn after(spec: &TriggerSpec, now: u64) -> Option<u64> {
    match &spec.watch {
        Watch::After(delay) => Some(now.saturating_add(millis(delay, now)?)),
        _ => None,
    }
}

/// The nominal time after `nominal`; far behind `now`, an interval jumps close to it.
fn following(definition: &Definition, watch: &Watch, nominal: u64, now: u64) -> Option<u64> {
    match watch {
        Watch::Every(delay) => {
            let interval = millis(delay, nominal)?.max(1);
            let behind = now.saturating_sub(nominal) / interval;
            let most = FIRES_PER_TURN as u64;
            let jump =
                if definition.ops.misfire != Misfire::FireAll && behind > most { behind - 1 } else { 1 };
            Some(nominal.saturating_add(interval.saturating_mul(jump)))
        }
        Watch::Cron(pattern) => {
            let from = if definition.ops.misfire == Misfire::FireAll {
                nominal
            } else {
                nominal.max(now.saturating_sub(GRACE_MS))
            };
            next_cron(pattern, zone(definition), from).ok().flatten()
        }
        Watch::After(_) | Watch::Event(_) | Watch::Unsupported(_) => None,
    }
}

/// The first time of a cron expression after `from`, in milliseconds since the Unix epoch.
fn next_cron(pattern: &str, zone: &str, from: u64) -> Result<Option<u64>, String> {
    let cron = croner::Cron::from_str(pattern).map_err(|error| format!("cron '{pattern}': {error}"))?;
    let moment = i64::try_from(from)
        .ok()
        .and_then(|from| jiff::Timestamp::from_millisecond(from).ok())
        .ok_or_else(|| "a time out of range".to_owned())?;
    let zoned = moment.in_tz(zone).map_err(|error| format!("time zone '{zone}': {error}"))?;
    let next = cron
        .find_next_occurrence(&zoned, false)
        .map_err(|error| format!("cron '{pattern}' never fires: {error}"))?;
    Ok(u64::try_from(next.timestamp().as_millisecond()).ok())
}
