//! What an instance keeps of its start points, and how another one begins there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::activity::approximate_bytes;
use super::run::{ListRun, TaskRun, TaskState, TryPhase};
use super::turn::{At, Effect, Turn};
use super::{Applied, Instance, retry};
use crate::definition::{StartPoint, TaskId, TaskKind, body_of};
use crate::entry::{Body, Message, ProcessEvent, StartEvent};
use crate::fault::{Fault, FaultKind};
use crate::ids::ActorId;
use crate::rerun::{PointData, Rerun, RerunOrder, Resume};

/// How many bytes of JSON, about, an instance keeps for its start points: each checkpoint writes them.
const BYTES_MAX: usize = 1024 * 1024;

/// What was there when the start points of an instance were reached, the last time for each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StartPoints {
    /// By start point; none where it was too much to keep.
    pub points: BTreeMap<String, Option<PointData>>,
    /// The inputs of the tasks round them, by index.
    pub around: BTreeMap<u32, Value>,
}

impl StartPoints {
    /// Whether no start point was reached.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty() && self.around.is_empty()
    }

    fn bytes(&self) -> usize {
        let point = |data: &PointData| approximate_bytes(&data.input) + approximate_bytes(&data.context);
        let points: usize = self.points.values().flatten().map(point).sum();
        points + self.around.values().map(approximate_bytes).sum::<usize>()
    }
}

/// A task begins with this raw input: if it is a start point, that is kept.
pub(super) fn note_point(turn: &mut Turn<'_>, id: TaskId, raw: &Value) {
    let definition = turn.definition;
    let Some(point) = definition.start_points.iter().find(|point| point.task == id) else { return };
    turn.start_points.points.remove(&point.id);
    let bytes = approximate_bytes(raw) + approximate_bytes(&turn.context);
    let fits = turn.start_points.bytes() + bytes <= BYTES_MAX;
    let data = fits.then(|| PointData { input: raw.clone(), context: turn.context.clone() });
    turn.start_points.points.insert(point.id.clone(), data);
}

/// A task begins with this transformed input: if it is round a start point, that is kept.
pub(super) fn note_around(turn: &mut Turn<'_>, id: TaskId, input: &Value) {
    let definition = turn.definition;
    if definition.start_points.iter().all(|point| !point.around.contains(&id)) {
        return;
    }
    turn.start_points.around.remove(&id.0);
    if turn.start_points.bytes() + approximate_bytes(input) <= BYTES_MAX {
        turn.start_points.around.insert(id.0, input.clone());
    }
}

/// The tree of tasks with which a rerun begins.
pub(super) fn resume(turn: &mut Turn<'_>, resume: &Resume) -> Result<ListRun, Fault> {
    let definition = turn.definition;
    let point = definition.start_points.iter().find(|point| point.id == resume.start_point);
    let unknown = || {
        let detail = format!("the definition has no start point '{}'", resume.start_point);
        Fault::new(FaultKind::Configuration, "Unknown start point", detail, "/")
    };
    let point = point.ok_or_else(unknown)?;
    turn.start_points.around.clone_from(&resume.around);
    turn.context = resume.data.context.clone();
    enter(turn, &definition.root, point, &point.around, resume)?.ok_or_else(unknown)
}

/// A list in which the way leads on to the start point.
fn enter(
    turn: &mut Turn<'_>,
    list: &[TaskId],
    point: &StartPoint,
    way: &[TaskId],
    resume: &Resume,
) -> Result<Option<ListRun>, Fault> {
    let next = way.first().copied().unwrap_or(point.task);
    let Some(index) = list.iter().position(|id| *id == next) else { return Ok(None) };
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let Some((&around, way)) = way.split_first() else {
        return Ok(Some(ListRun { index, input: resume.data.input.clone(), current: None }));
    };
    let definition = turn.definition;
    let task = definition.task(around);
    let Some(body) = body_of(&task.kind) else { return Ok(None) };
    let Some(inner) = enter(turn, body, point, way, resume)? else { return Ok(None) };
    // What was not kept is nearest to what it begins with.
    let input = resume.around.get(&around.0).unwrap_or(&resume.data.input).clone();
    let at = At { task: Some(task), started: turn.now, input: Some(&input), output: None, scope: None };
    let deadline = match &task.timeout {
        None => None,
        Some(timeout) => Some(turn.now.saturating_add(turn.evaluate::<u64>(timeout, &input, at, "timeout")?)),
    };
    let state = match &task.kind {
        TaskKind::Try { catch, .. } => {
            let mut run = retry::begin(turn, catch, &input, at)?;
            run.phase = TryPhase::Body(inner);
            TaskState::Try(run)
        }
        _ => TaskState::Do(inner),
    };
    let current = TaskRun { task: around, input, started: turn.now, deadline, state };
    Ok(Some(ListRun { index, input: Value::Null, current: Some(Box::new(current)) }))
}

impl Instance {
    /// Starts another instance as the rerun of this one. What cannot be done was refused before it was ordered.
    pub(super) fn rerun(&self, order: &RerunOrder) -> Applied {
        let (input, resume) = match &order.from {
            None => (order.input.clone().unwrap_or_else(|| self.input.clone()), None),
            Some(from) => {
                let Some(Some(kept)) = self.start_points.points.get(from) else { return Applied::default() };
                let input = order.input.clone().unwrap_or_else(|| kept.input.clone());
                let data = PointData { input, context: kept.context.clone() };
                let around = self.start_points.around.clone();
                (self.input.clone(), Some(Resume { start_point: from.clone(), data, around }))
            }
        };
        let start = StartEvent {
            definition: self.definition.clone(),
            input,
            started_by: "api".to_owned(),
            key: order.key.clone(),
            runtime: order.runtime.clone(),
            rerun: Some(Box::new(Rerun { of: self.id.clone(), resume })),
            trace: self.trace,
        };
        let body = Body::Process(ProcessEvent::Start(Box::new(start)));
        let message = Message { to: ActorId::process(&order.instance), body };
        Applied { effects: vec![Effect::Tell(message)], started: Vec::new() }
    }
}
