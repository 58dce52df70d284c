//! How instances and triggers look to people.

use impresario_actors::definitions::Definitions;
use impresario_actors::hosts::Hosts;
use impresario_model::definition::{Definition, TaskKind};
use impresario_model::instance::{
    Activity, ActivityState, Instance, ListenRun, Place, TaskRun, TaskState, TryPhase, rfc3339,
};
use impresario_persistence::RowIndex;
use serde_json::{Value, json};

use crate::orchestrator::{
    ActivityDetail, InstanceDetail, InstanceSummary, ListenerDetail, ProgressDetail, ResolvedDetail,
    StartPointDetail,
};

/// One line of a list.
pub fn summary(actor: &str, index: &RowIndex, aside: bool) -> InstanceSummary {
    InstanceSummary {
        id: actor.trim_start_matches("process/").to_owned(),
        definition: index.group.clone(),
        status: if aside { "quarantined".to_owned() } else { index.status.clone() },
        started_at: rfc3339(index.started),
        ended_at: index.ended.map(rfc3339),
    }
}

/// An instance that was quarantined, for this reason.
pub fn set_aside(detail: &mut InstanceDetail, reason: &str) {
    "quarantined".clone_into(&mut detail.summary.status);
    detail.waits_for.push(format!("an operator: it is quarantined because {reason}"));
}

/// The whole of an instance, without the credentials in it.
pub fn detail(instance: &Instance, definitions: &Definitions) -> InstanceDetail {
    let definition = definitions.get(&instance.definition);
    let definition = definition.as_deref();
    let waits_for = waits(instance, definition);
    InstanceDetail {
        summary: InstanceSummary {
            id: instance.id.clone(),
            definition: instance.definition.to_string(),
            status: instance.status.word().to_owned(),
            started_at: rfc3339(instance.started),
            ended_at: instance.ended.map(rfc3339),
        },
        started_by: instance.started_by.clone(),
        key: instance.key.clone(),
        input: instance.input.clone(),
        output: instance.output.clone(),
        error: instance.fault.as_ref().map(|fault| fault.to_value()),
        rerun_of: instance.rerun_of.clone(),
        began_at: instance.began_at.clone(),
        turn_of: instance.held_turn.as_ref().map(|held| held.of.to_string()),
        start_points: definition.map(|definition| start_points(instance, definition)).unwrap_or_default(),
        waits_for,
        listeners: listeners(instance, definition),
        activities: instance
            .activities
            .kept
            .iter()
            .map(|activity| activity_detail(instance, activity, definition))
            .collect(),
        activities_dropped: instance.activities.dropped,
    }
}

/// Adds what the attempts at this node's hosts last said of their progress.
pub fn add_progress(detail: &mut InstanceDetail, instance: &Instance, hosts: &Hosts) {
    for (shown, activity) in detail.activities.iter_mut().zip(&instance.activities.kept) {
        if activity.state == ActivityState::Running {
            let progress = hosts.progress(&activity.adapter, &activity.token(&instance.id));
            shown.progress = progress
                .map(|progress| ProgressDetail { message: progress.message, percent: progress.percent });
        }
    }
}

fn start_points(instance: &Instance, definition: &Definition) -> Vec<StartPointDetail> {
    let points = definition.start_points.iter().map(|point| StartPointDetail {
        id: point.id.clone(),
        title: point.title.clone(),
        task: definition.task(point.task).name.clone(),
        data: match instance.start_points.points.get(&point.id) {
            None => "not reached",
            Some(None) => "too large",
            Some(Some(_)) => "kept",
        }
        .to_owned(),
    });
    points.collect()
}

fn activity_detail(
    instance: &Instance,
    activity: &Activity,
    definition: Option<&Definition>,
) -> ActivityDetail {
    let task = definition.map(|definition| definition.task(activity.task));
    let (output, error) = match &activity.state {
        ActivityState::Completed(output) => (Some(output.clone()), None),
        ActivityState::Failed(fault) => (None, Some(fault.to_value())),
        ActivityState::Uncertain(reason) => (None, Some(json!({ "title": "uncertain", "detail": reason }))),
        ActivityState::Running
        | ActivityState::Retrying(_)
        | ActivityState::Probing(_)
        | ActivityState::Skipped
        | ActivityState::Cancelled => (None, None),
    };
    ActivityDetail {
        number: activity.number,
        task: task.map(|task| task.name.clone()).unwrap_or_default(),
        pointer: task.map(|task| task.pointer.clone()).unwrap_or_default(),
        function: format!("{}/{}", activity.adapter, activity.function),
        target: activity.target.clone(),
        status: activity.status().to_owned(),
        key: activity.key(&instance.id),
        attempts: activity.attempt,
        restartable: activity.restartable,
        input: super::mask::masked(&activity.arguments),
        // Only its host knows, see `add_progress`.
        progress: None,
        saved: activity.saved.is_some(),
        resolved: activity.resolved.as_ref().map(|resolved| ResolvedDetail {
            id: resolved.id.clone(),
            decision: resolved.decision.clone(),
            attempt: resolved.attempt,
            at: rfc3339(resolved.at),
        }),
        output,
        error,
        started_at: rfc3339(activity.started),
        ended_at: activity.ended.map(rfc3339),
    }
}

/// The `listen` tasks under way.
fn listeners(instance: &Instance, definition: Option<&Definition>) -> Vec<ListenerDetail> {
    let mut found = Vec::new();
    if let Some(current) = instance.root.as_ref().and_then(|root| root.current.as_ref()) {
        current.visit(&mut |task| {
            if let TaskState::Listen(run) = &task.state {
                found.extend(listener(instance, task, run, definition));
            }
        });
    }
    found
}

fn listener(
    instance: &Instance,
    task: &TaskRun,
    run: &ListenRun,
    definition: Option<&Definition>,
) -> Option<ListenerDetail> {
    let listener = instance.listeners.get(run.listener)?;
    let definition = definition?.task(task.task);
    let TaskKind::Listen(listen) = &definition.kind else { return None };
    Some(ListenerDetail {
        task: definition.name.clone(),
        pointer: definition.pointer.clone(),
        waits_for: listener.about(listen),
        consumed: run.items.len() + usize::from(run.current.is_some()),
        queued: listener.inbox.len(),
        subscribed: listener.hears(),
        since: rfc3339(task.started),
        looks_back_to: rfc3339(listener.since),
    })
}

fn listener_wait(listener: &ListenerDetail) -> String {
    let mut wait = format!("task '{}' hears {}, since {}", listener.task, listener.waits_for, listener.since);
    for (count, what) in [(listener.consumed, "consumed"), (listener.queued, "queued")] {
        if count > 0 {
            wait.push_str(&format!(", {count} {what}"));
        }
    }
    wait
}

/// What an instance waits for, in words.
fn waits(instance: &Instance, definition: Option<&Definition>) -> Vec<String> {
    let mut waits = Vec::new();
    let name = |task: &TaskRun| {
        definition.map_or_else(String::new, |definition| format!("'{}'", definition.task(task.task).name))
    };
    if let Some(current) = instance.root.as_ref().and_then(|root| root.current.as_ref()) {
        current.visit(&mut |task| match &task.state {
            TaskState::Wait(until) => waits.push(format!("task {} until {}", name(task), rfc3339(*until))),
            TaskState::Try(run) => {
                if let TryPhase::Backoff { until, fault } = &run.phase {
                    let what = fault.title.as_deref().unwrap_or(&fault.kind);
                    waits.push(format!(
                        "retry {} of {} at {} after '{what}'",
                        run.retries + 1,
                        name(task),
                        rfc3339(*until)
                    ));
                }
            }
            TaskState::Activity(number) | TaskState::Selecting(number) => {
                if let Some(activity) = instance.activities.get(*number) {
                    waits.push(activity_wait(activity, &name(task)));
                }
            }
            // One that works on an event waits for something else below.
            TaskState::Listen(run) if run.current.is_none() => {
                waits.extend(listener(instance, task, run, definition).as_ref().map(listener_wait));
            }
            TaskState::Do(_)
            | TaskState::For(_)
            | TaskState::FanOut(_)
            | TaskState::Fork(_)
            | TaskState::Listen(_)
            | TaskState::Function(_) => {}
        });
    }
    if let Some(asked) = instance.held_turn.as_ref().and_then(|held| held.asked) {
        waits.push(format!("its turn, as only so many may run at the same time, since {}", rfc3339(asked)));
    }
    if instance.continuing {
        waits.push("its next turn".to_owned());
    }
    waits
}

fn activity_wait(activity: &Activity, name: &str) -> String {
    let on = activity.target.as_ref().map_or_else(String::new, |target| format!(" on {target}"));
    let what =
        format!("activity {} {name} ({}/{}{on})", activity.number, activity.adapter, activity.function);
    match &activity.state {
        _ if activity.place == Some(Place::Asked) => {
            format!("{what}, waits for a place since {}", rfc3339(activity.started))
        }
        ActivityState::Retrying(at) => format!("{what}, lost, tried again at {}", rfc3339(*at)),
        ActivityState::Probing(reason) => {
            format!("{what}, whose adapter is asked what became of attempt {} ({reason})", activity.attempt)
        }
        ActivityState::Uncertain(reason) => format!(
            "an operator: nobody knows whether {what}, attempt {}, was done ({reason}); decide with `impresario \
             resolve`",
            activity.attempt
        ),
        ActivityState::Running
        | ActivityState::Completed(_)
        | ActivityState::Failed(_)
        | ActivityState::Skipped
        | ActivityState::Cancelled => {
            format!("{what}, attempt {}, since {}", activity.attempt, rfc3339(activity.started))
        }
    }
}

/// Whether a definition uses something that this version accepts and does not run.
pub fn unsupported(definition: &Definition) -> Vec<String> {
    let word = |task: &impresario_model::definition::Task| match &task.kind {
        TaskKind::Unsupported(what) => Some(format!("{} ({what})", task.pointer)),
        _ => None,
    };
    definition.tasks.iter().filter_map(word).collect()
}

/// The input of an instance as it is compared for an idempotency key.
pub fn input_or_default(input: Option<Value>) -> Value {
    input.unwrap_or_else(|| json!({}))
}
