//! Lifecycle events: what becomes of instances, as the language names it.
//!
//! Their ids are derived from the instance and from what happened, so a replay makes the same again, and the router that
//! takes them in drops the repetition. They go only to those who ask for their types: a trigger on every event would
//! start itself for ever otherwise.

use serde_json::{Map, Value, json};

use crate::definition::{AttributeMatch, EventFilter};
use crate::event::CloudEvent;
use crate::expression::{Expression, Fuel};
use crate::ids;
use crate::instance::{Instance, Status, rfc3339};

/// What the types of all lifecycle events begin with.
const PREFIX: &str = "io.serverlessworkflow.";
/// The types that this version publishes.
pub const TYPES: [&str; 4] = [STARTED, COMPLETED, FAULTED, CANCELLED];
const STARTED: &str = "io.serverlessworkflow.workflow.started.v1";
const COMPLETED: &str = "io.serverlessworkflow.workflow.completed.v1";
const FAULTED: &str = "io.serverlessworkflow.workflow.faulted.v1";
const CANCELLED: &str = "io.serverlessworkflow.workflow.cancelled.v1";
/// A larger output is not in the event: it names where to read it.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// What the types of all events begin with that tell of the cluster itself.
pub const SYSTEM: &str = "io.impresario.system.";

/// Whether an event of this type tells what happened to the cluster itself.
pub fn is_system(kind: &str) -> bool {
    kind.starts_with(SYSTEM)
}

/// Whether an event of this type tells what becomes of an instance.
pub fn is_lifecycle(kind: &str) -> bool {
    kind.starts_with(PREFIX)
}

/// Whether a filter asks for events of this type, rather than only letting them pass.
pub fn asks_for(filter: &EventFilter, kind: &str) -> bool {
    let value = || Value::String(kind.to_owned());
    filter.attributes.iter().any(|(name, matcher)| {
        name == "type"
            && match matcher {
                AttributeMatch::Equals(wanted) => wanted.as_str() == Some(kind),
                AttributeMatch::Regex(pattern) => pattern.is_match(kind),
                AttributeMatch::Predicate(expression) => holds(expression, &value()),
            }
    })
}

fn holds(expression: &Expression, value: &Value) -> bool {
    let alone = EventFilter {
        attributes: vec![("data".to_owned(), AttributeMatch::Predicate(expression.clone()))],
        correlate: Vec::new(),
    };
    let event = json!({ "specversion": "1.0", "id": "0", "source": "/", "type": "t", "data": value });
    CloudEvent::from_json(event)
        .is_ok_and(|event| alone.check(&event, &mut Fuel(Fuel::PER_EXPRESSION)) == Ok(true))
}

/// What an entry has made of an instance, if it is worth an event: it has begun, or ended. One that ends in its first turn
/// does both.
pub fn of_instance(before: Option<Status>, instance: &Instance, now: u64) -> Vec<CloudEvent> {
    let mut happened = Vec::new();
    if before.is_none() {
        happened.push((STARTED, "startedAt"));
    }
    if !before.is_some_and(Status::ended) {
        match instance.status {
            Status::Completed => happened.push((COMPLETED, "completedAt")),
            Status::Faulted => happened.push((FAULTED, "faultedAt")),
            Status::Cancelled => happened.push((CANCELLED, "cancelledAt")),
            Status::Running | Status::Waiting | Status::Uncertain => {}
        }
    }
    happened.into_iter().map(|(kind, at)| event(instance, kind, at, now)).collect()
}

fn event(instance: &Instance, kind: &str, at: &str, now: u64) -> CloudEvent {
    let definition = &instance.definition;
    let mut data = Map::new();
    data.insert(
        "name".to_owned(),
        json!(format!("{}-{}.{}", definition.name, instance.id, definition.namespace)),
    );
    data.insert(at.to_owned(), json!(rfc3339(now)));
    match kind {
        STARTED => {
            let of = json!({
                "namespace": definition.namespace, "name": definition.name, "version": definition.version,
            });
            data.insert("definition".to_owned(), of);
        }
        COMPLETED => {
            let output = instance.output.clone().unwrap_or_default();
            if output.to_string().len() <= OUTPUT_BYTES_MAX {
                data.insert("output".to_owned(), output);
            } else {
                data.insert("outputUri".to_owned(), json!(format!("/api/v1/instances/{}", instance.id)));
            }
        }
        FAULTED => {
            let error = instance.fault.as_ref().map(crate::fault::Fault::to_value).unwrap_or_default();
            data.insert("error".to_owned(), error);
        }
        _ => {}
    }
    CloudEvent {
        id: ids::event_of_lifecycle(&instance.id, kind),
        source: format!("/{}/{}/{}", definition.namespace, definition.name, definition.version),
        kind: kind.to_owned(),
        subject: Some(instance.id.clone()),
        time: Some(rfc3339(now)),
        datacontenttype: Some("application/json".to_owned()),
        dataschema: None,
        data: Some(Value::Object(data)),
        data_base64: None,
        extensions: Map::new(),
    }
}
