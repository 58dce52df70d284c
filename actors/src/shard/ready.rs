//! Attempts that wait for room in their adapter hosts, in order by adapter.

use std::collections::{BTreeMap, VecDeque};

use impresario_model::entry::ActivityOutcome;

use super::{NotRun, Runner};
use crate::activity::RunRequest;

/// The waiting attempts of a shard. An instance has few, so their number is bounded by what the doors admit.
#[derive(Debug, Default)]
pub(super) struct Ready {
    by_adapter: BTreeMap<String, VecDeque<RunRequest>>,
    count: usize,
}

impl Ready {
    /// Adds an attempt behind the others of its adapter.
    pub(super) fn push(&mut self, request: RunRequest) {
        self.count += 1;
        match self.by_adapter.get_mut(&request.adapter) {
            Some(waiting) => waiting.push_back(request),
            None => {
                self.by_adapter.insert(request.adapter.clone(), VecDeque::from([request]));
            }
        }
    }

    /// Drops an attempt that nobody waits for any more.
    pub(super) fn abandon(&mut self, adapter: &str, token: &str) {
        let Some(waiting) = self.by_adapter.get_mut(adapter) else { return };
        if let Some(at) = waiting.iter().position(|request| request.token == token) {
            waiting.remove(at);
            self.count -= 1;
        }
    }

    /// The tokens of those that wait.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.by_adapter.values().flatten().map(|request| request.token.as_str())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Offers attempts until their adapter is full; answers those that no host takes, with how they ended.
    pub(super) fn offer(&mut self, runner: &dyn Runner) -> Vec<(RunRequest, ActivityOutcome)> {
        let mut ended = Vec::new();
        for waiting in self.by_adapter.values_mut() {
            while let Some(request) = waiting.pop_front() {
                self.count -= 1;
                match runner.run(request) {
                    Ok(()) => {}
                    Err(NotRun::Busy(request)) => {
                        self.count += 1;
                        waiting.push_front(*request);
                        break;
                    }
                    Err(NotRun::Refused(request, reason)) => {
                        ended.push((*request, ActivityOutcome::Refused { reason }));
                    }
                    Err(NotRun::Answered(request, outcome)) => ended.push((*request, outcome)),
                }
            }
        }
        self.by_adapter.retain(|_, waiting| !waiting.is_empty());
        ended
    }

    /// Takes all of them out.
    pub(super) fn take(&mut self) -> Vec<RunRequest> {
        self.count = 0;
        std::mem::take(&mut self.by_adapter).into_values().flatten().collect()
    }
}
