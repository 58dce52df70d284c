//! What a monitor holds of an adapter that observes something for it.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use super::lane::Lane;
use super::watches::Seen;

/// Something that an adapter observes, whichever process of it; until it is dropped.
pub struct Watching {
    pub(super) lane: Arc<Lane>,
    pub(super) key: u64,
    pub(super) news: Arc<Notify>,
}

impl Watching {
    /// Waits for what is observed next, at most `max` messages. Cancelled, it has taken nothing.
    pub async fn next(&self, max: usize) -> Seen {
        loop {
            if let Some(seen) = self.lane.seen(self.key, max) {
                return seen;
            }
            self.news.notified().await;
        }
    }

    /// So many messages of a round are durable, and this place with them: the adapter is told, and the next process
    /// begins there.
    pub fn taken(&self, round: u64, count: usize, cursor: Option<Value>) {
        self.lane.taken(self.key, round, count as u64, cursor);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.lane.forget_watch(self.key);
    }
}
