//! What the parts of the compiler share: the report, what the document declares, and the limits.

use std::collections::HashMap;

use super::Catalog;
use super::diagnostic::Report;
use super::node::At;
use super::start_point::WrittenStartPoint;
use super::uses::Uses;
use crate::definition::{Task, TaskId};
use crate::expression::{Expression, ExpressionError};

/// All tasks of a definition, each call of a function counted with the function's tasks.
pub(super) const TASKS_MAX: usize = 5_000;

/// Tasks inside each other, called functions included.
pub(super) const NESTING_MAX: usize = 64;

/// Different expressions; each costs about a millisecond to parse.
const EXPRESSIONS_MAX: usize = 5_000;

/// Bytes of compiled data, roughly: calls copy the function that they call.
const COPIES_MAX: usize = 64 << 20;

/// Compiles one document.
pub(super) struct Compiler<'n> {
    /// What was found wrong.
    pub(super) report: Report,
    /// The text that the places refer to.
    pub(super) source: &'n str,
    pub(super) catalog: &'n Catalog,
    /// What `use` declares.
    pub(super) uses: Uses<'n>,
    /// What came out so far.
    pub(super) product: Product,
    /// What is compiled now is only checked and then dropped.
    pub(super) checking: bool,
}

/// What came out so far, and what it cost; a document and the catalog's functions in it share one.
#[derive(Default)]
pub(super) struct Product {
    /// The compiled tasks.
    pub(super) tasks: Vec<Task>,
    /// The start points among them.
    pub(super) start_points: Vec<(TaskId, WrittenStartPoint)>,
    /// Tasks begun, which `tasks` only holds once they are finished.
    pub(super) task_count: usize,
    expressions: HashMap<(String, Vec<String>), Result<Expression, ExpressionError>>,
    copied: usize,
    /// A limit was reached; it is reported once.
    exhausted: bool,
}

/// Where a task stands: what its expressions can see, and how it got there.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    /// The names of loops and catches around the task.
    pub(super) variables: Vec<String>,
    /// Tasks around this one.
    pub(super) nesting: usize,
    /// The functions that this task is the body of, outermost first.
    pub(super) calls: Vec<String>,
    /// In a function: the length of the document pointer to the function, and the pointer of the call.
    pub(super) called_from: Option<(usize, String)>,
}

impl Scope {
    /// The scope of the document's own list.
    pub(super) fn document() -> Self {
        Scope { variables: Vec::new(), nesting: 0, calls: Vec::new(), called_from: None }
    }

    /// The scope with further variables.
    pub(super) fn with(&self, names: &[&str]) -> Self {
        let mut scope = self.clone();
        scope.variables.extend(names.iter().map(|name| (*name).to_owned()));
        scope
    }

    /// The pointer under which the engine knows the task at this place of the document.
    pub(super) fn pointer(&self, at: &At<'_>) -> String {
        match &self.called_from {
            Some((length, call)) => format!("{call}/call{}", at.pointer.get(*length..).unwrap_or_default()),
            None => at.pointer.clone(),
        }
    }
}

impl<'n> Compiler<'n> {
    /// A compiler that has seen nothing yet but the reader's report.
    pub(super) fn new(source: &'n str, catalog: &'n Catalog, report: Report) -> Self {
        Compiler {
            report,
            source,
            catalog,
            uses: Uses::default(),
            product: Product::default(),
            checking: false,
        }
    }

    /// Keeps a finished task.
    pub(super) fn add(&mut self, task: Task) -> TaskId {
        let id = TaskId(u32::try_from(self.product.tasks.len()).unwrap_or(u32::MAX));
        self.product.tasks.push(task);
        id
    }

    /// Counts one more task. False, reported once, where there are too many.
    pub(super) fn begin_task(&mut self, at: &At<'_>) -> bool {
        if self.product.exhausted {
            return false;
        }
        self.product.task_count += 1;
        let within = self.product.task_count <= TASKS_MAX;
        self.within(within, at, || format!("expected at most {TASKS_MAX} tasks, calls of functions included"))
    }

    /// Counts a value that is copied into the definition. False, reported once, where it is too much.
    pub(super) fn copy(&mut self, at: &At<'_>) -> bool {
        self.product.copied += at.node.weight();
        let within = self.product.copied <= COPIES_MAX;
        self.within(within, at, || {
            "expected a smaller definition, found too much in the functions it calls".into()
        })
    }

    /// Parses an expression, each different one once.
    pub(super) fn parse(
        &mut self,
        at: &At<'_>,
        source: &str,
        variables: &[String],
    ) -> Option<Result<Expression, ExpressionError>> {
        let key = (source.to_owned(), variables.to_vec());
        if let Some(parsed) = self.product.expressions.get(&key) {
            return Some(parsed.clone());
        }
        let within = self.product.expressions.len() < EXPRESSIONS_MAX;
        if !self.within(within, at, || format!("expected at most {EXPRESSIONS_MAX} different expressions")) {
            return None;
        }
        let names: Vec<&str> = variables.iter().map(String::as_str).collect();
        let parsed = Expression::parse(source, &names);
        self.product.expressions.insert(key, parsed.clone());
        Some(parsed)
    }

    fn within(&mut self, within: bool, at: &At<'_>, message: impl FnOnce() -> String) -> bool {
        if !within && !self.product.exhausted {
            self.product.exhausted = true;
            self.report.error_named(at, message(), None);
        }
        within
    }
}
