//! Task lists, what all tasks have in common, and which kind a task is.

use super::compiler::{Compiler, NESTING_MAX, Scope};
use super::node::{At, Content};
use super::ops::TaskOps;
use crate::definition::{Task, TaskId, TaskKind, TaskList, Then};

/// The kinds by the member that tells them, and their further members. `for` stands before `do`, which it has too.
const KINDS: [(&str, &[&str]); 12] = [
    ("call", &["with"]),
    ("for", &["while", "do"]),
    ("do", &[]),
    ("emit", &[]),
    ("fork", &[]),
    ("listen", &["foreach"]),
    ("raise", &[]),
    ("run", &[]),
    ("set", &[]),
    ("switch", &[]),
    ("try", &["catch"]),
    ("wait", &[]),
];

/// The members that every task may have.
const COMMON: [&str; 7] = ["if", "input", "output", "export", "timeout", "then", "metadata"];

/// The name of a task is part of the pointers of all tasks in it, of keys in the store and of log lines.
const NAME_BYTES_MAX: usize = 256;

/// What stands beside a task, which is what its `then` may name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside<'a> {
    /// The tasks of the same list, by name and in order.
    List(&'a [&'a str]),
    /// Nothing: the task is a branch of a fork or the body of a function.
    Nothing(&'static str),
}

impl Compiler<'_> {
    /// A list of tasks that run one after the other.
    pub(super) fn tasks(&mut self, at: &At<'_>, scope: &Scope) -> TaskList {
        let items = self.task_items(at);
        let names: Vec<&str> = items.iter().map(|(name, _)| *name).collect();
        items.iter().filter_map(|(name, at)| self.task(name, at, scope, Beside::List(&names))).collect()
    }

    /// The branches of a fork.
    pub(super) fn branches(&mut self, at: &At<'_>, scope: &Scope) -> TaskList {
        let items = self.task_items(at);
        let beside = Beside::Nothing("a branch of a fork");
        items.iter().filter_map(|(name, at)| self.task(name, at, scope, beside)).collect()
    }

    /// The named members of a list: of tasks, or of the cases of a switch.
    pub(super) fn named_items<'n>(&mut self, at: &At<'n>, what: &str) -> Vec<(&'n str, At<'n>)> {
        let items = self.report.list(at, &format!("a list of {what}s")).unwrap_or_default();
        if items.is_empty() && matches!(at.node.content, Content::List(_)) {
            self.report.error(at, format!("expected at least one {what}, found an empty list"));
        }
        let mut named: Vec<(&'n str, At<'n>)> = Vec::with_capacity(items.len());
        let mut names = std::collections::HashSet::new();
        for item in items {
            let Some((name, member)) = item.only_member() else {
                self.report.error_hint(
                    &item,
                    format!("expected a map of one name, found {}", count_of(&item)),
                    format!("write each {what} as a list item of its own: '- name: …'"),
                );
                continue;
            };
            if name.len() > NAME_BYTES_MAX {
                let message =
                    format!("expected a name of at most {NAME_BYTES_MAX} bytes, found {}", name.len());
                self.report.error_named(&member, message, None);
                continue;
            }
            if !names.insert(name) {
                let message = format!("expected each name once in a list, found '{name}' again");
                self.report.error_named(&member, message, None);
            }
            named.push((name, member));
        }
        named
    }

    fn task_items<'n>(&mut self, at: &At<'n>) -> Vec<(&'n str, At<'n>)> {
        self.named_items(at, "task")
    }

    /// One task.
    pub(super) fn task(
        &mut self,
        name: &str,
        at: &At<'_>,
        scope: &Scope,
        beside: Beside<'_>,
    ) -> Option<TaskId> {
        if !self.begin_task(at) || !self.copy(at) {
            return None;
        }
        if scope.nesting >= NESTING_MAX {
            let message = format!("expected at most {NESTING_MAX} tasks inside each other, calls included");
            self.report.error_named(at, message, None);
            return None;
        }
        let map = self.report.open_map(at, "a task")?;
        let word = self.discriminator(&map)?;
        let ops = self.task_ops(&map, word, scope);
        let start_point = ops.start_point.clone();
        let inner = Scope { nesting: scope.nesting + 1, ..scope.clone() };
        let condition = map.get("if").and_then(|at| self.expression(&at, scope));
        let input = self.data_in(map.get("input"), scope);
        let output = self.data_out(map.get("output"), scope);
        let export = self.data_out(map.get("export"), scope);
        let timeout = map.get("timeout").and_then(|at| self.timeout(&at, scope));
        let then = map.get("then").and_then(|at| self.then(&at, beside)).unwrap_or_default();
        let kind = self.kind(word, &map, &inner, beside, ops)?;
        let kind = self.uses.extended(word).map_or(kind, TaskKind::Unsupported);
        let id = self.add(Task {
            name: name.to_owned(),
            pointer: scope.pointer(at),
            definition: at.node.to_json(),
            condition,
            input,
            output,
            export,
            timeout,
            then,
            kind,
        });
        self.product.start_points.extend(start_point.map(|written| (id, written)));
        Some(id)
    }

    fn kind(
        &mut self,
        word: &str,
        map: &At<'_>,
        scope: &Scope,
        beside: Beside<'_>,
        ops: TaskOps,
    ) -> Option<TaskKind> {
        let body = map.get(word)?;
        match word {
            "call" => self.call(map, &body, scope, ops),
            "for" => self.for_loop(map, &body, scope, ops),
            "do" => Some(TaskKind::Do(self.tasks(&body, scope))),
            "emit" => self.emit(&body, scope),
            "fork" => self.fork(&body, scope),
            "listen" => self.listen(map, &body, scope, ops),
            "raise" => self.raise(&body, scope),
            "run" => self.run(&body, scope, ops),
            "set" => self.set(&body, scope),
            "switch" => self.switch(&body, scope, beside),
            "try" => self.try_catch(map, &body, scope, beside),
            _ => self.duration(&body, scope).map(TaskKind::Wait),
        }
    }

    /// The member that tells the kind of a task; all other members are checked against it.
    fn discriminator(&mut self, map: &At<'_>) -> Option<&'static str> {
        let mut found = KINDS.iter().filter(|(word, _)| map.get(word).is_some());
        let Some((word, further)) = found.next() else {
            self.no_kind(map);
            return None;
        };
        if let Some((other, _)) = found.find(|(other, _)| !further.contains(other)) {
            let message = format!("expected one kind of task, found both '{word}' and '{other}'");
            self.report.error_named(map, message, Some("make two tasks of it".to_owned()));
            return None;
        }
        let known: Vec<&str> = std::iter::once(*word).chain(further.iter().copied()).chain(COMMON).collect();
        for (name, member) in map.members().filter(|(name, _)| !known.contains(name)) {
            self.report.unknown(map, member.named, "key", name, &known);
        }
        Some(word)
    }

    fn no_kind(&mut self, map: &At<'_>) {
        let mut words: Vec<&str> = KINDS.iter().map(|(word, _)| *word).collect();
        words.sort_unstable();
        match map.members().find(|(name, _)| !COMMON.contains(name)) {
            Some((name, member)) => self.report.unknown(map, member.named, "task kind", name, &words),
            None => {
                let message = format!("expected a task kind (one of {}), found none", words.join(", "));
                self.report.error_named(map, message, None);
            }
        }
    }

    /// `then`: a directive, or the name of a task beside this one.
    pub(super) fn then(&mut self, at: &At<'_>, beside: Beside<'_>) -> Option<Then> {
        let name = self.report.text(at)?;
        match name {
            "continue" => return Some(Then::Continue),
            "exit" => return Some(Then::Exit),
            "end" => return Some(Then::End),
            _ => {}
        }
        match beside {
            Beside::List(names) => {
                if let Some(index) = names.iter().position(|other| *other == name) {
                    return u32::try_from(index).ok().map(Then::Task);
                }
                let known: Vec<&str> =
                    ["continue", "exit", "end"].into_iter().chain(names.iter().copied()).collect();
                self.report.unknown(at, at.node.place, "task of this list", name, &known);
            }
            Beside::Nothing(what) => {
                let message = format!("expected continue, exit or end, found '{name}': {what} stands alone");
                self.report.error(at, message);
            }
        }
        None
    }

    /// Compiles only to find what is wrong: a function that nobody calls, an extension. Functions called in there
    /// are not followed: they are checked once themselves, and following all from each would multiply them.
    pub(super) fn check_only(&mut self, check: impl FnOnce(&mut Self)) {
        let (kept, begun) = (self.product.tasks.len(), self.product.task_count);
        let points = self.product.start_points.len();
        let outer = std::mem::replace(&mut self.checking, true);
        check(self);
        self.checking = outer;
        self.product.tasks.truncate(kept);
        self.product.start_points.truncate(points);
        self.product.task_count = begun;
    }
}

fn count_of(item: &At<'_>) -> String {
    match &item.node.content {
        Content::Map(members) => format!("{} names", members.len()),
        _ => item.describe(),
    }
}
