//! `use`: what a document declares for reuse by name.
//!
//! Declarations are compiled where they are used, because the names in scope differ. Each is compiled once here
//! too, only to find what is wrong with one that nobody uses yet.

use std::collections::BTreeSet;

use super::call::PROTOCOLS;
use super::compiler::{Compiler, Scope};
use super::node::{At, Content, Node};
use super::task::Beside;

const SECTIONS: [&str; 8] =
    ["authentications", "catalogs", "errors", "extensions", "functions", "retries", "secrets", "timeouts"];

/// The kinds of task that an extension can name; `composite` covers those that only hold other tasks.
const EXTENDABLE: [&str; 12] =
    ["all", "call", "composite", "emit", "for", "listen", "raise", "run", "set", "switch", "try", "wait"];

/// The declarations.
#[derive(Debug, Default)]
pub(super) struct Uses<'n> {
    map: Option<At<'n>>,
    /// Name and extended kind.
    extensions: Vec<(&'n str, &'n str)>,
}

impl<'n> Uses<'n> {
    /// A declaration by section and name.
    pub(super) fn get(&self, section: &str, name: &str) -> Option<At<'n>> {
        self.map.as_ref()?.get(section)?.get(name)
    }

    /// The names that a section declares.
    pub(super) fn names(&self, section: &str) -> Vec<&'n str> {
        let Some(section) = self.map.as_ref().and_then(|map| map.get(section)) else { return Vec::new() };
        match &section.node.content {
            Content::Map(members) => members.iter().map(|member| member.name.as_str()).collect(),
            Content::List(items) => items.iter().filter_map(text).collect(),
            _ => Vec::new(),
        }
    }

    /// Why a task of this kind cannot run yet: an extension wraps it, and leaving the extension out would change
    /// what the definition means.
    pub(super) fn extended(&self, kind: &str) -> Option<String> {
        let covers = |extend: &str| match extend {
            "all" => true,
            "composite" => matches!(kind, "do" | "fork"),
            _ => extend == kind,
        };
        let (name, _) = self.extensions.iter().find(|(_, extend)| covers(extend))?;
        Some(format!("extension {name}"))
    }
}

impl<'n> Compiler<'n> {
    /// Takes up the declarations of `use`, and checks them.
    pub(super) fn take_uses(&mut self, root: &At<'n>) {
        let Some(map) = root.get("use").and_then(|at| self.report.map(&at, "a map", &SECTIONS)) else {
            return;
        };
        self.uses.map = Some(map.clone());
        let scope = Scope::document();
        let mut anywhere = BTreeSet::from(["error", "index", "item"]);
        variable_names(root.node, &mut anywhere);
        let anywhere: Vec<&str> = anywhere.into_iter().collect();
        let anywhere = scope.with(&anywhere);
        for section in SECTIONS {
            let Some(section_at) = map.get(section) else { continue };
            if matches!(section, "secrets" | "extensions") {
                continue;
            }
            let Some(section_at) = self.report.open_map(&section_at, "a map") else { continue };
            for (name, declared) in section_at.members() {
                let scope = if section == "functions" { &scope } else { &anywhere };
                self.check_only(|compiler| compiler.declared(section, name, &declared, scope));
            }
        }
        if let Some(secrets) = map.get("secrets") {
            for secret in self.report.list(&secrets, "a list of names").unwrap_or_default() {
                self.report.name(&secret);
            }
        }
        if let Some(extensions) = map.get("extensions") {
            for (name, extension) in self.named_items(&extensions, "extension") {
                self.extension(name, &extension, &scope);
            }
        }
    }

    fn declared(&mut self, section: &str, name: &str, at: &At<'_>, scope: &Scope) {
        match section {
            "authentications" => {
                self.authentication_policy(at, scope);
            }
            "catalogs" => {
                if let Some(map) = self.report.map(at, "a catalog", &["endpoint"])
                    && let Some(endpoint) = self.report.required(&map, "endpoint")
                {
                    self.endpoint(&endpoint, scope);
                }
            }
            "errors" => {
                self.error_body(at, scope);
            }
            "functions" => {
                if PROTOCOLS.contains(&name) {
                    let message =
                        format!("expected a name of its own, found '{name}', which the language defines");
                    self.report.error_named(at, message, None);
                }
                self.task(name, at, scope, Beside::Nothing("a function"));
            }
            "retries" => {
                self.retry_body(at, scope);
            }
            _ => {
                self.timeout_body(at, scope);
            }
        }
    }

    fn extension(&mut self, name: &'n str, at: &At<'n>, scope: &Scope) {
        let Some(map) = self.report.map(at, "an extension", &["extend", "when", "before", "after"]) else {
            return;
        };
        let extend = self.report.required(&map, "extend");
        let extend = extend.and_then(|extend| self.report.word(&extend, "kind of task", &EXTENDABLE));
        if let Some(when) = map.get("when") {
            self.expression(&when, scope);
        }
        self.check_only(|compiler| {
            for list in ["before", "after"].iter().filter_map(|name| map.get(name)) {
                compiler.tasks(&list, scope);
            }
        });
        self.uses.extensions.extend(extend.map(|extend| (name, extend)));
    }

    /// Reports a reference to something that `use` does not declare.
    pub(super) fn unknown_use(&mut self, at: &At<'_>, what: &str, section: &str, name: &str) {
        let known = self.uses.names(section);
        if known.is_empty() {
            let message = format!("unknown {what} '{name}' (use.{section} declares none)");
            self.report.error(at, message);
        } else {
            self.report.unknown(at, at.node.place, what, name, &known);
        }
    }
}

/// The names that loops and catches of the document introduce. A declaration may be used inside any of them, so
/// none of the names is wrong in it before it is used.
fn variable_names<'n>(node: &'n Node, names: &mut BTreeSet<&'n str>) {
    match &node.content {
        Content::Map(members) => {
            for member in members {
                if ["as", "at", "each", "item"].contains(&member.name.as_str()) {
                    names.extend(text(&member.value));
                }
                variable_names(&member.value, names);
            }
        }
        Content::List(items) => items.iter().for_each(|item| variable_names(item, names)),
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {}
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Text(text) => Some(text),
        _ => None,
    }
}
