//! How triggers look to people.

use std::collections::BTreeMap;

use impresario_model::definition::{
    Active, Consumption, DAY_MINUTES, Definition, EventFilter, EventOptions, Read, Strategy, Until, Watch,
};
use impresario_model::event::CloudEvent;
use impresario_model::expression::Fuel;
use impresario_model::instance::rfc3339;
use impresario_model::trigger::{EventSet, FUEL_PER_EVENT, Trigger, match_event, millis_words};

use super::approve::{missed_detail, plan_detail};
use crate::orchestrator::TriggerSummary;
use crate::triggers::{
    FireDetail, PassedDetail, PausedDetail, SETS_SHOWN, SetDetail, TestedEvent, TestedFilter, TestedPart,
    TriggerDetail,
};

/// How much of a value that was found is shown.
const FOUND_SHOWN: usize = 120;

/// The kind of a trigger, by what it watches.
pub const SCHEDULE: &str = "schedule";
/// The other kind.
pub const EVENT: &str = "event";

/// A trigger monitor; `definition` is the one that it is armed with, if this node knows it.
pub fn detail(trigger: &Trigger, definition: Option<&Definition>) -> TriggerDetail {
    let spec =
        definition.and_then(|definition| definition.triggers.iter().find(|spec| spec.name == trigger.name));
    let watch = spec.map(|spec| &spec.watch);
    let passed = &trigger.passed;
    let summary = TriggerSummary {
        name: trigger.name.clone(),
        definition: trigger.definition.as_ref().map(ToString::to_string).unwrap_or_default(),
        // By convention of the names, where the definition is not known.
        kind: match watch {
            Some(Watch::Event(_)) => EVENT,
            None if trigger.name.ends_with("/on") => EVENT,
            Some(_) | None => SCHEDULE,
        }
        .to_owned(),
        watches: trigger.watches.clone(),
        state: state(trigger).to_owned(),
        problem: trigger.problem.clone(),
        fired: trigger.fired,
        matched: trigger.matched,
        suppressed: passed.suppressed(),
        failed: passed.failed,
        waiting: trigger.waiting.sets.len(),
        calendar: trigger.calendar.as_ref().map(|calendar| calendar.name.clone()),
        skipped: trigger.skipped,
        planned: trigger.plan.as_ref().map_or(0, |plan| plan.times.len()),
        last_fire: trigger.last.map(rfc3339),
        next_fire: trigger.due().map(rfc3339),
    };
    let event_watch = match (definition, watch) {
        (Some(definition), Some(Watch::Event(consumption))) => {
            Some((consumption.as_ref(), &definition.ops.events))
        }
        _ => None,
    };
    let mut history: Vec<FireDetail> = trigger
        .history
        .iter()
        .map(|fire| FireDetail {
            at: rfc3339(fire.at),
            cause: fire.cause.clone(),
            instance: fire.instance.clone(),
        })
        .collect();
    history.reverse();
    TriggerDetail {
        summary,
        options: event_watch.map(|(watched, options)| in_words(watched, options)).unwrap_or_default(),
        paused: trigger
            .paused
            .as_ref()
            .map(|paused| PausedDetail { since: rfc3339(paused.since), reason: paused.reason.clone() }),
        missed: trigger.missed.as_ref().map(missed_detail),
        plan: trigger.plan.as_ref().map(plan_detail),
        passed: PassedDetail {
            paused: passed.paused,
            inactive: passed.inactive,
            limited: passed.limited,
            expired: passed.expired,
            dropped: passed.dropped,
            failed: passed.failed,
            failure: passed.failure.clone(),
        },
        sets: event_watch
            .map(|(watched, options)| {
                let sets = trigger.waiting.sets.iter().take(SETS_SHOWN);
                sets.map(|set| set_detail(set, watched, options)).collect()
            })
            .unwrap_or_default(),
        history,
    }
}

fn state(trigger: &Trigger) -> &'static str {
    match (&trigger.definition, &trigger.problem, &trigger.paused) {
        (None, ..) => "disarmed",
        (Some(_), Some(_), _) => "problem",
        (Some(_), None, Some(_)) => "paused",
        (Some(_), None, None) => "enabled",
    }
}

fn in_words(watched: &Consumption, options: &EventOptions) -> BTreeMap<String, String> {
    let mut words = BTreeMap::new();
    let mut put = |name: &str, value: String| drop(words.insert(name.to_owned(), value));
    put(
        "read",
        match watched.read {
            Read::Data => "data",
            Read::Envelope => "envelope",
            Read::Raw => "raw",
        }
        .to_owned(),
    );
    if let Some(threshold) = &options.threshold {
        let by = threshold.by.as_ref().map_or_else(String::new, |by| format!(" by {}", by.source().trim()));
        put("threshold", format!("{} within {}{by}", threshold.count, millis_words(threshold.within_ms)));
    }
    if let Some(rate) = options.rate {
        put("rate", format!("at most {} in {}", rate.max, millis_words(rate.per_ms)));
    }
    if let Some(active) = &options.active {
        put("active", hours(active));
    }
    if watched.strategy == Strategy::All || watched.until.is_some() || options.threshold.is_some() {
        let sets = options.sets;
        put("sets", format!("at most {}, each for {}", sets.max, millis_words(sets.within_ms)));
    }
    words
}

fn hours(active: &Active) -> String {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let (from, to) = (active.from.unwrap_or(0), active.to.unwrap_or(DAY_MINUTES));
    let days = active.days.as_ref().map_or_else(String::new, |days| {
        let names: Vec<String> = days.iter().map(|day| format!("{day:?}").to_lowercase()).collect();
        format!(" on {}", names.join(", "))
    });
    format!("{} to {}{days}", time(from), time(to))
}

fn set_detail(set: &EventSet, watched: &Consumption, options: &EventOptions) -> SetDetail {
    let last = set.events.back().map_or(set.since, |event| event.at);
    let (until, waits_for) = match (&options.threshold, &watched.until) {
        (Some(threshold), _) => {
            let more = threshold.count.saturating_sub(set.events.len());
            (last + threshold.within_ms, format!("{more} more"))
        }
        (None, Some(Until::Condition(condition))) => {
            (set.since + options.sets.within_ms, condition.source().trim().to_owned())
        }
        (None, Some(Until::Events(_) | Until::Never)) => {
            (set.since + options.sets.within_ms, "an event that ends it".to_owned())
        }
        (None, None) => {
            let lacks = watched.filters.iter().enumerate().filter(|(filter, _)| !set.has(*filter));
            let names = lacks.map(|(filter, of)| {
                of.event_type().map_or_else(|| format!("filter {}", filter + 1), str::to_owned)
            });
            (set.since + options.sets.within_ms, names.collect::<Vec<_>>().join(", "))
        }
    };
    SetDetail {
        keys: set.keys.clone(),
        events: set.events.len(),
        since: rfc3339(set.since),
        until: rfc3339(until),
        waits_for,
    }
}

/// What the filters of a trigger say of an event, and why.
pub fn tested(watched: &Consumption, event: &CloudEvent) -> TestedEvent {
    let found = match_event(watched, event);
    let mut fuel = Fuel(2 * FUEL_PER_EVENT);
    let mut filters: Vec<TestedFilter> = Vec::new();
    let mut of = |word: &str, consumption: &Consumption| {
        for (number, filter) in consumption.filters.iter().enumerate() {
            filters.push(tested_filter(format!("{word} {}", number + 1), filter, event, &mut fuel));
        }
    };
    of("filter", watched);
    if let Some(Until::Events(ending)) = &watched.until {
        of("until", ending);
    }
    TestedEvent {
        id: event.id.clone(),
        source: event.source.clone(),
        kind: event.kind.clone(),
        matches: !found.filters.is_empty(),
        ends: !found.ending.is_empty(),
        filters,
    }
}

fn tested_filter(name: String, filter: &EventFilter, event: &CloudEvent, fuel: &mut Fuel) -> TestedFilter {
    let mut parts: Vec<TestedPart> = Vec::new();
    for verdict in filter.explain(event, fuel) {
        let (matches, failure) = match verdict.matches {
            Ok(matches) => (matches, None),
            Err(failure) => (false, Some(failure)),
        };
        let found = verdict.found.map(|found| shown(&found));
        parts.push(TestedPart { name: verdict.attribute, matches, wanted: verdict.wanted, found, failure });
    }
    let envelope = event.envelope();
    for key in &filter.correlate {
        let name = format!("correlate.{}", key.key);
        let expected = key.expected(fuel);
        let wanted = match &expected {
            Ok(None) => format!("a value of {}", key.from.source().trim()),
            Ok(Some(value)) => shown(value),
            Err(_) => "what it expects".to_owned(),
        };
        let (matches, found, failure) = match (key.value(&envelope, fuel), expected) {
            (Err(failure), _) | (_, Err(failure)) => (false, None, Some(failure)),
            (Ok(value), Ok(expected)) => {
                let fits = !value.is_null() && expected.is_none_or(|expected| expected == value);
                (fits, Some(shown(&value)), None)
            }
        };
        parts.push(TestedPart { name, matches, wanted, found, failure });
    }
    let matches = parts.iter().all(|part| part.matches);
    TestedFilter { name, matches, parts }
}

fn shown(value: &serde_json::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.char_indices().nth(FOUND_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
