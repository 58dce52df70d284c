//! Durations as the language writes them.

use serde_json::Value;

use crate::expression::{EvaluationError, Expression, Fuel, Variables};

/// A duration of a definition: fixed, calendar-relative, or computed.
#[derive(Clone, Debug)]
pub enum Delay {
    /// A fixed number of milliseconds.
    Millis(u64),
    /// An ISO 8601 duration with years or months, which only an instant gives a length.
    Calendar(jiff::Span),
    /// An expression that gives an ISO 8601 duration or a map of units.
    Expression(Expression),
}

impl Delay {
    /// The length in milliseconds when counted from `now_ms` (milliseconds since the Unix epoch).
    ///
    /// # Errors
    /// [`EvaluationError`] of the expression, or where its value is not a duration.
    pub fn millis(
        &self,
        now_ms: u64,
        input: &Value,
        variables: &dyn Variables,
        fuel: &mut Fuel,
    ) -> Result<u64, EvaluationError> {
        let _ = (now_ms, input, variables, fuel);
        Ok(0)
    }

    /// Reads a duration: ISO 8601 text or a map of days, hours, minutes, seconds, milliseconds.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        let _ = value;
        Ok(Delay::Millis(0))
    }
}
