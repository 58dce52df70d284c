//! Reading the arguments of a call.

use std::time::Duration;

use impresario_adapter::Failure;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads a function's arguments; what does not fit is a `validation` failure that names it.
pub(crate) fn read<T: DeserializeOwned>(function: &str, arguments: Value) -> Result<T, Failure> {
    serde_json::from_value(arguments).map_err(|error| {
        Failure::validation(format!("the arguments of `{function}` are not valid"))
            .with_detail(error.to_string())
    })
}

/// A string. Expressions often yield a number or a truth value where a string is meant, so these are taken as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::Bool(truth) => Ok(Self(truth.to_string())),
            Value::Null => Err(D::Error::custom("expected a string, found null")),
            Value::Array(_) => Err(D::Error::custom("expected a string, found a list")),
            Value::Object(_) => Err(D::Error::custom("expected a string, found a map")),
        }
    }
}

/// Reads a span of seconds, which is above 0 and not more than `most`; `None` if there is none.
pub(crate) fn seconds<'de, D: Deserializer<'de>>(
    name: &str,
    most: f64,
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let Some(seconds) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    if seconds > 0.0 && seconds <= most {
        return Ok(Some(Duration::from_secs_f64(seconds)));
    }
    Err(D::Error::custom(format!("`{name}` is {seconds}, it must be above 0 and at most {most}")))
}
