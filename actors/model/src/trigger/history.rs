//! What a trigger keeps of what it did, for people.

use serde::{Deserialize, Serialize};

use super::Trigger;
use crate::instance::rfc3339;
use crate::trace::TraceContext;

/// How many fires are kept.
pub const HISTORY_MAX: usize = 10;
/// How much of an id, a source or a reason is kept.
const WORDS_MAX: usize = 200;

/// What made a trigger fire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause<'e> {
    /// This nominal time, in milliseconds since the Unix epoch.
    Time(u64),
    /// So many events, the last of which is this one.
    Events {
        /// How many.
        count: usize,
        /// The last one's source.
        source: &'e str,
        /// The last one's id.
        id: &'e str,
        /// Its place in a trace.
        trace: Option<TraceContext>,
    },
    /// An operator's order.
    Hand,
}

impl Cause<'_> {
    /// The place in a trace that the fire follows from.
    pub fn trace(&self) -> Option<TraceContext> {
        match self {
            Cause::Events { trace, .. } => *trace,
            Cause::Time(_) | Cause::Hand => None,
        }
    }
}

/// One fire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fire {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The instance that it started.
    pub instance: String,
    /// Why, in words.
    pub cause: String,
}

/// What matched, or was complete, and started nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// Events that matched while it was paused.
    #[serde(default)]
    pub paused: u64,
    /// Events that matched at a time or on a day that does not count.
    #[serde(default)]
    pub inactive: u64,
    /// Fires beyond its limit of them.
    #[serde(default)]
    pub limited: u64,
    /// Sets of events that waited too long.
    #[serde(default)]
    pub expired: u64,
    /// Sets and events that there was no room for, or that belong to another version of its definition.
    #[serde(default)]
    pub dropped: u64,
    /// Events that could not be matched because an expression failed.
    #[serde(default)]
    pub failed: u64,
    /// Why, of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Passed {
    /// Everything that started nothing on purpose: while it was paused, out of hours, or beyond the limit.
    pub fn suppressed(&self) -> u64 {
        self.paused + self.inactive + self.limited
    }
}

impl Trigger {
    /// Notes a fire.
    pub(super) fn remember(&mut self, instance: &str, cause: &Cause<'_>, now: u64) {
        let cause = match cause {
            Cause::Time(nominal) => format!("the time {}", rfc3339(*nominal)),
            Cause::Events { count: 1, source, id, .. } => {
                format!("event {} of {}", shortened(id), shortened(source))
            }
            Cause::Events { count, source, id, .. } => {
                format!("{count} events, the last {} of {}", shortened(id), shortened(source))
            }
            Cause::Hand => "by hand".to_owned(),
        };
        self.history.push_back(Fire { at: now, instance: instance.to_owned(), cause });
        while self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
    }

    /// Notes that an event could not be matched.
    pub(super) fn note_failure(&mut self, reason: &str) {
        self.passed.failed += 1;
        self.passed.failure = Some(shortened(reason));
    }
}

/// Text of others, as far as people need it.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(WORDS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
