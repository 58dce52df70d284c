//! An operator's orders on a trigger.

use serde::{Deserialize, Serialize};

use super::{Cause, Trigger};
use crate::entry::{FireOrder, Message};

/// Since when a trigger is paused, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Trigger {
    /// Paused again it keeps since when it is, and takes the newer reason over.
    pub(super) fn pause(&mut self, reason: Option<&str>, now: u64) {
        let since = self.paused.as_ref().map_or(now, |paused| paused.since);
        self.paused = Some(Paused { since, reason: reason.map(str::to_owned) });
    }

    /// Fires because somebody says so: neither a pause nor a limit holds it back, and it counts for no limit.
    pub(super) fn fire_by_hand(&mut self, order: &FireOrder, now: u64) -> Message {
        self.fire(&order.instance, order.input.clone(), &Cause::Hand, now)
    }
}
