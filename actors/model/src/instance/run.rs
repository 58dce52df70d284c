//! Where an instance stands: a tree of the tasks that are under way.
//!
//! The tree is to an instance what a suspended stack is to a program: each node is one task that has begun and
//! not ended, and holds exactly what it needs to go on. It is polled like a future ([`super::poll`]), and it is
//! plain data, so a checkpoint is the tree itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fan_out::FanOutRun;
use super::listen::ListenRun;
use crate::definition::TaskId;
use crate::fault::Fault;

/// A list of tasks under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListRun {
    /// The index of the current task.
    pub index: u32,
    /// The raw input of the current task, until it begins.
    pub input: Value,
    /// The current task, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Box<TaskRun>>,
}

impl ListRun {
    /// At the beginning, with the list's input.
    pub fn new(input: Value) -> Self {
        ListRun { index: 0, input, current: None }
    }
}

/// A task under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskRun {
    /// Which.
    pub task: TaskId,
    /// Its transformed input.
    pub input: Value,
    /// When it began, in milliseconds since the Unix epoch.
    pub started: u64,
    /// When it times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// What it is doing.
    pub state: TaskState,
}

/// What a task under way is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TaskState {
    /// `do`.
    Do(ListRun),
    /// `for`.
    For(ForRun),
    /// `for` with `metadata.ops.concurrency`.
    FanOut(FanOutRun),
    /// `fork`.
    Fork(Vec<Branch>),
    /// `try`.
    Try(TryRun),
    /// `wait`, until this time.
    Wait(u64),
    /// An activity, by its number.
    Activity(u64),
    /// An activity that is not begun yet: the one of this number selects its target.
    Selecting(u64),
    /// `listen`.
    Listen(ListenRun),
    /// A function whose body is a task; none until that task has begun.
    Function(FunctionRun),
}

/// A function under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionRun {
    /// The arguments, which are the body's raw input.
    pub arguments: Value,
    /// The body, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<TaskRun>>,
}

/// A loop under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForRun {
    /// The collection.
    pub items: Vec<Value>,
    /// The current iteration.
    pub index: usize,
    /// The input of the current iteration, which is the output of the one before.
    pub input: Value,
    /// The body, once the iteration has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<ListRun>,
}

/// A branch of a fork.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// Its own copy of `$context`.
    pub context: Value,
    /// How far it is.
    pub state: BranchState,
}

/// How far a branch is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BranchState {
    /// Not begun, with its raw input.
    Ready(Value),
    /// Under way.
    Running(Box<TaskRun>),
    /// Ended with an output.
    Done(Value),
}

/// A `try` under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TryRun {
    /// How many retries were begun.
    pub retries: u64,
    /// When the first attempt began, in milliseconds since the Unix epoch.
    pub first: u64,
    /// When this attempt times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_deadline: Option<u64>,
    /// What it is doing.
    pub phase: TryPhase,
}

/// What a `try` under way is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TryPhase {
    /// The body.
    Body(ListRun),
    /// Waiting for the next attempt, until this time.
    Backoff {
        /// In milliseconds since the Unix epoch.
        until: u64,
        /// What went wrong last.
        fault: Fault,
    },
    /// The handler.
    Catch {
        /// What went wrong.
        fault: Fault,
        /// The handler's tasks.
        list: ListRun,
    },
}

impl ListRun {
    pub(super) fn visit(&self, visitor: &mut dyn FnMut(&TaskRun)) {
        if let Some(task) = &self.current {
            task.visit(visitor);
        }
    }
}

impl TaskRun {
    /// Calls `visitor` for this task and all under way below it.
    pub fn visit(&self, visitor: &mut dyn FnMut(&TaskRun)) {
        visitor(self);
        match &self.state {
            TaskState::Do(list) => list.visit(visitor),
            TaskState::For(run) => run.body.iter().for_each(|list| list.visit(visitor)),
            TaskState::FanOut(run) => run.running.iter().for_each(|one| one.body.visit(visitor)),
            TaskState::Fork(branches) => {
                for branch in branches {
                    if let BranchState::Running(task) = &branch.state {
                        task.visit(visitor);
                    }
                }
            }
            TaskState::Try(run) => match &run.phase {
                TryPhase::Body(list) | TryPhase::Catch { list, .. } => list.visit(visitor),
                TryPhase::Backoff { .. } => {}
            },
            TaskState::Function(run) => run.body.iter().for_each(|task| task.visit(visitor)),
            TaskState::Listen(run) => run.current.iter().for_each(|current| current.body.visit(visitor)),
            TaskState::Wait(_) | TaskState::Activity(_) | TaskState::Selecting(_) => {}
        }
    }

    /// When this task itself (not those below it) has to be looked at again.
    pub fn own_due(&self) -> Option<u64> {
        let waiting = match &self.state {
            TaskState::Wait(until) => Some(*until),
            TaskState::Try(run) => match &run.phase {
                TryPhase::Backoff { until, .. } => Some(*until),
                TryPhase::Body(_) => run.attempt_deadline,
                TryPhase::Catch { .. } => None,
            },
            _ => None,
        };
        waiting.into_iter().chain(self.deadline).min()
    }
}
