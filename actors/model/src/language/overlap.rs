//! `concurrency` of the operations profile: how many instances of a definition may run at the same time.

use super::compiler::Compiler;
use super::node::At;
use crate::definition::{OnConflict, OverlapRule};

/// How many may run at the same time at most: each is a member of the state of one actor.
const MAX: u64 = 10_000;

impl Compiler<'_> {
    /// The rule; none where instances may run side by side without limit.
    pub(super) fn overlap(&mut self, at: &At<'_>) -> Option<OverlapRule> {
        let map = self.report.map(at, "a map", &["key", "max", "onConflict"])?;
        let key = map.get("key").and_then(|key| {
            let text = self.report.name(&key)?;
            self.lone_expression(&key, text)
        });
        let max = map.get("max").and_then(|at| {
            let count = self.report.count(&at)?;
            if !(1..=MAX).contains(&count) {
                self.report.expected(&at, &format!("a number from 1 to {MAX}"));
            }
            Some(count)
        });
        let known = ["queue", "skip", "replace", "parallel"];
        let rule = map.get("onConflict").and_then(|at| self.report.word(&at, "rule", &known));
        let on_conflict = match rule {
            Some("parallel") => return None,
            Some("skip") => OnConflict::Skip,
            Some("replace") => OnConflict::Replace,
            _ => OnConflict::Queue,
        };
        let max = usize::try_from(max.unwrap_or(1)).unwrap_or(usize::MAX);
        Some(OverlapRule { key, max, on_conflict })
    }
}
