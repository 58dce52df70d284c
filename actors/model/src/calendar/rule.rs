//! Days that come again: daily, weekly, monthly, quarterly, yearly.
//!
//! The last three are one: a day is picked from every so many periods of one, three or twelve months.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::day::{Day, Weekday};

/// The most of anything that a rule counts.
const COUNT_MAX: u16 = 366;

/// A rule for days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Written", try_from = "Written")]
pub struct Rule {
    /// The first day on which it holds, from which it counts.
    from: Option<Day>,
    /// The last day on which it holds.
    until: Option<Day>,
    /// Only every so many days, weeks or periods.
    every: u16,
    pattern: Pattern,
}

#[derive(Clone, Debug, PartialEq)]
enum Pattern {
    Daily,
    Weekly(BTreeSet<Weekday>),
    Periods {
        repeat: Period,
        /// The month in which a year begins.
        begins: i8,
        /// Only these months, each being a period of its own; none for all.
        months: BTreeSet<i8>,
        pick: Pick,
    },
}

/// How long a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Month,
    Quarter,
    Year,
}

impl Period {
    fn months(self) -> i32 {
        match self {
            Period::Month => 1,
            Period::Quarter => 3,
            Period::Year => 12,
        }
    }
}

/// Which days of a period; a negative number counts from its end.
#[derive(Clone, Debug, PartialEq)]
enum Pick {
    /// By number.
    Days(BTreeSet<i16>),
    /// By number among these days of the week.
    Nth(BTreeSet<i16>, BTreeSet<Weekday>),
}

impl Rule {
    /// Whether a day is one of its days.
    pub(super) fn has(&self, day: Date) -> bool {
        if self.from.is_some_and(|from| day < from.0) || self.until.is_some_and(|until| day > until.0) {
            return false;
        }
        match &self.pattern {
            Pattern::Daily => self.nth_since(days(day), days),
            Pattern::Weekly(on) => on.contains(&Weekday::of(day)) && self.nth_since(week(day), week),
            Pattern::Periods { repeat, begins, months, pick } => {
                let length = repeat.months();
                let number = |day: Date| (month(day) - i32::from(*begins - 1)).div_euclid(length);
                let counts = self.nth_since(number(day), number);
                let in_month = months.contains(&day.month());
                let span = match (months.is_empty(), in_month) {
                    (true, _) => span(number(day) * length + i32::from(*begins - 1), length),
                    (false, true) => span(month(day), 1),
                    (false, false) => None,
                };
                counts && span.is_some_and(|span| pick.has(day, span))
            }
        }
    }

    /// Whether something with this number is one of every so many since the first.
    fn nth_since(&self, number: i32, of: impl Fn(Date) -> i32) -> bool {
        let first = self.from.map_or(0, |from| of(from.0));
        (number - first).rem_euclid(i32::from(self.every)) == 0
    }
}

impl Pick {
    fn has(&self, day: Date, (first, last): (Date, Date)) -> bool {
        let either = |wanted: &BTreeSet<i16>, before: i32, behind: i32| {
            let is = |number: i32| i16::try_from(number).is_ok_and(|number| wanted.contains(&number));
            is(before + 1) || is(-behind - 1)
        };
        match self {
            Pick::Days(wanted) => either(wanted, days(day) - days(first), days(last) - days(day)),
            Pick::Nth(wanted, of) => {
                // Whole weeks have each of them once; what is left of a week is less than seven days.
                let such = |from: Date, count: i32| {
                    let rest = usize::try_from(count.rem_euclid(7)).unwrap_or(0);
                    let series = from.series(jiff::Span::new().days(1)).take(rest);
                    let rest = series.filter(|day| of.contains(&Weekday::of(*day))).count();
                    let each = i32::try_from(of.len()).unwrap_or(0);
                    count.div_euclid(7) * each + i32::try_from(rest).unwrap_or(0)
                };
                of.contains(&Weekday::of(day)) && {
                    let before = such(first, days(day) - days(first));
                    let behind = such(day.tomorrow().unwrap_or(day), days(last) - days(day));
                    either(wanted, before, behind)
                }
            }
        }
    }
}

/// The number of a day, from an epoch on.
fn days(day: Date) -> i32 {
    const EPOCH: Date = jiff::civil::date(1970, 1, 1);
    day.duration_since(EPOCH).as_hours().div_euclid(24).try_into().unwrap_or(0)
}

/// The number of a week; weeks begin on Monday.
fn week(day: Date) -> i32 {
    // The epoch was a Thursday.
    (days(day) + 3).div_euclid(7)
}

/// The number of a month.
fn month(day: Date) -> i32 {
    i32::from(day.year()) * 12 + i32::from(day.month()) - 1
}

/// The first and the last day of `length` months from the month of a number on.
fn span(first: i32, length: i32) -> Option<(Date, Date)> {
    let day = |month: i32| {
        let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
        Date::new(year.try_into().ok()?, month.try_into().ok()?, 1).ok()
    };
    Some((day(first)?, day(first + length)?.yesterday().ok()?))
}

/// A rule as it is written. Which members go with which word is checked where it becomes a [`Rule`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    pub(super) repeat: String,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(super) every: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<Day>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<Day>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) weekdays: Option<BTreeSet<Weekday>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) begins: Option<i8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) months: Option<BTreeSet<i8>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) days: Option<BTreeSet<i16>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nth: Option<BTreeSet<i16>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) of: Option<BTreeSet<Weekday>>,
}

fn one() -> u16 {
    1
}

fn is_one(number: &u16) -> bool {
    *number == 1
}

impl From<Rule> for Written {
    fn from(rule: Rule) -> Written {
        let written = Written { every: rule.every, from: rule.from, until: rule.until, ..Written::default() };
        match rule.pattern {
            Pattern::Daily => Written { repeat: "daily".to_owned(), ..written },
            Pattern::Weekly(on) => Written { repeat: "weekly".to_owned(), weekdays: Some(on), ..written },
            Pattern::Periods { repeat, begins, months, pick } => {
                let word = match repeat {
                    Period::Month => "monthly",
                    Period::Quarter => "quarterly",
                    Period::Year => "yearly",
                };
                let (days, nth, of) = match pick {
                    Pick::Days(days) => (Some(days), None, None),
                    Pick::Nth(nth, of) => (None, Some(nth), Some(of)),
                };
                Written {
                    repeat: word.to_owned(),
                    begins: (begins != 1).then_some(begins),
                    months: (!months.is_empty()).then_some(months),
                    days,
                    nth,
                    of,
                    ..written
                }
            }
        }
    }
}

impl TryFrom<Written> for Rule {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        let word = written.repeat.as_str();
        let (period, takes): (Option<Period>, &[&str]) = match word {
            "daily" => (None, &[]),
            "weekly" => (None, &["weekdays"]),
            "monthly" => (Some(Period::Month), &["months", "days", "nth", "of"]),
            "quarterly" => (Some(Period::Quarter), &["begins", "days", "nth", "of"]),
            "yearly" => (Some(Period::Year), &["begins", "months", "days", "nth", "of"]),
            _ => {
                let shown: String = word.chars().take(40).collect();
                return Err(format!(
                    "expected repeat: daily, weekly, monthly, quarterly or yearly, found '{shown}'"
                ));
            }
        };
        let given = [
            ("weekdays", written.weekdays.is_some()),
            ("begins", written.begins.is_some()),
            ("months", written.months.is_some()),
            ("days", written.days.is_some()),
            ("nth", written.nth.is_some()),
            ("of", written.of.is_some()),
        ];
        if let Some((member, _)) = given.iter().find(|(member, given)| *given && !takes.contains(member)) {
            let takes = if takes.is_empty() { "every, from and until".to_owned() } else { takes.join(", ") };
            return Err(format!("expected a {word} rule to have {takes}, found '{member}'"));
        }
        if !(1..=COUNT_MAX).contains(&written.every) {
            return Err(format!("expected every: 1 to {COUNT_MAX}, found {}", written.every));
        }
        if written.every > 1 && written.from.is_none() {
            return Err(format!(
                "expected a day 'from' which every {} is counted, found none",
                written.every
            ));
        }
        if let (Some(from), Some(until)) = (written.from, written.until)
            && until < from
        {
            return Err(format!("expected 'until' not before {}, found {}", from.0, until.0));
        }
        let pattern = match period {
            Some(period) => periods(period, &written)?,
            None if word == "daily" => Pattern::Daily,
            None => {
                let on = written.weekdays.filter(|on| !on.is_empty());
                Pattern::Weekly(on.ok_or("expected weekdays in a weekly rule, found none")?)
            }
        };
        Ok(Rule { from: written.from, until: written.until, every: written.every, pattern })
    }
}

fn periods(repeat: Period, written: &Written) -> Result<Pattern, String> {
    let word = &written.repeat;
    let begins = written.begins.unwrap_or(1);
    let months = written.months.clone().unwrap_or_default();
    if let Some(month) = months.iter().chain([&begins]).find(|month| !(1..=12).contains(*month)) {
        return Err(format!("expected a month from 1 to 12, found {month}"));
    }
    if written.begins.is_some() && !months.is_empty() {
        return Err("expected 'begins' or 'months', found both".to_owned());
    }
    let most: i16 = match (repeat, months.is_empty()) {
        (Period::Month, _) | (Period::Year, false) => 31,
        (Period::Quarter, _) => 92,
        (Period::Year, true) => 366,
    };
    let counted = |what: &str, numbers: &BTreeSet<i16>| {
        if numbers.is_empty() {
            return Err(format!("expected at least one number in '{what}', found none"));
        }
        match numbers.iter().find(|number| **number == 0 || number.abs() > most) {
            Some(number) => Err(format!(
                "expected '{what}' from 1 to {most}, or from the end from -1 to -{most}, in a {word} rule, found {number}"
            )),
            None => Ok(numbers.clone()),
        }
    };
    let pick = match (&written.days, &written.nth, &written.of) {
        (Some(days), None, None) => Pick::Days(counted("days", days)?),
        (None, Some(nth), Some(of)) if !of.is_empty() => Pick::Nth(counted("nth", nth)?, of.clone()),
        _ => {
            return Err(format!(
                "expected either 'days' or 'nth' with 'of' in a {word} rule: days: [-1] is the last day, \
                 nth: [2] with of: [tue] the second Tuesday"
            ));
        }
    };
    Ok(Pattern::Periods { repeat, begins, months, pick })
}
