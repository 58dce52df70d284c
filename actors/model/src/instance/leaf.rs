//! Tasks without tasks in them: set, switch, raise, and the activities.

use serde_json::Value;

use super::activity::{Activity, ActivityState};
use super::poll::Flow;
use super::run::{TaskRun, TaskState};
use super::turn::{At, Effect, Turn};
use crate::definition::{ActivitySpec, RaisedError, Task, TaskId, TaskKind, Template, Then};
use crate::fault::{Fault, FaultKind};

/// The raw output of a task that never waits, and where control goes; none for all other tasks.
pub(super) fn at_once(
    turn: &mut Turn<'_>,
    task: &Task,
    input: &Value,
    at: At<'_>,
) -> Result<Option<(Value, Then)>, Fault> {
    match &task.kind {
        TaskKind::Set(template) => Ok(Some((turn.evaluate(template, input, at, "set")?, task.then))),
        TaskKind::Switch(cases) => {
            for case in cases {
                let holds = match &case.when {
                    None => true,
                    Some(when) => turn.holds(when, input, at, "when")?,
                };
                if holds {
                    return Ok(Some((input.clone(), case.then)));
                }
            }
            Ok(Some((input.clone(), task.then)))
        }
        TaskKind::Raise(error) => Err(raised(turn, task, error, input, at)?),
        TaskKind::Emit(attributes) => {
            Ok(Some((super::emit::emit(turn, task, attributes, input, at)?, task.then)))
        }
        TaskKind::Unsupported(what) => Err(Fault {
            status: 501,
            ..Fault::new(
                FaultKind::Configuration,
                "Not supported",
                format!("this version does not run '{what}'"),
                &task.pointer,
            )
        }),
        TaskKind::Do(_)
        | TaskKind::For(_)
        | TaskKind::Fork { .. }
        | TaskKind::Try { .. }
        | TaskKind::Wait(_)
        | TaskKind::Activity(_)
        | TaskKind::Function { .. } => Ok(None),
    }
}

fn raised(
    turn: &mut Turn<'_>,
    task: &Task,
    error: &RaisedError,
    input: &Value,
    at: At<'_>,
) -> Result<Fault, Fault> {
    let kind = turn.evaluate(&error.kind, input, at, "type")?;
    let status: Value = turn.evaluate(&error.status, input, at, "status")?;
    let status = status.as_u64().and_then(|status| u16::try_from(status).ok()).ok_or_else(|| {
        Fault::new(
            FaultKind::Expression,
            "Expression failed",
            format!("status: expected a whole number up to 65535, found {status}"),
            &task.pointer,
        )
    })?;
    let mut optional = |template: &Option<Template>, field: &str| match template {
        None => Ok(None),
        Some(template) => turn.evaluate(template, input, at, field).map(|value: Value| Some(text(value))),
    };
    let title = optional(&error.title, "title")?;
    let detail = optional(&error.detail, "detail")?;
    let instance = optional(&error.instance, "instance")?.unwrap_or_else(|| task.pointer.clone());
    Ok(Fault { kind: text(kind), status, title, detail, instance: Some(instance), uncatchable: false })
}

/// A string as it is, everything else as JSON.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Begins an activity: its number.
pub(super) fn request(
    turn: &mut Turn<'_>,
    task: TaskId,
    spec: &ActivitySpec,
    input: &Value,
    at: At<'_>,
) -> Result<u64, Fault> {
    let arguments = turn.evaluate(&spec.arguments, input, at, "with")?;
    let number = turn.activities.last + 1;
    let activity = Activity {
        number,
        task,
        adapter: spec.adapter.clone(),
        function: spec.function.clone(),
        arguments,
        restartable: spec.restartable,
        probe: spec.probe,
        attempt: 1,
        lost: 0,
        marker: None,
        saved: None,
        resolved: None,
        started: turn.now,
        ended: None,
        state: ActivityState::Running,
        kept_bytes: 0,
    };
    turn.effects.push(activity.launch(turn.facts.id));
    turn.activities.push(activity);
    Ok(number)
}

/// Looks at the activity that a task waits for.
pub(super) fn poll_activity(turn: &mut Turn<'_>, task: &Task, number: u64, at: At<'_>) -> Flow {
    if let TaskKind::Activity(spec) = &task.kind
        && spec.detached
    {
        return Flow::Done(at.input.cloned().unwrap_or_default());
    }
    let Some(activity) = turn.activities.get(number) else {
        return Flow::Fault(Fault::new(
            FaultKind::Runtime,
            "Activity unknown",
            format!("activity {number} is not known to its instance"),
            &task.pointer,
        ));
    };
    match &activity.state {
        ActivityState::Running
        | ActivityState::Retrying(_)
        | ActivityState::Probing(_)
        | ActivityState::Uncertain(_) => Flow::Pending,
        ActivityState::Completed(output) => Flow::Done(output.clone()),
        ActivityState::Failed(fault) => {
            Flow::Fault(Fault { instance: Some(task.pointer.clone()), ..fault.clone() })
        }
        // The list goes on before it comes to this, see `poll::task`.
        ActivityState::Skipped => Flow::Done(at.input.cloned().unwrap_or_default()),
        ActivityState::Cancelled => Flow::Fault(Fault::new(
            FaultKind::Runtime,
            "Cancelled",
            format!("activity {number} was cancelled"),
            &task.pointer,
        )),
    }
}

/// Whether an operator had the activity of a task passed over.
pub(super) fn is_skipped(turn: &Turn<'_>, number: u64) -> bool {
    turn.activities.get(number).is_some_and(|activity| activity.state == ActivityState::Skipped)
}

/// Gives up everything in flight at and below a task.
pub(super) fn abandon(turn: &mut Turn<'_>, run: &TaskRun) {
    let mut numbers = Vec::new();
    run.visit(&mut |task| {
        if let TaskState::Activity(number) = task.state {
            numbers.push(number);
        }
    });
    for number in numbers {
        abandon_activity(turn, number);
    }
}

/// Gives up one activity.
pub(super) fn abandon_activity(turn: &mut Turn<'_>, number: u64) {
    let now = turn.now;
    if let Some(activity) = turn.activities.get_mut(number).filter(|activity| activity.is_open()) {
        activity.state = ActivityState::Cancelled;
        activity.ended = Some(now);
        let (adapter, token) = (activity.adapter.clone(), activity.token(turn.facts.id));
        turn.effects.push(Effect::Abandon { adapter, token });
        turn.activities.archive(number);
    }
}
