//! Errors: `raise`, `try` with its `catch`, and retry policies.

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, strip};
use super::node::{At, Content};
use super::task::Beside;
use crate::definition::{Backoff, Catch, Delay, ErrorFilter, RaisedError, Retry, TaskKind, Template};

impl Compiler<'_> {
    pub(super) fn raise(&mut self, body: &At<'_>, scope: &Scope) -> Option<TaskKind> {
        let map = self.report.map(body, "a map", &["error"])?;
        let error = self.report.required(&map, "error")?;
        let Content::Text(name) = &error.node.content else {
            return self.error_body(&error, scope).map(TaskKind::Raise);
        };
        match self.uses.get("errors", name) {
            Some(declared) => self.error_body(&declared, scope).map(TaskKind::Raise),
            None => {
                self.unknown_use(&error, "error", "errors", name);
                None
            }
        }
    }

    /// The error of a `raise` or of `use.errors`.
    pub(super) fn error_body(&mut self, at: &At<'_>, scope: &Scope) -> Option<RaisedError> {
        let known = ["type", "status", "title", "detail", "instance"];
        let map = self.report.map(at, "an error, or the name of one", &known)?;
        let mut part = |name: &str| map.get(name).map(|at| self.text_template(&at, scope, Secrets::Hidden));
        let (title, detail, instance) = (part("title"), part("detail"), part("instance"));
        let kind = self.report.required(&map, "type");
        let kind = kind.map(|at| self.text_template(&at, scope, Secrets::Hidden));
        let status = self.report.required(&map, "status").and_then(|at| self.status(&at, scope));
        Some(RaisedError { kind: kind?, status: status?, title, detail, instance })
    }

    fn status(&mut self, at: &At<'_>, scope: &Scope) -> Option<Template> {
        match &at.node.content {
            Content::Text(text) if strip(text).is_some() => Some(self.template(at, scope, Secrets::Hidden)),
            _ => self.literal_status(at).map(|_| Template::Literal(at.node.to_json())),
        }
    }

    fn literal_status(&mut self, at: &At<'_>) -> Option<u16> {
        let Content::Number(number) = &at.node.content else {
            self.report.expected(at, "a status between 100 and 599");
            return None;
        };
        let status = number.as_u64().filter(|status| (100..600).contains(status));
        if status.is_none() {
            self.report.expected(at, "a status between 100 and 599");
        }
        status.and_then(|status| u16::try_from(status).ok())
    }

    pub(super) fn try_catch(
        &mut self,
        map: &At<'_>,
        body: &At<'_>,
        scope: &Scope,
        beside: Beside<'_>,
    ) -> Option<TaskKind> {
        let body = self.tasks(body, scope);
        let catch = self.report.required(map, "catch")?;
        let catch = self.catch(&catch, scope, beside)?;
        Some(TaskKind::Try { body, catch: Box::new(catch) })
    }

    fn catch(&mut self, at: &At<'_>, scope: &Scope, beside: Beside<'_>) -> Option<Catch> {
        let known = ["errors", "as", "when", "exceptWhen", "retry", "do", "then"];
        let map = self.report.map(at, "a map", &known)?;
        let variable = self.variable(map.get("as"), "error");
        let inner = scope.with(&[variable]);
        Some(Catch {
            filter: map.get("errors").and_then(|at| self.error_filter(&at)).unwrap_or_default(),
            variable: variable.to_owned(),
            when: map.get("when").and_then(|at| self.expression(&at, &inner)),
            except_when: map.get("exceptWhen").and_then(|at| self.expression(&at, &inner)),
            retry: map.get("retry").and_then(|at| self.retry(&at, &inner)),
            body: map.get("do").map(|at| self.tasks(&at, &inner)),
            then: map.get("then").and_then(|at| self.then(&at, beside)),
        })
    }

    fn error_filter(&mut self, at: &At<'_>) -> Option<ErrorFilter> {
        let map = self.report.map(at, "a map", &["with"])?;
        let with = map.get("with")?;
        // `details` is how the filter spelt `detail` up to 1.0.3.
        let known = ["type", "status", "instance", "title", "detail", "details"];
        let with = self.report.map(&with, "a filter", &known)?;
        let mut text = |name: &str| with.get(name).and_then(|at| self.filter_text(&at));
        let (kind, instance, title) = (text("type"), text("instance"), text("title"));
        let detail = text("detail").or_else(|| text("details"));
        let status = with.get("status").and_then(|at| self.literal_status(&at));
        Some(ErrorFilter { kind, status, instance, title, detail })
    }

    fn filter_text(&mut self, at: &At<'_>) -> Option<String> {
        let text = self.report.text(at)?;
        if strip(text).is_some() {
            let message = "expected a fixed value, found an expression";
            self.report.error_hint(at, message, "put the condition into 'when' of the catch");
            return None;
        }
        Some(text.to_owned())
    }

    fn retry(&mut self, at: &At<'_>, scope: &Scope) -> Option<Retry> {
        let Content::Text(name) = &at.node.content else {
            return self.retry_body(at, scope);
        };
        match self.uses.get("retries", name) {
            Some(declared) => self.retry_body(&declared, scope),
            None => {
                self.unknown_use(at, "retry policy", "retries", name);
                None
            }
        }
    }

    /// A retry policy, inline or of `use.retries`.
    pub(super) fn retry_body(&mut self, at: &At<'_>, scope: &Scope) -> Option<Retry> {
        let known = ["when", "exceptWhen", "delay", "backoff", "limit", "jitter"];
        let map = self.report.map(at, "a retry policy, or the name of one", &known)?;
        let mut retry = Retry {
            when: map.get("when").and_then(|at| self.expression(&at, scope)),
            except_when: map.get("exceptWhen").and_then(|at| self.expression(&at, scope)),
            delay: map.get("delay").and_then(|at| self.duration(&at, scope)),
            backoff: map.get("backoff").and_then(|at| self.backoff(&at)).unwrap_or_default(),
            jitter: map.get("jitter").and_then(|at| self.jitter(&at, scope)),
            ..Retry::default()
        };
        if let Some(limit) = map.get("limit")
            && let Some(limit) = self.report.map(&limit, "a map", &["attempt", "duration"])
        {
            retry.total_duration = limit.get("duration").and_then(|at| self.duration(&at, scope));
            if let Some(attempt) = limit.get("attempt")
                && let Some(attempt) = self.report.map(&attempt, "a map", &["count", "duration"])
            {
                retry.max_retries = attempt.get("count").and_then(|at| self.report.count(&at));
                retry.attempt_duration = attempt.get("duration").and_then(|at| self.duration(&at, scope));
            }
        }
        Some(retry)
    }

    fn jitter(&mut self, at: &At<'_>, scope: &Scope) -> Option<(Delay, Delay)> {
        let map = self.report.map(at, "a map", &["from", "to"])?;
        let mut end = |name: &str| self.report.required(&map, name).and_then(|at| self.duration(&at, scope));
        let (from, to) = (end("from"), end("to"));
        if let (Some(Delay::Millis(from)), Some(Delay::Millis(to))) = (&from, &to)
            && from > to
        {
            self.report.error(at, "expected 'from' to be at most 'to', found it longer");
        }
        Some((from?, to?))
    }

    fn backoff(&mut self, at: &At<'_>) -> Option<Backoff> {
        let words = ["constant", "linear", "exponential"];
        let map = self.report.map(at, "a map", &words)?;
        let Some((word, body)) = map.only_member().filter(|(word, _)| words.contains(word)) else {
            self.report.error(&map, format!("expected one of {}", words.join(", ")));
            return None;
        };
        if word != "exponential" {
            self.report.map(&body, "a map", &[])?;
            return Some(if word == "linear" { Backoff::Linear } else { Backoff::Constant });
        }
        let body = self.report.map(&body, "a map", &["factor", "max"])?;
        let factor = match body.get("factor") {
            None => 2.0,
            Some(at) => self.factor(&at)?,
        };
        let max_ms = match body.get("max") {
            None => None,
            Some(at) => match self.interval(&at)? {
                Delay::Millis(max) => Some(max),
                Delay::Calendar(_) | Delay::Expression(_) => {
                    self.report.expected(&at, "a duration of days or less");
                    return None;
                }
            },
        };
        Some(Backoff::Exponential { factor, max_ms })
    }

    fn factor(&mut self, at: &At<'_>) -> Option<f64> {
        let factor = match &at.node.content {
            Content::Number(number) => number.as_f64().filter(|factor| *factor >= 1.0),
            _ => None,
        };
        if factor.is_none() {
            self.report.expected(at, "a number of at least 1");
        }
        factor
    }
}
