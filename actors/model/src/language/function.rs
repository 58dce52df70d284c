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
use super::selection::TARGET_KEYS;
use super::task::Beside;
use crate::definition::{ActivitySpec, Schema, TaskId, TaskKind, Template};
use crate::inventory;

/// The catalog that the product itself fills.
const OWN_CATALOG: &str = "default";

impl Compiler<'_> {
    pub(super) fn call_function(
        &mut self,
        task: &At<'_>,
        called: &At<'_>,
        name: &str,
        scope: &Scope,
        ops: TaskOps,
    ) -> Option<TaskKind> {
        let catalog = self.catalog;
        if let Some((function, OWN_CATALOG)) = name.split_once('@')
            && let Some(adapter) = catalog.adapter_functions.get(function)
        {
            return self.call_adapter(task, adapter, scope, ops);
        }
        let arguments = match task.get("with") {
            None => Template::Literal(json!({})),
            Some(with) => {
                self.report.open_map(&with, "a map of arguments")?;
                // What a function of tasks gets is data of the instance.
                self.template(&with, scope, Secrets::Hidden)
            }
        };
        if let Some(declared) = self.uses.get("functions", name) {
            let inline =
                |this: &mut Self| this.inline(called, name, &declared, declared.pointer.len(), scope);
            return self.followed(arguments, name, inline);
        }
        if name.contains("://") {
            // Fetching code at load or at run time is not something an operator has agreed to.
            return Some(TaskKind::Unsupported(format!("call {name}")));
        }
        match name.split_once('@') {
            Some((function, OWN_CATALOG)) => self.call_own(called, function, arguments, scope),
            Some((_, catalog)) if self.uses.get("catalogs", catalog).is_some() => {
                Some(TaskKind::Unsupported(format!("call {name}")))
            }
            Some((_, catalog)) => {
                self.unknown_use(called, "catalog", "catalogs", catalog);
                None
            }
            None => {
                self.unknown_function(called, name);
                None
            }
        }
    }

    /// A call of an adapter's function.
    fn call_adapter(
        &mut self,
        task: &At<'_>,
        adapter: &AdapterFunction,
        scope: &Scope,
        ops: TaskOps,
    ) -> Option<TaskKind> {
        let (arguments, on, user) = match task.get("with") {
            None => (Template::Literal(json!({})), None, None),
            Some(with) => {
                self.report.open_map(&with, "a map of arguments")?;
                match adapter.adapter == inventory::ADAPTER {
                    true => (self.selection(&with, scope), None, None),
                    false => (
                        self.arguments_beside_target(&with, scope),
                        self.done_on(&with, scope),
                        self.run_as(&with, scope),
                    ),
                }
            }
        };
        self.check_arguments(task, adapter, &arguments);
        Some(TaskKind::Activity(Box::new(ActivitySpec {
            adapter: adapter.adapter.clone(),
            function: adapter.function.clone(),
            arguments,
            restartable: ops.restart.unwrap_or(adapter.restartable),
            probe: adapter.probe,
            detached: false,
            on,
            user,
        })))
    }

    /// A call of a function of the product's own catalog that is a task.
    fn call_own(
        &mut self,
        called: &At<'_>,
        function: &str,
        arguments: Template,
        scope: &Scope,
    ) -> Option<TaskKind> {
        let catalog = self.catalog;
        if let Some(source) = catalog.task_functions.get(function) {
            let inline = |this: &mut Self| this.inline_cataloged(called, function, source, scope);
            return self.followed(arguments, function, inline);
        }
        self.unknown_function(called, &format!("{function}@{OWN_CATALOG}"));
        None
    }

    /// The call of a task function, whose body is only compiled where the call is more than checked.
    fn followed(
        &mut self,
        arguments: Template,
        name: &str,
        inline: impl FnOnce(&mut Self) -> Option<TaskId>,
    ) -> Option<TaskKind> {
        if self.checking {
            return Some(TaskKind::Unsupported(format!("call {name}")));
        }
        // The body checks its own input, so there is nothing left for the call to check.
        inline(self).map(|body| TaskKind::Function { arguments, input: None, body })
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
    fn check_arguments(&mut self, task: &At<'_>, function: &AdapterFunction, arguments: &Template) {
        let Some(schema) = &function.input else { return };
        let with = task.get("with").unwrap_or_else(|| task.clone());
        if let Template::Literal(value) = arguments {
            match Schema::compile(schema).map(|schema| schema.check(value)) {
                Ok(Ok(())) => {}
                Ok(Err(message)) => {
                    self.report.error_named(&with, format!("expected other arguments: {message}"), None)
                }
                Err(message) => {
                    self.report.error_named(
                        &with,
                        format!("the function's own schema is invalid: {message}"),
                        None,
                    );
                }
            }
            return;
        }
        let mut properties: Vec<&str> = schema
            .get("properties")
            .and_then(Value::as_object)
            .map(|members| members.keys().map(String::as_str).collect())
            .unwrap_or_default();
        if function.adapter != inventory::ADAPTER {
            properties.extend(TARGET_KEYS);
        }
        if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
            self.report.map(&with, "a map of arguments", &properties);
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            if let Some(name) = name.as_str() {
                self.report.required(&with, name);
            }
        }
    }
}
