//! On what a call is done: `target`, or `group` and `select`, beside the arguments of an adapter's function; and the
//! function that selects targets by itself.

use serde_json::{Value, json};

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, map, strip};
use super::node::{At, Content};
use super::secret::USER_KEY;
use crate::definition::{On, Template};

/// The members of `with` that say on what and as whom a call is done, and are no arguments of the function.
pub(super) const TARGET_KEYS: [&str; 4] = ["target", "group", "select", USER_KEY];

impl Compiler<'_> {
    /// The arguments of an adapter's function, without what says on what it is done.
    pub(super) fn arguments_beside_target(&mut self, with: &At<'_>, scope: &Scope) -> Template {
        if !with.members().any(|(name, _)| TARGET_KEYS.contains(&name)) {
            return self.template(with, scope, Secrets::Visible);
        }
        let members = with.members().filter(|(name, _)| !TARGET_KEYS.contains(name));
        map(members
            .map(|(name, at)| (name.to_owned(), self.template(&at, scope, Secrets::Visible)))
            .collect())
    }

    /// On what a call of an adapter's function is done.
    pub(super) fn done_on(&mut self, with: &At<'_>, scope: &Scope) -> Option<On> {
        let (target, group, select) = (with.get("target"), with.get("group"), with.get("select"));
        match (target, group) {
            (Some(target), None) => {
                if let Some(select) = select {
                    self.report.error_named(
                        &select,
                        "expected a 'group' to select from, found a 'target'",
                        None,
                    );
                }
                self.target(&target, scope)
            }
            (Some(_), Some(group)) => {
                self.report.error_named(&group, "expected either 'target' or 'group', found both", None);
                None
            }
            (None, Some(group)) => {
                let mut members = vec![
                    ("group".to_owned(), self.text_template(&group, scope, Secrets::Hidden)),
                    ("take".to_owned(), Template::Literal(json!("any"))),
                ];
                if let Some(select) = select {
                    self.select(&select, scope, &mut members);
                }
                Some(On::Selected(map(members)))
            }
            (None, None) => {
                if let Some(select) = select {
                    self.report.error_named(&select, "expected a 'group' beside it, found none", None);
                }
                None
            }
        }
    }

    /// The name of a target, or an expression that gives it.
    pub(super) fn target(&mut self, at: &At<'_>, scope: &Scope) -> Option<On> {
        self.report.name(at)?;
        Some(On::Target(self.template(at, scope, Secrets::Hidden)))
    }

    /// `select` of a call, which is done on one target.
    fn select(&mut self, at: &At<'_>, scope: &Scope, members: &mut Vec<(String, Template)>) {
        match &at.node.content {
            Content::Text(word) if word == "any" => {}
            Content::Text(word) if word == "all" => self.report.error_hint(
                at,
                "expected a selection of one target, found 'all'",
                "select them with 'call: select:1.0.0@default', and call once for each in a 'for'",
            ),
            Content::Map(_) => {
                if let Some(select) = self.report.map(at, "any, or a map", &["where", "variables", "name"]) {
                    members.extend(self.selection_members(&select, scope));
                }
            }
            _ => self.report.expected(at, "any, or a map of where, variables and name"),
        }
    }

    /// The arguments of the function that selects targets.
    pub(super) fn selection(&mut self, with: &At<'_>, scope: &Scope) -> Template {
        map(self.selection_members(with, scope))
    }

    /// `where` is evaluated over each target, and not here.
    fn selection_members(&mut self, with: &At<'_>, scope: &Scope) -> Vec<(String, Template)> {
        let variables = with.get("variables");
        let variables: Vec<String> =
            variables.map(|at| at.members().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default();
        let member = |(name, at): (&str, At<'_>)| {
            let template = match name {
                "where" => Template::Literal(self.condition(&at, &variables)),
                _ => self.template(&at, scope, Secrets::Hidden),
            };
            (name.to_owned(), template)
        };
        with.members().map(member).collect()
    }

    fn condition(&mut self, at: &At<'_>, variables: &[String]) -> Value {
        let Some(text) = self.report.name(at) else { return Value::Null };
        // Said here rather than when it runs; what runs is the text.
        self.program(at, text, variables);
        json!(strip(text).map_or(text, |(_, inner)| inner))
    }
}
