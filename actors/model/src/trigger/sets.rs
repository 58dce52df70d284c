//! The events of a trigger that wait for others: what they wait for, and how many may.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::Read;
use crate::event::CloudEvent;
use crate::instance::approximate_bytes;
use crate::trace::TraceContext;

/// How many events one set may hold.
pub const SET_EVENTS_MAX: usize = 1_000;
/// How much all sets of a trigger may hold, in bytes of JSON: each checkpoint stores all of it.
pub const SETS_BYTES_MAX: usize = 4 << 20;

/// The sets of a trigger, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The sets.
    #[serde(default)]
    pub sets: VecDeque<EventSet>,
}

/// Events that belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EventSet {
    /// What they have in common, by the name of the key: JSON text, or a digest of it.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// The events, in the order in which they came.
    #[serde(default)]
    pub events: VecDeque<HeldEvent>,
    /// Which filters of an `until` with `all` were met.
    #[serde(default)]
    pub ending: Vec<usize>,
    /// When it began, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub since: u64,
}

/// An event that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldEvent {
    /// Its source.
    pub source: String,
    /// Its id.
    pub id: String,
    /// When it came, in milliseconds since the Unix epoch. What it says of its own time decides nothing.
    pub at: u64,
    /// The filter that it matched.
    pub filter: usize,
    /// How much it takes, in bytes.
    pub bytes: usize,
    /// What is given on of it.
    pub value: Value,
    /// Its place in a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

impl HeldEvent {
    /// An event that came now.
    pub(super) fn new(event: &CloudEvent, filter: usize, read: Read, now: u64) -> Self {
        let value = read.of(event);
        let bytes = approximate_bytes(&value) + event.source.len() + event.id.len();
        let (source, id, trace) = (event.source.clone(), event.id.clone(), TraceContext::carried_by(event));
        HeldEvent { source, id, at: now, filter, bytes, value, trace }
    }
}

impl EventSet {
    /// A set that begins now.
    pub(super) fn new(keys: &BTreeMap<String, String>, now: u64) -> Self {
        EventSet { keys: keys.clone(), since: now, ..EventSet::default() }
    }

    /// Whether no key of an event contradicts those of the set.
    pub(super) fn agrees(&self, keys: &BTreeMap<String, String>) -> bool {
        keys.iter().all(|(key, value)| self.keys.get(key).is_none_or(|known| known == value))
    }

    /// Whether it has an event of a filter.
    pub fn has(&self, filter: usize) -> bool {
        self.events.iter().any(|event| event.filter == filter)
    }

    /// Takes an event over, whose keys become those of the set.
    pub(super) fn take(&mut self, event: HeldEvent, keys: &BTreeMap<String, String>) {
        self.keys.extend(keys.iter().map(|(key, value)| (key.clone(), value.clone())));
        self.events.push_back(event);
    }

    fn bytes(&self) -> usize {
        let keys: usize = self.keys.iter().map(|(key, value)| key.len() + value.len()).sum();
        keys + self.events.iter().map(|event| event.bytes).sum::<usize>()
    }
}

impl Waiting {
    /// Forgets everything: how many sets that were.
    pub(super) fn clear(&mut self) -> u64 {
        std::mem::take(&mut self.sets).len() as u64
    }

    /// Forgets the sets that have waited too long: how many that were.
    pub(super) fn expire(&mut self, within_ms: u64, now: u64) -> u64 {
        let before = self.sets.len();
        self.sets.retain(|set| set.since.saturating_add(within_ms) > now);
        (before - self.sets.len()) as u64
    }

    /// Forgets events that came too long ago, and the sets that were left without any.
    pub(super) fn slide(&mut self, within_ms: u64, now: u64) {
        for set in &mut self.sets {
            set.events.retain(|event| event.at.saturating_add(within_ms) > now);
        }
        self.sets.retain(|set| !set.events.is_empty());
    }

    /// Forgets the oldest until the rest is within its limits: how many sets and events that were.
    pub(super) fn make_room(&mut self, sets_max: usize) -> u64 {
        let mut dropped = 0;
        while self.sets.len() > sets_max && self.sets.pop_front().is_some() {
            dropped += 1;
        }
        for set in &mut self.sets {
            while set.events.len() > SET_EVENTS_MAX && set.events.pop_front().is_some() {
                dropped += 1;
            }
        }
        let mut bytes: usize = self.sets.iter().map(EventSet::bytes).sum();
        while bytes > SETS_BYTES_MAX && self.sets.len() > 1 {
            bytes -= self.sets.pop_front().map_or(0, |set| set.bytes());
            dropped += 1;
        }
        if let Some(only) = self.sets.front_mut().filter(|_| bytes > SETS_BYTES_MAX) {
            while only.bytes() > SETS_BYTES_MAX && only.events.pop_front().is_some() {
                dropped += 1;
            }
        }
        dropped
    }
}
