//! `for`, one iteration after the other, and `fork`.

use serde_json::{Map, Value, json};

use super::leaf;
use super::poll::{self, Flow, TaskFlow};
use super::run::{Branch, BranchState, ForRun, ListRun};
use super::turn::{At, Scope, Turn};
use crate::definition::{For, Task, TaskId};
use crate::fault::{Fault, FaultKind};

/// Evaluates the collection, once.
pub(super) fn begin_for(
    turn: &mut Turn<'_>,
    task: &Task,
    spec: &For,
    input: &Value,
    at: At<'_>,
) -> Result<ForRun, Fault> {
    let items = items_of(turn, task, spec, input, at)?;
    Ok(ForRun { items, index: 0, input: input.clone(), body: None })
}

/// The collection of a loop.
pub(super) fn items_of(
    turn: &mut Turn<'_>,
    task: &Task,
    spec: &For,
    input: &Value,
    at: At<'_>,
) -> Result<Vec<Value>, Fault> {
    match turn.evaluate(&spec.items, input, at, "for.in")? {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(Vec::new()),
        other => Err(Fault::new(
            FaultKind::Expression,
            "Expression failed",
            format!("for.in: expected a list, found {}", type_word(&other)),
            &task.pointer,
        )),
    }
}

fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Polls a loop. The output of an iteration is the input of the next.
pub(super) fn poll_for(turn: &mut Turn<'_>, spec: &For, run: &mut ForRun, at: At<'_>) -> Flow {
    loop {
        let Some(item) = run.items.get(run.index) else {
            return Flow::Done(std::mem::take(&mut run.input));
        };
        let index = json!(run.index);
        let outer = Scope { parent: at.scope, name: &spec.each, value: item };
        let scope = Scope { parent: Some(&outer), name: &spec.at, value: &index };
        let body = match &mut run.body {
            Some(body) => body,
            None => {
                if turn.exhausted() {
                    return Flow::Pending;
                }
                if let Some(condition) = &spec.condition {
                    let at = At { scope: Some(&scope), ..at };
                    match turn.holds(condition, &run.input, at, "while") {
                        Err(fault) => return Flow::Fault(fault),
                        Ok(false) => return Flow::Done(std::mem::take(&mut run.input)),
                        Ok(true) => {}
                    }
                }
                run.body.insert(ListRun::new(std::mem::take(&mut run.input)))
            }
        };
        match poll::list(turn, &spec.body, body, Some(&scope)) {
            Flow::Done(output) => {
                run.input = output;
                run.body = None;
                run.index += 1;
            }
            flow => return flow,
        }
    }
}

/// Every branch gets a copy of the input and of the context.
pub(super) fn begin_fork(
    turn: &Turn<'_>,
    task: &Task,
    branches: &[TaskId],
    input: &Value,
) -> Result<Vec<Branch>, Fault> {
    turn.check_copies(input, branches.len(), &task.pointer)?;
    turn.check_copies(&turn.context, branches.len(), &task.pointer)?;
    let branch = || Branch { context: turn.context.clone(), state: BranchState::Ready(input.clone()) };
    Ok(branches.iter().map(|_| branch()).collect())
}

/// Polls all branches, in the order of the definition.
pub(super) fn poll_fork(
    turn: &mut Turn<'_>,
    tasks: &[TaskId],
    compete: bool,
    branches: &mut [Branch],
    scope: Option<&Scope<'_>>,
) -> Flow {
    let mut pending = false;
    for at in 0..branches.len().min(tasks.len()) {
        match poll_branch(turn, tasks[at], &mut branches[at], scope) {
            Flow::Pending => pending = true,
            Flow::Done(output) if compete => {
                turn.context = branches[at].context.take();
                abandon_others(turn, branches, at);
                return Flow::Done(output);
            }
            Flow::Done(output) => branches[at].state = BranchState::Done(output),
            flow @ (Flow::End(_) | Flow::Fault(_)) => {
                abandon_others(turn, branches, at);
                return flow;
            }
        }
    }
    if pending {
        return Flow::Pending;
    }
    let mut outputs = Vec::with_capacity(branches.len());
    let before = turn.context.clone();
    for branch in branches {
        merge(&mut turn.context, &before, branch.context.take());
        if let BranchState::Done(output) = &mut branch.state {
            outputs.push(output.take());
        }
    }
    Flow::Done(Value::Array(outputs))
}

fn poll_branch(turn: &mut Turn<'_>, task: TaskId, branch: &mut Branch, scope: Option<&Scope<'_>>) -> Flow {
    let outside = std::mem::replace(&mut turn.context, branch.context.take());
    let flow = match &mut branch.state {
        BranchState::Done(output) => TaskFlow::Done(output.take(), crate::definition::Then::Continue),
        BranchState::Running(run) => poll::task(turn, run, scope),
        BranchState::Ready(_) if turn.exhausted() => TaskFlow::Pending(None),
        BranchState::Ready(input) => poll::begin(turn, task, input.take(), scope),
    };
    branch.context = std::mem::replace(&mut turn.context, outside);
    match flow {
        TaskFlow::Pending(begun) => {
            if let Some(run) = begun {
                branch.state = BranchState::Running(run);
            }
            Flow::Pending
        }
        TaskFlow::Done(output, _) => Flow::Done(output),
        TaskFlow::End(output) => Flow::End(output),
        TaskFlow::Fault(fault) => Flow::Fault(fault),
    }
}

/// Gives up what is in flight in all branches but one, whose task has ended by itself.
fn abandon_others(turn: &mut Turn<'_>, branches: &[Branch], ended: usize) {
    for (at, branch) in branches.iter().enumerate() {
        if let (true, BranchState::Running(run)) = (at != ended, &branch.state) {
            leaf::abandon(turn, run);
        }
    }
}

/// Takes over what a branch changed of its copy of the context: of objects the members that are new or different,
/// of anything else the whole. What it left alone must not undo what the branches before it changed.
pub(super) fn merge(context: &mut Value, before: &Value, branch: Value) {
    match (context, branch) {
        (Value::Object(into), Value::Object(from)) => {
            let changed = |(key, value): &(String, Value)| before.get(key) != Some(value);
            into.extend::<Map<_, _>>(from.into_iter().filter(changed).collect());
        }
        (_, branch) if branch == *before => {}
        (into, branch) => *into = branch,
    }
}
