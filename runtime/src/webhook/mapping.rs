//! A request into events, by the expressions of its webhook.

use std::borrow::Cow;

use impresario_model::definition::Template;
use impresario_model::event::CloudEvent;
use impresario_model::expression::{Fuel, Variables};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::verify::Verifier;
use super::{BodyKind, Delivery, Webhook};

/// The most events of one request.
const EVENTS_MAX: usize = 500;
/// What the expressions of one item may spend together.
const FUEL_PER_ITEM: u64 = Fuel::PER_EXPRESSION / 20;
/// Headers in which well-known senders name a delivery: the same again is the same delivery.
const DELIVERY_IDS: [&str; 4] = ["webhook-id", "x-github-delivery", "x-gitlab-event-uuid", "idempotency-key"];
/// Headers that no expression sees.
const HIDDEN: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// The events.
    pub events: Vec<CloudEvent>,
    /// What is answered, if the mapping says so.
    pub reply: Option<Value>,
}

struct Item {
    item: Value,
    index: Value,
}

impl Variables for Item {
    fn get(&self, name: &str) -> Option<Cow<'_, Value>> {
        match name {
            "item" => Some(Cow::Borrowed(&self.item)),
            "index" => Some(Cow::Borrowed(&self.index)),
            _ => None,
        }
    }
}

impl Webhook {
    /// How its senders are verified.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The events of a request. Takes up to some tenths of a second, if its expressions are that dear: not for an async
    /// thread.
    ///
    /// # Errors
    /// What was expected and found: the body is not what it should be, or an expression fails, or what they give is no
    /// event.
    pub fn map(&self, delivery: &Delivery) -> Result<Mapped, String> {
        let request = self.request(delivery)?;
        let alone = Item { item: Value::Null, index: json!(0) };
        // One budget for everything that does not come from an item.
        let mut fuel = Fuel(Fuel::PER_EXPRESSION);
        let reply = self.reply.as_ref().map(|reply| evaluate(reply, "reply", &request, &alone, &mut fuel));
        let reply = reply.transpose()?;
        let counts = match &self.when {
            None => true,
            Some(when) => match evaluate(when, "when", &request, &alone, &mut fuel)? {
                Value::Bool(counts) => counts,
                other => return Err(format!("when: expected true or false, found {}", shortened(&other))),
            },
        };
        if !counts {
            return Ok(Mapped { events: Vec::new(), reply });
        }
        let items = match &self.each {
            None => None,
            Some(each) => match evaluate(each, "each", &request, &alone, &mut fuel)? {
                Value::Array(items) if items.len() <= EVENTS_MAX => Some(items),
                Value::Array(items) => {
                    return Err(format!("each: expected at most {EVENTS_MAX} items, found {}", items.len()));
                }
                other => return Err(format!("each: expected a list, found {}", shortened(&other))),
            },
        };
        let id = delivery_id(&self.name, delivery);
        let events = match items {
            None => vec![self.event(&request, &alone, id, &mut fuel)?],
            Some(items) => {
                let event = |(index, item): (usize, Value)| {
                    let item = Item { item, index: json!(index) };
                    let mut fuel = Fuel(FUEL_PER_ITEM);
                    self.event(&request, &item, format!("{id}-{index}"), &mut fuel)
                        .map_err(|error| format!("{error} (item {index})"))
                };
                items.into_iter().enumerate().map(event).collect::<Result<_, _>>()?
            }
        };
        Ok(Mapped { events, reply })
    }

    fn event(&self, request: &Value, item: &Item, id: String, fuel: &mut Fuel) -> Result<CloudEvent, String> {
        let mut event = Map::new();
        event.insert("specversion".to_owned(), json!("1.0"));
        event.insert("id".to_owned(), json!(id));
        event.insert("source".to_owned(), json!(format!("/hooks/{}", self.name)));
        if !self.event.iter().any(|(name, _)| name == "data" || name == "data_base64") {
            event.insert("data".to_owned(), request.get("body").cloned().unwrap_or_default());
        }
        for (name, template) in &self.event {
            let value = evaluate(template, &format!("event.{name}"), request, item, fuel)?;
            match value {
                // Of what has a default, nothing is the default.
                Value::Null => {}
                // Numbers serve as ids and subjects in many systems.
                Value::Number(number) if matches!(name.as_str(), "id" | "subject" | "type" | "source") => {
                    event.insert(name.clone(), json!(number.to_string()));
                }
                value => {
                    event.insert(name.clone(), value);
                }
            }
        }
        CloudEvent::from_json(Value::Object(event)).map_err(|error| format!("event: {error}"))
    }

    /// What the expressions see.
    fn request(&self, delivery: &Delivery) -> Result<Value, String> {
        let (header, parameter) = self.verifier.hides();
        let hidden = |name: &str| {
            HIDDEN.contains(&name) || header.is_some_and(|header| header.eq_ignore_ascii_case(name))
        };
        let headers = delivery.headers.iter().filter(|(name, _)| !hidden(name));
        let mut shown: Map<String, Value> = Map::new();
        for (name, value) in headers {
            match shown.get_mut(name) {
                // As one line, which is what several mean.
                Some(Value::String(before)) => *before = format!("{before}, {value}"),
                _ => drop(shown.insert(name.clone(), json!(value))),
            }
        }
        let query = delivery.query.iter().filter(|(name, _)| Some(name.as_str()) != parameter).cloned();
        Ok(
            json!({ "hook": self.name, "headers": shown, "query": fields(query), "body": self.body(delivery)? }),
        )
    }

    fn body(&self, delivery: &Delivery) -> Result<Value, String> {
        let body = &delivery.body;
        let media_type = delivery.header("content-type").unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let kind = match self.body {
            BodyKind::Auto if essence.ends_with("/json") || essence.ends_with("+json") => BodyKind::Json,
            BodyKind::Auto if essence == "application/x-www-form-urlencoded" => BodyKind::Form,
            kind => kind,
        };
        let json = || {
            serde_json::from_slice(body).map_err(|error| format!("expected a body of JSON, found: {error}"))
        };
        let text = || Value::from(String::from_utf8_lossy(body));
        match kind {
            BodyKind::Json => json(),
            BodyKind::Form => Ok(fields(form_urlencoded::parse(body).into_owned())),
            BodyKind::Text => Ok(text()),
            // Nobody has said what it is.
            BodyKind::Auto if essence.is_empty() => Ok(json().unwrap_or_else(|_| text())),
            BodyKind::Auto => Ok(text()),
        }
    }
}

/// By name; one that comes several times is a list.
fn fields(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in pairs {
        match all.get_mut(&name) {
            None => drop(all.insert(name, json!(value))),
            Some(Value::Array(several)) => several.push(json!(value)),
            Some(one) => *one = json!([one.take(), value]),
        }
    }
    Value::Object(all)
}

/// What a delivery is recognised by when it comes again: the id that its sender gives it, or else its content.
fn delivery_id(hook: &str, delivery: &Delivery) -> String {
    let said = DELIVERY_IDS.iter().find_map(|name| delivery.header(name));
    if let Some(id) = said.filter(|id| !id.is_empty() && id.len() <= 256 && !id.chars().any(char::is_control))
    {
        return id.to_owned();
    }
    let mut hash = Sha256::new().chain_update(hook).chain_update([0]);
    for (name, value) in &delivery.query {
        hash = hash.chain_update(name).chain_update([0]).chain_update(value).chain_update([0]);
    }
    let hash = hash.chain_update(&delivery.body).finalize();
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn evaluate(
    template: &Template,
    place: &str,
    request: &Value,
    item: &Item,
    fuel: &mut Fuel,
) -> Result<Value, String> {
    template.evaluate(request, item, fuel).map_err(|error| format!("{place}: {error}"))
}

fn shortened(value: &Value) -> String {
    const LIMIT: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
