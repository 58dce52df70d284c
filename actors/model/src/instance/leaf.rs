//! Tasks without tasks in them: set, switch, raise, and the activities.

use std::collections::BTreeMap;

use serde_json::Value;

use super::activity::{Activity, ActivityState};
use super::listen;
use super::poll::Flow;
use super::run::{TaskRun, TaskState};
use super::turn::{At, Effect, Turn};
use crate::definition::{
    ActivitySpec, On, RaisedError, RunAs, SecretField, Task, TaskId, TaskKind, Template, Then,
};
use crate::fault::{Fault, FaultKind, standard_type};
use crate::inventory;

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
        | TaskKind::Listen(_)
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

/// Begins the task of an activity: with the activity, or with another one that selects its target.
pub(super) fn begin(
    turn: &mut Turn<'_>,
    task: TaskId,
    spec: &ActivitySpec,
    input: &Value,
    at: At<'_>,
) -> Result<TaskState, Fault> {
    let target = match &spec.on {
        None => None,
        Some(On::Target(name)) => Some(target_name(turn.evaluate(name, input, at, "target")?, at)?),
        Some(On::Selected(selection)) => {
            let wanted = Wanted {
                adapter: inventory::ADAPTER,
                function: inventory::SELECT,
                arguments: turn.evaluate(selection, input, at, "select")?,
                target: None,
                user: None,
                secrets: BTreeMap::new(),
                restartable: true,
                probe: false,
            };
            return Ok(TaskState::Selecting(push(turn, task, wanted)));
        }
    };
    Ok(TaskState::Activity(request(turn, task, spec, target, input, at)?))
}

/// The name of a target: as it is, or of a target that was selected.
fn target_name(value: Value, at: At<'_>) -> Result<String, Fault> {
    let name = match &value {
        Value::String(name) => Some(name),
        Value::Object(target) => match target.get("name") {
            Some(Value::String(name)) => Some(name),
            _ => None,
        },
        _ => None,
    };
    name.filter(|name| !name.is_empty()).cloned().ok_or_else(|| {
        let pointer = at.task.map_or("/", |task| task.pointer.as_str());
        let detail = format!("target: expected the name of a target, found {value}");
        Fault::new(FaultKind::Expression, "Expression failed", detail, pointer)
    })
}

/// Once its target is selected, begins the activity itself; pending until then.
pub(super) fn select(
    turn: &mut Turn<'_>,
    task: TaskId,
    number: u64,
    input: &Value,
    at: At<'_>,
) -> Result<Option<u64>, Fault> {
    let definition = turn.definition;
    let TaskKind::Activity(spec) = &definition.task(task).kind else { return Ok(None) };
    let selected = match outcome_of(turn, definition.task(task), number) {
        Flow::Done(Value::Array(mut selected)) if !selected.is_empty() => selected.swap_remove(0),
        // It is no list only if the node answers what it never does.
        Flow::Done(other) | Flow::End(other) => other,
        Flow::Fault(fault) => return Err(fault),
        Flow::Pending => return Ok(None),
    };
    let target = target_name(selected, at)?;
    request(turn, task, spec, Some(target), input, at).map(Some)
}

/// Begins an activity: its number.
fn request(
    turn: &mut Turn<'_>,
    task: TaskId,
    spec: &ActivitySpec,
    target: Option<String>,
    input: &Value,
    at: At<'_>,
) -> Result<u64, Fault> {
    let wanted = Wanted {
        adapter: &spec.adapter,
        function: &spec.function,
        arguments: turn.evaluate(&spec.arguments, input, at, "with")?,
        target,
        user: spec.user.as_ref().map(|user| user_name(turn, user, input, at)).transpose()?,
        secrets: spec.arguments.secrets(),
        restartable: spec.restartable,
        probe: spec.probe,
    };
    Ok(push(turn, task, wanted))
}

/// An activity to begin.
struct Wanted<'a> {
    adapter: &'a str,
    function: &'a str,
    arguments: Value,
    target: Option<String>,
    user: Option<String>,
    secrets: BTreeMap<String, SecretField>,
    restartable: bool,
    probe: bool,
}

/// The name of a runtime user, which has to be one that the document declares.
fn user_name(turn: &mut Turn<'_>, user: &RunAs, input: &Value, at: At<'_>) -> Result<String, Fault> {
    let value: Value = turn.evaluate(&user.name, input, at, "runtimeUser")?;
    match value.as_str() {
        Some(name) if user.declared.iter().any(|declared| declared == name) => Ok(name.to_owned()),
        _ => {
            let declared = user.declared.join(", ");
            let detail =
                format!("runtimeUser: expected a name of 'use.secrets' (one of {declared}), found {value}");
            let pointer = at.task.map_or("/", |task| task.pointer.as_str());
            let fault = Fault::new(FaultKind::Configuration, "Secret not declared", detail, pointer);
            Err(Fault { kind: standard_type("authorization"), status: 403, ..fault })
        }
    }
}

fn push(turn: &mut Turn<'_>, task: TaskId, wanted: Wanted<'_>) -> u64 {
    let number = turn.activities.last + 1;
    let activity = Activity {
        number,
        task,
        adapter: wanted.adapter.to_owned(),
        function: wanted.function.to_owned(),
        arguments: wanted.arguments,
        target: wanted.target,
        user: wanted.user,
        secrets: wanted.secrets,
        place: None,
        restartable: wanted.restartable,
        probe: wanted.probe,
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
    number
}

/// Looks at the activity that a task waits for.
pub(super) fn poll_activity(turn: &mut Turn<'_>, task: &Task, number: u64, at: At<'_>) -> Flow {
    if let TaskKind::Activity(spec) = &task.kind
        && spec.detached
    {
        return Flow::Done(at.input.cloned().unwrap_or_default());
    }
    outcome_of(turn, task, number)
}

/// How an activity of a task ended, if it did.
fn outcome_of(turn: &Turn<'_>, task: &Task, number: u64) -> Flow {
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
        ActivityState::Skipped => Flow::Done(Value::Null),
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

/// Gives up everything in flight at and below a task, and listens no more there.
pub(super) fn abandon(turn: &mut Turn<'_>, run: &TaskRun) {
    let (mut activities, mut listeners) = (Vec::new(), Vec::new());
    run.visit(&mut |task| match &task.state {
        TaskState::Activity(number) | TaskState::Selecting(number) => activities.push(*number),
        TaskState::Listen(run) => listeners.push(run.listener),
        TaskState::Do(_)
        | TaskState::For(_)
        | TaskState::FanOut(_)
        | TaskState::Fork(_)
        | TaskState::Try(_)
        | TaskState::Wait(_)
        | TaskState::Function(_) => {}
    });
    activities.into_iter().for_each(|number| abandon_activity(turn, number));
    listeners.into_iter().for_each(|number| listen::close(turn, number));
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
