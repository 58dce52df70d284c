//! The expression language: what it computes, what it refuses, and that nothing in it can do harm.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

#[path = "expression/determinism.rs"]
mod determinism;
#[path = "expression/hostile.rs"]
mod hostile;
#[path = "expression/oracle.rs"]
mod oracle;
#[path = "expression/refused.rs"]
mod refused;
#[path = "expression/semantics.rs"]
mod semantics;
#[path = "expression/soup.rs"]
mod soup;

use std::borrow::Cow;
use std::collections::BTreeMap;

use impresario_model::expression::{EvaluationError, Expression, Fuel, Variables};
use serde_json::{Value, json};

/// Variables from a map.
struct Bound(BTreeMap<String, Value>);

impl Variables for Bound {
    fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.0.get(name).map(Cow::Borrowed)
    }
}

/// The variables that all tests bind.
fn bound() -> Bound {
    let value = json!({"x": 7, "context": {"user": {"name": "ada"}}, "list": [3, 1, 2], "nothing": null});
    Bound(serde_json::from_value(value).unwrap())
}

const NAMES: [&str; 5] = ["x", "context", "list", "nothing", "unset"];

/// Evaluates with the usual fuel.
fn evaluate(program: &str, input: &Value) -> Result<Value, EvaluationError> {
    let expression =
        Expression::parse(program, &NAMES).unwrap_or_else(|e| panic!("{program}: {e} at {:?}", e.span));
    expression.evaluate(input, &bound(), &mut Fuel(Fuel::PER_EXPRESSION))
}

/// Runs a test on a thread with as small a stack as any caller has.
fn on_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}
