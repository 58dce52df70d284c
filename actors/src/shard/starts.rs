//! Start markers that wait until their attempt can begin.
//!
//! A marker says that an attempt may have begun, and after a crash such an attempt counts as interrupted. So it is
//! written only when the adapter's host keeps a slot for the attempt: what merely waits for its turn is not in doubt.

use std::collections::{BTreeMap, VecDeque};

use impresario_model::ids::ActorId;

use super::Runner;

/// An attempt to be marked.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) actor: ActorId,
    pub(super) activity: u64,
    pub(super) token: String,
}

/// The waiting markers of a shard, in order by adapter. Their number is bounded as that of waiting attempts is.
#[derive(Debug, Default)]
pub(super) struct Starts {
    by_adapter: BTreeMap<String, VecDeque<Start>>,
    count: usize,
}

impl Starts {
    /// Adds a marker behind the others of its adapter.
    pub(super) fn push(&mut self, adapter: String, start: Start) {
        self.count += 1;
        self.by_adapter.entry(adapter).or_default().push_back(start);
    }

    /// Drops a marker of an attempt that nobody waits for any more.
    pub(super) fn abandon(&mut self, adapter: &str, token: &str) {
        let Some(waiting) = self.by_adapter.get_mut(adapter) else { return };
        if let Some(at) = waiting.iter().position(|start| start.token == token) {
            waiting.remove(at);
            self.count -= 1;
        }
    }

    /// The tokens of those that wait.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &str> {
        self.by_adapter.values().flatten().map(|start| start.token.as_str())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Takes out those for which a slot is kept from now on.
    pub(super) fn take(&mut self, runner: &dyn Runner) -> Vec<Start> {
        let mut taken = Vec::new();
        for (adapter, waiting) in &mut self.by_adapter {
            while waiting.front().is_some_and(|start| runner.reserve(adapter, &start.token)) {
                taken.extend(waiting.pop_front());
            }
        }
        self.count -= taken.len();
        self.by_adapter.retain(|_, waiting| !waiting.is_empty());
        taken
    }
}
