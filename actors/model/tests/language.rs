//! The door of the process language, from outside: what compiles, and what is refused with which words.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

#[path = "language/accepted.rs"]
mod accepted;
#[path = "language/filter.rs"]
mod filter;
#[path = "language/hostile.rs"]
mod hostile;
#[path = "language/refused.rs"]
mod refused;
#[path = "language/specification.rs"]
mod specification;

use impresario_model::definition::{Definition, Task};
use impresario_model::language::{AdapterFunction, Catalog, Diagnostic, compile};

/// A catalog with one function of each sort.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.adapter_functions.insert(
        "approval:1.0.0".to_owned(),
        AdapterFunction {
            adapter: "people".to_owned(),
            function: "approve".to_owned(),
            restartable: true,
            probe: false,
            input: Some(serde_json::json!({
                "type": "object",
                "properties": { "title": { "type": "string" }, "choices": { "type": "array" } },
                "required": ["title"],
                "additionalProperties": false,
            })),
        },
    );
    catalog.task_functions.insert(
        "shared:2.0.0".to_owned(),
        "do:\n  - one:\n      set: { a: 1 }\n  - two:\n      call: approval:1.0.0@default\n      with: { title: t }\n"
            .to_owned(),
    );
    catalog
        .task_functions
        .insert("broken:1.0.0".to_owned(), "do:\n  - one:\n      sett: { a: 1 }\n".to_owned());
    catalog
        .task_functions
        .insert("endless:1.0.0".to_owned(), "do:\n  - one:\n      call: endless:1.0.0@default\n".to_owned());
    catalog
}

fn accept(source: &str) -> Definition {
    match compile(source, &catalog()) {
        Ok(definition) => definition,
        Err(found) => panic!("refused:\n{}", lines(&found)),
    }
}

fn refuse(source: &str) -> Vec<Diagnostic> {
    match compile(source, &catalog()) {
        Ok(_) => panic!("accepted:\n{source}"),
        Err(found) => found,
    }
}

fn lines(found: &[Diagnostic]) -> String {
    found.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n")
}

/// A task by the end of its pointer.
fn task<'d>(definition: &'d Definition, end: &str) -> &'d Task {
    let found = definition.tasks.iter().find(|task| task.pointer.ends_with(end));
    found.unwrap_or_else(|| panic!("no task {end}"))
}
