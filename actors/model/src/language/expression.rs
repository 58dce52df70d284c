//! Places that hold expressions, and values that may.

use serde_json::{Map, Value};

use super::compiler::{Compiler, Scope};
use super::node::{At, Content};
use super::position;
use super::secret::secret_field;
use crate::definition::Template;
use crate::expression::{Expression, ExpressionError};

/// What every expression of a task can see, besides the names of loops and catches.
const VARIABLES: [&str; 7] = ["context", "input", "output", "authorization", "task", "workflow", "runtime"];

/// Names that no loop and no catch may take.
pub(super) const RESERVED_VARIABLES: [&str; 8] =
    ["context", "input", "output", "authorization", "task", "workflow", "runtime", "secrets"];

/// What to do instead of computing with a secret.
const SECRETS_HINT: Option<&str> = Some(
    "a secret can be a whole argument of a call ('${ $secrets.NAME.FIELD }'), an authentication's 'use', or 'runtimeUser'",
);

/// Whether a whole `${ $secrets.NAME.FIELD }` may stand there: only where an adapter gets the value. No expression computes
/// with one, because what it gives would be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrets {
    Visible,
    Hidden,
}

impl Compiler<'_> {
    /// An expression-typed field: bare jq, or jq in `${ }`.
    pub(super) fn expression(&mut self, at: &At<'_>, scope: &Scope) -> Option<Expression> {
        let text = match &at.node.content {
            Content::Text(text) => text,
            Content::Bool(value) => {
                let hint = format!("put it in quotes: '{value}'");
                self.report.error_hint(at, format!("expected an expression, found {}", at.describe()), hint);
                return None;
            }
            Content::Null | Content::Number(_) | Content::List(_) | Content::Map(_) => {
                self.report.expected(at, "an expression");
                return None;
            }
        };
        let mut variables: Vec<String> = VARIABLES.iter().map(|name| (*name).to_owned()).collect();
        variables.extend(scope.variables.iter().cloned());
        self.program(at, text, &variables)
    }

    /// An expression over nothing but its own input, as in the filters of a trigger, which belongs to no instance.
    pub(super) fn lone_expression(&mut self, at: &At<'_>, text: &str) -> Option<Expression> {
        self.program(at, text, &[])
    }

    /// An expression over its own input and variables of its own.
    pub(super) fn program(&mut self, at: &At<'_>, text: &str, variables: &[String]) -> Option<Expression> {
        let (offset, source) = strip(text).unwrap_or((0, text));
        if source.trim().is_empty() {
            self.report.error(at, "expected an expression, found nothing");
            return None;
        }
        match self.parse(at, source, variables)? {
            Ok(expression) => Some(expression),
            Err(error) => {
                self.refuse(at, text, offset, &error);
                None
            }
        }
    }

    /// Reports a parser's refusal at the place in the document, with its advice as a hint of ours.
    fn refuse(&mut self, at: &At<'_>, text: &str, offset: usize, error: &ExpressionError) {
        let inside = error.span.as_ref().map_or(0, |span| span.start);
        let place = position::inside(self.source, at.node.place, text, offset + inside);
        let words = error.message.replace('`', "'");
        let (message, advice) = match words.split_once("; did you mean ") {
            Some((message, near)) => (message.to_owned(), Some(format!("did you mean {near}"))),
            None => (words, None),
        };
        let hint = if message.contains("'$secrets'") { SECRETS_HINT.map(str::to_owned) } else { advice };
        self.report.push(place, &at.pointer, message, hint);
    }

    /// A transformation (`from`, `as`, `in`): an expression, or a value with expressions in it.
    pub(super) fn transformation(&mut self, at: &At<'_>, scope: &Scope) -> Option<Template> {
        match at.node.content {
            Content::Text(_) => self.expression(at, scope).map(Template::Expression),
            Content::Map(_) | Content::List(_) => Some(self.template(at, scope, Secrets::Hidden)),
            Content::Null | Content::Bool(_) | Content::Number(_) => {
                self.report.expected(at, "an expression or a map");
                None
            }
        }
    }

    /// A value position: only strings that are wholly `${ … }` are expressions, all else stands for itself.
    pub(super) fn template(&mut self, at: &At<'_>, scope: &Scope, secrets: Secrets) -> Template {
        if !self.copy(at) {
            return Template::Literal(Value::Null);
        }
        self.part(at, scope, secrets)
    }

    fn part(&mut self, at: &At<'_>, scope: &Scope, secrets: Secrets) -> Template {
        match &at.node.content {
            Content::Text(text) if strip(text).is_some() => match secret_field(text) {
                Some(secret) if secrets == Secrets::Visible => self.secret_field(at, secret),
                _ => self.expression(at, scope).map_or(Template::Literal(Value::Null), Template::Expression),
            },
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {
                Template::Literal(at.node.to_json())
            }
            Content::List(_) => {
                let items = at.items().unwrap_or_default();
                list(items.iter().map(|item| self.part(item, scope, secrets)).collect())
            }
            Content::Map(_) => {
                let members =
                    at.members().map(|(name, member)| (name.to_owned(), self.part(&member, scope, secrets)));
                map(members.collect())
            }
        }
    }

    /// A value position that must hold text, or an expression that gives it.
    pub(super) fn text_template(&mut self, at: &At<'_>, scope: &Scope, secrets: Secrets) -> Template {
        match self.report.text(at) {
            Some(_) => self.template(at, scope, secrets),
            None => Template::Literal(Value::Null),
        }
    }

    /// The name of a loop's or a catch's variable, or the default.
    pub(super) fn variable<'n>(&mut self, at: Option<At<'n>>, default: &'n str) -> &'n str {
        let Some(at) = at else { return default };
        let Some(name) = self.report.text(&at) else { return default };
        let identifier = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !identifier {
            let message = format!("expected a name of letters, digits and '_', found {}", at.describe());
            self.report.error_hint(&at, message, "write it without the '$'");
        } else if RESERVED_VARIABLES.contains(&name) {
            self.report.error(
                &at,
                format!("expected a name of its own, found '{name}', which the language defines"),
            );
        }
        name
    }
}

/// The expression inside `${ }`, and where it begins.
pub(super) fn strip(text: &str) -> Option<(usize, &str)> {
    let start = text.len() - text.trim_start().len();
    let inner = text.trim().strip_prefix("${")?.strip_suffix('}')?;
    Some((start + "${".len(), inner))
}

/// A map of templates, which is literal where all of its members are.
pub(super) fn map(members: Vec<(String, Template)>) -> Template {
    let literal: Option<Map<String, Value>> = members
        .iter()
        .map(|(name, member)| match member {
            Template::Literal(value) => Some((name.clone(), value.clone())),
            _ => None,
        })
        .collect();
    literal.map_or(Template::Map(members), |members| Template::Literal(Value::Object(members)))
}

/// A list of templates, which is literal where all of its items are.
pub(super) fn list(items: Vec<Template>) -> Template {
    let literal: Option<Vec<Value>> = items
        .iter()
        .map(|item| match item {
            Template::Literal(value) => Some(value.clone()),
            _ => None,
        })
        .collect();
    literal.map_or(Template::List(items), |items| Template::Literal(Value::Array(items)))
}
