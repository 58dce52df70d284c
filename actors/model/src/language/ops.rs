//! The operations profile: `metadata.ops` of the document and of tasks.
//!
//! Foreign metadata is nobody's business here. The one key `ops` is ours, so a slip in it is an error: it would
//! otherwise be a guarantee that silently does not hold.

use super::call::PROTOCOLS;
use super::compiler::{Compiler, Scope};
use super::node::{At, Content};
use super::start_point::WrittenStartPoint;
use crate::definition::{Misfire, On, Ops, Parallel};

const DOCUMENT_KEYS: [&str; 8] =
    ["restartable", "archive", "concurrency", "retain", "taskLimit", "misfire", "timezone", "triggers"];

/// Those of event triggers are read by `event_options`.
const TRIGGERS_KEYS: [&str; 7] = ["timezone", "misfire", "calendar", "threshold", "rate", "active", "sets"];

const TASK_KEYS: [&str; 6] =
    ["restartWhenInterrupted", "startPoint", "lookback", "target", "concurrency", "onError"];

/// The most iterations of a loop at the same time: each holds a copy of the context.
const CONCURRENCY_MAX: u64 = 256;

/// `metadata.ops` of a task, as far as it is acted upon.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskOps {
    /// `restartWhenInterrupted`.
    pub(super) restart: Option<bool>,
    /// `startPoint`.
    pub(super) start_point: Option<WrittenStartPoint>,
    /// `target`.
    pub(super) on: Option<On>,
    /// `concurrency` and `onError`.
    pub(super) parallel: Option<Parallel>,
    /// `lookback`, in milliseconds.
    pub(super) lookback_ms: Option<u64>,
}

impl Compiler<'_> {
    /// `document.metadata`.
    pub(super) fn document_ops(&mut self, metadata: Option<At<'_>>) -> Ops {
        let mut ops = Ops::default();
        let Some(map) = self.ops(metadata, &DOCUMENT_KEYS) else { return ops };
        if let Some(restartable) = map.get("restartable") {
            self.report.boolean(&restartable);
        }
        if let Some(archive) = map.get("archive") {
            self.report.word(&archive, "archive rule", &["always", "onFailure", "never"]);
        }
        if let Some(retain) = map.get("retain") {
            self.interval(&retain);
        }
        if let Some(concurrency) = map.get("concurrency") {
            ops.overlap = self.overlap(&concurrency);
        }
        if let Some(limit) = map.get("taskLimit") {
            ops.task_limit = self.report.count(&limit);
            if ops.task_limit == Some(0) {
                self.report.expected(&limit, "a number of at least 1");
            }
        }
        self.trigger_ops(&map, &mut ops);
        if let Some(triggers) = map.get("triggers")
            && let Some(triggers) = self.report.map(&triggers, "a map", &TRIGGERS_KEYS)
        {
            self.trigger_ops(&triggers, &mut ops);
            if let Some(calendar) = triggers.get("calendar") {
                ops.calendar = self.report.name(&calendar).map(str::to_owned);
            }
            ops.events = self.event_options(&triggers);
        }
        ops
    }

    fn trigger_ops(&mut self, map: &At<'_>, ops: &mut Ops) {
        if let Some(misfire) = map.get("misfire") {
            let rules = ["skip", "fireOnce", "fireAll", "plan"];
            ops.misfire = match self.report.word(&misfire, "misfire rule", &rules) {
                Some("skip") => Misfire::Skip,
                Some("fireAll") => Misfire::FireAll,
                Some("plan") => Misfire::Plan,
                _ => Misfire::FireOnce,
            };
        }
        if let Some(zone) = map.get("timezone")
            && let Some(name) = self.report.name(&zone)
        {
            if jiff::tz::TimeZone::get(name).is_err() {
                let message = format!("unknown time zone '{name}'");
                self.report.error_hint(
                    &zone,
                    message,
                    "use a name of the IANA database, such as Europe/Berlin",
                );
            }
            ops.time_zone = Some(name.to_owned());
        }
    }

    /// `metadata` of a task, whose kind is `word`.
    pub(super) fn task_ops(&mut self, task: &At<'_>, word: &str, scope: &Scope) -> TaskOps {
        let Some(map) = self.ops(task.get("metadata"), &TASK_KEYS) else { return TaskOps::default() };
        TaskOps {
            lookback_ms: map.get("lookback").and_then(|at| self.lookback(word, &at)),
            restart: map.get("restartWhenInterrupted").and_then(|at| self.report.boolean(&at)),
            start_point: map.get("startPoint").and_then(|at| self.start_point(&at)),
            on: map.get("target").and_then(|at| self.ops_target(task, word, &at, scope)),
            parallel: self.parallel(word, &map),
        }
    }

    /// `target`, where the language leaves no other place for it.
    fn ops_target(&mut self, task: &At<'_>, word: &str, at: &At<'_>, scope: &Scope) -> Option<On> {
        let called = task.get("call").and_then(|at| match &at.node.content {
            Content::Text(name) => Some(PROTOCOLS.contains(&name.as_str())),
            _ => None,
        });
        match (word, called) {
            ("run", _) | ("call", Some(true)) => {}
            ("call", _) => {
                self.report.error_hint(
                    at,
                    "expected the target of a function under 'with'",
                    "write with.target",
                );
                return None;
            }
            _ => {
                self.report.error(at, format!("expected a target at a call or a run, found one at '{word}'"));
                return None;
            }
        }
        self.target(at, scope)
    }

    /// `concurrency` and `onError`.
    fn parallel(&mut self, word: &str, map: &At<'_>) -> Option<Parallel> {
        let (concurrency, on_error) = (map.get("concurrency"), map.get("onError"));
        for at in concurrency.iter().chain(&on_error).filter(|_| word != "for") {
            self.report.error_named(at, format!("expected it at a 'for', found it at '{word}'"), None);
        }
        let collect = on_error.and_then(|at| {
            if concurrency.is_none() {
                self.report.error_named(&at, "expected a 'concurrency' beside it, found none", None);
            }
            self.report.word(&at, "onError rule", &["cancel", "collect"])
        });
        let at = concurrency?;
        let count = self.report.count(&at)?;
        if !(1..=CONCURRENCY_MAX).contains(&count) {
            self.report.expected(&at, &format!("a number from 1 to {CONCURRENCY_MAX}"));
        }
        let concurrency = usize::try_from(count).unwrap_or(usize::MAX);
        Some(Parallel { concurrency, collect: collect == Some("collect") })
    }

    fn ops<'n>(&mut self, metadata: Option<At<'n>>, known: &[&str]) -> Option<At<'n>> {
        let metadata = metadata?;
        if matches!(metadata.node.content, Content::Null) {
            return None;
        }
        let ops = self.report.open_map(&metadata, "a map")?.get("ops")?;
        self.report.map(&ops, "a map", known)
    }
}
