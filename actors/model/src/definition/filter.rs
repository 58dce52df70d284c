//! Event filters.

use std::borrow::Cow;

use serde_json::Value;

use crate::event::CloudEvent;
use crate::expression::{Expression, Fuel, Variables};

/// `with` of an event filter: every given attribute must match.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// By attribute name; `data` is the event's data.
    pub attributes: Vec<(String, AttributeMatch)>,
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

/// A filter belongs to no instance, so its predicates see nothing but the attribute.
struct NoVariables;

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

    /// Whether the event matches. A predicate that fails does not match.
    pub fn matches(&self, event: &CloudEvent, fuel: &mut Fuel) -> bool {
        self.attributes.iter().all(|(name, matcher)| {
            let value = attribute(event, name);
            match matcher {
                AttributeMatch::Equals(wanted) => value.as_deref() == Some(wanted),
                AttributeMatch::Regex(pattern) => value
                    .as_deref()
                    .and_then(Value::as_str)
                    .is_some_and(|text| text == pattern.as_str() || pattern.is_match(text)),
                AttributeMatch::Predicate(expression) => {
                    let value = value.unwrap_or(Cow::Owned(Value::Null));
                    matches!(expression.evaluate(&value, &NoVariables, fuel), Ok(Value::Bool(true)))
                }
            }
        })
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
