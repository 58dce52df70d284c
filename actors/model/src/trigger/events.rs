//! When a trigger fires that watches events.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::sets::{EventSet, HeldEvent};
use super::{Cause, Trigger};
use crate::definition::{
    Active, Consumption, Definition, EventFilter, EventOptions, NoVariables, Strategy, Threshold,
    TriggerSpec, Until, Watch, key_text,
};
use crate::entry::Message;
use crate::event::CloudEvent;
use crate::expression::{Expression, Fuel};
use crate::ids;

/// What matching one event may spend: as much as one turn of an instance, so that no trigger holds the others up.
pub const FUEL_PER_EVENT: u64 = 2 * Fuel::PER_EXPRESSION;

/// What the filters of a trigger say of an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matched {
    /// The filters that it matches: of one or any the first of them, of all each.
    pub filters: Vec<MatchedFilter>,
    /// The filters of an `until` that it matches; an event that ends a set is not in it.
    pub ending: Vec<MatchedFilter>,
    /// Which expressions failed, and why.
    pub failures: Vec<String>,
}

/// A filter that an event matches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatchedFilter {
    /// Counted from 0.
    pub filter: usize,
    /// What ties the event to others.
    pub keys: BTreeMap<String, String>,
}

/// Matches an event: a pure function of the two.
pub fn match_event(consumption: &Consumption, event: &CloudEvent) -> Matched {
    let mut fuel = Fuel(FUEL_PER_EVENT);
    let mut failures = Vec::new();
    let ending = match &consumption.until {
        Some(Until::Events(ending)) => match_filters(ending, event, &mut fuel, &mut failures),
        Some(Until::Never | Until::Condition(_)) | None => Vec::new(),
    };
    let filters = match ending.is_empty() {
        true => match_filters(consumption, event, &mut fuel, &mut failures),
        false => Vec::new(),
    };
    Matched { filters, ending, failures }
}

fn match_filters(
    consumption: &Consumption,
    event: &CloudEvent,
    fuel: &mut Fuel,
    failures: &mut Vec<String>,
) -> Vec<MatchedFilter> {
    if consumption.filters.is_empty() && consumption.strategy == Strategy::Any {
        return vec![MatchedFilter::default()];
    }
    let mut found = Vec::new();
    for (filter, of) in consumption.filters.iter().enumerate() {
        match match_filter(of, event, fuel) {
            Ok(None) => {}
            Ok(Some(keys)) => found.push(MatchedFilter { filter, keys }),
            Err(reason) => failures.push(format!("its filter failed: {reason}")),
        }
        if !found.is_empty() && consumption.strategy != Strategy::All {
            break;
        }
    }
    found
}

/// What ties an event to others, if it matches a filter. A key that it has no value for ties it to nothing.
fn match_filter(
    filter: &EventFilter,
    event: &CloudEvent,
    fuel: &mut Fuel,
) -> Result<Option<BTreeMap<String, String>>, String> {
    if !filter.check(event, fuel)? {
        return Ok(None);
    }
    let mut keys = BTreeMap::new();
    if filter.correlate.is_empty() {
        return Ok(Some(keys));
    }
    let envelope = event.envelope();
    for correlation in &filter.correlate {
        let value = correlation.value(&envelope, fuel)?;
        match correlation.expected(fuel)? {
            _ if value.is_null() => return Ok(None),
            Some(expected) if expected != value => return Ok(None),
            Some(_) => {}
            None => drop(keys.insert(correlation.key.clone(), key_text(&value))),
        }
    }
    Ok(Some(keys))
}

/// The events of a fire.
type Complete = VecDeque<HeldEvent>;

impl Trigger {
    /// Looks at an event.
    pub(super) fn on_event(
        &mut self,
        (definition, spec): (&Definition, &TriggerSpec),
        event: &CloudEvent,
        now: u64,
    ) -> Vec<Message> {
        let Watch::Event(consumption) = &spec.watch else { return Vec::new() };
        let options = &definition.ops.events;
        let found = match_event(consumption, event);
        found.failures.iter().for_each(|reason| self.note_failure(reason));
        if found.filters.is_empty() && found.ending.is_empty() {
            return Vec::new();
        }
        let counts = u64::from(!found.filters.is_empty());
        self.matched += counts;
        if self.paused.is_some() {
            self.passed.paused += counts;
            return Vec::new();
        }
        if !self.is_active(definition, now) {
            self.passed.inactive += counts;
            return Vec::new();
        }
        let complete = self.complete(consumption, options, event, &found, now);
        let fire = |events| self.fire_events(options, events, now);
        complete.into_iter().filter_map(fire).collect()
    }

    /// Whether events count now. Without the calendar that its definition names, none do.
    fn is_active(&self, definition: &Definition, now: u64) -> bool {
        let zone = definition.ops.time_zone.as_deref().unwrap_or("UTC");
        let day = match (&definition.ops.events.active, &self.calendar) {
            (None, None) => return self.problem.is_none(),
            (Some(active), _) => active.day(now, zone),
            (None, Some(_)) => Active::default().day(now, zone),
        };
        let covers = |day| self.calendar.as_ref().is_none_or(|calendar| calendar.covers_day(day));
        self.problem.is_none() && day.is_some_and(covers)
    }

    /// The sets that an event completes.
    fn complete(
        &mut self,
        consumption: &Consumption,
        options: &EventOptions,
        event: &CloudEvent,
        found: &Matched,
        now: u64,
    ) -> Vec<Complete> {
        let held = |filter| HeldEvent::new(event, filter, consumption.read, now);
        let first = found.filters.first();
        if let (Some(threshold), Some(first)) = (&options.threshold, first) {
            self.waiting.slide(threshold.within_ms, now);
            let complete = self.count(threshold, event, held(first.filter), &first.keys, now);
            self.passed.dropped += self.waiting.make_room(options.sets.max);
            return complete.into_iter().collect();
        }
        let gathers = consumption.strategy == Strategy::All || consumption.until.is_some();
        if let (Some(first), false) = (first, gathers) {
            return vec![VecDeque::from([held(first.filter)])];
        }
        self.passed.expired += self.waiting.expire(options.sets.within_ms, now);
        let complete = match (&consumption.until, first) {
            (Some(Until::Events(ending)), _) if !found.ending.is_empty() => self.end(ending, &found.ending),
            (Some(until), Some(first)) => {
                self.collect(until, held(first.filter), &first.keys, now).into_iter().collect()
            }
            (None, Some(first)) => {
                let chosen = self.chosen(&found.filters).unwrap_or(first);
                let complete = self.fill(held(chosen.filter), &chosen.keys, consumption.filters.len(), now);
                complete.into_iter().collect()
            }
            (_, None) => Vec::new(),
        };
        self.passed.dropped += self.waiting.make_room(options.sets.max);
        complete
    }

    /// Counts an event within the sliding window of those that it is counted with.
    fn count(
        &mut self,
        threshold: &Threshold,
        event: &CloudEvent,
        held: HeldEvent,
        keys: &BTreeMap<String, String>,
        now: u64,
    ) -> Option<Complete> {
        let mut keys = keys.clone();
        if let Some(by) = &threshold.by {
            match evaluate(by, &event.envelope()) {
                Ok(Value::Null) => return None,
                Ok(value) => drop(keys.insert("by".to_owned(), key_text(&value))),
                Err(reason) => {
                    self.note_failure(&format!("its threshold.by failed: {reason}"));
                    return None;
                }
            }
        }
        let sets = &mut self.waiting.sets;
        // Whatever was counted last goes to the end, so that what gives way is what nothing was heard of for longest.
        let known = sets.iter().position(|set| set.keys == keys).and_then(|at| sets.remove(at));
        let mut set = known.unwrap_or_else(|| EventSet::new(&keys, now));
        set.take(held, &keys);
        if set.events.len() >= threshold.count {
            return Some(set.events);
        }
        sets.push_back(set);
        None
    }

    /// Which of the filters that an event matches it is taken for: the first that the oldest set still lacks.
    fn chosen<'m>(&self, matched: &'m [MatchedFilter]) -> Option<&'m MatchedFilter> {
        let lacking = |set: &EventSet, one: &MatchedFilter| !set.has(one.filter) && set.agrees(&one.keys);
        self.waiting.sets.iter().find_map(|set| matched.iter().find(|one| lacking(set, one)))
    }

    /// Adds an event to the oldest set that lacks it.
    fn fill(
        &mut self,
        held: HeldEvent,
        keys: &BTreeMap<String, String>,
        filters: usize,
        now: u64,
    ) -> Option<Complete> {
        let filter = held.filter;
        self.gather(held, keys, now, |set| !set.has(filter), |set| Ok(set.events.len() == filters))
    }

    /// Adds an event to its set, and tells whether the condition holds for the events so far.
    fn collect(
        &mut self,
        until: &Until,
        held: HeldEvent,
        keys: &BTreeMap<String, String>,
        now: u64,
    ) -> Option<Complete> {
        self.gather(
            held,
            keys,
            now,
            |_| true,
            |set| {
                let Until::Condition(condition) = until else { return Ok(false) };
                let so_far = set.events.iter().map(|event| event.value.clone()).collect();
                let holds = evaluate(condition, &Value::Array(so_far))
                    .map_err(|reason| format!("its until failed: {reason}"))?;
                Ok(!matches!(holds, Value::Null | Value::Bool(false)))
            },
        )
    }

    /// Adds an event to the oldest set that takes it, or to a new one; the set leaves once it is complete.
    fn gather(
        &mut self,
        held: HeldEvent,
        keys: &BTreeMap<String, String>,
        now: u64,
        takes: impl Fn(&EventSet) -> bool,
        complete: impl FnOnce(&EventSet) -> Result<bool, String>,
    ) -> Option<Complete> {
        let sets = &mut self.waiting.sets;
        let at = sets.iter().position(|set| takes(set) && set.agrees(keys)).unwrap_or_else(|| {
            sets.push_back(EventSet::new(keys, now));
            sets.len() - 1
        });
        let set = sets.get_mut(at)?;
        set.take(held, keys);
        match complete(set) {
            Ok(true) => self.waiting.sets.remove(at).map(|set| set.events),
            Ok(false) => None,
            Err(reason) => {
                self.note_failure(&reason);
                None
            }
        }
    }

    /// The sets that an event ends, in the order in which they began.
    fn end(&mut self, ending: &Consumption, matched: &[MatchedFilter]) -> Vec<Complete> {
        let mut ended = Vec::new();
        for mut set in std::mem::take(&mut self.waiting.sets) {
            let met = matched.iter().filter(|one| set.agrees(&one.keys)).map(|one| one.filter);
            let met: Vec<usize> = met.collect();
            let done = match ending.strategy {
                Strategy::One | Strategy::Any => !met.is_empty(),
                Strategy::All => {
                    let new = met.into_iter().find(|filter| !set.ending.contains(filter));
                    set.ending.extend(new);
                    set.ending.len() == ending.filters.len()
                }
            };
            if done {
                ended.push(set.events);
            } else {
                self.waiting.sets.push_back(set);
            }
        }
        ended
    }

    /// Starts an instance with the events, unless it has fired too often.
    fn fire_events(&mut self, options: &EventOptions, events: Complete, now: u64) -> Option<Message> {
        if let Some(rate) = options.rate {
            while self.pace.front().is_some_and(|at| at.saturating_add(rate.per_ms) <= now) {
                self.pace.pop_front();
            }
            if self.pace.len() >= rate.max {
                self.passed.limited += 1;
                return None;
            }
            self.pace.push_back(now);
        }
        let last = events.back()?;
        let (count, source, id, trace) = (events.len(), last.source.clone(), last.id.clone(), last.trace);
        let named = events.iter().map(|event| (event.source.as_str(), event.id.as_str()));
        let instance = match count {
            1 => ids::instance_of_event(&self.name, &source, &id),
            _ => ids::instance_of_events(&self.name, named),
        };
        let input = Value::Array(events.into_iter().map(|event| event.value).collect());
        let cause = Cause::Events { count, source: &source, id: &id, trace };
        Some(self.fire(&instance, input, &cause, now))
    }
}

fn evaluate(expression: &Expression, input: &Value) -> Result<Value, String> {
    let mut fuel = Fuel(Fuel::PER_EXPRESSION);
    expression.evaluate(input, &NoVariables, &mut fuel).map_err(|error| error.to_string())
}
