//! `call: http`, and endpoints.

use serde_json::{Value, json};

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, map, strip};
use super::node::{At, Content};
use super::ops::TaskOps;
use crate::definition::{ActivitySpec, TaskKind, Template, UriPart, UriTemplate};

const KEYS: [&str; 7] = ["method", "endpoint", "headers", "body", "query", "output", "redirect"];
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// The methods that promise to change nothing, so that asking again after a crash does no harm.
const REPEATABLE: [&str; 2] = ["GET", "HEAD"];

impl Compiler<'_> {
    pub(super) fn call_http(&mut self, with: &At<'_>, scope: &Scope, ops: TaskOps) -> Option<TaskKind> {
        let with = self.report.map(with, "a map", &KEYS)?;
        let mut arguments = Vec::new();
        let method = self.report.required(&with, "method").and_then(|at| self.method(&at, scope));
        let endpoint = self.report.required(&with, "endpoint").and_then(|at| {
            let endpoint = self.endpoint(&at, scope)?;
            self.check_scheme(&at, &endpoint.uri);
            Some(endpoint)
        });
        for name in ["headers", "query"] {
            if let Some(at) = with.get(name) {
                arguments.push((name.to_owned(), self.pairs(&at, scope)));
            }
        }
        if let Some(body) = with.get("body") {
            arguments.push(("body".to_owned(), self.template(&body, scope, Secrets::Visible)));
        }
        let output = with.get("output");
        let output = output.and_then(|at| self.report.word(&at, "output", &["raw", "content", "response"]));
        let redirect = with.get("redirect").and_then(|at| self.report.boolean(&at)).unwrap_or(false);
        let literal = |name: &str, value: Value| (name.to_owned(), Template::Literal(value));
        arguments.push(literal("output", json!(output.unwrap_or("content"))));
        arguments.push(literal("redirect", json!(redirect)));
        let (method, endpoint) = (method?, endpoint?);
        let repeatable =
            matches!(&method, Template::Literal(Value::String(name)) if REPEATABLE.contains(&name.as_str()));
        arguments.push(("method".to_owned(), method));
        arguments.push(("uri".to_owned(), endpoint.uri));
        arguments.extend(endpoint.authentication.map(|policy| ("authentication".to_owned(), policy)));
        Some(TaskKind::Activity(Box::new(ActivitySpec {
            adapter: "http".to_owned(),
            function: "request".to_owned(),
            arguments: map(arguments),
            restartable: ops.restart.unwrap_or(repeatable),
            probe: false,
            detached: false,
            on: ops.on,
            user: None,
        })))
    }

    fn method(&mut self, at: &At<'_>, scope: &Scope) -> Option<Template> {
        let text = self.report.name(at)?;
        if strip(text).is_some() {
            return Some(self.template(at, scope, Secrets::Hidden));
        }
        let method = text.to_ascii_uppercase();
        if !METHODS.contains(&method.as_str()) {
            self.report.unknown(at, at.node.place, "method", text, &METHODS);
            return None;
        }
        Some(Template::Literal(Value::String(method)))
    }

    /// Headers or query parameters: a map of text, or an expression that gives one.
    fn pairs(&mut self, at: &At<'_>, scope: &Scope) -> Template {
        match &at.node.content {
            Content::Map(_) => {
                for (_, member) in at.members() {
                    if matches!(member.node.content, Content::List(_) | Content::Map(_) | Content::Null) {
                        self.report.expected(&member, "a string");
                    }
                }
            }
            Content::Text(text) if strip(text).is_some() => {}
            _ => self.report.expected(at, "a map of strings, or an expression in ${ }"),
        }
        self.template(at, scope, Secrets::Visible)
    }

    /// An endpoint: a URI, an expression, or a map with a URI and a way to authenticate.
    pub(super) fn endpoint(&mut self, at: &At<'_>, scope: &Scope) -> Option<Endpoint> {
        if let Content::Text(_) = at.node.content {
            return self.uri(at, scope).map(|uri| Endpoint { uri, authentication: None });
        }
        let map = self.report.map(at, "a URI, or a map with one", &["uri", "authentication"])?;
        let authentication = map.get("authentication").and_then(|at| self.authentication(&at, scope));
        let uri = self.report.required(&map, "uri").and_then(|at| self.uri(&at, scope))?;
        Some(Endpoint { uri, authentication })
    }

    fn check_scheme(&mut self, at: &At<'_>, uri: &Template) {
        let start = match uri {
            Template::Literal(Value::String(text)) => Some(text),
            Template::Uri(uri) => match uri.parts.first() {
                Some(UriPart::Text(text)) => Some(text),
                Some(UriPart::Name(_)) | None => None,
            },
            Template::Literal(_)
            | Template::Expression(_)
            | Template::Map(_)
            | Template::List(_)
            | Template::Secret(_) => None,
        };
        if let Some((scheme, _)) = start.and_then(|text| text.split_once("://"))
            && !["http", "https"].contains(&scheme)
        {
            self.report.error(at, format!("expected an endpoint of http or https, found one of {scheme}"));
        }
    }

    fn uri(&mut self, at: &At<'_>, scope: &Scope) -> Option<Template> {
        let text = self.report.name(at)?;
        if strip(text).is_some() {
            return Some(self.template(at, scope, Secrets::Visible));
        }
        if text.contains(char::is_whitespace) {
            let message = format!("expected a URI without spaces, found {}", at.describe());
            self.report.error_hint(at, message, "put an expression in ${ }");
            return None;
        }
        match UriTemplate::parse(text) {
            Ok(uri) if uri.parts.iter().any(|part| matches!(part, UriPart::Name(_))) => {
                Some(Template::Uri(uri))
            }
            Ok(_) => Some(Template::Literal(Value::String(text.to_owned()))),
            Err(message) => {
                self.report.error(at, message);
                None
            }
        }
    }
}

/// A compiled endpoint.
pub(super) struct Endpoint {
    pub(super) uri: Template,
    pub(super) authentication: Option<Template>,
}
