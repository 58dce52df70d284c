//! Moves an instance on: polls the tree of tasks under way, as an executor polls a future.
//!
//! Each poll looks at the time of the entry and at the activities, goes as far as it can, and leaves the tree
//! where it must wait. Nothing here acts on the world; what is to be done is collected as effects.

use serde_json::Value;

use super::run::{ListRun, TaskRun, TaskState};
use super::turn::{At, Scope, Turn};
use super::{composite, fan_out, leaf, listen, retry, start_points};
use crate::definition::{DataIn, DataOut, Task, TaskId, TaskKind, Then};
use crate::fault::{Fault, FaultKind};

/// How a list or the body of a task went.
pub(super) enum Flow {
    /// It waits for something.
    Pending,
    /// It ended with an output.
    Done(Value),
    /// It ended, and the whole instance with it (`then: end`).
    End(Value),
    /// It failed.
    Fault(Fault),
}

/// How a task went.
pub(super) enum TaskFlow {
    /// It waits for something; if it has just begun, this is where it stands.
    Pending(Option<Box<TaskRun>>),
    /// It ended: its transformed output, and where control goes.
    Done(Value, Then),
    /// It ended, and the whole instance with it.
    End(Value),
    /// It failed.
    Fault(Fault),
}

/// Polls a list of tasks.
pub(super) fn list(
    turn: &mut Turn<'_>,
    tasks: &[TaskId],
    run: &mut ListRun,
    scope: Option<&Scope<'_>>,
) -> Flow {
    loop {
        let flow = match run.current.as_mut() {
            Some(current) => task(turn, current, scope),
            None => {
                let Some(&next) = tasks.get(run.index as usize) else {
                    return Flow::Done(std::mem::take(&mut run.input));
                };
                if turn.exhausted() {
                    return Flow::Pending;
                }
                begin(turn, next, std::mem::take(&mut run.input), scope)
            }
        };
        match flow {
            TaskFlow::Pending(begun) => {
                if begun.is_some() {
                    run.current = begun;
                }
                return Flow::Pending;
            }
            TaskFlow::Fault(fault) => return Flow::Fault(fault),
            TaskFlow::End(output) => return Flow::End(output),
            TaskFlow::Done(output, then) => {
                run.current = None;
                match then {
                    // Never: `left` turns it into the end of everything.
                    Then::End => return Flow::End(output),
                    Then::Exit => return Flow::Done(output),
                    Then::Continue => run.index += 1,
                    Then::Task(index) => run.index = index,
                }
                run.input = output;
            }
        }
    }
}

/// Begins a task with its raw input, and goes as far as it can.
pub(super) fn begin(turn: &mut Turn<'_>, id: TaskId, raw: Value, scope: Option<&Scope<'_>>) -> TaskFlow {
    match try_begin(turn, id, raw, scope) {
        Ok(flow) => flow,
        Err(fault) => TaskFlow::Fault(fault),
    }
}

fn try_begin(
    turn: &mut Turn<'_>,
    id: TaskId,
    raw: Value,
    scope: Option<&Scope<'_>>,
) -> Result<TaskFlow, Fault> {
    let definition = turn.definition;
    let task = definition.task(id);
    *turn.tasks_run += 1;
    turn.tasks_left = turn.tasks_left.saturating_sub(1);
    if *turn.tasks_run > turn.facts.task_limit {
        return Err(Fault {
            uncatchable: true,
            ..Fault::new(
                FaultKind::Runtime,
                "Too many tasks",
                format!("the instance ran {} tasks, the limit", turn.facts.task_limit),
                &task.pointer,
            )
        });
    }
    let started = turn.now;
    let at = At { task: Some(task), started, input: Some(&raw), output: None, scope };
    if let Some(condition) = &task.condition
        && !turn.holds(condition, &raw, at, "if")?
    {
        return Ok(left(raw, task.then));
    }
    turn.started_tasks.push(id);
    start_points::note_point(turn, id, &raw);
    let input = transform_input(turn, &task.input, &raw, at)?;
    turn.charge(&input);
    start_points::note_around(turn, id, &input);
    let at = At { input: Some(&input), ..at };
    let deadline = match &task.timeout {
        None => None,
        Some(timeout) => {
            let after: u64 = turn.evaluate(timeout, &input, at, "timeout")?;
            Some(turn.now.saturating_add(after))
        }
    };
    if let Some((flow, then)) = leaf::at_once(turn, task, &input, at)? {
        return finish(turn, task, &input, started, scope, flow, then);
    }
    let state = initial_state(turn, id, task, &input, at)?;
    let mut run = Box::new(TaskRun { task: id, input, started, deadline, state });
    Ok(match self::task(turn, &mut run, scope) {
        TaskFlow::Pending(_) => TaskFlow::Pending(Some(run)),
        flow => flow,
    })
}

fn initial_state(
    turn: &mut Turn<'_>,
    id: TaskId,
    task: &Task,
    input: &Value,
    at: At<'_>,
) -> Result<TaskState, Fault> {
    Ok(match &task.kind {
        TaskKind::Do(_) => TaskState::Do(ListRun::new(input.clone())),
        TaskKind::For(spec) => match spec.parallel {
            None => TaskState::For(composite::begin_for(turn, task, spec, input, at)?),
            Some(parallel) => TaskState::FanOut(fan_out::begin(turn, task, spec, parallel, input, at)?),
        },
        TaskKind::Fork { branches, .. } => {
            TaskState::Fork(composite::begin_fork(turn, task, branches, input)?)
        }
        TaskKind::Try { catch, .. } => TaskState::Try(retry::begin(turn, catch, input, at)?),
        TaskKind::Wait(delay) => {
            let after: u64 = turn.evaluate(delay, input, at, "wait")?;
            TaskState::Wait(turn.now.saturating_add(after))
        }
        TaskKind::Listen(spec) => listen::begin(turn, id, spec, input, at)?,
        TaskKind::Activity(spec) => leaf::begin(turn, id, spec, input, at)?,
        TaskKind::Function { arguments, input: schema, .. } => {
            let arguments = turn.evaluate(arguments, input, at, "with")?;
            check(schema.as_ref(), &arguments, "with", &task.pointer)?;
            TaskState::Function(super::run::FunctionRun { arguments, body: None })
        }
        // These end at once and never get here; a task that waits for nothing is harmless.
        TaskKind::Set(_)
        | TaskKind::Switch(_)
        | TaskKind::Raise(_)
        | TaskKind::Emit(_)
        | TaskKind::Unsupported(_) => TaskState::Wait(turn.now),
    })
}

/// Polls a task under way.
pub(super) fn task(turn: &mut Turn<'_>, run: &mut TaskRun, scope: Option<&Scope<'_>>) -> TaskFlow {
    let definition = turn.definition;
    let task = definition.task(run.task);
    if run.deadline.is_some_and(|deadline| deadline <= turn.now) {
        leaf::abandon(turn, run);
        return TaskFlow::Fault(Fault::new(
            FaultKind::Timeout,
            "Timed out",
            format!("task '{}' did not end in time", task.name),
            &task.pointer,
        ));
    }
    if let TaskState::Activity(number) | TaskState::Selecting(number) = run.state
        && leaf::is_skipped(turn, number)
    {
        return left(run.input.clone(), task.then);
    }
    let at = At { task: Some(task), started: run.started, input: Some(&run.input), output: None, scope };
    let mut then = task.then;
    if let TaskState::Selecting(number) = run.state {
        match leaf::select(turn, run.task, number, &run.input, at) {
            Ok(Some(number)) => run.state = TaskState::Activity(number),
            Ok(None) => return TaskFlow::Pending(None),
            Err(fault) => return TaskFlow::Fault(fault),
        }
    }
    let flow = match (&task.kind, &mut run.state) {
        (TaskKind::Do(tasks), TaskState::Do(body)) => list(turn, tasks, body, scope),
        (TaskKind::For(spec), TaskState::For(body)) => composite::poll_for(turn, spec, body, at),
        (TaskKind::For(spec), TaskState::FanOut(running)) => fan_out::poll(turn, spec, running, scope),
        (TaskKind::Fork { branches, compete }, TaskState::Fork(running)) => {
            composite::poll_fork(turn, branches, *compete, running, scope)
        }
        (TaskKind::Try { body, catch }, TaskState::Try(running)) => {
            retry::poll(turn, task, body, catch, running, &run.input, at, &mut then)
        }
        (TaskKind::Listen(spec), TaskState::Listen(running)) => listen::poll(turn, task, spec, running, at),
        (TaskKind::Activity(_), TaskState::Activity(number)) => leaf::poll_activity(turn, task, *number, at),
        (TaskKind::Function { body, .. }, TaskState::Function(function)) => {
            poll_function(turn, *body, function)
        }
        (_, TaskState::Wait(until)) if *until <= turn.now => Flow::Done(run.input.clone()),
        (_, TaskState::Wait(_)) => Flow::Pending,
        (kind, state) => Flow::Fault(Fault::new(
            FaultKind::Runtime,
            "Definition and state disagree",
            format!("expected the state of {}, found {}", kind_word(kind), state_word(state)),
            &task.pointer,
        )),
    };
    match flow {
        Flow::Pending => TaskFlow::Pending(None),
        Flow::Fault(fault) => TaskFlow::Fault(fault),
        Flow::End(output) => TaskFlow::End(output),
        Flow::Done(output) => {
            finish(turn, task, &run.input, run.started, scope, output, then).unwrap_or_else(TaskFlow::Fault)
        }
    }
}

fn poll_function(turn: &mut Turn<'_>, body: TaskId, function: &mut super::run::FunctionRun) -> Flow {
    // A function sees its arguments and nothing of the loops around the call.
    let flow = match &mut function.body {
        Some(run) => task(turn, run, None),
        None if turn.exhausted() => return Flow::Pending,
        None => begin(turn, body, std::mem::take(&mut function.arguments), None),
    };
    match flow {
        TaskFlow::Pending(begun) => {
            if begun.is_some() {
                function.body = begun;
            }
            Flow::Pending
        }
        TaskFlow::Done(output, _) => Flow::Done(output),
        TaskFlow::End(output) => Flow::End(output),
        TaskFlow::Fault(fault) => Flow::Fault(fault),
    }
}

/// From raw output to transformed output and context.
fn finish(
    turn: &mut Turn<'_>,
    task: &Task,
    input: &Value,
    started: u64,
    scope: Option<&Scope<'_>>,
    raw: Value,
    then: Then,
) -> Result<TaskFlow, Fault> {
    let at = At { task: Some(task), started, input: Some(input), output: Some(&raw), scope };
    let output = transform_output(turn, &task.output, &raw, at, "output")?;
    let output = output.unwrap_or(raw);
    turn.charge(&output);
    let at = At { task: Some(task), started, input: Some(input), output: Some(&output), scope };
    if let Some(context) = transform_output(turn, &task.export, &output, at, "export")? {
        turn.context = context;
    }
    Ok(left(output, then))
}

/// A task ended, and control goes where `then` says: `end` is for all lists around it, wherever it stands.
fn left(output: Value, then: Then) -> TaskFlow {
    match then {
        Then::End => TaskFlow::End(output),
        Then::Continue | Then::Exit | Then::Task(_) => TaskFlow::Done(output, then),
    }
}

/// `input`: the raw input checked, then transformed.
pub(super) fn transform_input(
    turn: &mut Turn<'_>,
    spec: &DataIn,
    raw: &Value,
    at: At<'_>,
) -> Result<Value, Fault> {
    let pointer = at.task.map_or("/", |task| task.pointer.as_str());
    check(spec.schema.as_ref(), raw, "input", pointer)?;
    match &spec.from {
        None => Ok(raw.clone()),
        Some(from) => turn.evaluate(from, raw, at, "input.from"),
    }
}

/// `output` or `export`: the value transformed, then checked; none where nothing transforms it.
pub(super) fn transform_output(
    turn: &mut Turn<'_>,
    spec: &DataOut,
    raw: &Value,
    at: At<'_>,
    field: &str,
) -> Result<Option<Value>, Fault> {
    let transformed = match &spec.transform {
        None => None,
        Some(transform) => Some(turn.evaluate(transform, raw, at, &format!("{field}.as"))?),
    };
    let pointer = at.task.map_or("/", |task| task.pointer.as_str());
    check(spec.schema.as_ref(), transformed.as_ref().unwrap_or(raw), field, pointer)?;
    Ok(transformed)
}

fn check(
    schema: Option<&crate::definition::Schema>,
    value: &Value,
    field: &str,
    pointer: &str,
) -> Result<(), Fault> {
    let Some(schema) = schema else { return Ok(()) };
    schema.check(value).map_err(|violations| {
        Fault::new(
            FaultKind::Validation,
            "Data does not fit its schema",
            format!("{field}: {violations}"),
            pointer,
        )
    })
}

fn kind_word(kind: &TaskKind) -> &'static str {
    match kind {
        TaskKind::Do(_) => "do",
        TaskKind::Set(_) => "set",
        TaskKind::Switch(_) => "switch",
        TaskKind::For(_) => "for",
        TaskKind::Fork { .. } => "fork",
        TaskKind::Try { .. } => "try",
        TaskKind::Wait(_) => "wait",
        TaskKind::Raise(_) => "raise",
        TaskKind::Emit(_) => "emit",
        TaskKind::Listen(_) => "listen",
        TaskKind::Activity(_) => "an activity",
        TaskKind::Function { .. } => "a function",
        TaskKind::Unsupported(_) => "an unsupported task",
    }
}

fn state_word(state: &TaskState) -> &'static str {
    match state {
        TaskState::Do(_) => "do",
        TaskState::For(_) => "for",
        TaskState::FanOut(_) => "a for with concurrency",
        TaskState::Fork(_) => "fork",
        TaskState::Try(_) => "try",
        TaskState::Wait(_) => "wait",
        TaskState::Listen(_) => "listen",
        TaskState::Activity(_) | TaskState::Selecting(_) => "an activity",
        TaskState::Function(_) => "a function",
    }
}
