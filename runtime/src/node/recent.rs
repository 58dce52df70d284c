//! The events that came through the doors of this node last: in memory only, to try filters on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use impresario_model::event::CloudEvent;

use crate::triggers::RecentEvent;

/// A bounded memory of events; cheap to clone.
#[derive(Clone, Debug)]
pub struct Recent {
    most: usize,
    bytes_most: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Oldest first, each with when it came and what it takes.
    events: VecDeque<(u64, usize, CloudEvent)>,
    bytes: usize,
}

impl Recent {
    /// Remembers at most so many events, and so many bytes of them.
    pub fn new(most: usize, bytes_most: usize) -> Self {
        Recent { most, bytes_most, kept: Arc::default() }
    }

    /// How many events it remembers at most.
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many events it remembers.
    pub fn kept(&self) -> usize {
        self.lock().events.len()
    }

    /// Remembers events that came now.
    pub fn note(&self, now: u64, events: impl IntoIterator<Item = CloudEvent>) {
        if self.most == 0 {
            return;
        }
        let mut kept = self.lock();
        for event in events {
            let bytes = event.approximate_bytes();
            if bytes > self.bytes_most {
                continue;
            }
            kept.bytes += bytes;
            kept.events.push_back((now, bytes, event));
            while kept.events.len() > self.most || kept.bytes > self.bytes_most {
                let Some((_, bytes, _)) = kept.events.pop_front() else { break };
                kept.bytes -= bytes;
            }
        }
    }

    /// The newest, newest first, of one type if that is said.
    pub fn newest(&self, node: &str, kind: Option<&str>, limit: usize) -> Vec<RecentEvent> {
        let kept = self.lock();
        let of_kind = |event: &CloudEvent| kind.is_none_or(|kind| event.kind == kind);
        let newest = kept.events.iter().rev().filter(|(_, _, event)| of_kind(event)).take(limit);
        newest
            .map(|(at, _, event)| RecentEvent { at: *at, node: node.to_owned(), event: event.clone() })
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        // Nothing in here is left half done by a panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: u64, size: usize) -> CloudEvent {
        CloudEvent::from_json(json!({
            "specversion": "1.0", "id": id.to_string(), "source": "/s",
            "type": if id.is_multiple_of(2) { "even" } else { "odd" }, "data": "x".repeat(size),
        }))
        .unwrap()
    }

    fn ids(recent: &Recent, kind: Option<&str>, limit: usize) -> Vec<String> {
        recent.newest("n", kind, limit).into_iter().map(|known| known.event.id).collect()
    }

    #[test]
    fn the_oldest_give_way_by_count() {
        let recent = Recent::new(4, 1 << 20);
        recent.note(1, (0..6).map(|id| event(id, 1)));
        assert_eq!(ids(&recent, None, 10), ["5", "4", "3", "2"]);
        assert_eq!(ids(&recent, Some("odd"), 1), ["5"]);
        assert_eq!(recent.kept(), 4);
        Recent::new(0, 100).note(1, [event(1, 1)]);
    }

    #[test]
    fn the_oldest_give_way_by_size_and_one_that_is_too_large_is_passed_over() {
        let recent = Recent::new(100, 1_000);
        recent.note(1, [event(1, 400), event(2, 400), event(3, 2_000), event(4, 400), event(5, 1)]);
        assert_eq!(ids(&recent, None, 10), ["5", "4", "2"]);
        assert!(recent.lock().bytes <= 1_000);
    }
}
