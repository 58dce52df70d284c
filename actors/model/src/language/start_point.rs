//! `metadata.ops.startPoint`: where it may stand, and the way to it.

use super::compiler::Compiler;
use super::node::{At, Place};
use crate::definition::{StartPoint, TaskId, way_to};

/// A start point as it is written.
#[derive(Clone, Debug)]
pub(super) struct WrittenStartPoint {
    id: String,
    title: Option<String>,
    place: Place,
    pointer: String,
}

impl Compiler<'_> {
    /// `startPoint` of a task.
    pub(super) fn start_point(&mut self, at: &At<'_>) -> Option<WrittenStartPoint> {
        let map = self.report.map(at, "a map", &["id", "title"])?;
        let id = self.report.required(&map, "id")?;
        let title = map.get("title").and_then(|title| self.report.text(&title)).map(str::to_owned);
        let written = self.report.name(&id)?;
        Some(WrittenStartPoint {
            id: written.to_owned(),
            title,
            place: id.node.place,
            pointer: id.pointer.clone(),
        })
    }

    /// The start points of all compiled tasks, with the way to each from the document's own list.
    pub(super) fn start_points(&mut self, root: &[TaskId]) -> Vec<StartPoint> {
        let mut points: Vec<StartPoint> = Vec::new();
        for (task, written) in std::mem::take(&mut self.product.start_points) {
            let WrittenStartPoint { id, title, place, pointer } = written;
            if points.iter().any(|point| point.id == id) {
                let message = format!("expected each start point once, found '{id}' again");
                self.report.push(place, &pointer, message, None);
                continue;
            }
            match way_to(&self.product.tasks, root, task) {
                Some(around) => points.push(StartPoint { id, title, task, around }),
                None => self.report.push(
                    place,
                    &pointer,
                    "expected a start point only where nothing but `do` and the body of `try` is round the task, found \
                     one inside of a loop, a fork, a handler or a function"
                        .to_owned(),
                    Some("put it on the task that holds them".to_owned()),
                ),
            }
        }
        points
    }
}
