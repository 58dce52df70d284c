//! Events: filters, the strategies that consume them, and the tasks `emit` and `listen`.

use serde_json::Value;

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, strip};
use super::node::{At, Content};
use crate::definition::{AttributeMatch, EventFilter, TaskKind};

/// The attributes in which a string that is anchored at both ends is a regular expression.
const MATCHED_BY_PATTERN: [&str; 3] = ["type", "source", "subject"];

/// A compiled strategy.
pub(super) struct Strategy {
    /// `one`, `any` or `all`.
    pub(super) word: &'static str,
    pub(super) filters: Vec<EventFilter>,
    /// It has an `until`.
    pub(super) until: bool,
    /// A filter correlates with something that an instance expects.
    pub(super) expects: bool,
}

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

    /// `listen`.
    pub(super) fn listen(&mut self, map: &At<'_>, body: &At<'_>, scope: &Scope) -> Option<TaskKind> {
        let head = self.report.map(body, "a map", &["to", "read"])?;
        if let Some(read) = head.get("read") {
            self.report.word(&read, "form", &["data", "envelope", "raw"]);
        }
        if let Some(to) = self.report.required(&head, "to") {
            self.strategy(&to, Some(scope));
        }
        if let Some(foreach) = map.get("foreach") {
            self.check_only(|compiler| compiler.foreach(&foreach, scope));
        }
        Some(TaskKind::Unsupported("listen".to_owned()))
    }

    /// What is done for each event or message.
    pub(super) fn foreach(&mut self, at: &At<'_>, scope: &Scope) {
        let Some(map) = self.report.map(at, "a map", &["item", "at", "do", "output", "export"]) else {
            return;
        };
        let item = self.variable(map.get("item"), "item");
        let index = self.variable(map.get("at"), "index");
        let inner = scope.with(&[item, index]);
        if let Some(tasks) = map.get("do") {
            self.tasks(&tasks, &inner);
        }
        self.data_out(map.get("output"), &inner);
        self.data_out(map.get("export"), &inner);
    }

    /// `to` of a listener or `on` of a schedule. Without a scope, no instance is there for expressions to see.
    pub(super) fn strategy(&mut self, at: &At<'_>, scope: Option<&Scope>) -> Option<Strategy> {
        let map = self.report.map(at, "a map", &["one", "any", "all", "until"])?;
        let mut found = ["one", "any", "all"].into_iter().filter_map(|word| Some((word, map.get(word)?)));
        let Some((word, body)) = found.next() else {
            self.report.error_named(&map, "expected one of one, any, all, found none", None);
            return None;
        };
        if let Some((other, _)) = found.next() {
            let message = format!("expected one strategy, found both '{word}' and '{other}'");
            self.report.error_named(&map, message, None);
            return None;
        }
        let until = map.get("until");
        match &until {
            Some(until) if word != "any" => {
                self.report.error_named(
                    until,
                    format!("expected 'until' beside 'any' only, found it beside '{word}'"),
                    None,
                );
            }
            Some(until) => self.until(until, scope),
            None => {}
        }
        let bodies =
            if word == "one" { vec![body] } else { self.report.list(&body, "a list of event filters")? };
        let filters: Vec<_> = bodies.iter().filter_map(|at| self.event_filter(at, scope)).collect();
        let expects = filters.iter().any(|(_, expects)| *expects);
        let filters = filters.into_iter().map(|(filter, _)| filter).collect();
        Some(Strategy { word, filters, until: until.is_some(), expects })
    }

    /// A condition over the events so far, or a strategy whose events end the listening.
    fn until(&mut self, at: &At<'_>, scope: Option<&Scope>) {
        match (&at.node.content, scope) {
            (Content::Map(_), _) => {
                self.strategy(at, scope);
            }
            // `until: false` is so common for "for ever" that it is read as the expression it looks like.
            (Content::Bool(_), _) => {}
            (_, Some(scope)) => {
                self.expression(at, scope);
            }
            (_, None) => {
                if let Some(text) = self.report.name(at) {
                    self.lone_expression(at, text);
                }
            }
        }
    }

    /// A filter, and whether it expects a value that only an instance has.
    fn event_filter(&mut self, at: &At<'_>, scope: Option<&Scope>) -> Option<(EventFilter, bool)> {
        let map = self.report.map(at, "an event filter", &["with", "correlate"])?;
        let expects = map.get("correlate").is_some_and(|at| self.correlate(&at, scope));
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
        Some((EventFilter { attributes }, expects))
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

    fn correlate(&mut self, at: &At<'_>, scope: Option<&Scope>) -> bool {
        let Some(map) = self.report.open_map(at, "a map") else { return false };
        let mut expects = false;
        for (_, key) in map.members() {
            // Further members are allowed here; they are other runtimes' business.
            let Some(key) = self.report.open_map(&key, "a map") else { continue };
            if let Some(from) = self.report.required(&key, "from")
                && let Some(text) = self.report.name(&from)
            {
                self.lone_expression(&from, text);
            }
            if let Some(expect) = key.get("expect") {
                expects = true;
                match scope {
                    Some(scope) => self.template(&expect, scope, Secrets::Hidden),
                    None => self.template(&expect, &Scope::document(), Secrets::Hidden),
                };
            }
        }
        expects
    }
}
