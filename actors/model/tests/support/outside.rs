//! An instance from outside: how it is started, what happens to it, and what is seen of it.

use impresario_model::definition::Definition;
use impresario_model::doubt::{Decision, Resolution};
use impresario_model::entry::{ActivityOutcome, ProcessEvent, StartEvent};
use impresario_model::event::CloudEvent;
use impresario_model::instance::{Activity, ActivityState, Instance};
use serde_json::{Value, json};

use super::scenario::{Happening, Order};

/// When every run begins, in milliseconds since the Unix epoch: 2026-01-05T10:00:00Z, a Monday.
pub const START_MS: u64 = 1_767_607_200_000;
/// The id of every instance.
pub const ID: &str = "00000000-0000-4000-8000-000000000001";
/// The start of an instance by its API.
pub fn start_event(definition: &Definition, input: Value) -> StartEvent {
    StartEvent {
        definition: definition.id.clone(),
        input,
        started_by: "api".to_owned(),
        key: None,
        runtime: "0.0.0-test".to_owned(),
        rerun: None,
        trace: None,
    }
}

/// The CloudEvent that comes in, if that is what happens; its id is its time, unless it says another.
pub fn cloud_event_of(happening: &Happening) -> Option<CloudEvent> {
    let mut envelope = happening.event.clone()?;
    let id = format!("at-{}", happening.at);
    for (name, value) in [("specversion", "1.0"), ("id", id.as_str()), ("source", "/outside")] {
        envelope.entry(name).or_insert_with(|| json!(value));
    }
    Some(CloudEvent::from_json(Value::Object(envelope)).unwrap())
}

/// The entry that something from outside is, which happens to the instance.
pub fn event_of(happening: &Happening, definition: &Definition) -> ProcessEvent {
    if let Some(reason) = &happening.cancel {
        return ProcessEvent::Cancel { reason: Some(reason.clone()) };
    }
    if let Some(input) = &happening.start {
        return ProcessEvent::Start(Box::new(start_event(definition, input.clone())));
    }
    let token = |activity: u64, attempt: u32| format!("{ID}.{activity}.{attempt}");
    if let Some(save) = &happening.save {
        let token = token(save.activity, save.attempt);
        return ProcessEvent::Saved { activity: save.activity, token, state: save.state.clone() };
    }
    if let Some(order) = &happening.resolve {
        return ProcessEvent::Resolve(Box::new(Resolution {
            id: format!("order-{}", happening.at),
            activity: order.activity,
            token: token(order.activity, order.attempt),
            decision: decision_of(order),
        }));
    }
    let report = happening.report.as_ref().expect("something happens");
    ProcessEvent::Report {
        activity: report.activity,
        token: token(report.activity, report.attempt),
        outcome: ActivityOutcome::Completed(report.output.clone()),
    }
}

fn decision_of(order: &Order) -> Decision {
    match order {
        Order { retry: true, .. } => Decision::Retry,
        Order { skip: true, .. } => Decision::Skip,
        Order { accept: Some(output), .. } => Decision::Accept(output.clone()),
        Order { fail, .. } => Decision::Fail { reason: fail.clone() },
    }
}

/// An activity as expectations see it.
pub fn activity_view(instance: &Instance, definition: &Definition) -> Vec<Value> {
    let view = |activity: &Activity| {
        let (output, error) = match &activity.state {
            ActivityState::Completed(output) => (Some(output.clone()), None),
            ActivityState::Failed(fault) => (None, Some(fault.to_value())),
            _ => (None, None),
        };
        json!({
            "number": activity.number,
            "task": definition.task(activity.task).name,
            "function": format!("{}.{}", activity.adapter, activity.function),
            "arguments": activity.arguments,
            "target": activity.target,
            "restartable": activity.restartable,
            "attempt": activity.attempt,
            "status": activity.status(),
            "output": output,
            "error": error,
            "resolved": activity.resolved.as_ref().map(|resolved| resolved.decision.clone()),
        })
    };
    instance.activities.kept.iter().map(view).collect()
}
