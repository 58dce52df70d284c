//! One turn: what an instance may spend while it applies one entry, and what it asks for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::activity::Activities;
use super::listeners::Listeners;
use super::start_points::StartPoints;
use crate::chance;
use crate::definition::{Correlation, Definition, EventFilter, SecretField, Task, TaskId};
use crate::event::CloudEvent;
use crate::expression::{EvaluationError, Expression, Fuel, Variables};
use crate::fault::{Fault, FaultKind};

/// How many tasks one turn may begin. A longer run goes on in another turn, so that no instance keeps its
/// neighbours waiting for long.
pub const TASKS_PER_TURN: u32 = 500;
/// How much fuel all expressions of one turn may spend together before the next task waits for another turn.
pub const FUEL_PER_TURN: u64 = 2 * Fuel::PER_EXPRESSION;

/// What an instance asks for. Effects start only after the entry that caused them is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run an attempt of an activity.
    Run(Attempt),
    /// Make a start marker durable under the current epoch; the activity runs when the marker comes back.
    Mark {
        /// The adapter.
        adapter: String,
        /// The activity.
        activity: u64,
        /// The attempt.
        token: String,
        /// The target at which the activity needs a place first, if it is limited.
        unplaced: Option<String>,
    },
    /// Ask the adapter what became of an attempt that was cut off. The question does no harm if it is asked twice.
    Probe(ProbeRequest),
    /// Nobody waits for this attempt any more.
    Abandon {
        /// The adapter.
        adapter: String,
        /// The attempt.
        token: String,
    },
    /// The turn used up its budget: wake the instance again.
    Continue,
    /// Tell another actor.
    Tell(crate::entry::Message),
    /// Take an event in, as if it had come from outside: it goes to the router of its shard.
    Emit(Box<crate::event::CloudEvent>),
    /// Tell what became of the instance. It is left out where nobody asks for it, and a replay may decide otherwise.
    Lifecycle(Box<crate::event::CloudEvent>),
    /// Have an adapter observe something, in the place of what it observed for this monitor before.
    Watch(Box<crate::monitor::WatchOrder>),
    /// Have nothing observed for this monitor any more.
    Unwatch,
    /// Tell whoever records traces of work that has ended. Only a turn that is no replay tells it.
    Span(Box<crate::trace::Span>),
}

/// An attempt of an activity, ready to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The activity.
    pub activity: u64,
    /// Unique for this attempt.
    pub token: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The same for all attempts.
    pub key: String,
    /// The adapter.
    pub adapter: String,
    /// Its function.
    pub function: String,
    /// The arguments.
    pub arguments: Value,
    /// The name of the target that it is done on.
    pub target: Option<String>,
    /// The name of the runtime user as whom it is done.
    pub user: Option<String>,
    /// Where a node puts secrets into the arguments, by JSON pointer.
    pub secrets: BTreeMap<String, SecretField>,
    /// The same, if it needs a place there first where it is limited.
    pub unplaced: Option<String>,
    /// The epoch of the start marker; none for a restartable activity.
    pub marker: Option<u64>,
    /// What an earlier attempt saved.
    pub state: Option<Value>,
    /// Its place in a trace, if somebody follows that.
    pub trace: Option<crate::trace::TraceContext>,
}

/// A question to an adapter: what became of an attempt that was cut off?
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeRequest {
    /// The activity.
    pub activity: u64,
    /// The attempt.
    pub token: String,
    /// The key that all attempts had.
    pub key: String,
    /// The adapter.
    pub adapter: String,
    /// Its function.
    pub function: String,
    /// The arguments.
    pub arguments: Value,
    /// The name of the target.
    pub target: Option<String>,
    /// The name of the runtime user.
    pub user: Option<String>,
    /// Which secrets belong where in the arguments, by JSON pointer.
    pub secrets: BTreeMap<String, SecretField>,
}

/// What does not change during the life of an instance.
pub(super) struct Facts<'a> {
    pub id: &'a str,
    pub input: &'a Value,
    pub started: u64,
    pub runtime: &'a str,
    pub started_by: &'a str,
    pub task_limit: u64,
}

/// What a turn works with.
pub(super) struct Turn<'a> {
    pub definition: &'a Definition,
    pub facts: Facts<'a>,
    /// The time of the entry, in milliseconds since the Unix epoch.
    pub now: u64,
    /// The offset of the entry: the source of all chance in this turn.
    pub seed: u64,
    pub context: Value,
    pub activities: &'a mut Activities,
    pub listeners: &'a mut Listeners,
    pub start_points: &'a mut StartPoints,
    pub tasks_run: &'a mut u64,
    pub effects: Vec<Effect>,
    pub started_tasks: Vec<TaskId>,
    pub tasks_left: u32,
    pub fuel_left: u64,
    pub bytes_left: usize,
    pub out_of_budget: bool,
}

/// The names that are in scope at a place of the tree, innermost first.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub parent: Option<&'a Scope<'a>>,
    pub name: &'a str,
    pub value: &'a Value,
}

impl<'a> Scope<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        let mut scope = Some(self);
        while let Some(here) = scope {
            if here.name == name {
                return Some(here.value);
            }
            scope = here.parent;
        }
        None
    }
}

/// The task that an expression belongs to.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub task: Option<&'a Task>,
    pub started: u64,
    pub input: Option<&'a Value>,
    pub output: Option<&'a Value>,
    pub scope: Option<&'a Scope<'a>>,
}

struct Names<'t, 'a> {
    turn: &'t Turn<'a>,
    at: At<'t>,
}

impl Variables for Names<'_, '_> {
    fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        if let Some(value) = self.at.scope.and_then(|scope| scope.get(name)) {
            return Some(Cow::Borrowed(value));
        }
        let facts = &self.turn.facts;
        match name {
            "context" => Some(Cow::Borrowed(&self.turn.context)),
            "input" => self.at.input.map(Cow::Borrowed),
            "output" => self.at.output.map(Cow::Borrowed),
            "task" => self.at.task.map(|task| {
                Cow::Owned(json!({
                    "name": task.name,
                    "reference": task.pointer,
                    "definition": task.definition,
                    "input": self.at.input,
                    "output": self.at.output,
                    "startedAt": instant(self.at.started),
                }))
            }),
            "workflow" => Some(Cow::Owned(json!({
                "id": facts.id,
                "definition": self.turn.definition.document,
                "input": facts.input,
                "startedAt": instant(facts.started),
            }))),
            "runtime" => Some(Cow::Owned(json!({
                "name": "impresario", "version": facts.runtime, "metadata": {},
            }))),
            _ => None,
        }
    }
}

/// A moment as expressions see it.
pub(super) fn instant(millis: u64) -> Value {
    json!({
        "iso8601": rfc3339(millis),
        "epoch": { "seconds": millis / 1000, "milliseconds": millis },
    })
}

/// A moment as RFC 3339 in UTC with milliseconds.
pub fn rfc3339(millis: u64) -> String {
    let moment = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    moment.map_or_else(|| "9999-12-31T23:59:59.999Z".to_owned(), |moment| format!("{moment:.3}"))
}

/// The milliseconds since the Unix epoch that RFC 3339 text says.
pub fn from_rfc3339(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok()
}

/// Something that gives a value: an expression, a template, a delay.
pub(super) trait Evaluate<T> {
    fn evaluate(
        &self,
        now: u64,
        input: &Value,
        names: &dyn Variables,
        fuel: &mut Fuel,
    ) -> Result<T, EvaluationError>;
}

impl Evaluate<Value> for Expression {
    fn evaluate(
        &self,
        _now: u64,
        input: &Value,
        names: &dyn Variables,
        fuel: &mut Fuel,
    ) -> Result<Value, EvaluationError> {
        Expression::evaluate(self, input, names, fuel)
    }
}

impl Evaluate<Value> for crate::definition::Template {
    fn evaluate(
        &self,
        _now: u64,
        input: &Value,
        names: &dyn Variables,
        fuel: &mut Fuel,
    ) -> Result<Value, EvaluationError> {
        crate::definition::Template::evaluate(self, input, names, fuel)
    }
}

impl Evaluate<u64> for crate::definition::Delay {
    fn evaluate(
        &self,
        now: u64,
        input: &Value,
        names: &dyn Variables,
        fuel: &mut Fuel,
    ) -> Result<u64, EvaluationError> {
        self.millis(now, input, names, fuel)
    }
}

impl<'a> Turn<'a> {
    /// Evaluates something at a task; a failure is an `expression` fault there.
    pub fn evaluate<T>(
        &mut self,
        what: &dyn Evaluate<T>,
        input: &Value,
        at: At<'_>,
        field: &str,
    ) -> Result<T, Fault> {
        let mut fuel = Fuel(Fuel::PER_EXPRESSION);
        let result = {
            let names = Names { turn: self, at };
            what.evaluate(self.now, input, &names, &mut fuel)
        };
        self.fuel_left = self.fuel_left.saturating_sub(Fuel::PER_EXPRESSION - fuel.0);
        result.map_err(|error| {
            let pointer = at.task.map_or("/", |task| task.pointer.as_str());
            Fault::new(FaultKind::Expression, "Expression failed", format!("{field}: {error}"), pointer)
        })
    }

    /// Whether an expression gives true (`null` and `false` do not hold, all else does).
    pub fn holds(
        &mut self,
        condition: &Expression,
        input: &Value,
        at: At<'_>,
        field: &str,
    ) -> Result<bool, Fault> {
        let value: Value = self.evaluate(condition, input, at, field)?;
        Ok(!matches!(value, Value::Null | Value::Bool(false)))
    }

    /// Whether an event matches a filter. What cannot be evaluated does not match.
    pub fn sees(&mut self, filter: &EventFilter, event: &CloudEvent, at: At<'_>, fuel: &mut Fuel) -> bool {
        let before = fuel.0;
        let names = Names { turn: self, at };
        let sees = matches!(filter.check_seeing(event, Some(&names), fuel), Ok(true));
        self.fuel_left = self.fuel_left.saturating_sub(before - fuel.0);
        sees
    }

    /// The value of a key for an event; null if it has none.
    pub fn value_of(&mut self, key: &Correlation, envelope: &Value, fuel: &mut Fuel) -> Value {
        let before = fuel.0;
        let value = key.value(envelope, fuel).unwrap_or_default();
        self.fuel_left = self.fuel_left.saturating_sub(before - fuel.0);
        value
    }

    /// Whether the next task has to wait for another turn.
    pub fn exhausted(&mut self) -> bool {
        let exhausted = self.tasks_left == 0 || self.fuel_left == 0 || self.bytes_left == 0;
        self.out_of_budget |= exhausted;
        exhausted
    }

    /// A number from `low` to `high` that depends on the entry alone.
    pub fn uniform(&self, low: u64, high: u64) -> u64 {
        chance::uniform(self.seed ^ *self.tasks_run, low, high)
    }
}
