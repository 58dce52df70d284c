//! The schema of the protocol, the schemas of functions, and values that break one.

use jsonschema::Validator;
use jsonschema::error::{ValidationError, ValidationErrorKind};
use serde_json::{Map, Value, json};

/// What a host may say, as a schema.
#[derive(Clone, Debug)]
pub(crate) struct Protocol(std::sync::Arc<Validator>);

impl Protocol {
    pub(crate) fn new() -> Result<Self, String> {
        let text = include_str!("../../../docs/adapter-protocol.schema.json");
        let mut schema: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        schema.remove("anyOf");
        schema.insert("$ref".to_owned(), "#/$defs/fromHost".into());
        Ok(Self(compile(&schema.into())?.into()))
    }

    /// What is wrong with a line of a host.
    pub(crate) fn check(&self, line: &Value) -> Result<(), String> {
        violations(&self.0, line)
    }
}

/// A function's schema. Nothing is fetched: the crate is built without that.
pub(crate) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(schema)
        .map_err(|error| format!("{error} at '{}'", error.instance_path()))
}

/// The first few places where a value breaks its schema.
pub(crate) fn violations(schema: &Validator, value: &Value) -> Result<(), String> {
    let errors: Vec<String> = schema.iter_errors(value).take(3).map(|error| explain(&error)).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
}

/// What is wrong, and where. Of several alternatives the one that comes nearest is meant.
fn explain(error: &ValidationError<'_>) -> String {
    if let ValidationErrorKind::OneOfNotValid { context } | ValidationErrorKind::AnyOf { context } =
        error.kind()
        && let Some(nearest) =
            context.iter().filter(|errors| !errors.is_empty()).min_by_key(|errors| errors.len())
    {
        return nearest.iter().map(explain).collect::<Vec<_>>().join("; ");
    }
    format!("{error} at '{}'", error.instance_path())
}

/// Arguments that break the schema; nothing if it lets everything pass that comes to mind.
pub(crate) fn breaking(schema: &Value) -> Option<Value> {
    let validator = compile(schema).ok()?;
    // A map first: an adapter that looks at nothing but the members that it knows is found by it.
    let candidates = [
        json!({"noSuchArgument": true}),
        json!({}),
        json!([]),
        json!("no arguments"),
        json!(-1),
        json!(null),
    ];
    candidates.into_iter().find(|candidate| !validator.is_valid(candidate))
}
