//! The file of a webhook: its shape, and what is checked when it is loaded.

use std::collections::BTreeMap;
use std::time::Duration;

use impresario_model::definition::Template;
use impresario_model::expression::Expression;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Webhook;
use super::verify::Verifier;

/// What expressions see besides `.`, the request: the item of `each`, and its place from 0.
const VARIABLES: [&str; 2] = ["item", "index"];
/// The longest name of a webhook.
const NAME_MAX: usize = 64;

/// A webhook as its file describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WebhookSpec {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How its senders are verified.
    pub verify: VerifySpec,
    /// What its body is.
    #[serde(default)]
    pub body: BodyKind,
    /// Which requests count: an expression that gives true or false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Value>,
    /// What of a request makes an event each: an expression that gives a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<Value>,
    /// The attributes of the event, and its data.
    pub event: BTreeMap<String, Value>,
    /// What is answered: text as it is, anything else as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Value>,
}

/// What a body is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyKind {
    /// What its media type says.
    #[default]
    Auto,
    /// JSON.
    Json,
    /// The fields of a form.
    Form,
    /// Text.
    Text,
}

/// How senders are verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum VerifySpec {
    /// By a signature of the body.
    Hmac(HmacSpec),
    /// By a token.
    Token(TokenSpec),
    /// Not at all: whoever can reach the door is believed.
    None,
}

/// A signature of the body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HmacSpec {
    /// The header that has it; several of them, with spaces between, count as one that is right.
    pub header: String,
    /// What is in front of it, such as `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// The hash.
    #[serde(default)]
    pub algorithm: Algorithm,
    /// How it is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// The secret.
    pub secret: SecretSpec,
    /// Where the time of the request is, and how old it may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<TimestampSpec>,
    /// What is signed: text with `{body}`, `{timestamp}` and `{header:NAME}` in it.
    #[serde(default = "body_alone")]
    pub signed: String,
}

fn body_alone() -> String {
    "{body}".to_owned()
}

/// A token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TokenSpec {
    /// The header that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The parameter that has it, if no header does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What is in front of it, such as `Bearer `.
    #[serde(default)]
    pub prefix: String,
    /// The secret.
    pub secret: SecretSpec,
}

/// A secret: a field of a runtime user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecretSpec {
    /// The runtime user.
    pub user: String,
    /// Its field.
    pub field: String,
    /// How the field is written, where the key is bytes.
    #[serde(default)]
    pub encoding: SecretEncoding,
}

/// How the field of a secret is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretEncoding {
    /// Its characters are the key.
    #[default]
    Text,
    /// The key in base64.
    Base64,
}

/// Where the time of a request is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TimestampSpec {
    /// The header that has it, in seconds since the Unix epoch.
    pub header: String,
    /// How far from now it may be.
    #[serde(default = "five_minutes", with = "humantime_serde")]
    pub tolerance: Duration,
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

/// A hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// For systems that know nothing better.
    Sha1,
    /// What most use.
    #[default]
    Sha256,
    /// The longer one.
    Sha512,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// In hexadecimal digits.
    #[default]
    Hex,
    /// In base64.
    Base64,
}

impl VerifySpec {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            VerifySpec::Hmac(_) => "hmac",
            VerifySpec::Token(_) => "token",
            VerifySpec::None => "none",
        }
    }
}

impl WebhookSpec {
    /// Reads one in YAML or JSON.
    ///
    /// # Errors
    /// What was expected and found, with its place.
    pub fn parse(text: &str) -> Result<WebhookSpec, String> {
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
    }

    /// Checks it, and makes it ready.
    ///
    /// # Errors
    /// What was expected and found, with its place in the file.
    pub fn compile(&self, name: &str) -> Result<Webhook, String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) || name.starts_with('.') {
            return Err(format!(
                "expected a name of 1 to {NAME_MAX} letters, digits, '-', '_' and '.', found '{name}'"
            ));
        }
        for (attribute, value) in &self.event {
            if attribute == "specversion" {
                return Err(
                    "event.specversion: expected attributes of the event, found what is 1.0 in any case"
                        .to_owned(),
                );
            }
            if value.is_null() {
                return Err(format!("event.{attribute}: expected a value or an expression, found nothing"));
            }
        }
        if !self.event.contains_key("type") {
            return Err("event.type: expected the type of the event, found nothing".to_owned());
        }
        let optional = |place: &str, value: &Option<Value>| {
            value.as_ref().map(|value| template(value, place)).transpose()
        };
        let attribute = |(name, value): (&String, &Value)| {
            template(value, &format!("event.{name}")).map(|template| (name.clone(), template))
        };
        Ok(Webhook {
            name: name.to_owned(),
            verifier: Verifier::new(&self.verify)?,
            body: self.body,
            when: optional("when", &self.when)?,
            each: optional("each", &self.each)?,
            event: self.event.iter().map(attribute).collect::<Result<_, _>>()?,
            reply: optional("reply", &self.reply)?,
        })
    }
}

/// A value in which whole strings of `${ … }` are expressions.
fn template(value: &Value, place: &str) -> Result<Template, String> {
    match value {
        Value::String(text) => match text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            None => Ok(Template::Literal(value.clone())),
            Some(source) => Expression::parse(source, &VARIABLES)
                .map(Template::Expression)
                .map_err(|error| format!("{place}: {}", error.message.replace('`', "'"))),
        },
        Value::Array(items) => {
            let item = |(index, item): (usize, &Value)| template(item, &format!("{place}[{index}]"));
            items.iter().enumerate().map(item).collect::<Result<_, _>>().map(Template::List)
        }
        Value::Object(members) => map(members, place),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(Template::Literal(value.clone())),
    }
}

fn map(members: &Map<String, Value>, place: &str) -> Result<Template, String> {
    let member = |(name, value): (&String, &Value)| {
        template(value, &format!("{place}.{name}")).map(|template| (name.clone(), template))
    };
    members.iter().map(member).collect::<Result<_, _>>().map(Template::Map)
}
