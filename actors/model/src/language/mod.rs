//! The process language: reads Open Workflow Specification documents (YAML or JSON) into [`Definition`]s.
//!
//! Nothing invalid gets past this door: every error names line and column, what was expected, what was found,
//! and the nearest valid word.

use std::collections::BTreeMap;

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
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterFunction {
    /// The adapter, such as `command`.
    pub adapter: String,
    /// The adapter's name of the function, such as `run`.
    pub function: String,
    /// Whether it runs again after an interruption, unless the task says otherwise.
    pub restartable: bool,
    /// JSON Schema of its arguments.
    pub input: Option<serde_json::Value>,
}

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// 1-based line; 0 when it is about the whole document.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
    /// The place in the document as a JSON pointer, such as `/do/0/watch`.
    pub pointer: String,
    /// What was expected and what was found: lower case, no full stop.
    pub message: String,
    /// What to do, such as "did you mean 'switch'?".
    pub hint: Option<String>,
}

/// Reads, checks and compiles one document. All errors found are answered, at most 50.
///
/// # Errors
/// The diagnostics, by line.
pub fn compile(source: &str, catalog: &Catalog) -> Result<Definition, Vec<Diagnostic>> {
    let _ = (source, catalog);
    Err(vec![])
}
