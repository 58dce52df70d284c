//! `listen`: events are consumed one after the other, each finished before the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::listeners::{Listener, Place};
use super::poll::{self, Flow};
use super::run::{ListRun, TaskState};
use super::turn::{At, Effect, Scope, Turn};
use crate::correlation::same;
use crate::definition::{EventFilter, Foreach, LOOKBACK_MS, Listen, Strategy, Task, TaskId, Until};
use crate::event::CloudEvent;
use crate::expression::Fuel;
use crate::fault::{Fault, FaultKind};
use crate::ids;
use crate::subscription::{subscribe, unsubscribe};

/// A `listen` under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenRun {
    /// The number of its listener.
    pub listener: u64,
    /// What became of each event so far: the output.
    pub items: Vec<Value>,
    /// The event that is worked on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Handling>,
}

/// An event that is worked on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handling {
    /// The event, in the form in which it is read.
    pub item: Value,
    /// The tasks of `foreach`.
    pub body: ListRun,
}

/// What a listener comes to when it looks for the next event.
enum Next {
    /// It waits.
    Nothing,
    /// An event to be given on.
    Event(Box<CloudEvent>),
    /// An event has ended it.
    End,
}

/// Begins to listen: what is expected is evaluated now, and once.
pub(super) fn begin(
    turn: &mut Turn<'_>,
    id: TaskId,
    listen: &Listen,
    input: &Value,
    at: At<'_>,
) -> Result<TaskState, Fault> {
    let mut expected = Vec::new();
    let mut bound = BTreeMap::new();
    for filter in listen.filters() {
        let mut values = BTreeMap::new();
        for key in &filter.correlate {
            let Some(expect) = &key.expect else { continue };
            let field = format!("correlate.{}.expect", key.key);
            let value: Value = turn.evaluate(expect, input, at, &field)?;
            if value.is_null() {
                let detail = format!("{field}: expected a value, found null, which no event has");
                let pointer = at.task.map_or("/", |task| task.pointer.as_str());
                return Err(Fault::new(FaultKind::Expression, "Expression failed", detail, pointer));
            }
            // Keys of the same name have one value, also where only one filter says what is expected.
            bound.entry(key.key.clone()).or_insert_with(|| value.clone());
            values.insert(key.key.clone(), value);
        }
        expected.push(values);
    }
    turn.listeners.last += 1;
    let number = turn.listeners.last;
    let since = match listen.lookback_ms {
        Some(lookback) => turn.now.saturating_sub(lookback),
        None => turn.facts.started.max(turn.now.saturating_sub(LOOKBACK_MS)),
    };
    turn.listeners.open.push(Listener {
        number,
        task: id,
        since,
        after: turn.listeners.count,
        expected,
        bound,
        places: Vec::new(),
        inbox: Default::default(),
        filled: Vec::new(),
        satisfied: listen.to.strategy == Strategy::All && listen.to.filters.is_empty(),
        deaf: None,
    });
    take_places(turn, listen, number);
    Ok(TaskState::Listen(ListenRun { listener: number, items: Vec::new(), current: None }))
}

/// Subscribes where the events come that are still needed, and nowhere else.
fn take_places(turn: &mut Turn<'_>, listen: &Listen, number: u64) {
    let instance = turn.facts.id;
    let Some(listener) = turn.listeners.get_mut(number) else { return };
    let wanted = listener.wanted(listen);
    let about = listener.about(listen);
    listener.places.retain(|place| {
        let stays = wanted.contains(&place.subscription);
        if !stays {
            turn.effects.push(Effect::Tell(unsubscribe(&place.subscription, instance, number)));
        }
        stays
    });
    for subscription in wanted {
        if listener.places.iter().any(|place| place.subscription == subscription) {
            continue;
        }
        let message = subscribe(&subscription, instance, number, listener.since, &about);
        turn.effects.push(Effect::Tell(message));
        listener.places.push(Place { subscription, holds: false });
    }
}

/// Ends a listener, however its task ended.
pub(super) fn close(turn: &mut Turn<'_>, number: u64) {
    let effects = turn.listeners.close(turn.facts.id, number);
    turn.effects.extend(effects);
}

/// Goes on as far as there are events.
pub(super) fn poll(
    turn: &mut Turn<'_>,
    task: &Task,
    listen: &Listen,
    run: &mut ListenRun,
    at: At<'_>,
) -> Flow {
    if turn.listeners.get(run.listener).is_some_and(|listener| listener.deaf.is_some()) {
        take_places(turn, listen, run.listener);
    }
    let flow = go_on(turn, task, listen, run, at).unwrap_or_else(Flow::Fault);
    if !matches!(flow, Flow::Pending) {
        close(turn, run.listener);
    }
    flow
}

fn go_on(
    turn: &mut Turn<'_>,
    task: &Task,
    listen: &Listen,
    run: &mut ListenRun,
    at: At<'_>,
) -> Result<Flow, Fault> {
    loop {
        if let (Some(handling), Some(foreach)) = (&mut run.current, &listen.foreach) {
            match handle(turn, foreach, handling, run.items.len(), at)? {
                Flow::Done(output) => {
                    run.current = None;
                    run.items.push(output);
                    note_condition(turn, listen, run, at)?;
                }
                flow => return Ok(flow),
            }
        }
        match next(turn, task, listen, run.listener, at)? {
            Next::Nothing => return Ok(Flow::Pending),
            Next::End => return Ok(Flow::Done(Value::Array(std::mem::take(&mut run.items)))),
            Next::Event(event) => {
                let item = listen.to.read.of(&event);
                turn.charge(&item);
                if listen.foreach.is_some() {
                    let body = ListRun::new(item.clone());
                    run.current = Some(Handling { item, body });
                } else {
                    run.items.push(item);
                    note_condition(turn, listen, run, at)?;
                }
            }
        }
    }
}

/// The tasks for one event, and what becomes of their output.
fn handle(
    turn: &mut Turn<'_>,
    foreach: &Foreach,
    handling: &mut Handling,
    index: usize,
    at: At<'_>,
) -> Result<Flow, Fault> {
    let index = json!(index);
    let outer = Scope { parent: at.scope, name: &foreach.item, value: &handling.item };
    let scope = Scope { parent: Some(&outer), name: &foreach.at, value: &index };
    let raw = match poll::list(turn, &foreach.body, &mut handling.body, Some(&scope)) {
        Flow::Done(raw) => raw,
        flow => return Ok(flow),
    };
    let at = At { scope: Some(&scope), output: Some(&raw), ..at };
    let output = poll::transform_output(turn, &foreach.output, &raw, at, "foreach.output")?;
    let output = output.unwrap_or_else(|| raw.clone());
    turn.charge(&output);
    let at = At { output: Some(&output), ..at };
    if let Some(context) = poll::transform_output(turn, &foreach.export, &output, at, "foreach.export")? {
        turn.context = context;
    }
    Ok(Flow::Done(output))
}

/// After an event was consumed: whether the condition of `until` holds for all of them.
fn note_condition(
    turn: &mut Turn<'_>,
    listen: &Listen,
    run: &mut ListenRun,
    at: At<'_>,
) -> Result<(), Fault> {
    let Some(Until::Condition(condition)) = &listen.to.until else { return Ok(()) };
    let items = Value::Array(std::mem::take(&mut run.items));
    let holds = turn.holds(condition, &items, at, "until");
    if let Value::Array(items) = items {
        run.items = items;
    }
    if holds? {
        satisfy(turn, listen, run.listener);
    }
    Ok(())
}

fn satisfy(turn: &mut Turn<'_>, listen: &Listen, number: u64) {
    if let Some(listener) = turn.listeners.get_mut(number) {
        listener.satisfied = true;
        listener.inbox.clear();
        take_places(turn, listen, number);
    }
}

/// The next event that the listener needs.
fn next(turn: &mut Turn<'_>, task: &Task, listen: &Listen, number: u64, at: At<'_>) -> Result<Next, Fault> {
    loop {
        let Some(listener) = turn.listeners.get(number) else {
            let detail = format!("listener {number} is not known to its instance");
            return Err(Fault::new(FaultKind::Runtime, "Listener unknown", detail, &task.pointer));
        };
        if listener.satisfied {
            return Ok(Next::End);
        }
        if !listener.hears() {
            return Ok(Next::Nothing);
        }
        let Some(heard) = listener.inbox.front() else {
            let pointer = Some(task.pointer.clone());
            return match &listener.deaf {
                // What it heard before is done with.
                Some(fault) => Err(Fault { instance: pointer, ..fault.clone() }),
                None => Ok(Next::Nothing),
            };
        };
        let passed_over = turn.listeners.is_consumed(listener, heard)
            || (heard.early && listen.lookback_ms.is_none() && began_it(turn, &heard.received.event));
        if turn.exhausted() {
            return Ok(Next::Nothing);
        }
        turn.tasks_left = turn.tasks_left.saturating_sub(1);
        let heard = turn.listeners.get_mut(number).and_then(|listener| listener.inbox.pop_front());
        let Some(event) = heard.filter(|_| !passed_over).map(|heard| heard.received.event) else { continue };
        let Some(filter) = filter_of(turn, listen, number, &event, at) else { continue };
        take(turn, listen, number, filter, &event);
        if filter < listen.to.filters.len() {
            return Ok(Next::Event(event));
        }
    }
}

/// Whether an event has started the instance: it is not found again by looking back, unless the task says how far.
fn began_it(turn: &Turn<'_>, event: &CloudEvent) -> bool {
    let facts = &turn.facts;
    let derived = |trigger| ids::instance_of_event(trigger, &event.source, &event.id) == facts.id;
    let same = |item: &Value| {
        item.get("id").and_then(Value::as_str) == Some(&event.id)
            && item.get("source").and_then(Value::as_str) == Some(&event.source)
    };
    facts.started_by.strip_prefix("trigger ").is_some_and(|trigger| {
        derived(trigger) || facts.input.as_array().is_some_and(|events| events.iter().any(same))
    })
}

/// The filter that an event is taken for; those that end the listening come first. All of them share the fuel of one
/// expression.
fn filter_of(
    turn: &mut Turn<'_>,
    listen: &Listen,
    number: u64,
    event: &CloudEvent,
    at: At<'_>,
) -> Option<usize> {
    let mut filters: Vec<_> = listen.filters().enumerate().collect();
    filters.rotate_left(listen.to.filters.len());
    let envelope = event.envelope();
    let mut fuel = Fuel(Fuel::PER_EXPRESSION);
    let mut fits = |place: usize, filter: &EventFilter| {
        let filled = turn.listeners.get(number).is_some_and(|listener| listener.filled.contains(&place));
        if filled || !turn.sees(filter, event, at, &mut fuel) {
            return false;
        }
        filter.correlate.iter().all(|key| {
            let value = turn.value_of(key, &envelope, &mut fuel);
            match turn.listeners.get(number).and_then(|listener| listener.value_of(place, &key.key)) {
                Some(wanted) => same(wanted, &value),
                None => !value.is_null(),
            }
        })
    };
    filters.into_iter().find(|(place, filter)| fits(*place, filter)).map(|(place, _)| place)
}

/// Consumes an event for a filter: its keys are bound from now on, and it may be the last that was missing.
fn take(turn: &mut Turn<'_>, listen: &Listen, number: u64, filter: usize, event: &CloudEvent) {
    turn.listeners.consume(number, event);
    let Some(spec) = listen.filters().nth(filter) else { return };
    let (envelope, mut fuel) = (event.envelope(), Fuel(Fuel::PER_EXPRESSION));
    let values = spec.correlate.iter().map(|key| (key.key.clone(), turn.value_of(key, &envelope, &mut fuel)));
    let values: Vec<_> = values.collect();
    let Some(listener) = turn.listeners.get_mut(number) else { return };
    for (key, value) in values {
        listener.bound.entry(key).or_insert(value);
    }
    let (consumption, places) = listen.part_of(filter);
    let satisfied = match consumption.strategy {
        Strategy::One => true,
        Strategy::Any => consumption.until.is_none(),
        Strategy::All => {
            listener.filled.push(filter);
            places.into_iter().all(|place| listener.filled.contains(&place))
        }
    };
    if satisfied {
        satisfy(turn, listen, number);
    } else {
        take_places(turn, listen, number);
    }
}
