//! `listen`: what it waits for, what it does with each event, and how far it looks back.

use super::compiler::{Compiler, Scope};
use super::node::At;
use super::ops::TaskOps;
use crate::definition::{Delay, Foreach, LOOKBACK_MAX_MS, Listen, Read, TaskKind};

/// How many filters a task may have, those of `until` among them: each event is looked at by all of them.
const FILTERS_MAX: usize = 64;

impl Compiler<'_> {
    pub(super) fn listen(
        &mut self,
        map: &At<'_>,
        body: &At<'_>,
        scope: &Scope,
        ops: TaskOps,
    ) -> Option<TaskKind> {
        let head = self.report.map(body, "a map", &["to", "read"])?;
        let read = head.get("read").and_then(|at| self.read(&at)).unwrap_or(Read::Data);
        let to = self.report.required(&head, "to").and_then(|to| self.strategy(&to, Some(scope), read));
        let foreach = map.get("foreach").map(|at| self.foreach(&at, scope));
        let listen = Listen::new(to?, foreach.flatten(), ops.lookback_ms);
        let count = listen.filters().count();
        if count > FILTERS_MAX {
            self.report.error_named(
                body,
                format!("expected at most {FILTERS_MAX} event filters, found {count}"),
                None,
            );
        }
        Some(TaskKind::Listen(Box::new(listen)))
    }

    /// What is done for each event or message.
    pub(super) fn foreach(&mut self, at: &At<'_>, scope: &Scope) -> Option<Foreach> {
        let map = self.report.map(at, "a map", &["item", "at", "do", "output", "export"])?;
        let item = self.variable(map.get("item"), "item");
        let index = self.variable(map.get("at"), "index");
        if item == index {
            let message = format!("expected two names for the event and its index, found '{item}' for both");
            self.report.error_named(at, message, None);
        }
        let inner = scope.with(&[item, index]);
        Some(Foreach {
            item: item.to_owned(),
            at: index.to_owned(),
            body: map.get("do").map(|tasks| self.tasks(&tasks, &inner)).unwrap_or_default(),
            output: self.data_out(map.get("output"), &inner),
            export: self.data_out(map.get("export"), &inner),
        })
    }

    /// `metadata.ops.lookback` of a task, whose kind is `word`.
    pub(super) fn lookback(&mut self, word: &str, at: &At<'_>) -> Option<u64> {
        if word != "listen" {
            self.report.error_named(at, format!("expected it at a 'listen', found it at '{word}'"), None);
        }
        match self.interval(at)? {
            Delay::Millis(millis) if millis <= LOOKBACK_MAX_MS => Some(millis),
            Delay::Millis(_) | Delay::Calendar(_) | Delay::Expression(_) => {
                self.report.expected(at, "a fixed duration of at most P7D");
                None
            }
        }
    }
}
