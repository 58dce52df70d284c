//! Bounded jq: the only expression language of the process language.
//!
//! An [`Expression`] is parsed and checked once, when a definition is loaded, and then evaluated any number of
//! times. Evaluation is a pure function of its input, its variables and the [`Fuel`] left: it reads no clock,
//! no environment and no file, and it can neither run for ever, nor exhaust the stack, nor build a value
//! beyond the limits below. So a replay gives the same value or the same error.
//!
//! The grammar is jaq's; the evaluator is our own (`machine`), since the one of jaq recurses as deep as the
//! program and the data make it. How the bounds come about:
//!
//! * **time**: a program cannot call itself (`compile`), so only iteration and data make it run long, and both
//!   spend fuel (`meter`);
//! * **stack**: the machine counts its nesting, and what is built or read recursively has a greatest depth;
//! * **memory**: whatever grows is paid for before it is allocated;
//! * **sight**: functions that look at the world do not exist (`names`).
//!
//! What differs from jq 1.7:
//!
//! * as in jaq, `//` binds tighter than `=`, and `a + b as $x | c` binds `a + b`;
//! * functions cannot call themselves, and `sub` takes the last result of its replacement only;
//! * regular expressions have neither look-around nor back-references; dates are in UTC only;
//! * objects are sorted by key; integers are exact in 64 bits, beyond they are floats;
//! * left out: `now`, `input`, `env`, `debug`, `halt` and all else that sees or changes the world, modules, `?//`,
//!   `$__loc__`, surrogate pairs in string escapes, `tostream` and its kin, `@base32`, and the rarer
//!   functions of the C library such as `frexp`.

mod compare;
mod compile;
mod compile_terms;
mod computed;
mod control;
mod flow;
mod format;
mod json;
mod machine;
mod meter;
mod names;
mod natives;
mod node;
mod number;
mod operators;
mod path;
mod scope;
mod single;
mod syntax;
mod update;
mod value;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use machine::Machine;
use meter::Meter;
use node::Program;
use value::{Outcome, Stop, Val};

/// What an evaluation may still spend: one unit for each step of iteration or recursion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fuel(pub u64);

impl Fuel {
    /// For one expression: about 5 to 70 ms of work on one core.
    pub const PER_EXPRESSION: u64 = 100_000;
}

/// The variables that an evaluation can see, by name without the `$`.
pub trait Variables {
    /// The value of a variable; `None` evaluates as null.
    fn get(&self, name: &str) -> Option<Cow<'_, Value>>;
}

/// A jq program that was checked against the limits.
#[derive(Clone, Debug)]
pub struct Expression {
    source: Arc<str>,
    program: Arc<Program>,
}

/// Why an expression is refused when its definition is loaded.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub struct ExpressionError {
    /// What was expected and what was found.
    pub message: String,
    /// The byte range in the source that is at fault.
    pub span: Option<std::ops::Range<usize>>,
}

/// Why an evaluation gave no value.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EvaluationError {
    /// The program raised an error, such as an index into a number.
    #[error("{0}")]
    Raised(String),
    /// A limit was reached: fuel, depth or size of a value.
    #[error("the expression {0}")]
    Limit(String),
}

impl Expression {
    /// Parses and checks `source`, in which the `variables` (without `$`) are in scope.
    ///
    /// # Errors
    /// [`ExpressionError`] for a syntax error, an unknown function or variable (with the nearest known name),
    /// a function that this language leaves out, recursion, or a program over the limits.
    pub fn parse(source: &str, variables: &[&str]) -> Result<Self, ExpressionError> {
        let program = syntax::with_parsed(source, |term| compile::compile(source, term, variables))?;
        Ok(Self { source: source.into(), program: Arc::new(program) })
    }

    /// The program's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The variables that it uses, without `$`: only these are asked for.
    pub fn uses(&self) -> &[String] {
        &self.program.uses
    }

    /// The first result for `input`, or null where there is none.
    ///
    /// # Errors
    /// [`EvaluationError`], the same at every evaluation of the same arguments.
    pub fn evaluate(
        &self,
        input: &Value,
        variables: &dyn Variables,
        fuel: &mut Fuel,
    ) -> Result<Value, EvaluationError> {
        let held: Vec<_> = self.program.uses.iter().map(|name| variables.get(name)).collect();
        let globals = held.iter().map(|value| value.as_deref().map_or(Val::Null, Val::lend)).collect();
        let machine = Machine::new(&self.program, globals, Meter::new(*fuel));
        // Nothing here panics on purpose; should a library do so, then it is the expression that failed.
        let result = catch_unwind(AssertUnwindSafe(|| first(&machine, input).map_err(EvaluationError::from)));
        *fuel = machine.meter.left();
        result
            .unwrap_or_else(|_| Err(EvaluationError::Raised("the expression could not be evaluated".into())))
    }
}

fn first<'v>(machine: &Machine<'v>, input: &'v Value) -> Outcome<'v, Value> {
    let found = machine.first(Val::lend(input))?;
    found.map_or(Ok(Value::Null), |value| json::result(machine, &value))
}

impl From<Stop<'_>> for EvaluationError {
    fn from(stop: Stop<'_>) -> Self {
        match stop {
            Stop::Limit(limit) => Self::Limit(limit.to_owned()),
            Stop::Raised(error) => Self::Raised(match error.as_str() {
                Some(text) => text.chars().take(MESSAGE_CHARS).collect(),
                None => format!("raised {}", json::excerpt(&error)),
            }),
            Stop::Break(_) => Self::Raised("break without its label".to_owned()),
        }
    }
}

/// How much of a raised message is kept; an expression chooses its text.
const MESSAGE_CHARS: usize = 1000;
