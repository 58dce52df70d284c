//! By what an event finds those who listen for it.
//!
//! What a filter asks of an event without knowing an instance, and the expressions of its keys, are known by a hash: the
//! *listener*. All definitions, and all versions of one, that ask for the same share it. A router evaluates each listener
//! once for an event; with the values of the keys that gives the name of a subscription ([`crate::subscription`]).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::definition::{
    AttributeMatch, Correlation, Definition, DefinitionId, EventFilter, Path, TaskId, TaskKind,
};
use crate::event::CloudEvent;
use crate::expression::Fuel;

/// What a filter and its keys may spend on one event. A tenth of an expression's own limit: the router that evaluates them
/// has other events to pass on.
const FUEL: u64 = Fuel::PER_EXPRESSION / 10;

/// Which events are passed on to those who listen for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRoute {
    /// What the filter and its keys are known by.
    pub listener: String,
    /// The literal type that it names; `None` for all types.
    pub kind: Option<String>,
    /// A definition that has the filter.
    pub definition: DefinitionId,
    /// The task.
    pub task: TaskId,
    /// Which of the filters of the task.
    pub filter: u32,
    /// Whether by all keys of the filter, or by those that are known when the task begins.
    pub whole: bool,
    /// How long events are kept for those who listen later, in milliseconds: as long as any task wants them.
    pub keep_ms: u64,
}

/// What a filter and these of its keys are known by.
pub fn listener_id<'k>(filter: &EventFilter, keys: impl Iterator<Item = &'k Correlation>) -> String {
    let mut attributes: Vec<(&str, &str, Value)> = filter
        .attributes
        .iter()
        .filter_map(|(name, matcher)| match matcher {
            AttributeMatch::Equals(value) => Some((name.as_str(), "=", value.clone())),
            AttributeMatch::Regex(pattern) => Some((name.as_str(), "~", json!(pattern.as_str()))),
            // What an instance alone can tell is asked of the instance.
            AttributeMatch::Predicate(expression) if !expression.uses().is_empty() => None,
            AttributeMatch::Predicate(expression) => Some((name.as_str(), "?", json!(expression.source()))),
        })
        .collect();
    attributes.sort_by_key(|(name, ..)| *name);
    let keys: Vec<&str> = keys.map(|key| key.from.source()).collect();
    digest(&json!([attributes, keys]))
}

/// The key of the subscription of a listener for these values of its keys.
pub fn subscription_key(listener: &str, values: &[Value]) -> String {
    if values.is_empty() {
        return listener.to_owned();
    }
    let values: Vec<Value> = values.iter().map(comparable).collect();
    format!("{listener}/{}", digest(&Value::Array(values)))
}

/// Whether two values of a key are the same.
pub fn same(a: &Value, b: &Value) -> bool {
    a == b || comparable(a) == comparable(b)
}

/// The value with numbers in one form each: 1.0 is 1.
fn comparable(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            // Beyond this, not every whole number is a double.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
                let whole = float as i64;
                json!(whole)
            }
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(comparable).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), comparable(member))).collect()
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// The first half of the SHA-256 of a value, in hex.
fn digest(value: &Value) -> String {
    let hash = Sha256::digest(value.to_string().as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The routes to all listeners that instances of these definitions can have.
pub fn routes<'d>(definitions: impl IntoIterator<Item = &'d Definition>) -> Vec<ListenerRoute> {
    let mut routes: BTreeMap<String, ListenerRoute> = BTreeMap::new();
    for definition in definitions {
        for (task, kind) in definition.tasks.iter().map(|task| &task.kind).enumerate() {
            let TaskKind::Listen(listen) = kind else { continue };
            for (at, (filter, paths)) in listen.filters().zip(&listen.paths).enumerate() {
                let begun = paths.begun.iter().map(|path| (path, false));
                for (path, whole) in std::iter::once((&paths.whole, true)).chain(begun) {
                    let route = routes.entry(path.listener.clone()).or_insert_with(|| ListenerRoute {
                        listener: path.listener.clone(),
                        kind: filter.event_type().map(str::to_owned),
                        definition: definition.id.clone(),
                        task: TaskId(u32::try_from(task).unwrap_or(u32::MAX)),
                        filter: u32::try_from(at).unwrap_or(u32::MAX),
                        whole,
                        keep_ms: 0,
                    });
                    route.keep_ms = route.keep_ms.max(listen.keep_ms());
                }
            }
        }
    }
    routes.into_values().collect()
}

/// Adds routes to those that are known. In whatever order that is done, and how often, the same comes out.
pub fn merge(known: &mut Vec<ListenerRoute>, more: &[ListenerRoute]) {
    let mut all: BTreeMap<String, ListenerRoute> =
        std::mem::take(known).into_iter().map(|route| (route.listener.clone(), route)).collect();
    for route in more {
        let listener = all.entry(route.listener.clone()).or_insert_with(|| route.clone());
        // Any of the definitions does; the lowest is the same for all orders.
        if (&route.definition, route.task, route.filter)
            < (&listener.definition, listener.task, listener.filter)
        {
            *listener = ListenerRoute { keep_ms: listener.keep_ms, ..route.clone() };
        }
        listener.keep_ms = listener.keep_ms.max(route.keep_ms);
    }
    known.extend(all.into_values());
}

/// Finds a definition that is known.
pub type FindDefinition<'f> = &'f dyn Fn(&DefinitionId) -> Option<Arc<Definition>>;

/// The routes of a router, by the type that they want.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    by_kind: HashMap<String, Vec<ListenerRoute>>,
    any_kind: Vec<ListenerRoute>,
}

impl Listeners {
    /// With these routes.
    pub fn new(routes: &[ListenerRoute]) -> Self {
        let mut listeners = Listeners::default();
        for route in routes {
            match &route.kind {
                Some(kind) => listeners.by_kind.entry(kind.clone()).or_default().push(route.clone()),
                None => listeners.any_kind.push(route.clone()),
            }
        }
        listeners
    }

    /// The subscriptions that an event belongs to, and how long it is kept there in milliseconds.
    ///
    /// # Errors
    /// The definition that is not known here.
    pub fn of(
        &self,
        event: &CloudEvent,
        find: FindDefinition<'_>,
    ) -> Result<Vec<(String, u64)>, DefinitionId> {
        let mut found = Vec::new();
        let mut envelope = None;
        let by_kind = self.by_kind.get(&event.kind).into_iter().flatten();
        for route in by_kind.chain(&self.any_kind) {
            let definition = find(&route.definition).ok_or_else(|| route.definition.clone())?;
            let Some((filter, path)) = filter_of(&definition, route) else { continue };
            let mut fuel = Fuel(FUEL);
            // What cannot be evaluated does not match.
            if !matches!(filter.check(event, &mut fuel), Ok(true)) {
                continue;
            }
            let keys = path.keys.iter().filter_map(|at| filter.correlate.get(*at));
            let values: Option<Vec<Value>> = keys
                .map(|key| {
                    let envelope = envelope.get_or_insert_with(|| event.envelope());
                    key.value(envelope, &mut fuel).ok().filter(|value| !value.is_null())
                })
                .collect();
            if let Some(values) = values {
                found.push((subscription_key(&route.listener, &values), route.keep_ms));
            }
        }
        Ok(found)
    }
}

fn filter_of<'d>(definition: &'d Definition, route: &ListenerRoute) -> Option<(&'d EventFilter, &'d Path)> {
    let TaskKind::Listen(listen) = &definition.tasks.get(route.task.0 as usize)?.kind else { return None };
    let at = route.filter as usize;
    let paths = listen.paths.get(at)?;
    let path = if route.whole { Some(&paths.whole) } else { paths.begun.as_ref() };
    Some((listen.filters().nth(at)?, path?))
}

#[cfg(test)]
mod tests;
