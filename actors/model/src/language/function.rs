//! Calls of functions: of the document, of the catalog's tasks, and of adapters.
//!
//! A function that is a task is compiled anew for each call, so that an instance is at one place of one tree of
//! tasks, however it got there.

use serde_json::{Value, json};

use super::AdapterFunction;
use super::compiler::{Compiler, Scope};
use super::diagnostic::Report;
use super::expression::Secrets;
use super::node::At;
use super::ops::TaskOps;
use super::read::read;
use super::task::Beside;
use crate::definition::{ActivitySpec, Schema, TaskId, TaskKind, Template};

/// The catalog that the product itself fills.
const OWN_CATALOG: &str = "default";

impl Compiler<'_> {
    pub(super) fn call_function(
        &mut self,
        map: &At<'_>,
        called: &At<'_>,
        name: &str,
        scope: &Scope,
        ops: TaskOps,
    ) -> Option<TaskKind> {
        let with = map.get("with");
        let arguments = match &with {
            None => Template::Literal(json!({})),
            Some(with) => {
                self.report.open_map(with, "a map of arguments")?;
                self.template(with, scope, Secrets::Visible)
            }
        };
        if let Some(declared) = self.uses.get("functions", name) {
            let body = self.inline(called, name, &declared, declared.pointer.len(), scope)?;
            return Some(TaskKind::Function { arguments, input: None, body });
        }
        if let Some((function, catalog)) = name.split_once('@').filter(|_| !name.contains("://")) {
            return self.call_cataloged(
                with.as_ref().unwrap_or(map),
                called,
                function,
                catalog,
                arguments,
                scope,
                ops,
            );
        }
        if name.contains("://") {
            // Fetching code at load or at run time is not something an operator has agreed to.
            return Some(TaskKind::Unsupported(format!("call {name}")));
        }
        self.unknown_function(called, name);
        None
    }

    #[expect(clippy::too_many_arguments, reason = "a call has that many parts, and each is used once")]
    fn call_cataloged(
        &mut self,
        with: &At<'_>,
        called: &At<'_>,
        function: &str,
        catalog: &str,
        arguments: Template,
        scope: &Scope,
        ops: TaskOps,
    ) -> Option<TaskKind> {
        if catalog != OWN_CATALOG {
            if self.uses.get("catalogs", catalog).is_none() {
                self.unknown_use(called, "catalog", "catalogs", catalog);
                return None;
            }
            return Some(TaskKind::Unsupported(format!("call {function}@{catalog}")));
        }
        let known = self.catalog;
        if let Some(adapter) = known.adapter_functions.get(function) {
            self.check_arguments(with, adapter, &arguments);
            return Some(TaskKind::Activity(Box::new(ActivitySpec {
                adapter: adapter.adapter.clone(),
                function: adapter.function.clone(),
                arguments,
                restartable: ops.restart.unwrap_or(adapter.restartable),
                detached: false,
            })));
        }
        if let Some(source) = known.task_functions.get(function) {
            let body = self.inline_cataloged(called, function, source, scope)?;
            return Some(TaskKind::Function { arguments, input: None, body });
        }
        self.unknown_function(called, &format!("{function}@{catalog}"));
        None
    }

    fn unknown_function(&mut self, called: &At<'_>, name: &str) {
        let own: Vec<String> = self
            .catalog
            .adapter_functions
            .keys()
            .chain(self.catalog.task_functions.keys())
            .map(|name| format!("{name}@{OWN_CATALOG}"))
            .collect();
        let mut known = super::call::PROTOCOLS.to_vec();
        known.extend(self.uses.names("functions"));
        known.extend(own.iter().map(String::as_str));
        self.report.unknown(called, called.node.place, "function", name, &known);
    }

    /// Compiles a function's body for one call. `prefix` is how much of the body's pointers names the function.
    fn inline(
        &mut self,
        called: &At<'_>,
        name: &str,
        body: &At<'_>,
        prefix: usize,
        scope: &Scope,
    ) -> Option<TaskId> {
        if scope.calls.iter().any(|outer| outer == name) {
            let path = scope.calls.join(" → ");
            self.report.error(
                called,
                format!("expected functions that do not call themselves, found {path} → {name}"),
            );
            return None;
        }
        let mut calls = scope.calls.clone();
        calls.push(name.to_owned());
        // The call's own pointer ends in `/call`, which the scope appends again for whatever is inside.
        let caller = called.pointer.strip_suffix("/call").unwrap_or(&called.pointer);
        let caller = match &scope.called_from {
            Some((length, call)) => format!("{call}/call{}", caller.get(*length..).unwrap_or_default()),
            None => caller.to_owned(),
        };
        let inner = Scope {
            variables: Vec::new(),
            nesting: scope.nesting,
            calls,
            called_from: Some((prefix, caller)),
        };
        self.task(name, body, &inner, Beside::Nothing("a function"))
    }

    /// Compiles a function of the catalog, which is a document of its own: it sees no `use` of the caller's, and
    /// what is wrong with it is reported where it is called.
    fn inline_cataloged(
        &mut self,
        called: &At<'_>,
        name: &str,
        source: &str,
        scope: &Scope,
    ) -> Option<TaskId> {
        let mut report = Report::default();
        let node = read(source, &mut report);
        let mut inner = Compiler::new(source, self.catalog, report);
        std::mem::swap(&mut inner.product, &mut self.product);
        let body = node.and_then(|node| inner.inline(called, name, &At::root(&node), 0, scope));
        std::mem::swap(&mut inner.product, &mut self.product);
        let report = inner.report;
        let clean = report.is_clean();
        for found in report.into_diagnostics() {
            self.report.error(called, format!("function '{name}' cannot be used: {found}"));
        }
        body.filter(|_| clean)
    }

    /// Checks the arguments of an adapter's function as far as they are known before it runs.
    fn check_arguments(&mut self, with: &At<'_>, function: &AdapterFunction, arguments: &Template) {
        let Some(schema) = &function.input else { return };
        if let Template::Literal(value) = arguments {
            match Schema::compile(schema).map(|schema| schema.check(value)) {
                Ok(Ok(())) => {}
                Ok(Err(message)) => {
                    self.report.error_named(with, format!("expected other arguments: {message}"), None)
                }
                Err(message) => {
                    self.report.error_named(
                        with,
                        format!("the function's own schema is invalid: {message}"),
                        None,
                    );
                }
            }
            return;
        }
        let properties: Vec<&str> = schema
            .get("properties")
            .and_then(Value::as_object)
            .map(|members| members.keys().map(String::as_str).collect())
            .unwrap_or_default();
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            self.report.map(with, "a map of arguments", &properties);
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(name) = name.as_str() {
                self.report.required(with, name);
            }
        }
    }
}
