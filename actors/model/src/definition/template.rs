//! Values with expressions in them.

use serde_json::{Map, Value};

use super::secret::{PLACEHOLDER, SecretField};
use crate::expression::{EvaluationError, Expression, Fuel, Variables};

/// A value of a definition in which some places are expressions.
#[derive(Clone, Debug)]
pub enum Template {
    /// Stands for itself.
    Literal(Value),
    /// A string that was wholly `${ … }`, or a bare expression in an expression-typed field.
    Expression(Expression),
    /// A map with at least one expression somewhere in it; the order of the text.
    Map(Vec<(String, Template)>),
    /// A list with at least one expression somewhere in it.
    List(Vec<Template>),
    /// A URI with `{name}` places.
    Uri(UriTemplate),
    /// The value of a secret: a placeholder, whose place [`Template::secrets`] tells.
    Secret(SecretField),
}

/// A URI template with simple expansion (RFC 6570 level 1) of the top-level keys of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriTemplate {
    /// Literal text and names, in turn.
    pub parts: Vec<UriPart>,
}

/// A part of a [`UriTemplate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriPart {
    /// Text as it stands.
    Text(String),
    /// The percent-encoded value of a top-level key of the input; nothing where it is absent.
    Name(String),
}

impl Template {
    /// The value for `input` and `variables`.
    ///
    /// # Errors
    /// The first [`EvaluationError`] of an expression in it.
    pub fn evaluate(
        &self,
        input: &Value,
        variables: &dyn Variables,
        fuel: &mut Fuel,
    ) -> Result<Value, EvaluationError> {
        match self {
            Template::Literal(value) => Ok(value.clone()),
            Template::Expression(expression) => expression.evaluate(input, variables, fuel),
            Template::Map(members) => {
                let mut map = Map::new();
                for (key, member) in members {
                    map.insert(key.clone(), member.evaluate(input, variables, fuel)?);
                }
                Ok(Value::Object(map))
            }
            Template::List(items) => {
                let values = items.iter().map(|item| item.evaluate(input, variables, fuel));
                Ok(Value::Array(values.collect::<Result<_, _>>()?))
            }
            Template::Uri(uri) => uri.expand(input).map(Value::String),
            Template::Secret(_) => Ok(Value::String(PLACEHOLDER.to_owned())),
        }
    }
}

impl UriTemplate {
    /// Splits `text` into literal parts and `{name}` places.
    ///
    /// # Errors
    /// What was expected and found, for an unclosed brace or an operator that is not simple expansion.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(UriPart::Text(rest[..open].to_owned()));
            }
            let close = rest[open..]
                .find('}')
                .ok_or_else(|| format!("expected a '}}' after the '{{' in the URI '{text}'"))?;
            let name = &rest[open + 1..open + close];
            let simple = !name.is_empty()
                && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-' || c == '.');
            if !simple {
                return Err(format!("expected a name between braces in a URI, found '{{{name}}}'"));
            }
            parts.push(UriPart::Name(name.to_owned()));
            rest = &rest[open + close + 1..];
        }
        if !rest.is_empty() {
            parts.push(UriPart::Text(rest.to_owned()));
        }
        Ok(UriTemplate { parts })
    }

    /// The URI for `input`.
    ///
    /// # Errors
    /// [`EvaluationError::Raised`] where a name stands for a list or a map.
    pub fn expand(&self, input: &Value) -> Result<String, EvaluationError> {
        let mut uri = String::new();
        for part in &self.parts {
            match part {
                UriPart::Text(text) => uri.push_str(text),
                UriPart::Name(name) => match input.get(name) {
                    None | Some(Value::Null) => {}
                    Some(Value::String(text)) => percent_encode(text, &mut uri),
                    Some(value @ (Value::Bool(_) | Value::Number(_))) => {
                        percent_encode(&value.to_string(), &mut uri);
                    }
                    Some(Value::Array(_) | Value::Object(_)) => {
                        return Err(EvaluationError::Raised(format!(
                            "expected a string, a number or a boolean for {{{name}}} in a URI, found a list or a map"
                        )));
                    }
                },
            }
        }
        Ok(uri)
    }
}

/// Everything but the unreserved characters of RFC 3986 is encoded.
fn percent_encode(text: &str, uri: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
}
