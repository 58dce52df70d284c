//! How much data an instance may hold. Expressions bound each value; this bounds what a definition piles up of
//! them, by loops in loops or by a fork that copies its input to thousands of branches.

use serde_json::Value;

use super::activity::{Activity, approximate_bytes};
use super::listen::Handling;
use super::run::{BranchState, ListRun, TaskRun, TaskState, TryPhase};
use super::turn::Turn;
use crate::fault::{Fault, FaultKind};

/// How much data the tasks of one turn may take in and give out together, in bytes of JSON, before the next task
/// waits for another turn.
pub(super) const TURN_BYTES: usize = 64 << 20;
/// How much data an instance may hold between two turns, in bytes of JSON: a checkpoint stores all of it.
pub(super) const STATE_BYTES_MAX: usize = 16 << 20;

impl Turn<'_> {
    /// Counts a value that a task takes in or gives out.
    pub fn charge(&mut self, value: &Value) {
        self.bytes_left = self.bytes_left.saturating_sub(approximate_bytes(value));
    }

    /// Refuses to make so many copies of a value that the state could not hold them.
    ///
    /// # Errors
    /// A fault that no `catch` handles, so that nothing goes on piling up.
    pub fn check_copies(&self, value: &Value, copies: usize, pointer: &str) -> Result<(), Fault> {
        let bytes = approximate_bytes(value).saturating_mul(copies);
        if bytes <= STATE_BYTES_MAX {
            return Ok(());
        }
        Err(too_much(
            &format!("{copies} copies of it would be {bytes} bytes, the limit is {STATE_BYTES_MAX}"),
            pointer,
        ))
    }
}

/// Refuses a state that is too large to be stored with every checkpoint.
pub(super) fn check_state(turn: &Turn<'_>, root: Option<&ListRun>) -> Result<(), Fault> {
    let of = |activity: &Activity| {
        approximate_bytes(&activity.arguments) + activity.saved.as_ref().map_or(0, approximate_bytes)
    };
    let arguments: usize = turn.activities.open().map(of).sum();
    let bytes =
        root.map_or(0, list_bytes) + approximate_bytes(&turn.context) + arguments + turn.listeners.bytes();
    if bytes <= STATE_BYTES_MAX {
        return Ok(());
    }
    Err(too_much(&format!("it holds {bytes} bytes, the limit is {STATE_BYTES_MAX}"), "/"))
}

fn too_much(detail: &str, pointer: &str) -> Fault {
    Fault {
        uncatchable: true,
        ..Fault::new(
            FaultKind::Runtime,
            "Too much data",
            format!("the instance has too much data: {detail}"),
            pointer,
        )
    }
}

fn list_bytes(list: &ListRun) -> usize {
    approximate_bytes(&list.input) + list.current.as_deref().map_or(0, task_bytes)
}

fn task_bytes(task: &TaskRun) -> usize {
    let below = match &task.state {
        TaskState::Do(list) => list_bytes(list),
        TaskState::For(run) => {
            let items: usize = run.items.iter().map(approximate_bytes).sum();
            items + approximate_bytes(&run.input) + run.body.as_ref().map_or(0, list_bytes)
        }
        TaskState::FanOut(run) => {
            let items: usize = run.items.iter().map(approximate_bytes).sum();
            let one =
                |one: &super::fan_out::Iteration| approximate_bytes(&one.context) + list_bytes(&one.body);
            let ended = |ended: &super::fan_out::Ended| {
                approximate_bytes(&ended.output) + ended.context.as_ref().map_or(0, approximate_bytes)
            };
            items
                + approximate_bytes(&run.input)
                + run.running.iter().map(one).sum::<usize>()
                + run.ended.iter().flatten().map(ended).sum::<usize>()
        }
        TaskState::Fork(branches) => {
            let state = |state: &BranchState| match state {
                BranchState::Ready(value) | BranchState::Done(value) => approximate_bytes(value),
                BranchState::Running(task) => task_bytes(task),
            };
            branches.iter().map(|branch| approximate_bytes(&branch.context) + state(&branch.state)).sum()
        }
        TaskState::Try(run) => match &run.phase {
            TryPhase::Body(list) | TryPhase::Catch { list, .. } => list_bytes(list),
            TryPhase::Backoff { .. } => 0,
        },
        TaskState::Function(run) => {
            approximate_bytes(&run.arguments) + run.body.as_deref().map_or(0, task_bytes)
        }
        TaskState::Listen(run) => {
            let items: usize = run.items.iter().map(approximate_bytes).sum();
            let current = |current: &Handling| approximate_bytes(&current.item) + list_bytes(&current.body);
            items + run.current.as_ref().map_or(0, current)
        }
        TaskState::Wait(_) | TaskState::Activity(_) | TaskState::Selecting(_) => 0,
    };
    approximate_bytes(&task.input) + below
}
