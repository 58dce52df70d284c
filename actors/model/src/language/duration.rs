//! Durations and timeouts of a document.

use super::compiler::{Compiler, Scope};
use super::expression::strip;
use super::node::{At, Content};
use crate::definition::Delay;

/// The units of a duration that is written as a map.
const UNITS: [&str; 5] = ["days", "hours", "minutes", "seconds", "milliseconds"];

impl Compiler<'_> {
    /// A duration: a map of units, ISO 8601 text, or an expression in `${ }`.
    pub(super) fn duration(&mut self, at: &At<'_>, scope: &Scope) -> Option<Delay> {
        match &at.node.content {
            Content::Text(text) if strip(text).is_some() => self.expression(at, scope).map(Delay::Expression),
            Content::Text(_) => self.fixed_duration(at),
            Content::Map(_) => {
                let map = self.report.map(at, "a duration", &UNITS)?;
                map.members().all(|(name, _)| UNITS.contains(&name)).then(|| self.fixed_duration(at))?
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::List(_) => {
                self.report.error_hint(
                    at,
                    format!("expected a duration, found {}", at.describe()),
                    "write it as PT30S or as { seconds: 30 }",
                );
                None
            }
        }
    }

    fn fixed_duration(&mut self, at: &At<'_>) -> Option<Delay> {
        match Delay::from_value(&at.node.to_json()) {
            Ok(delay) => Some(delay),
            Err(message) => {
                let hint = match &at.node.content {
                    Content::Text(text) if text.contains("MS") => {
                        Some("write 250 milliseconds as PT0.25S or as { milliseconds: 250 }".to_owned())
                    }
                    _ => None,
                };
                self.report.push(at.node.place, &at.pointer, message, hint);
                None
            }
        }
    }

    /// A duration that must not be zero, as an interval that would never let go of the processor.
    pub(super) fn interval(&mut self, at: &At<'_>) -> Option<Delay> {
        let delay = self.duration(at, &Scope::document())?;
        match delay {
            Delay::Millis(0) => {
                self.report.error(at, "expected a duration of more than zero");
                None
            }
            Delay::Expression(_) => {
                self.report.error(
                    at,
                    "expected a fixed duration, found an expression, which no instance is there for",
                );
                None
            }
            Delay::Millis(_) | Delay::Calendar(_) => Some(delay),
        }
    }

    /// `timeout`: inline, a duration, or the name of one in `use.timeouts`.
    pub(super) fn timeout(&mut self, at: &At<'_>, scope: &Scope) -> Option<Delay> {
        let Content::Text(name) = &at.node.content else {
            return self.timeout_body(at, scope);
        };
        if let Some(declared) = self.uses.get("timeouts", name) {
            return self.timeout_body(&declared, scope);
        }
        if strip(name).is_some() || Delay::from_value(&at.node.to_json()).is_ok() {
            return self.duration(at, scope);
        }
        self.unknown_use(at, "timeout", "timeouts", name);
        None
    }

    /// `{ after: … }`.
    pub(super) fn timeout_body(&mut self, at: &At<'_>, scope: &Scope) -> Option<Delay> {
        let map = self.report.map(at, "a timeout, or the name of one", &["after"])?;
        let after = self.report.required(&map, "after")?;
        self.duration(&after, scope)
    }
}
