//! Events: filters, the strategies that consume them, and the task `emit`.

use serde_json::Value;

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, strip};
use super::node::{At, Content};
use crate::definition::{
    AttributeMatch, Consumption, Correlation, EventFilter, Read, Strategy, TaskKind, Template, Until,
};
use crate::expression::Expression;

/// The attributes in which a string that is anchored at both ends is a regular expression.
const MATCHED_BY_PATTERN: [&str; 3] = ["type", "source", "subject"];

impl Compiler<'_> {
    /// `emit`.
    pub(super) fn emit(&mut self, body: &At<'_>, scope: &Scope) -> Option<TaskKind> {
        let map = self.report.map(body, "a map", &["event"])?;
        let event = self.report.required(&map, "event")?;
        let event = self.report.open_map(&event, "a map")?;
        let with = self.report.required(&event, "with")?;
        let with = self.report.open_map(&with, "the attributes of an event")?;
        if let Some(kind) = self.report.required(&with, "type") {
            self.report.name(&kind);
        }
        for name in ["id", "source", "subject", "time", "datacontenttype", "dataschema"] {
            if let Some(at) = with.get(name) {
                self.report.name(&at);
            }
        }
        Some(TaskKind::Emit(self.template(&with, scope, Secrets::Hidden)))
    }

    /// `read`.
    pub(super) fn read(&mut self, at: &At<'_>) -> Option<Read> {
        match self.report.word(at, "form", &["data", "envelope", "raw"])? {
            "data" => Some(Read::Data),
            "envelope" => Some(Read::Envelope),
            _ => Some(Read::Raw),
        }
    }

    /// `to` of a listener or `on` of a schedule. Without a scope, no instance is there for expressions to see.
    pub(super) fn strategy(&mut self, at: &At<'_>, scope: Option<&Scope>, read: Read) -> Option<Consumption> {
        let map = self.report.map(at, "a map", &["one", "any", "all", "until"])?;
        let words = [("one", Strategy::One), ("any", Strategy::Any), ("all", Strategy::All)];
        let mut found =
            words.into_iter().filter_map(|(word, strategy)| Some((word, strategy, map.get(word)?)));
        let Some((word, strategy, body)) = found.next() else {
            self.report.error_named(&map, "expected one of one, any, all, found none", None);
            return None;
        };
        if let Some((other, ..)) = found.next() {
            let message = format!("expected one strategy, found both '{word}' and '{other}'");
            self.report.error_named(&map, message, None);
            return None;
        }
        let until = match map.get("until") {
            Some(until) if strategy != Strategy::Any => {
                self.report.error_named(
                    &until,
                    format!("expected 'until' beside 'any' only, found it beside '{word}'"),
                    None,
                );
                None
            }
            until => until.and_then(|until| self.until(&until, scope)),
        };
        let bodies = match strategy {
            Strategy::One => vec![body],
            Strategy::Any | Strategy::All => self.report.list(&body, "a list of event filters")?,
        };
        let filters = bodies.iter().filter_map(|at| self.event_filter(at, scope)).collect();
        Some(Consumption { strategy, filters, until, read })
    }

    /// A condition over the events so far, or a strategy whose events end the listening.
    fn until(&mut self, at: &At<'_>, scope: Option<&Scope>) -> Option<Until> {
        match &at.node.content {
            Content::Map(_) => {
                if let Some(until) = at.get("until")
                    && !matches!(until.node.content, Content::Bool(false))
                {
                    self.report.error_named(&until, "expected no 'until' of an 'until', found one", None);
                }
                let ending = self.strategy(at, scope, Read::Envelope)?;
                Some(Until::Events(Box::new(Consumption { until: None, ..ending })))
            }
            // `until: false` is so common for "for ever" that it is read as the expression it looks like.
            Content::Bool(false) => Some(Until::Never),
            Content::Bool(true) => self.program(at, "true", &[]).map(Until::Condition),
            Content::Null | Content::Number(_) | Content::Text(_) | Content::List(_) => {
                self.expression_of(at, scope).map(Until::Condition)
            }
        }
    }

    /// An expression that sees the instance, where there is one.
    fn expression_of(&mut self, at: &At<'_>, scope: Option<&Scope>) -> Option<Expression> {
        match scope {
            Some(scope) => self.expression(at, scope),
            None => {
                let text = self.report.name(at)?;
                self.lone_expression(at, text)
            }
        }
    }

    fn event_filter(&mut self, at: &At<'_>, scope: Option<&Scope>) -> Option<EventFilter> {
        let map = self.report.map(at, "an event filter", &["with", "correlate"])?;
        let correlate = map.get("correlate").map(|at| self.correlate(&at, scope)).unwrap_or_default();
        let with = self.report.required(&map, "with")?;
        let with = self.report.open_map(&with, "the attributes of an event")?;
        let mut attributes = Vec::new();
        for (name, value) in with.members() {
            if let Some(matcher) = self.attribute(name, &value, scope) {
                attributes.push((name.to_owned(), matcher));
            }
        }
        if with.members().next().is_none() {
            self.report.error(&with, "expected at least one attribute, found an empty map");
        }
        Some(EventFilter { attributes, correlate })
    }

    fn attribute(&mut self, name: &str, at: &At<'_>, scope: Option<&Scope>) -> Option<AttributeMatch> {
        let Content::Text(text) = &at.node.content else {
            return Some(AttributeMatch::Equals(at.node.to_json()));
        };
        if strip(text).is_some() {
            let predicate = match scope {
                Some(scope) => self.expression(at, scope),
                None => self.lone_expression(at, text),
            };
            return predicate.map(AttributeMatch::Predicate);
        }
        if MATCHED_BY_PATTERN.contains(&name) && text.starts_with('^') && text.ends_with('$') {
            return match regex::Regex::new(text) {
                Ok(pattern) => Some(AttributeMatch::Regex(pattern)),
                Err(error) => {
                    let reason = error.to_string();
                    let reason =
                        reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    self.report.error(at, format!("expected a regular expression: {reason}"));
                    None
                }
            };
        }
        Some(AttributeMatch::Equals(Value::String(text.clone())))
    }

    fn correlate(&mut self, at: &At<'_>, scope: Option<&Scope>) -> Vec<Correlation> {
        let Some(map) = self.report.open_map(at, "a map") else { return Vec::new() };
        let mut keys = Vec::new();
        for (name, key) in map.members() {
            // Further members are allowed here; they are other runtimes' business.
            let Some(key) = self.report.open_map(&key, "a map") else { continue };
            let from = self.report.required(&key, "from").and_then(|from| self.expression_of(&from, None));
            let expect = key.get("expect").map(|expect| match (scope, &expect.node.content) {
                (Some(scope), _) => self.template(&expect, scope, Secrets::Hidden),
                (None, Content::Text(text)) if strip(text).is_some() => self
                    .lone_expression(&expect, text)
                    .map_or(Template::Literal(Value::Null), Template::Expression),
                (None, _) => Template::Literal(expect.node.to_json()),
            });
            keys.extend(from.map(|from| Correlation { key: name.to_owned(), from, expect }));
        }
        keys
    }
}
