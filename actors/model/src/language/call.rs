//! `call`: of a protocol that the language defines, or of a function.

use super::compiler::{Compiler, Scope};
use super::node::At;
use super::ops::TaskOps;
use crate::definition::TaskKind;

/// The names that are protocols; no function can have them.
pub(super) const PROTOCOLS: [&str; 6] = ["http", "openapi", "grpc", "asyncapi", "a2a", "mcp"];

impl Compiler<'_> {
    pub(super) fn call(
        &mut self,
        map: &At<'_>,
        body: &At<'_>,
        scope: &Scope,
        ops: TaskOps,
    ) -> Option<TaskKind> {
        let name = self.report.name(body)?;
        if !PROTOCOLS.contains(&name) {
            return self.call_function(map, body, name, scope, ops);
        }
        let with = self.report.required(map, "with")?;
        match name {
            "http" => self.call_http(&with, scope, ops),
            _ => self.call_protocol(name, &with, scope),
        }
    }
}
