//! Days of calendars in words, for lists.

use std::collections::BTreeSet;

use super::Days;
use super::day::Weekday;
use super::rule::Written;

/// So many single days are named.
const DATES_NAMED: usize = 5;
const WEEK: [(Weekday, &str); 7] = [
    (Weekday::Mon, "mon"),
    (Weekday::Tue, "tue"),
    (Weekday::Wed, "wed"),
    (Weekday::Thu, "thu"),
    (Weekday::Fri, "fri"),
    (Weekday::Sat, "sat"),
    (Weekday::Sun, "sun"),
];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl Days {
    /// Which days they are, such as `mon to fri; the last day of each month`.
    pub fn words(&self) -> String {
        let mut parts = Vec::new();
        if !self.weekdays.is_empty() {
            parts.push(weekdays(&self.weekdays));
        }
        parts.extend(self.rules.iter().map(|rule| rule_words(&Written::from(rule.clone()))));
        parts.extend(self.calendars.iter().map(|name| format!("the days of {name}")));
        let dates: Vec<String> = self.dates.iter().take(DATES_NAMED).map(|day| day.0.to_string()).collect();
        if !dates.is_empty() {
            let more = self.dates.len() - dates.len();
            let more = if more > 0 { format!(" and {more} more days") } else { String::new() };
            parts.push(format!("{}{more}", dates.join(", ")));
        }
        parts.join("; ")
    }
}

/// `mon to fri`, `sat, sun`.
fn weekdays(days: &BTreeSet<Weekday>) -> String {
    let at: Vec<usize> = (0..WEEK.len()).filter(|at| days.contains(&WEEK[*at].0)).collect();
    match at.as_slice() {
        [first, _, .., last] if last - first + 1 == at.len() => {
            format!("{} to {}", WEEK[*first].1, WEEK[*last].1)
        }
        _ => at.iter().map(|at| WEEK[*at].1).collect::<Vec<_>>().join(", "),
    }
}

fn rule_words(rule: &Written) -> String {
    let each = |one: &str| match rule.every {
        1 => format!("each {one}"),
        every => format!("every {every} {one}s"),
    };
    let mut words = match rule.repeat.as_str() {
        "daily" => each("day"),
        "weekly" => {
            let on = rule.weekdays.as_ref().map(weekdays).unwrap_or_default();
            if rule.every == 1 { on } else { format!("{on} of {}", each("week")) }
        }
        repeat => {
            let period = match repeat {
                "monthly" => "month",
                "quarterly" => "quarter",
                _ => "year",
            };
            format!("{} of {}", picked(rule), of_period(rule, period, &each(period)))
        }
    };
    for (word, day) in [("from", rule.from), ("until", rule.until)] {
        words.extend(day.map(|day| format!(" {word} {}", day.0)));
    }
    words
}

/// `the 1st and 15th day`, `the last mon to fri`.
fn picked(rule: &Written) -> String {
    let (numbers, what) = match (&rule.nth, &rule.of) {
        (Some(nth), Some(of)) if of.len() == WEEK.len() => (nth.clone(), "day".to_owned()),
        (Some(nth), Some(of)) => (nth.clone(), weekdays(of)),
        _ => (rule.days.clone().unwrap_or_default(), "day".to_owned()),
    };
    let (before, behind): (Vec<i16>, Vec<i16>) = numbers.iter().copied().partition(|number| *number > 0);
    let numbers: Vec<String> = before.into_iter().chain(behind.into_iter().rev()).map(ordinal).collect();
    let numbers = match numbers.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => numbers.join(""),
    };
    format!("the {numbers} {what}")
}

fn of_period(rule: &Written, period: &str, each: &str) -> String {
    let month =
        |month: i8| usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or("?");
    if let Some(months) = rule.months.as_ref().filter(|months| !months.is_empty()) {
        let names: Vec<&str> = months.iter().map(|number| month(*number)).collect();
        let years = if rule.every > 1 { format!(" of {each}") } else { String::new() };
        return format!("{}{years}", names.join(", "));
    }
    match rule.begins.filter(|begins| *begins != 1 && period != "month") {
        Some(begins) => format!("{each} as years begin in {}", month(begins)),
        None => each.to_owned(),
    }
}

fn ordinal(number: i16) -> String {
    let size = number.unsigned_abs();
    let suffix = match (size % 10, size % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    match number {
        -1 => "last".to_owned(),
        number if number < 0 => format!("{size}{suffix} last"),
        _ => format!("{size}{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn days_read_like_a_sentence() {
        let words = |days: Value| serde_json::from_value::<Days>(days).unwrap().words();
        for (days, expected) in [
            (json!({ "weekdays": ["mon", "tue", "wed", "thu", "fri"] }), "mon to fri"),
            (json!({ "weekdays": ["sat", "sun"] }), "sat, sun"),
            (json!({ "weekdays": ["mon", "wed", "fri"] }), "mon, wed, fri"),
            (
                json!({ "rules": [{ "repeat": "daily", "every": 2, "from": "2026-01-01" }] }),
                "every 2 days from 2026-01-01",
            ),
            (
                json!({ "rules": [{ "repeat": "weekly", "weekdays": ["fri"], "every": 2, "from": "2026-01-02" }] }),
                "fri of every 2 weeks from 2026-01-02",
            ),
            (
                json!({ "rules": [{ "repeat": "monthly", "days": [1, 15, -1] }] }),
                "the 1st, 15th and last day of each month",
            ),
            (
                json!({ "rules": [{ "repeat": "monthly", "nth": [2], "of": ["tue"] }] }),
                "the 2nd tue of each month",
            ),
            (
                json!({ "rules": [{ "repeat": "quarterly", "nth": [-2], "of": ["mon", "tue", "wed", "thu", "fri"] }] }),
                "the 2nd last mon to fri of each quarter",
            ),
            (
                json!({ "rules": [{ "repeat": "yearly", "months": [12], "days": [24] }] }),
                "the 24th day of december",
            ),
            (
                json!({ "calendars": ["workdays"], "dates": ["2026-12-24"] }),
                "the days of workdays; 2026-12-24",
            ),
        ] {
            assert_eq!(words(days), expected);
        }
        let many: Vec<String> = (1..=9).map(|day| format!("2026-01-0{day}")).collect();
        assert!(words(json!({ "dates": many })).ends_with("2026-01-05 and 4 more days"));
    }
}
