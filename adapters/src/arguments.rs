//! Reading the arguments of a call.

use std::fmt::Display;
use std::time::Duration;

use impresario_adapter::Failure;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

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

/// Reads a number that is not more than `most`.
pub(crate) fn at_most<'de, D, N>(name: &str, most: N, deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + PartialOrd + Display,
{
    let number = N::deserialize(deserializer)?;
    if number > most {
        return Err(D::Error::custom(format!("`{name}` is {number}, the most is {most}")));
    }
    Ok(number)
}

/// Reads the permissions of files as people write them: octal digits in a text. A number would be taken for a decimal one.
pub(crate) fn octal<'de, D: Deserializer<'de>>(
    name: &str,
    most: u32,
    example: &str,
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let bits = u32::from_str_radix(&text, 8).ok().filter(|bits| *bits <= most);
    bits.map(Some).ok_or_else(|| {
        D::Error::custom(format!("`{name}` is `{text}`, expected octal digits such as \"{example}\""))
    })
}

/// The JSON Schema of a list of [`Text`].
pub(crate) fn texts_schema(description: &str) -> Value {
    json!({"type": "array", "items": {"type": ["string", "number", "boolean"]}, "description": description})
}

/// The JSON Schema of variables, each a [`Text`].
pub(crate) fn environment_schema(description: &str) -> Value {
    json!({
        "type": "object",
        "additionalProperties": {"type": ["string", "number", "boolean"]},
        "description": description,
    })
}
