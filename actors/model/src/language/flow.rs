//! The tasks that run others: `for`, `fork`, `switch`; and `set`.

use super::compiler::{Compiler, Scope};
use super::expression::Secrets;
use super::node::{At, Content};
use super::ops::TaskOps;
use super::task::Beside;
use crate::definition::{Case, For, TaskKind};

impl Compiler<'_> {
    pub(super) fn set(&mut self, body: &At<'_>, scope: &Scope) -> Option<TaskKind> {
        match &body.node.content {
            Content::Map(members) if members.is_empty() => {
                self.report.error(body, "expected at least one value to set, found an empty map");
                None
            }
            Content::Map(_) => Some(TaskKind::Set(self.template(body, scope, Secrets::Hidden))),
            Content::Text(_) => self.transformation(body, scope).map(TaskKind::Set),
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::List(_) => {
                self.report.expected(body, "a map or an expression");
                None
            }
        }
    }

    pub(super) fn switch(&mut self, body: &At<'_>, scope: &Scope, beside: Beside<'_>) -> Option<TaskKind> {
        let mut cases = Vec::new();
        for (name, at) in self.named_items(body, "case") {
            let Some(map) = self.report.map(&at, "a case", &["when", "then"]) else { continue };
            let when = map.get("when").and_then(|at| self.expression(&at, scope));
            let then = self.report.required(&map, "then").and_then(|at| self.then(&at, beside));
            if let Some(then) = then {
                cases.push(Case { name: name.to_owned(), when, then });
            }
        }
        Some(TaskKind::Switch(cases))
    }

    pub(super) fn for_loop(
        &mut self,
        map: &At<'_>,
        body: &At<'_>,
        scope: &Scope,
        ops: TaskOps,
    ) -> Option<TaskKind> {
        let head = self.report.map(body, "a map", &["each", "in", "at"])?;
        let each = self.variable(head.get("each"), "item");
        let at = self.variable(head.get("at"), "index");
        if each == at {
            let message = format!("expected two names for the item and its index, found '{each}' for both");
            self.report.error_named(body, message, None);
        }
        let items = self.report.required(&head, "in");
        let items = items.and_then(|items| self.transformation(&items, scope));
        let inner = scope.with(&[each, at]);
        let condition = map.get("while").and_then(|at| {
            if ops.parallel.is_some() {
                let message = "expected either 'while' or 'metadata.ops.concurrency', found both";
                self.report.error_named(&at, message, None);
            }
            self.expression(&at, &inner)
        });
        let tasks = self.report.required(map, "do").map(|tasks| self.tasks(&tasks, &inner));
        Some(TaskKind::For(For {
            each: each.to_owned(),
            at: at.to_owned(),
            items: items?,
            condition,
            body: tasks?,
            parallel: ops.parallel,
        }))
    }

    pub(super) fn fork(&mut self, body: &At<'_>, scope: &Scope) -> Option<TaskKind> {
        let map = self.report.map(body, "a map", &["branches", "compete"])?;
        let compete = map.get("compete").and_then(|at| self.report.boolean(&at)).unwrap_or(false);
        let branches = self.report.required(&map, "branches")?;
        Some(TaskKind::Fork { branches: self.branches(&branches, scope), compete })
    }
}
