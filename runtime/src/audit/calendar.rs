//! The times of a schedule, reckoned anew: field by field with the civil calendar, by nothing that triggers use.
//!
//! It claims only what is beyond doubt. A time that a night skips or has twice is for the trigger to judge, and so is an
//! expression with signs beyond lists, ranges and steps.

use std::collections::BTreeSet;

use impresario_model::calendar::Calendar;
use impresario_model::definition::{Delay, Watch};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// For so many days a calendar is looked through for one schedule.
const DAYS_MOST: usize = 800;

/// The first nominal time after `after` and before `before` (milliseconds since the Unix epoch), if there certainly is one.
pub fn between(
    watch: &Watch,
    zone: &str,
    calendar: Option<&Calendar>,
    after: u64,
    before: u64,
) -> Option<u64> {
    match watch {
        // Each is one interval from the one before, so there is room for another one if the next is further away.
        Watch::Every(Delay::Millis(interval)) if calendar.is_none() && *interval > 0 => {
            let earlier = before.checked_sub(*interval)?;
            (earlier > after).then_some(earlier)
        }
        Watch::Cron(pattern) => Fields::read(pattern)?.between(zone, calendar, after, before),
        Watch::Every(_) | Watch::After(_) | Watch::Event(_) => None,
    }
}

/// The five fields of a cron expression.
#[derive(Debug, PartialEq, Eq)]
struct Fields {
    minutes: BTreeSet<u8>,
    hours: BTreeSet<u8>,
    days: BTreeSet<u8>,
    months: BTreeSet<u8>,
    weekdays: BTreeSet<u8>,
    /// Whether either of the two is enough: if both are limited.
    any_day: bool,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Fields {
    fn read(pattern: &str) -> Option<Fields> {
        let mut parts: Vec<&str> = pattern.split_ascii_whitespace().collect();
        if parts.len() == 6 && parts.first() == Some(&"0") {
            parts.remove(0);
        }
        let [minutes, hours, days, months, weekdays] = parts.as_slice() else { return None };
        Some(Fields {
            minutes: field(minutes, 0, 59, &[], 0)?,
            hours: field(hours, 0, 23, &[], 0)?,
            days: field(days, 1, 31, &[], 0)?,
            months: field(months, 1, 12, &MONTHS, 1)?,
            weekdays: field(weekdays, 0, 7, &WEEKDAYS, 0)?.into_iter().map(|day| day % 7).collect(),
            any_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }

    fn covers(&self, day: Date) -> bool {
        let number = u8::try_from(day.day()).unwrap_or(0);
        let weekday = u8::try_from(day.weekday().to_sunday_zero_offset()).unwrap_or(0);
        let (by_day, by_weekday) = (self.days.contains(&number), self.weekdays.contains(&weekday));
        let today = if self.any_day { by_day || by_weekday } else { by_day && by_weekday };
        today && self.months.contains(&u8::try_from(day.month()).unwrap_or(0))
    }

    fn between(&self, zone: &str, calendar: Option<&Calendar>, after: u64, before: u64) -> Option<u64> {
        let zone = TimeZone::get(zone).ok()?;
        let local = |at: u64| {
            let at = Timestamp::from_millisecond(i64::try_from(at).ok()?).ok()?;
            Some(at.to_zoned(zone.clone()).date())
        };
        let (mut day, last) = (local(after)?, local(before)?);
        for _ in 0..DAYS_MOST {
            if day > last {
                return None;
            }
            if self.covers(day) && calendar.is_none_or(|calendar| calendar.covers_day(day)) {
                for hour in &self.hours {
                    for minute in &self.minutes {
                        let at = day.at(i8::try_from(*hour).ok()?, i8::try_from(*minute).ok()?, 0, 0);
                        let found = zone.to_ambiguous_timestamp(at);
                        if found.is_ambiguous() {
                            continue;
                        }
                        let found = u64::try_from(found.compatible().ok()?.as_millisecond()).ok()?;
                        if found >= before {
                            return None;
                        }
                        if found > after {
                            return Some(found);
                        }
                    }
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }
}

/// The values of a field: a list of numbers, names and ranges, each maybe with a step.
fn field(text: &str, least: u8, most: u8, names: &[&str], first: u8) -> Option<BTreeSet<u8>> {
    let value = |text: &str| -> Option<u8> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = match named {
            Some(at) => u8::try_from(at).ok()?.checked_add(first)?,
            None => text.parse().ok()?,
        };
        (least..=most).contains(&value).then_some(value)
    };
    let mut values = BTreeSet::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<u8>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (from, to) = match range.split_once('-') {
            _ if range == "*" => (least, most),
            Some((from, to)) => (value(from)?, value(to)?),
            None if part.contains('/') => (value(range)?, most),
            None => (value(range)?, value(range)?),
        };
        if from > to {
            return None;
        }
        values.extend((from..=to).step_by(usize::from(step)));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_millisecond().try_into().unwrap()
    }

    fn cron(pattern: &str, zone: &str, after: &str, before: &str) -> Option<String> {
        let found = between(&Watch::Cron(pattern.to_owned()), zone, None, ms(after), ms(before))?;
        Some(Timestamp::from_millisecond(found.try_into().unwrap()).unwrap().to_string())
    }

    #[test]
    fn a_time_that_was_jumped_over_is_found() {
        let found = cron("*/15 * * * *", "UTC", "2026-03-01T10:00:00Z", "2026-03-01T10:30:00Z");
        assert_eq!(found.as_deref(), Some("2026-03-01T10:15:00Z"));
        assert_eq!(cron("*/15 * * * *", "UTC", "2026-03-01T10:00:00Z", "2026-03-01T10:15:00Z"), None);
        let found = cron("30 8 * * MON-FRI", "Europe/Berlin", "2026-02-27T08:00:00Z", "2026-03-03T07:30:00Z");
        assert_eq!(found.as_deref(), Some("2026-03-02T07:30:00Z"), "a weekend is between");
        let found = cron("0 0 13 * FRI", "UTC", "2026-03-01T00:00:00Z", "2026-03-20T00:00:00Z");
        assert_eq!(found.as_deref(), Some("2026-03-06T00:00:00Z"), "either of the two days is enough");
        let every = Watch::Every(Delay::Millis(1_000));
        assert_eq!(between(&every, "UTC", None, 5_000, 6_000), None);
        assert_eq!(between(&every, "UTC", None, 5_000, 8_000), Some(7_000));
    }

    #[test]
    fn nothing_is_claimed_of_nights_that_skip_or_repeat_an_hour() {
        let skipped = cron("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z");
        assert_eq!(skipped, None);
        let twice = cron("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z");
        assert_eq!(twice, None);
    }

    #[test]
    fn nothing_is_claimed_of_what_it_cannot_read() {
        for pattern in ["0 0 L * *", "0 0 * * MON#2", "@daily", "0 0 15W * *", "5 0 0 1 1 *", "60 * * * *"] {
            assert_eq!(Fields::read(pattern), None, "{pattern}");
        }
    }
}
