//! The process language: reads Open Workflow Specification documents (YAML or JSON) into [`Definition`]s.
//!
//! Nothing invalid gets past this door: every error names line and column, what was expected, what was found,
//! and the nearest valid word. The text becomes a tree of positioned values ([`read`]), and each part of the
//! language has one file that checks its part of the tree and compiles it in the same pass.

mod authentication;
mod call;
mod compiler;
mod diagnostic;
mod document;
mod duration;
mod event;
mod event_options;
mod expression;
mod flow;
mod function;
mod http;
mod listen;
mod node;
mod ops;
mod overlap;
mod position;
mod protocol;
mod read;
mod retry;
mod run;
mod schedule;
mod schema;
mod secret;
mod selection;
mod shape;
mod start_point;
mod task;
mod uses;

use std::collections::BTreeMap;

use serde::Serialize;

use self::compiler::Compiler;
use self::diagnostic::Report;
pub use self::diagnostic::{Diagnostic, nearest};
use self::node::At;
pub(crate) use self::secret::secret_field;
use crate::definition::Definition;

/// What a definition may call besides its own functions.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Functions of adapters, by `name:version`, as in `call: command:1.0.0@default`.
    pub adapter_functions: BTreeMap<String, AdapterFunction>,
    /// Functions that are tasks, by `name:version`, as YAML text of a `function.yaml`.
    pub task_functions: BTreeMap<String, String>,
}

/// A function that an adapter offers to definitions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdapterFunction {
    /// The adapter, such as `command`.
    pub adapter: String,
    /// The adapter's name of the function, such as `run`.
    pub function: String,
    /// Whether it runs again after an interruption, unless the task says otherwise.
    pub restartable: bool,
    /// Whether the adapter can find out what became of a run that was cut off.
    pub probe: bool,
    /// JSON Schema of its arguments.
    pub input: Option<serde_json::Value>,
}

/// Reads, checks and compiles one document. All errors found are answered, at most 50.
///
/// # Errors
/// The diagnostics, by line.
pub fn compile(source: &str, catalog: &Catalog) -> Result<Definition, Vec<Diagnostic>> {
    let mut report = Report::default();
    let Some(root) = read::read(source, &mut report) else {
        return Err(report.into_diagnostics());
    };
    let mut compiler = Compiler::new(source, catalog, report);
    let definition = compiler.document(&At::root(&root));
    match definition {
        Some(definition) if compiler.report.is_clean() => Ok(definition),
        _ => Err(compiler.report.into_diagnostics()),
    }
}
