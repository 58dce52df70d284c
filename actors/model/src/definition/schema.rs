//! JSON Schemas of a definition.

use serde_json::Value;

/// A compiled JSON Schema (draft 2020-12). It never fetches anything.
#[derive(Clone)]
pub struct Schema {
    validator: std::sync::Arc<jsonschema::Validator>,
}

impl std::fmt::Debug for Schema {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Schema")
    }
}

/// Answers every reference to another document with a refusal: what a definition means must not depend on what a
/// server says today.
struct NothingElsewhere;

impl jsonschema::Retrieve for NothingElsewhere {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("'{uri}' is not fetched: put it under $defs").into())
    }
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        // The linear engine: a pattern of a definition must not be able to hold a thread.
        let validator = jsonschema::options()
            .with_retriever(NothingElsewhere)
            .with_pattern_options(jsonschema::PatternOptions::regex())
            .build(schema)
            .map_err(|error| match error.instance_path().as_str() {
                "" => error.to_string(),
                path => format!("{error} at '{path}'"),
            })?;
        Ok(Schema { validator: std::sync::Arc::new(validator) })
    }

    /// Checks a value.
    ///
    /// # Errors
    /// The first few violations, each with the place in the value.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let errors: Vec<String> = self
            .validator
            .iter_errors(value)
            .take(5)
            .map(|error| format!("{error} at '{}'", error.instance_path()))
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }
}
