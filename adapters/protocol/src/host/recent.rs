//! The tokens that were answered lately.

use std::collections::{HashSet, VecDeque};

/// How many are remembered. A node repeats a call, if ever, right after it lost sight of it.
const REMEMBERED: usize = 4096;

/// The last [`REMEMBERED`] tokens.
#[derive(Debug, Default)]
pub(super) struct Recent {
    tokens: HashSet<String>,
    order: VecDeque<String>,
}

impl Recent {
    pub(super) fn contains(&self, token: &str) -> bool {
        self.tokens.contains(token)
    }

    pub(super) fn insert(&mut self, token: String) {
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.tokens.remove(&oldest);
        }
        if self.tokens.insert(token.clone()) {
            self.order.push_back(token);
        }
    }
}
