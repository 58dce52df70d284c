//! The cases that the conformance suite of the CloudEvents JSON format names, valid and invalid, and some beside them:
//! each valid one is taken and comes back as it was, each invalid one is refused with its reason.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use impresario_model::event::CloudEvent;
use serde_json::Value;

fn table(name: &str) -> Vec<(String, Value, String)> {
    let all: Value = serde_json::from_str(include_str!("cloudevents/vectors.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = all[name].as_array().unwrap();
    rows.iter().map(|row| (text(&row[0]), row[1].clone(), text(&row[2]))).collect()
}

/// Without the attributes that are null, which count as absent.
fn present(event: &Value) -> Value {
    let members = event.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[test]
fn every_valid_event_is_taken_as_it_is() {
    let table = table("valid");
    assert!(table.len() >= 10);
    for (name, event, _) in table {
        let read = CloudEvent::from_json(event.clone()).map(CloudEvent::into_envelope);
        assert_eq!(read, Ok(present(&event)), "{name}");
    }
}

#[test]
fn every_invalid_event_is_refused_with_its_reason() {
    let table = table("invalid");
    assert!(table.len() >= 25);
    for (name, event, reason) in table {
        let found = CloudEvent::from_json(event).map_err(|error| error.to_string());
        assert!(found.as_ref().is_err_and(|found| found.starts_with(&reason)), "{name}: {found:?}");
    }
}

#[test]
fn batches_are_taken_whole_or_refused_with_the_place() {
    for (name, batch, _) in table("validBatches") {
        let read = CloudEvent::batch_from_json(batch.clone()).unwrap();
        let back: Vec<Value> = read.into_iter().map(CloudEvent::into_envelope).collect();
        assert_eq!(Value::Array(back), batch, "{name}");
    }
    for (name, batch, reason) in table("invalidBatches") {
        let found = CloudEvent::batch_from_json(batch).map_err(|error| error.to_string());
        assert_eq!(found, Err(reason), "{name}");
    }
}
