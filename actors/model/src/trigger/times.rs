//! The nominal times of a schedule: what its definition says, on the days that its calendar covers.
//!
//! A cron expression means local time. A time that a night skips comes at the first instant after the gap, once, as a task
//! that was due that night is to be done that night; a whole day that a zone skipped has no times. Of an hour that a night
//! has twice, fixed times come once, and what repeats within the hour comes in both. An interval means time that passes, so
//! nights change nothing about it.

use std::str::FromStr;

use jiff::Zoned;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::calendar::{Calendar, YEARS_MAX};
use crate::definition::{Definition, Delay, Watch};
use crate::expression::{Fuel, Variables};

/// The longest time for which a calendar may hold a schedule up.
const HORIZON_MS: u64 = 366 * 86_400_000 * YEARS_MAX.unsigned_abs() as u64;
/// The most steps of an interval of months or years that are counted one by one.
const STEPS_MAX: usize = 10_000;

/// How far ahead a gap may be that a search did not get over: it looks no further than the next time that would be.
const GAP_WITHIN_MS: i64 = 400 * 86_400_000;

struct Nothing;

impl Variables for Nothing {
    fn get(&self, _name: &str) -> Option<std::borrow::Cow<'_, Value>> {
        None
    }
}

/// The length of a delay that begins at a moment, in milliseconds.
pub(super) fn millis(delay: &Delay, from: u64) -> Option<u64> {
    delay.millis(from, &Value::Null, &Nothing, &mut Fuel(Fuel::PER_EXPRESSION)).ok()
}

/// The nominal times of a schedule.
pub(super) struct Times<'a> {
    rhythm: Rhythm<'a>,
    zone: TimeZone,
    calendar: Option<&'a Calendar>,
}

enum Rhythm<'a> {
    Every(&'a Delay),
    Cron(Box<croner::Cron>),
    /// Any moment will do.
    Any,
}

impl<'a> Times<'a> {
    /// Those of a trigger that watches the time; nothing of any other.
    ///
    /// # Errors
    /// Why it cannot watch.
    pub(super) fn new(
        definition: &Definition,
        watch: &'a Watch,
        calendar: Option<&'a Calendar>,
    ) -> Result<Option<Self>, String> {
        let rhythm = match watch {
            Watch::Every(delay) => Rhythm::Every(delay),
            Watch::After(_) => Rhythm::Any,
            Watch::Cron(pattern) => {
                let cron = croner::Cron::from_str(pattern);
                Rhythm::Cron(Box::new(cron.map_err(|error| format!("cron '{pattern}': {error}"))?))
            }
            Watch::Event(_) => return Ok(None),
        };
        let name = definition.ops.time_zone.as_deref().unwrap_or("UTC");
        let zone = TimeZone::get(name).map_err(|error| format!("time zone '{name}': {error}"))?;
        Ok(Some(Times { rhythm, zone, calendar }))
    }

    /// The first time from `from` on, all in milliseconds since the Unix epoch. `one` is a time of the rhythm, which an
    /// interval is counted from. None if there is none, or if the calendar covers none of them for years.
    pub(super) fn at_or_after(&self, one: u64, from: u64) -> Option<u64> {
        let horizon = from.saturating_add(HORIZON_MS);
        let mut from = from;
        loop {
            let at = self.of_rhythm(one, from)?;
            let Some(calendar) = self.calendar else { return Some(at) };
            if at > horizon {
                return None;
            }
            let day = self.local(at)?.date();
            if calendar.covers_day(day) {
                return Some(at);
            }
            let next = calendar.next_day(day.tomorrow().ok()?, YEARS_MAX)?;
            let start = self.zone.to_zoned(next.at(0, 0, 0, 0)).ok()?.timestamp().as_millisecond();
            // A day that a zone skipped as a whole begins where the day after it does; then it goes on behind it.
            from = u64::try_from(start).ok()?.max(at.saturating_add(1));
        }
    }

    /// The last time in `from..=until`. `one` as above.
    pub(super) fn last_until(&self, one: u64, from: u64, until: u64) -> Option<u64> {
        let within = |from: u64| self.at_or_after(one, from).filter(|at| *at <= until);
        let mut last = within(from)?;
        // At `last` there is one still ahead, at `none` there is none any more.
        let mut none = until.saturating_add(1);
        while none - last > 1 {
            let middle = last + (none - last) / 2;
            match within(middle) {
                Some(at) => last = at,
                None => none = middle,
            }
        }
        Some(last)
    }

    fn of_rhythm(&self, one: u64, from: u64) -> Option<u64> {
        match &self.rhythm {
            Rhythm::Any => Some(from),
            Rhythm::Every(delay) => of_interval(delay, one, from),
            Rhythm::Cron(cron) => {
                // Behind a whole second there is nothing up to the next one; and the last second before a gap is where
                // a time within the gap is seen from.
                let before = from.div_ceil(1_000).checked_sub(1)?.saturating_mul(1_000);
                let before = self.local(before)?;
                let next = cron.find_next_occurrence(&before, false).ok();
                let next = next.or_else(|| self.behind_gap(cron, &before))?;
                u64::try_from(next.timestamp().as_millisecond()).ok()
            }
        }
    }

    /// A search does not get over a gap of a whole day, such as Samoa had when it changed sides of the date line. That day
    /// has no times; the search goes on behind it.
    fn behind_gap(&self, cron: &croner::Cron, before: &Zoned) -> Option<Zoned> {
        let gap = self.zone.following(before.timestamp()).next()?.timestamp();
        let near = gap.as_millisecond() - before.timestamp().as_millisecond() <= GAP_WITHIN_MS;
        near.then(|| cron.find_next_occurrence(&gap.to_zoned(self.zone.clone()), true).ok()).flatten()
    }

    fn local(&self, at: u64) -> Option<Zoned> {
        let at = jiff::Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }
}

/// The first of the times that an interval has from `from` on, `one` being one of them.
fn of_interval(delay: &Delay, one: u64, from: u64) -> Option<u64> {
    if !matches!(delay, Delay::Calendar(_)) {
        let interval = millis(delay, one)?.max(1);
        return Some(match from.checked_sub(one) {
            Some(ahead) => one.saturating_add(ahead.div_ceil(interval).saturating_mul(interval)),
            None => one - (one - from) / interval * interval,
        });
    }
    // Months and years have no length of their own, so what was before `one` cannot be told from it.
    let mut at = one;
    for _ in 0..STEPS_MAX {
        if at >= from {
            return Some(at);
        }
        at = at.saturating_add(millis(delay, at)?.max(1));
    }
    None
}
