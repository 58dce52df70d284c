//! Event filters.

use serde_json::Value;

use crate::event::CloudEvent;
use crate::expression::{Expression, Fuel};

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
        let _ = (event, fuel);
        false
    }
}
