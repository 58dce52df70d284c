//! `for` with `metadata.ops.concurrency`: iterations side by side, each like a branch of a fork.
//!
//! Every iteration gets the input of the loop and a copy of the context. The output is the list of their outputs, in the
//! order of the items. The first error that nothing catches ends the others, unless errors are collected.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::poll::{self, Flow};
use super::run::ListRun;
use super::turn::{At, Scope, Turn};
use super::{composite, leaf};
use crate::definition::{For, Parallel, Task};
use crate::fault::{Fault, FaultKind};

/// The most items of such a loop.
const ITEMS_MAX: usize = 10_000;

/// A loop whose iterations run side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FanOutRun {
    /// The collection.
    pub items: Vec<Value>,
    /// The input of every iteration.
    pub input: Value,
    /// Those under way, in the order in which they began.
    pub running: Vec<Iteration>,
    /// One place for each that began, in the order of the items.
    pub ended: Vec<Option<Ended>>,
}

/// An iteration under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// The index of its item.
    pub index: usize,
    /// Its own copy of `$context`.
    pub context: Value,
    /// Its tasks.
    pub body: ListRun,
}

/// What an iteration came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Its place in the output of the loop.
    pub output: Value,
    /// Its copy of the context, if it changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
}

/// Evaluates the collection, once.
pub(super) fn begin(
    turn: &mut Turn<'_>,
    task: &Task,
    spec: &For,
    parallel: Parallel,
    input: &Value,
    at: At<'_>,
) -> Result<FanOutRun, Fault> {
    let items = composite::items_of(turn, task, spec, input, at)?;
    if items.len() > ITEMS_MAX {
        let found = items.len();
        let detail =
            format!("for.in: expected at most {ITEMS_MAX} items beside 'concurrency', found {found}");
        return Err(Fault::new(FaultKind::Validation, "Too many items", detail, &task.pointer));
    }
    let copies = parallel.concurrency.min(items.len());
    turn.check_copies(input, copies, &task.pointer)?;
    turn.check_copies(&turn.context, copies, &task.pointer)?;
    Ok(FanOutRun { items, input: input.clone(), running: Vec::new(), ended: Vec::new() })
}

/// Polls the iterations under way in the order in which they began, and begins others in the places that are free.
pub(super) fn poll(turn: &mut Turn<'_>, spec: &For, run: &mut FanOutRun, scope: Option<&Scope<'_>>) -> Flow {
    let parallel = spec.parallel.unwrap_or(Parallel { concurrency: 1, collect: false });
    let mut place = 0;
    loop {
        while let Some(iteration) = run.running.get_mut(place) {
            let item = run.items.get(iteration.index).unwrap_or(&Value::Null);
            let output = match poll_iteration(turn, spec, iteration, item, scope) {
                Flow::Pending => {
                    place += 1;
                    continue;
                }
                Flow::Done(output) if parallel.collect => json!({ "output": output }),
                Flow::Done(output) => output,
                Flow::Fault(fault) if parallel.collect && !fault.uncatchable => {
                    json!({ "error": fault.to_value() })
                }
                flow @ (Flow::End(_) | Flow::Fault(_)) => {
                    run.running.iter().for_each(|one| abandon(turn, one));
                    return flow;
                }
            };
            let ended = run.running.remove(place);
            abandon(turn, &ended);
            let context = Some(ended.context).filter(|context| *context != turn.context);
            if let Some(free) = run.ended.get_mut(ended.index) {
                *free = Some(Ended { output, context });
            }
        }
        if run.ended.len() >= run.items.len() || run.running.len() >= parallel.concurrency {
            break;
        }
        if turn.exhausted() {
            return Flow::Pending;
        }
        run.running.push(Iteration {
            index: run.ended.len(),
            context: turn.context.clone(),
            body: ListRun::new(run.input.clone()),
        });
        run.ended.push(None);
    }
    if run.running.is_empty() { Flow::Done(Value::Array(outputs(turn, run))) } else { Flow::Pending }
}

fn poll_iteration(
    turn: &mut Turn<'_>,
    spec: &For,
    iteration: &mut Iteration,
    item: &Value,
    scope: Option<&Scope<'_>>,
) -> Flow {
    let index = json!(iteration.index);
    let outer = Scope { parent: scope, name: &spec.each, value: item };
    let scope = Scope { parent: Some(&outer), name: &spec.at, value: &index };
    let outside = std::mem::replace(&mut turn.context, iteration.context.take());
    let flow = poll::list(turn, &spec.body, &mut iteration.body, Some(&scope));
    iteration.context = std::mem::replace(&mut turn.context, outside);
    flow
}

/// Gives up what is in flight in an iteration.
fn abandon(turn: &mut Turn<'_>, iteration: &Iteration) {
    if let Some(current) = &iteration.body.current {
        leaf::abandon(turn, current);
    }
}

/// The outputs in the order of the items; in the same order, what the iterations changed of the context is taken over.
fn outputs(turn: &mut Turn<'_>, run: &mut FanOutRun) -> Vec<Value> {
    let before = turn.context.clone();
    let ended = std::mem::take(&mut run.ended).into_iter().flatten();
    let output = |ended: Ended| {
        if let Some(context) = ended.context {
            composite::merge(&mut turn.context, &before, context);
        }
        ended.output
    };
    ended.map(output).collect()
}
