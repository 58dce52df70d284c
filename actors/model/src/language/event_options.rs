//! The options of event triggers, under `metadata.ops.triggers`: `threshold`, `rate`, `active`, `sets`.

use jiff::civil::Weekday;

use super::compiler::Compiler;
use super::node::At;
use crate::definition::{
    Active, DAY_MINUTES, Delay, EventOptions, Rate, Sets, Strategy, Threshold, TriggerSpec, Watch,
};

/// The keys that only an event trigger can heed.
const OF_EVENTS: [&str; 4] = ["threshold", "rate", "active", "sets"];
/// The most events that a threshold waits for, and the most fires that a rate counts: the trigger keeps each.
const COUNT_MAX: u64 = 1_000;
/// The most sets that may wait.
const SETS_LIMIT: u64 = 10_000;

/// The days of the week, by what they may be called.
const DAYS: [(&str, Weekday); 14] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

impl Compiler<'_> {
    /// The options among the members of `triggers`.
    pub(super) fn event_options(&mut self, triggers: &At<'_>) -> EventOptions {
        let sets = triggers.get("sets").and_then(|at| self.sets(&at));
        EventOptions {
            threshold: triggers.get("threshold").and_then(|at| self.threshold(&at)),
            rate: triggers.get("rate").and_then(|at| self.rate(&at)),
            active: triggers.get("active").and_then(|at| self.active(&at)),
            sets: sets.unwrap_or_default(),
        }
    }

    /// Refuses options that no trigger of the definition heeds: they would be a promise that silently does not hold.
    pub(super) fn check_event_options(
        &mut self,
        metadata: Option<&At<'_>>,
        options: &EventOptions,
        triggers: &[TriggerSpec],
    ) {
        let Some(map) = metadata.and_then(|at| at.get("ops")?.get("triggers")) else { return };
        let on = triggers.iter().find_map(|trigger| match &trigger.watch {
            Watch::Event(consumption) => Some(consumption),
            _ => None,
        });
        let Some(on) = on else {
            if self.report.is_clean() {
                for at in OF_EVENTS.iter().filter_map(|key| map.get(key)) {
                    self.report.error_named(&at, "expected a 'schedule.on' that it is for, found none", None);
                }
            }
            return;
        };
        let gathers = on.strategy == Strategy::All || on.until.is_some();
        if let Some(at) = map.get("threshold").filter(|_| gathers && options.threshold.is_some()) {
            self.report.error_named(
                &at,
                "expected it beside 'one' or 'any' without 'until', which count no events themselves",
                None,
            );
        }
        if let Some(at) = map.get("sets").filter(|_| !gathers && options.threshold.is_none()) {
            let message = "expected it beside 'all', 'until' or a 'threshold', which have sets, found none";
            self.report.error_named(&at, message, None);
        }
    }

    fn threshold(&mut self, at: &At<'_>) -> Option<Threshold> {
        let map = self.report.map(at, "a map", &["count", "within", "by"])?;
        let count = self.report.required(&map, "count").and_then(|at| self.bounded(&at, 2, COUNT_MAX));
        let within_ms = self.report.required(&map, "within").and_then(|at| self.fixed(&at));
        let by = map.get("by").and_then(|at| {
            let text = self.report.name(&at)?;
            self.lone_expression(&at, text)
        });
        Some(Threshold { count: count?, within_ms: within_ms?, by })
    }

    fn rate(&mut self, at: &At<'_>) -> Option<Rate> {
        let map = self.report.map(at, "a map", &["max", "per"])?;
        let max = self.report.required(&map, "max").and_then(|at| self.bounded(&at, 1, COUNT_MAX));
        let per_ms = self.report.required(&map, "per").and_then(|at| self.fixed(&at));
        Some(Rate { max: max?, per_ms: per_ms? })
    }

    fn sets(&mut self, at: &At<'_>) -> Option<Sets> {
        let map = self.report.map(at, "a map", &["within", "max"])?;
        let mut sets = Sets::default();
        if let Some(within) = map.get("within").and_then(|at| self.fixed(&at)) {
            sets.within_ms = within;
        }
        if let Some(max) = map.get("max").and_then(|at| self.bounded(&at, 1, SETS_LIMIT)) {
            sets.max = max;
        }
        Some(sets)
    }

    fn active(&mut self, at: &At<'_>) -> Option<Active> {
        let map = self.report.map(at, "a map", &["from", "to", "days"])?;
        if map.members().next().is_none() {
            self.report.error(&map, "expected one of from, to, days, found none");
        }
        let days = map.get("days").and_then(|at| {
            let days = self.report.list(&at, "a list of days of the week")?;
            if days.is_empty() {
                self.report.error(&at, "expected at least one day, found none");
            }
            let known: Vec<&str> = DAYS.iter().map(|(name, _)| *name).collect();
            let day = |at: &At<'_>| {
                let word = self.report.word(at, "day", &known)?;
                DAYS.iter().find(|(name, _)| *name == word).map(|(_, day)| *day)
            };
            Some(days.iter().filter_map(day).collect())
        });
        let from = map.get("from").and_then(|at| self.time_of_day(&at));
        let to = map.get("to").and_then(|at| self.time_of_day(&at));
        Some(Active { from, to, days })
    }

    /// Minutes since midnight of `08:30`; `24:00` is the end of the day.
    fn time_of_day(&mut self, at: &At<'_>) -> Option<u16> {
        let text = self.report.name(at)?;
        let number = |part: &str| match part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse::<u16>().ok(),
            false => None,
        };
        let minutes = text.split_once(':').and_then(|(hours, minutes)| {
            let minutes = number(minutes).filter(|minutes| *minutes < 60)?;
            Some(number(hours)? * 60 + minutes).filter(|all| *all <= DAY_MINUTES)
        });
        if minutes.is_none() {
            self.report.error_hint(
                at,
                format!("expected a time of day from '00:00' to '24:00', found {}", at.describe()),
                "write it in quotes: '08:30'",
            );
        }
        minutes
    }

    fn bounded(&mut self, at: &At<'_>, least: u64, most: u64) -> Option<usize> {
        let count = self.report.count(at)?;
        if !(least..=most).contains(&count) {
            self.report.expected(at, &format!("a number from {least} to {most}"));
        }
        usize::try_from(count).ok()
    }

    /// A duration that is as long whenever it begins.
    fn fixed(&mut self, at: &At<'_>) -> Option<u64> {
        match self.interval(at)? {
            Delay::Millis(millis) => Some(millis),
            Delay::Calendar(_) | Delay::Expression(_) => {
                self.report.error_hint(
                    at,
                    "expected a duration without months and years, which differ in length",
                    "write days, such as P30D",
                );
                None
            }
        }
    }
}
