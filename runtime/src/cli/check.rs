//! `check`: what is wrong with a definition or a pack, without a node.

use std::path::Path;
use std::process::ExitCode;

use impresario_model::definition::Definition;
use serde_json::{Value, json};

use super::args::Global;
use super::error::CliError;
use super::page;
use super::style::{BAD, GOOD};
use crate::diagnostics;
use crate::pack::{self, FileDiagnostics, Pack};

pub(super) fn check(global: &Global, path: &Path) -> Result<ExitCode, CliError> {
    let pack = pack::load(path).map_err(|error| CliError::Failed(error.to_string()))?;
    match pack::compile(&pack, &crate::node::builtin_catalog()) {
        Ok(definitions) => {
            page::print(global, &json!({"ok": true, "definitions": summaries(&definitions)}), |_| {
                good(&pack, &definitions)
            })
        }
        Err(files) => {
            let found: usize = files.iter().map(|file| file.diagnostics.len()).sum();
            page::print(global, &json!({"ok": false, "diagnostics": all(&files)}), |_| {
                let errors = if found == 1 { "error" } else { "errors" };
                format!("{}{BAD}{found} {errors}{BAD:#} in {}\n", diagnostics::render(&files), path.display())
            })?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn good(pack: &Pack, definitions: &[Definition]) -> String {
    let lines = definitions.iter().map(|definition| {
        let triggers = match definition.triggers.len() {
            0 => "started by hand".to_owned(),
            1 => "1 trigger".to_owned(),
            several => format!("{several} triggers"),
        };
        format!("{GOOD}ok{GOOD:#} {} ({} tasks, {triggers})\n", definition.id, definition.tasks.len())
    });
    let lines: String = lines.collect();
    let functions = pack.functions.len();
    let functions = if functions == 0 { String::new() } else { format!(" and {functions} functions") };
    format!("{lines}{} {}: {} definitions{functions}\n", pack.name, pack.version, definitions.len())
}

fn summaries(definitions: &[Definition]) -> Value {
    let summary = |definition: &Definition| {
        let triggers: Vec<&str> = definition.triggers.iter().map(|trigger| trigger.name.as_str()).collect();
        json!({"id": definition.id.to_string(), "tasks": definition.tasks.len(), "triggers": triggers})
    };
    definitions.iter().map(summary).collect()
}

fn all(files: &[FileDiagnostics]) -> Value {
    let of_file = |file: &FileDiagnostics| {
        let path = file.path.display().to_string();
        let one = move |diagnostic: &impresario_model::language::Diagnostic| {
            json!({
                "file": path,
                "line": diagnostic.line,
                "column": diagnostic.column,
                "pointer": diagnostic.pointer,
                "message": diagnostic.message,
                "hint": diagnostic.hint,
            })
        };
        file.diagnostics.iter().map(one).collect::<Vec<_>>()
    };
    files.iter().flat_map(of_file).collect()
}
