//! Calendars: which days of a year something may happen on.
//!
//! A calendar says which days it includes, and which of those it leaves out again. It is described in the settings of
//! the environment ([`CalendarSpec`]) and may name others. What a trigger gets is a [`Calendar`]: the description with
//! all that it names, as of a moment, so that nothing has to be looked up where something is decided.

mod book;
mod day;
mod rule;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::book::{CalendarError, Calendars};
pub use self::day::{Day, Weekday, local_day};
pub use self::rule::Rule;

/// How deep calendars may name each other.
pub const DEPTH_MAX: usize = 8;
/// So many years ahead a day is looked for.
pub const YEARS_MAX: i16 = 10;

/// Within which time a calendar has to cover some day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    from: Date,
    years: i16,
}

impl Ahead {
    /// At any time at all: for what was right once, and is still there.
    pub const EVER: Ahead = Ahead { from: jiff::civil::date(1970, 1, 1), years: 230 };

    /// Within [`YEARS_MAX`] years from a moment on, in milliseconds since the Unix epoch.
    pub fn of(now: u64) -> Self {
        Ahead { from: local_day(now, "UTC").unwrap_or(Ahead::EVER.from), years: YEARS_MAX }
    }
}

/// A calendar as somebody has described it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarSpec {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The days that it covers; every day if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Days>,
    /// The days among them that it does not cover after all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Days>,
}

/// Some days: those that any of these says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// Single days.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub dates: BTreeSet<Day>,
    /// Days of every week.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub weekdays: BTreeSet<Weekday>,
    /// Days that come again by a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The days of other calendars.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub calendars: BTreeSet<String>,
}

impl CalendarSpec {
    /// The calendars that it names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.include.iter().chain(&self.exclude).flat_map(|days| &days.calendars)
    }
}

/// A calendar with all that it names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calendar {
    /// Its name.
    pub name: String,
    /// Itself and those it names, however deep, by name.
    parts: BTreeMap<String, CalendarSpec>,
}

impl Calendar {
    /// One that names no other.
    pub fn of(name: &str, spec: CalendarSpec) -> Self {
        Calendar { name: name.to_owned(), parts: BTreeMap::from([(name.to_owned(), spec)]) }
    }

    /// A short text that is another one for another calendar.
    pub fn fingerprint(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether it covers a moment, in milliseconds since the Unix epoch: that is, its day in a time zone of the IANA
    /// database. What is no moment or no zone is not covered.
    pub fn covers(&self, moment: u64, zone: &str) -> bool {
        local_day(moment, zone).is_some_and(|day| self.covers_day(day))
    }

    /// Whether it covers a day.
    pub fn covers_day(&self, day: Date) -> bool {
        self.part_covers(&self.name, day, &mut BTreeMap::new(), DEPTH_MAX)
    }

    /// The first day from `from` on that it covers, within so many years.
    pub fn next_day(&self, from: Date, years: i16) -> Option<Date> {
        let end = from.checked_add(jiff::Span::new().try_years(years).ok()?).unwrap_or(Date::MAX);
        from.series(jiff::Span::new().days(1)).take_while(|day| *day <= end).find(|day| self.covers_day(*day))
    }

    /// `known` has what was found out about this day already: calendars that many name are asked once.
    fn part_covers<'a>(
        &'a self,
        name: &'a str,
        day: Date,
        known: &mut BTreeMap<&'a str, bool>,
        depth: usize,
    ) -> bool {
        if let Some(covers) = known.get(name) {
            return *covers;
        }
        // The book refuses what is missing, in a circle, or too deep.
        let covers = match (self.parts.get(name), depth.checked_sub(1)) {
            (Some(spec), Some(depth)) => {
                let mut has = |days: &'a Days| self.days_have(days, day, known, depth);
                spec.include.as_ref().is_none_or(&mut has) && !spec.exclude.as_ref().is_some_and(&mut has)
            }
            (None, _) | (_, None) => false,
        };
        known.insert(name, covers);
        covers
    }

    fn days_have<'a>(
        &'a self,
        days: &'a Days,
        day: Date,
        known: &mut BTreeMap<&'a str, bool>,
        depth: usize,
    ) -> bool {
        days.weekdays.contains(&Weekday::of(day))
            || days.dates.contains(&Day(day))
            || days.rules.iter().any(|rule| rule.has(day))
            || days.calendars.iter().any(|name| self.part_covers(name, day, known, depth))
    }
}

#[cfg(test)]
mod tests;
