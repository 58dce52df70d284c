//! Event filters: what an event must be, and what ties it to others.

use std::borrow::Cow;

use serde_json::Value;

use super::template::Template;
use crate::event::CloudEvent;
use crate::expression::{EvaluationError, Expression, Fuel, Variables};

/// A filter: every attribute of `with` must match, and every key of `correlate` must fit.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// `with`, by attribute name; `data` is the event's data.
    pub attributes: Vec<(String, AttributeMatch)>,
    /// `correlate`, by the name of the key.
    pub correlate: Vec<Correlation>,
}

/// How one attribute is matched.
#[derive(Clone, Debug)]
pub enum AttributeMatch {
    /// It equals this value.
    Equals(Value),
    /// It matches this anchored regular expression.
    Regex(regex::Regex),
    /// The expression, evaluated on the attribute's value, is true.
    Predicate(Expression),
}

/// A key of `correlate`: what events that belong together have in common.
#[derive(Clone, Debug)]
pub struct Correlation {
    /// Its name; keys of the same name in several filters have one value.
    pub key: String,
    /// Evaluated on the envelope of the event.
    pub from: Expression,
    /// What the value must be; without it the first event's value is what further events must have.
    pub expect: Option<Template>,
}

/// What became of one attribute of a filter, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The attribute.
    pub attribute: String,
    /// What the filter wants of it, as it is written.
    pub wanted: String,
    /// What the event has; none if it has no such attribute.
    pub found: Option<Value>,
    /// Whether it matches, or why that could not be found out.
    pub matches: Result<bool, String>,
}

/// A filter belongs to no instance, so its expressions see nothing but what they are evaluated on.
pub(crate) struct NoVariables;

impl Variables for NoVariables {
    fn get(&self, _name: &str) -> Option<Cow<'_, Value>> {
        None
    }
}

impl EventFilter {
    /// The literal type that an event must have, if the filter names one: the key of the routing index.
    pub fn event_type(&self) -> Option<&str> {
        self.attributes.iter().find_map(|(name, matcher)| match matcher {
            AttributeMatch::Equals(Value::String(text)) if name == "type" => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether all attributes match. The first that does not ends it.
    ///
    /// # Errors
    /// Which predicate could not be evaluated, and why: the event does not match then.
    pub fn check(&self, event: &CloudEvent, fuel: &mut Fuel) -> Result<bool, String> {
        self.check_seeing(event, None, fuel)
    }

    /// The same, with the variables that its predicates may see. Without them, predicates that need some are left out.
    ///
    /// # Errors
    /// As [`EventFilter::check`].
    pub fn check_seeing(
        &self,
        event: &CloudEvent,
        variables: Option<&dyn Variables>,
        fuel: &mut Fuel,
    ) -> Result<bool, String> {
        for (name, matcher) in &self.attributes {
            let value = attribute(event, name);
            let matches = matcher.judge(value.as_deref(), variables, fuel);
            if !matches.map_err(|error| format!("{name}: {error}"))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What [`EventFilter::check`] finds, attribute by attribute.
    pub fn explain(&self, event: &CloudEvent, fuel: &mut Fuel) -> Vec<Verdict> {
        let verdict = |(name, matcher): &(String, AttributeMatch)| {
            let found = attribute(event, name).map(Cow::into_owned);
            let matches = matcher.judge(found.as_ref(), None, fuel).map_err(|error| error.to_string());
            Verdict { attribute: name.clone(), wanted: matcher.to_string(), found, matches }
        };
        self.attributes.iter().map(verdict).collect()
    }
}

impl AttributeMatch {
    fn judge(
        &self,
        value: Option<&Value>,
        variables: Option<&dyn Variables>,
        fuel: &mut Fuel,
    ) -> Result<bool, EvaluationError> {
        Ok(match self {
            AttributeMatch::Equals(wanted) => value == Some(wanted),
            AttributeMatch::Regex(pattern) => value
                .and_then(Value::as_str)
                .is_some_and(|text| text == pattern.as_str() || pattern.is_match(text)),
            AttributeMatch::Predicate(expression) if variables.is_none() && !expression.uses().is_empty() => {
                true
            }
            AttributeMatch::Predicate(expression) => {
                let value = value.unwrap_or(&Value::Null);
                expression.evaluate(value, variables.unwrap_or(&NoVariables), fuel)? == Value::Bool(true)
            }
        })
    }
}

impl std::fmt::Display for AttributeMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            AttributeMatch::Equals(Value::String(text)) => f.write_str(text),
            AttributeMatch::Equals(value) => write!(f, "{value}"),
            AttributeMatch::Regex(pattern) => f.write_str(pattern.as_str()),
            AttributeMatch::Predicate(expression) => write!(f, "${{ {} }}", expression.source().trim()),
        }
    }
}

impl Correlation {
    /// The value of the key for an event; null if it has none, and then it belongs to nothing.
    ///
    /// # Errors
    /// Why `from` could not be evaluated.
    pub fn value(&self, envelope: &Value, fuel: &mut Fuel) -> Result<Value, String> {
        let value = self.from.evaluate(envelope, &NoVariables, fuel);
        value.map_err(|error| format!("correlate.{}.from: {error}", self.key))
    }

    /// What the value must be, where no instance is there to say it; none if the first event says it.
    ///
    /// # Errors
    /// Why `expect` could not be evaluated.
    pub fn expected(&self, fuel: &mut Fuel) -> Result<Option<Value>, String> {
        let expected = self.expect.as_ref().map(|expect| expect.evaluate(&Value::Null, &NoVariables, fuel));
        expected.transpose().map_err(|error| format!("correlate.{}.expect: {error}", self.key))
    }
}

/// The value of an attribute of the envelope, its data, or an extension.
fn attribute<'e>(event: &'e CloudEvent, name: &str) -> Option<Cow<'e, Value>> {
    let owned = |text: &str| Some(Cow::Owned(Value::String(text.to_owned())));
    match name {
        "id" => owned(&event.id),
        "source" => owned(&event.source),
        "type" => owned(&event.kind),
        "specversion" => owned("1.0"),
        "subject" => owned(event.subject.as_deref()?),
        "time" => owned(event.time.as_deref()?),
        "datacontenttype" => owned(event.datacontenttype.as_deref()?),
        "dataschema" => owned(event.dataschema.as_deref()?),
        "data" => event.data.as_ref().map(Cow::Borrowed),
        _ => event.extensions.get(name).map(Cow::Borrowed),
    }
}
