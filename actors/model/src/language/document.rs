//! The document itself: its head, and what stands beside the tasks.

use super::compiler::{Compiler, Scope};
use super::node::At;
use crate::definition::{Definition, DefinitionId};

const ROOT_KEYS: [&str; 8] = ["document", "input", "use", "do", "timeout", "output", "schedule", "evaluate"];
const HEAD_KEYS: [&str; 8] = ["dsl", "namespace", "name", "version", "title", "summary", "tags", "metadata"];

/// The versions of the language that are read here.
const VERSIONS: [&str; 4] = ["1.0.0", "1.0.1", "1.0.2", "1.0.3"];

impl<'n> Compiler<'n> {
    /// The whole document; none where so much is wrong that there is no definition to speak of.
    pub(super) fn document(&mut self, root: &At<'n>) -> Option<Definition> {
        let root = self.report.map(root, "a definition", &ROOT_KEYS)?;
        let head = self.report.required(&root, "document");
        let head = head.and_then(|head| self.report.map(&head, "a map", &HEAD_KEYS));
        let id = head.as_ref().and_then(|head| self.identity(head));
        let metadata = head.as_ref().and_then(|head| head.get("metadata"));
        let ops = self.document_ops(metadata.clone());
        let mut text = |name: &str| {
            let at = head.as_ref()?.get(name)?;
            self.report.text(&at).map(str::to_owned)
        };
        let (title, summary) = (text("title"), text("summary"));
        if let Some(tags) = head.as_ref().and_then(|head| head.get("tags")) {
            self.report.open_map(&tags, "a map");
        }
        self.evaluation(root.get("evaluate"));
        self.take_uses(&root);
        let scope = Scope::document();
        let input = self.data_in(root.get("input"), &scope);
        let output = self.data_out(root.get("output"), &scope);
        let timeout = root.get("timeout").and_then(|at| self.timeout(&at, &scope));
        let triggers = self.schedule(root.get("schedule"), id.as_ref());
        self.check_event_options(metadata.as_ref(), &ops.events, &triggers);
        let tasks = self.report.required(&root, "do").map(|tasks| self.tasks(&tasks, &scope));
        let start_points = self.start_points(tasks.as_deref().unwrap_or_default());
        Some(Definition {
            id: id?,
            title,
            summary,
            document: root.node.to_json(),
            tasks: std::mem::take(&mut self.product.tasks),
            root: tasks?,
            input,
            output,
            timeout,
            triggers,
            start_points,
            ops,
        })
    }

    fn identity(&mut self, head: &At<'_>) -> Option<DefinitionId> {
        if let Some(dsl) = self.report.required(head, "dsl")
            && let Some(version) = self.report.text(&dsl)
            && !VERSIONS.contains(&version)
        {
            let message =
                format!("expected a version of the language from 1.0.0 to 1.0.3, found '{version}'");
            self.report.error(&dsl, message);
        }
        let namespace = self.label(head, "namespace");
        let name = self.label(head, "name");
        let version = self.report.required(head, "version").and_then(|at| {
            let version = self.report.text(&at)?;
            if !is_semantic_version(version) {
                let message = format!("expected a semantic version such as 1.2.0, found '{version}'");
                self.report.error(&at, message);
            }
            Some(version.to_owned())
        });
        Some(DefinitionId { namespace: namespace?, name: name?, version: version? })
    }

    fn label(&mut self, head: &At<'_>, key: &str) -> Option<String> {
        let at = self.report.required(head, key)?;
        let label = self.report.text(&at)?;
        if !is_label(label) {
            let message = format!(
                "expected letters, digits and '-' (at most 63, no '-' at the ends), found {}",
                at.describe()
            );
            self.report.error(&at, message);
        }
        Some(label.to_owned())
    }

    fn evaluation(&mut self, at: Option<At<'_>>) {
        let Some(map) = at.and_then(|at| self.report.map(&at, "a map", &["language", "mode"])) else {
            return;
        };
        if let Some(language) = map.get("language")
            && let Some(name) = self.report.text(&language)
            && name != "jq"
        {
            self.report.error(&language, format!("expected the expression language jq, found '{name}'"));
        }
        if let Some(mode) = map.get("mode")
            && self.report.word(&mode, "mode", &["strict", "loose"]) == Some("loose")
        {
            self.report.error_hint(
                &mode,
                "expected the mode strict, found 'loose', which would run whatever text looks like an expression",
                "put each expression in ${ }",
            );
        }
    }
}

/// A label of a host name: what names and namespaces are.
fn is_label(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(ends)
        && text.ends_with(ends)
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn is_semantic_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let numeric = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let words = |parts: &str| parts.split('.').all(word);
    core.split('.').count() == 3
        && core.split('.').all(numeric)
        && pre.is_none_or(words)
        && build.is_none_or(words)
}
