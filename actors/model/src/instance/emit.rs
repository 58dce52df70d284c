//! `emit`: an event, raised by an instance.
//!
//! The event and the end of its task are one turn, so there is never one without the other. Its id is derived
//! from the instance and from how many tasks it had begun: a replay raises the same event again, and the router
//! that takes it in drops the repetition. Two rounds of a loop raise two.

use serde_json::{Map, Value};

use super::activity::approximate_bytes;
use super::turn::{At, Effect, Turn, rfc3339};
use crate::definition::{Task, Template};
use crate::event::CloudEvent;
use crate::fault::{Fault, FaultKind};
use crate::ids;

/// How large an emitted event may be, in bytes of its JSON: every trigger that it starts stores it again.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Raises the event: its envelope, which is the raw output of the task.
pub(super) fn emit(
    turn: &mut Turn<'_>,
    task: &Task,
    attributes: &Template,
    input: &Value,
    at: At<'_>,
) -> Result<Value, Fault> {
    let refused = |detail: String| {
        Fault::new(FaultKind::Validation, "Not an event", format!("emit: {detail}"), &task.pointer)
    };
    let mut envelope = match turn.evaluate(attributes, input, at, "emit")? {
        Value::Object(envelope) => envelope,
        other => return Err(refused(format!("expected a map of attributes, found {other}"))),
    };
    let bytes: usize = envelope.values().map(approximate_bytes).sum();
    if bytes > EVENT_BYTES_MAX {
        return Err(refused(format!("expected at most {EVENT_BYTES_MAX} bytes, found {bytes}")));
    }
    let definition = &turn.definition.id;
    default(&mut envelope, "specversion", || "1.0".to_owned());
    default(&mut envelope, "id", || ids::event_of_task(turn.facts.id, &task.pointer, *turn.tasks_run));
    default(&mut envelope, "source", || {
        format!("/{}/{}/{}", definition.namespace, definition.name, definition.version)
    });
    default(&mut envelope, "time", || rfc3339(turn.now));
    let event = CloudEvent::from_json(Value::Object(envelope)).map_err(|error| refused(error.to_string()))?;
    let output = event.envelope();
    turn.effects.push(Effect::Emit(Box::new(event)));
    Ok(output)
}

/// Fills in an attribute that is absent; null counts as absent, as it does at the door.
fn default(envelope: &mut Map<String, Value>, name: &str, value: impl FnOnce() -> String) {
    if envelope.get(name).is_none_or(Value::is_null) {
        envelope.insert(name.to_owned(), Value::String(value()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::Definition;
    use crate::entry::StartEvent;
    use crate::instance::{Instance, Moment};
    use crate::language::{Catalog, compile};

    fn definition(tasks: &str) -> Definition {
        let head = "document: { dsl: '1.0.3', namespace: test, name: raise, version: '0.1.0' }\ndo:\n";
        compile(&format!("{head}{tasks}"), &Catalog::default()).unwrap()
    }

    fn run(definition: &Definition, input: Value) -> (Instance, Vec<CloudEvent>) {
        let start = StartEvent {
            definition: definition.id.clone(),
            input,
            started_by: "api".to_owned(),
            key: None,
            runtime: "0".to_owned(),
            rerun: None,
            trace: None,
        };
        let (instance, applied) =
            Instance::start("i", start, definition, Moment { offset: 7, now: 1_700_000_000_000 });
        let events = applied.effects.into_iter().filter_map(|effect| match effect {
            Effect::Emit(event) => Some(*event),
            _ => None,
        });
        let events = events.collect();
        (instance, events)
    }

    #[test]
    fn what_is_absent_is_filled_in_and_the_output_is_the_event() {
        let definition = definition(
            "  - tell: { emit: { event: { with: { type: disk.full, data: { host: '${ .host }' } } } } }\n",
        );
        let (instance, events) = run(&definition, json!({ "host": "a" }));
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(instance.output, Some(event.envelope()));
        assert_eq!(event.kind, "disk.full");
        assert_eq!(event.data, Some(json!({ "host": "a" })));
        assert_eq!(event.source, "/test/raise/0.1.0");
        assert_eq!(event.time.as_deref(), Some("2023-11-14T22:13:20.000Z"));
        assert_eq!(run(&definition, json!({ "host": "a" })).1, events, "a replay raises the same event");
    }

    #[test]
    fn what_is_given_is_kept() {
        let definition = definition(
            "  - tell: { emit: { event: { with: { type: t, id: mine, source: /here, subject: '${ .none }', floor: 3, \
             time: '2024-01-01T00:00:00Z' } } } }\n",
        );
        let (_, events) = run(&definition, json!({}));
        assert_eq!(
            events[0].envelope(),
            json!({
                "specversion": "1.0", "id": "mine", "source": "/here", "type": "t", "floor": 3,
                "time": "2024-01-01T00:00:00Z",
            })
        );
    }

    #[test]
    fn every_round_of_a_loop_raises_an_event_of_its_own() {
        let definition = definition(
            "  - all:\n      for: { in: '[1, 2, 3]' }\n      do:\n        - tell: { emit: { event: { with: \
             { type: t, data: '${ $item }' } } } }\n",
        );
        let (_, events) = run(&definition, json!({}));
        let data: Vec<_> = events.iter().map(|event| event.data.clone().unwrap()).collect();
        assert_eq!(data, [json!(1), json!(2), json!(3)]);
        let ids: std::collections::HashSet<_> = events.iter().map(|event| &event.id).collect();
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn what_is_no_event_faults_and_raises_nothing() {
        for (attributes, detail) in [
            ("{ type: '${ 1 }' }", "emit: 'type': expected a non-empty string, found the number 1"),
            ("{ type: t, time: now }", "emit: 'time': expected an RFC 3339 time such as"),
            ("{ type: t, Floor: 3 }", "emit: 'Floor': expected an attribute name of lower-case letters"),
            ("{ type: t, data: '${ \"x\" * 1048577 }' }", "emit: expected at most 1048576 bytes, found"),
        ] {
            let definition =
                definition(&format!("  - tell: {{ emit: {{ event: {{ with: {attributes} }} }} }}\n"));
            let (instance, events) = run(&definition, json!({}));
            assert_eq!(events, []);
            let fault = instance.fault.unwrap();
            assert_eq!((fault.status, fault.instance.as_deref()), (400, Some("/do/0/tell")));
            let found = fault.detail.unwrap();
            assert!(found.starts_with(detail), "{found}");
        }
    }
}
