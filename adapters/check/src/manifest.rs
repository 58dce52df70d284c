//! What a host says of itself.

use std::collections::BTreeSet;

use impresario_adapter::{Function, Manifest, PROTOCOL};

use crate::report::Report;
use crate::schema::compile;

/// Judges the hello; nothing if there is none to go on with.
pub(crate) fn check(report: &mut Report, hello: Result<Manifest, String>) -> Option<Manifest> {
    let expected = format!("`hello` before anything else, of protocol {PROTOCOL}, as the schema says");
    let manifest = match hello {
        Ok(manifest) => manifest,
        Err(found) => {
            report.judge("hello", expected, Err(found));
            return None;
        }
    };
    report.judge("hello", expected, Ok(format!("{} {}", manifest.adapter, manifest.version)));
    report.adapter = Some(manifest.adapter.clone());
    report.version = Some(manifest.version.clone());
    report.judge("names", "a name for each function, and no name twice", names(&manifest.functions));
    report.judge(
        "versions",
        "a version without spaces for the adapter and each function",
        versions(&manifest),
    );
    report.judge(
        "schemas",
        "JSON Schemas (2020-12) without references to elsewhere",
        schemas(&manifest.functions),
    );
    Some(manifest)
}

fn names(functions: &[Function]) -> Result<String, String> {
    let mut seen = BTreeSet::new();
    for function in functions {
        let name = function.name.as_str();
        if name.is_empty() || name.trim() != name || name.chars().any(char::is_control) {
            return Err(format!("a name like {name:?}"));
        }
        if !seen.insert(name) {
            return Err(format!("`{name}` twice"));
        }
    }
    Ok(seen.into_iter().collect::<Vec<_>>().join(", "))
}

fn versions(manifest: &Manifest) -> Result<String, String> {
    let own = (manifest.adapter.as_str(), manifest.version.as_str());
    let functions =
        manifest.functions.iter().map(|function| (function.name.as_str(), function.version.as_str()));
    for (name, version) in std::iter::once(own).chain(functions) {
        if version.is_empty() || version.contains(char::is_whitespace) {
            return Err(format!("`{name}` has the version {version:?}"));
        }
    }
    Ok(format!("{} functions with one", manifest.functions.len()))
}

fn schemas(functions: &[Function]) -> Result<String, String> {
    let mut count = 0;
    for function in functions {
        for (what, schema) in [("input", &function.input), ("output", &function.output)] {
            if let Some(schema) = schema {
                compile(schema).map_err(|error| format!("the {what} of `{}`: {error}", function.name))?;
                count += 1;
            }
        }
    }
    Ok(format!("{count} of them"))
}
