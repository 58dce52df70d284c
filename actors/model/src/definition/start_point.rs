//! Start points: the tasks from which an operator may have an instance run again.

use super::{Task, TaskId, TaskKind};

/// `metadata.ops.startPoint` of a task, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartPoint {
    /// Unique in its definition.
    pub id: String,
    /// For people.
    pub title: Option<String>,
    /// The task.
    pub task: TaskId,
    /// The `do` and `try` tasks round it, outermost first.
    pub around: Vec<TaskId>,
}

/// The way to a task through `do` and the bodies of `try`; none if it is inside of anything else.
pub(crate) fn way_to(tasks: &[Task], list: &[TaskId], task: TaskId) -> Option<Vec<TaskId>> {
    for &id in list {
        if id == task {
            return Some(Vec::new());
        }
        let Some(below) = tasks.get(id.0 as usize).and_then(|task| body_of(&task.kind)) else { continue };
        if let Some(mut way) = way_to(tasks, below, task) {
            way.insert(0, id);
            return Some(way);
        }
    }
    None
}

/// The tasks that a `do` or a `try` runs in the first place.
pub(crate) fn body_of(kind: &TaskKind) -> Option<&[TaskId]> {
    match kind {
        TaskKind::Do(tasks) | TaskKind::Try { body: tasks, .. } => Some(tasks),
        TaskKind::Set(_)
        | TaskKind::Switch(_)
        | TaskKind::For(_)
        | TaskKind::Fork { .. }
        | TaskKind::Wait(_)
        | TaskKind::Raise(_)
        | TaskKind::Emit(_)
        | TaskKind::Listen(_)
        | TaskKind::Activity(_)
        | TaskKind::Function { .. }
        | TaskKind::Unsupported(_) => None,
    }
}
