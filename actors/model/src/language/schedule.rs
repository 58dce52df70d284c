//! `schedule`: what starts instances. Each of its keys is a trigger of its own.

use std::str::FromStr;

use super::compiler::Compiler;
use super::node::At;
use crate::definition::{DefinitionId, Read, Strategy, TriggerSpec, Until, Watch};

const KEYS: [&str; 5] = ["every", "cron", "after", "on", "read"];

impl Compiler<'_> {
    pub(super) fn schedule(&mut self, at: Option<At<'_>>, id: Option<&DefinitionId>) -> Vec<TriggerSpec> {
        let Some(map) = at.and_then(|at| self.report.map(&at, "a map", &KEYS)) else { return Vec::new() };
        let every = map.get("every").and_then(|at| self.interval(&at)).map(Watch::Every);
        let after = map.get("after").and_then(|at| self.interval(&at)).map(Watch::After);
        let cron = map.get("cron").and_then(|at| self.cron(&at)).map(Watch::Cron);
        let read = map.get("read").and_then(|at| self.read(&at)).unwrap_or(Read::Envelope);
        let on = map.get("on").and_then(|at| self.on(&at, read));
        if [&every, &after, &cron, &on].iter().all(|watch| watch.is_none()) && self.report.is_clean() {
            self.report.error_named(&map, "expected one of every, cron, after, on, found none", None);
        }
        let Some(id) = id else { return Vec::new() };
        [("every", every), ("cron", cron), ("after", after), ("on", on)]
            .into_iter()
            .filter_map(|(key, watch)| {
                Some(TriggerSpec { name: format!("{}/{}/{key}", id.namespace, id.name), watch: watch? })
            })
            .collect()
    }

    fn cron(&mut self, at: &At<'_>) -> Option<String> {
        let text = self.report.name(at)?;
        let cron = match croner::Cron::from_str(text) {
            Ok(cron) => cron,
            Err(error) => {
                let reason = error.to_string();
                let reason =
                    reason.trim_start_matches("Invalid pattern: ").trim_end_matches('.').to_lowercase();
                let message =
                    format!("expected a cron expression such as '0 3 * * 1', found '{text}': {reason}");
                self.report.error(at, message);
                return None;
            }
        };
        // Any instant does: what can happen at all happens within the cycle of leap years.
        let start = jiff::Timestamp::UNIX_EPOCH.to_zoned(jiff::tz::TimeZone::UTC);
        if cron.find_next_occurrence(&start, true).is_err() {
            self.report
                .error(at, format!("expected a cron expression that fires at some time, found '{text}'"));
            return None;
        }
        Some(text.to_owned())
    }

    fn on(&mut self, at: &At<'_>, read: Read) -> Option<Watch> {
        let consumption = self.strategy(at, None, read)?;
        if consumption.strategy == Strategy::All && consumption.filters.is_empty() {
            self.report.error(at, "expected at least one event filter in 'all', found none");
        }
        if matches!(consumption.until, Some(Until::Never)) {
            self.report.error_hint(
                at,
                "expected an 'until' that ends at some time, found false: nothing would ever start",
                "leave 'until' out to start an instance with each event",
            );
        }
        Some(Watch::Event(Box::new(consumption)))
    }
}
