//! `run`: a shell command, or a process that this version does not run.

use serde_json::{Value, json};

use super::compiler::{Compiler, Scope};
use super::expression::{Secrets, map};
use super::node::{At, Content};
use super::ops::TaskOps;
use crate::definition::{ActivitySpec, TaskKind, Template};

const PROCESSES: [&str; 4] = ["container", "script", "shell", "workflow"];
const KEYS: [&str; 6] = ["container", "script", "shell", "workflow", "await", "return"];
const RETURNS: [&str; 5] = ["stdout", "stderr", "code", "all", "none"];

impl Compiler<'_> {
    pub(super) fn run(&mut self, body: &At<'_>, scope: &Scope, ops: TaskOps) -> Option<TaskKind> {
        let run = self.report.map(body, "a map", &KEYS)?;
        let wait = run.get("await").and_then(|at| self.report.boolean(&at)).unwrap_or(true);
        let give = run.get("return").and_then(|at| self.report.word(&at, "return", &RETURNS));
        let mut found = PROCESSES.iter().filter_map(|name| Some((*name, run.get(name)?)));
        let Some((name, process)) = found.next() else {
            self.report.error_named(
                &run,
                format!("expected one of {}, found none", PROCESSES.join(", ")),
                None,
            );
            return None;
        };
        if let Some((other, _)) = found.next() {
            self.report.error_named(
                &run,
                format!("expected one process, found both '{name}' and '{other}'"),
                None,
            );
            return None;
        }
        if name != "shell" {
            return self.run_process(name, &process, scope);
        }
        Some(TaskKind::Activity(Box::new(ActivitySpec {
            adapter: "command".to_owned(),
            function: "shell".to_owned(),
            arguments: self.shell(&process, give.unwrap_or("stdout"), scope)?,
            // A command can do anything, so nothing is assumed about doing it twice.
            restartable: ops.restart.unwrap_or(false),
            probe: false,
            detached: !wait,
            on: ops.on,
            user: None,
        })))
    }

    fn shell(&mut self, at: &At<'_>, give: &str, scope: &Scope) -> Option<Template> {
        let shell = self.report.map(at, "a map", &["command", "arguments", "environment", "stdin"])?;
        let arguments = match shell.get("arguments") {
            None => Template::Literal(json!([])),
            Some(at) => self.arguments(&at, scope),
        };
        let environment = match shell.get("environment") {
            None => Template::Literal(json!({})),
            Some(at) => {
                self.report.open_map(&at, "a map");
                self.template(&at, scope, Secrets::Visible)
            }
        };
        let mut members = vec![
            ("arguments".to_owned(), arguments),
            ("environment".to_owned(), environment),
            ("return".to_owned(), Template::Literal(json!(give))),
        ];
        if let Some(stdin) = shell.get("stdin") {
            members.push(("stdin".to_owned(), self.text_template(&stdin, scope, Secrets::Visible)));
        }
        let command = self.report.required(&shell, "command")?;
        self.report.name(&command)?;
        members.push(("command".to_owned(), self.template(&command, scope, Secrets::Visible)));
        Some(map(members))
    }

    fn arguments(&mut self, at: &At<'_>, scope: &Scope) -> Template {
        match &at.node.content {
            Content::List(_) => {
                for item in at.items().unwrap_or_default() {
                    self.report.text(&item);
                }
                self.template(at, scope, Secrets::Visible)
            }
            Content::Map(_) => {
                self.report.error_hint(
                    at,
                    "expected a list of arguments, found a map",
                    "since 1.0.3 arguments are a list: [--name, value]",
                );
                Template::Literal(Value::Null)
            }
            Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {
                self.report.expected(at, "a list of arguments");
                Template::Literal(Value::Null)
            }
        }
    }
}
