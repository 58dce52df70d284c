//! `listen`: what a task waits for, and by which values an event finds it.

use std::ops::Range;

use super::{Consumption, Correlation, DataOut, EventFilter, Strategy, TaskList, Until};
use crate::correlation::listener_id;

/// How far a listener looks back if its task does not say, in milliseconds; never to before its instance began.
pub const LOOKBACK_MS: u64 = 5 * 60_000;
/// How far a task may have it look back, in milliseconds: so long every event that it could want is kept.
pub const LOOKBACK_MAX_MS: u64 = 7 * 86_400_000;

/// A `listen` task.
#[derive(Clone, Debug)]
pub struct Listen {
    /// What it consumes. There is at least one filter, but for `all` of none.
    pub to: Consumption,
    /// What is done for each event.
    pub foreach: Option<Foreach>,
    /// `metadata.ops.lookback`, in milliseconds.
    pub lookback_ms: Option<u64>,
    /// By which values an event finds it; for each filter, those of `until` behind those of `to`.
    pub paths: Vec<Paths>,
}

/// What a listener does for each event.
#[derive(Clone, Debug)]
pub struct Foreach {
    /// The variable of the event.
    pub item: String,
    /// The variable of its index.
    pub at: String,
    /// The tasks.
    pub body: TaskList,
    /// `output`.
    pub output: DataOut,
    /// `export`.
    pub export: DataOut,
}

/// The ways on which events that match a filter come to those who wait for them.
#[derive(Clone, Debug)]
pub struct Paths {
    /// By all its keys.
    pub whole: Path,
    /// By those keys alone whose values are known when the task begins; absent where these are all.
    pub begun: Option<Path>,
}

/// A way of events to those who wait for them.
#[derive(Clone, Debug)]
pub struct Path {
    /// What a filter and its keys are known by, in all definitions that have the same.
    pub listener: String,
    /// Which keys of the filter, in the order of their names.
    pub keys: Vec<usize>,
}

impl Listen {
    /// A task that consumes so.
    pub fn new(mut to: Consumption, foreach: Option<Foreach>, lookback_ms: Option<u64>) -> Self {
        take_everything(&mut to);
        if let Some(Until::Events(ending)) = &mut to.until {
            take_everything(ending);
        }
        let mut listen = Listen { to, foreach, lookback_ms, paths: Vec::new() };
        listen.paths = listen.filters().map(|filter| listen.paths_of(filter)).collect();
        listen
    }

    /// All filters: those of `to`, then those of `until`.
    pub fn filters(&self) -> impl Iterator<Item = &EventFilter> {
        self.to.filters.iter().chain(self.ending().into_iter().flat_map(|ending| &ending.filters))
    }

    /// What ends it, if events do.
    pub fn ending(&self) -> Option<&Consumption> {
        match &self.to.until {
            Some(Until::Events(ending)) => Some(ending),
            Some(Until::Never | Until::Condition(_)) | None => None,
        }
    }

    /// What a filter is a part of, by its number, and the numbers of all filters of that.
    pub fn part_of(&self, filter: usize) -> (&Consumption, Range<usize>) {
        let own = self.to.filters.len();
        match self.ending() {
            Some(ending) if filter >= own => (ending, own..own + ending.filters.len()),
            _ => (&self.to, 0..own),
        }
    }

    /// How long the events that it could want are kept, in milliseconds.
    pub fn keep_ms(&self) -> u64 {
        self.lookback_ms.unwrap_or(LOOKBACK_MS)
    }

    /// Whether the value of a key is known when the task begins: one of its filters says what is expected.
    pub fn expects(&self, key: &str) -> bool {
        let expects = |correlation: &Correlation| correlation.key == key && correlation.expect.is_some();
        self.filters().any(|filter| filter.correlate.iter().any(expects))
    }

    fn paths_of(&self, filter: &EventFilter) -> Paths {
        let mut keys: Vec<usize> = (0..filter.correlate.len()).collect();
        keys.sort_by_key(|at| filter.correlate.get(*at).map(|correlation| correlation.key.as_str()));
        let path = |keys: Vec<usize>| Path {
            listener: listener_id(filter, keys.iter().filter_map(|at| filter.correlate.get(*at))),
            keys,
        };
        let known = |at: &usize| filter.correlate.get(*at).is_some_and(|key| self.expects(&key.key));
        let begun: Vec<usize> = keys.iter().copied().filter(known).collect();
        Paths { begun: (begun.len() < keys.len()).then(|| path(begun)), whole: path(keys) }
    }
}

/// `any: []` takes every event: like one filter that asks for nothing.
fn take_everything(consumption: &mut Consumption) {
    if consumption.strategy == Strategy::Any && consumption.filters.is_empty() {
        consumption.filters.push(EventFilter::default());
    }
}
