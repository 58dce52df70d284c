//! `input`, `output` and `export`: schemas and transformations.

use super::compiler::{Compiler, Scope};
use super::node::At;
use crate::definition::{DataIn, DataOut, Schema};

impl Compiler<'_> {
    /// `input` of the document or of a task.
    pub(super) fn data_in(&mut self, at: Option<At<'_>>, scope: &Scope) -> DataIn {
        let Some(at) = at else { return DataIn::default() };
        let Some(map) = self.report.map(&at, "a map", &["schema", "from"]) else { return DataIn::default() };
        DataIn {
            schema: map.get("schema").and_then(|at| self.schema(&at)),
            from: map.get("from").and_then(|at| self.transformation(&at, scope)),
        }
    }

    /// `output` or `export`.
    pub(super) fn data_out(&mut self, at: Option<At<'_>>, scope: &Scope) -> DataOut {
        let Some(at) = at else { return DataOut::default() };
        let Some(map) = self.report.map(&at, "a map", &["schema", "as"]) else { return DataOut::default() };
        DataOut {
            transform: map.get("as").and_then(|at| self.transformation(&at, scope)),
            schema: map.get("schema").and_then(|at| self.schema(&at)),
        }
    }

    fn schema(&mut self, at: &At<'_>) -> Option<Schema> {
        let map = self.report.map(at, "a schema", &["format", "document", "resource"])?;
        if let Some(format) = map.get("format") {
            let name = self.report.text(&format)?;
            if name != "json" && !name.starts_with("json:") {
                self.report.error(&format, format!("expected the schema format json, found '{name}'"));
                return None;
            }
        }
        if let Some(resource) = map.get("resource") {
            let message = "expected 'document', found 'resource', which is not fetched";
            self.report.error_named(
                &resource,
                message,
                Some("put the schema itself under 'document'".to_owned()),
            );
            return None;
        }
        let document = self.report.required(&map, "document")?;
        match Schema::compile(&document.node.to_json()) {
            Ok(schema) => Some(schema),
            Err(message) => {
                self.report.error(&document, format!("expected a JSON Schema: {message}"));
                None
            }
        }
    }
}
