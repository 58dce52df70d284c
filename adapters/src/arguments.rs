//! Reading the arguments of a call.

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
