//! Secrets on their way to an adapter host: looked up just before a call, put where they belong, and hidden in whatever
//! comes back. They are in no entry and no snapshot: an instance has their names alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use impresario_adapter::{Failure, RuntimeUser};
use impresario_model::definition::{PLACEHOLDER, SecretField};
use serde_json::{Map, Value};

use crate::activity::{Outcome, RunRequest};

/// A shorter value is not hidden: it would be found in everything.
const HIDDEN_MIN: usize = 4;
/// A line of a value of several lines, such as a private key, is hidden by itself from this length on.
const LINE_MIN: usize = 16;
/// The fields that say who somebody is, and are no secret.
const OPEN: [&str; 3] = ["username", "clientId", "authority"];

/// Knows the runtime users of the environment, with their secrets.
pub trait Resolver: Send + Sync + 'static {
    /// The runtime user of a name.
    ///
    /// # Errors
    /// The failure of the call that asks: there is none, or this node cannot open it.
    fn user(&self, name: &str) -> Result<RuntimeUser, Failure>;
}

/// Knows none.
pub struct NoSecrets;

impl Resolver for NoSecrets {
    fn user(&self, name: &str) -> Result<RuntimeUser, Failure> {
        Err(unknown(name, "this node knows none"))
    }
}

/// The failure of a call that names a runtime user who is not there.
pub fn unknown(name: &str, known: &str) -> Failure {
    let detail = format!("expected the name of a runtime user, found '{name}' ({known})");
    Failure::new(Failure::AUTHORIZATION, 403, "No such runtime user").with_detail(detail)
}

/// What the secrets of one call came to.
#[derive(Clone, Default, PartialEq)]
pub struct Resolved {
    /// As whom it is done.
    pub user: Option<RuntimeUser>,
    /// The values to put into the arguments, by JSON pointer.
    values: Vec<(String, String)>,
    /// Hides all of them.
    pub mask: Mask,
}

impl fmt::Debug for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places: Vec<&String> = self.values.iter().map(|(place, _)| place).collect();
        f.debug_struct("Resolved").field("user", &self.user).field("places", &places).finish_non_exhaustive()
    }
}

impl Resolved {
    /// Looks up what a call needs.
    ///
    /// # Errors
    /// The failure of the call, which names no value.
    pub fn of(
        user: Option<&str>,
        secrets: &BTreeMap<String, SecretField>,
        resolver: &dyn Resolver,
    ) -> Result<Option<Box<Resolved>>, Failure> {
        if user.is_none() && secrets.is_empty() {
            return Ok(None);
        }
        let mut resolved = Resolved::default();
        let mut needles = BTreeSet::new();
        if let Some(name) = user {
            let user = resolver.user(name)?;
            hide_user(&user, &mut needles);
            resolved.user = Some(user);
        }
        for (place, secret) in secrets {
            let user = resolver.user(&secret.name)?;
            resolved.values.push((place.clone(), field(&user, secret)?.to_owned()));
            hide_user(&user, &mut needles);
        }
        resolved.mask = Mask::new(needles);
        Ok(Some(Box::new(resolved)))
    }

    /// The arguments with the secrets in their places.
    pub fn fill(&self, mut arguments: Value) -> Value {
        for (place, value) in &self.values {
            if let Some(member) = arguments.pointer_mut(place) {
                *member = Value::String(value.clone());
            }
        }
        arguments
    }
}

impl RunRequest {
    /// Looks up the secrets of this attempt.
    ///
    /// # Errors
    /// How it ends instead.
    pub fn resolve(&mut self, resolver: &dyn Resolver) -> Result<(), Failure> {
        self.resolved = Resolved::of(self.user.as_deref(), &self.secrets, resolver)?;
        Ok(())
    }
}

fn field<'u>(user: &'u RuntimeUser, secret: &SecretField) -> Result<&'u str, Failure> {
    let found: Vec<&str> = user.fields.keys().map(String::as_str).collect();
    let value = match &secret.field {
        Some(field) => user.field(field),
        None if user.fields.len() == 1 => user.fields.values().next().map(String::as_str),
        None => None,
    };
    value.ok_or_else(|| {
        let wanted = match &secret.field {
            Some(field) => format!("the field '{field}'"),
            None => "one field alone, or a reference that names one".to_owned(),
        };
        let detail =
            format!("expected {wanted} of the runtime user '{}', found: {}", user.name, found.join(", "));
        Failure::new(Failure::AUTHORIZATION, 403, "No such field of a runtime user").with_detail(detail)
    })
}

/// All forms in which the secrets of a user may come back.
fn hide_user(user: &RuntimeUser, needles: &mut BTreeSet<String>) {
    for (name, value) in &user.fields {
        if OPEN.contains(&name.as_str()) {
            continue;
        }
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= LINE_MIN);
        needles.extend(lines.map(str::to_owned));
        for form in
            [value.clone(), value.trim().to_owned(), percent_encoded(value), BASE64_STANDARD.encode(value)]
        {
            needles.insert(form);
        }
    }
    let pairs = [("username", "password"), ("clientId", "clientSecret")];
    for (name, secret) in
        pairs.iter().filter_map(|(name, secret)| Some((user.field(name)?, user.field(secret)?)))
    {
        // The header of basic authentication.
        needles.insert(BASE64_STANDARD.encode(format!("{name}:{secret}")));
    }
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Replaces secrets by a placeholder wherever they are found.
#[derive(Clone, Default, PartialEq)]
pub struct Mask(Option<Arc<[String]>>);

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({})", self.needles().len())
    }
}

impl Mask {
    fn new(needles: BTreeSet<String>) -> Self {
        let mut needles: Vec<String> =
            needles.into_iter().filter(|needle| needle.chars().count() >= HIDDEN_MIN).collect();
        // One that holds another has to be found before it.
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        Mask((!needles.is_empty()).then(|| needles.into()))
    }

    fn needles(&self) -> &[String] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Hides what `other` hides too.
    pub fn add(&mut self, other: &Mask) {
        if other.needles().iter().any(|needle| !self.needles().contains(needle)) {
            *self = Mask::new(self.needles().iter().chain(other.needles()).cloned().collect());
        }
    }

    /// The text without secrets.
    pub fn text(&self, text: String) -> String {
        self.needles().iter().fold(text, |text, needle| match text.contains(needle.as_str()) {
            true => text.replace(needle.as_str(), PLACEHOLDER),
            false => text,
        })
    }

    /// The value without secrets, in texts and in names of members.
    pub fn value(&self, value: Value) -> Value {
        match value {
            _ if self.0.is_none() => value,
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.value(item)).collect()),
            Value::Object(members) => {
                let hidden = members.into_iter().map(|(name, member)| (self.text(name), self.value(member)));
                Value::Object(hidden.collect::<Map<_, _>>())
            }
            // A password of digits alone may come back as a number.
            Value::Number(number) if self.needles().contains(&number.to_string()) => {
                Value::String(PLACEHOLDER.to_owned())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value,
        }
    }

    /// The outcome of a run without secrets.
    pub fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            _ if self.0.is_none() => outcome,
            Outcome::Completed(output) => Outcome::Completed(self.value(output)),
            Outcome::Failed(failure) => Outcome::Failed(Failure {
                kind: self.text(failure.kind),
                status: failure.status,
                title: self.text(failure.title),
                detail: failure.detail.map(|detail| self.text(detail)),
            }),
            Outcome::Lost { reason } => Outcome::Lost { reason: self.text(reason) },
            Outcome::Refused { reason } => Outcome::Refused { reason: self.text(reason) },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct One(RuntimeUser);

    impl Resolver for One {
        fn user(&self, name: &str) -> Result<RuntimeUser, Failure> {
            if name == self.0.name { Ok(self.0.clone()) } else { Err(unknown(name, "known: web")) }
        }
    }

    fn web() -> One {
        let fields = [("username", "ada"), ("password", "hunter2 &co"), ("pin", "12"), ("code", "98765")];
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        One(RuntimeUser { name: "web".to_owned(), fields })
    }

    fn at(place: &str, name: &str, field: Option<&str>) -> BTreeMap<String, SecretField> {
        let secret = SecretField { name: name.to_owned(), field: field.map(str::to_owned) };
        BTreeMap::from([(place.to_owned(), secret)])
    }

    #[test]
    fn values_get_to_their_places_and_are_hidden_in_every_form_on_the_way_back() {
        let places = at("/a~1b/0", "web", Some("password"));
        let resolved = Resolved::of(Some("web"), &places, &web()).unwrap().unwrap();
        assert_eq!(resolved.fill(json!({ "a/b": ["***", 1] })), json!({ "a/b": ["hunter2 &co", 1] }));
        assert!(!format!("{resolved:?}").contains("hunter2"));
        let basic = BASE64_STANDARD.encode("ada:hunter2 &co");
        let output = json!({
            "echo": format!("Basic {basic}"), "form": "p=hunter2%20%26co", "hunter2 &co": ["ada", 98765, 12],
        });
        let hidden = json!({ "echo": "Basic ***", "form": "p=***", "***": ["ada", "***", 12] });
        assert_eq!(resolved.mask.value(output), hidden);
        let failure = Failure::runtime("no hunter2 &co").with_detail("hunter2 &co!");
        let hidden = Failure::runtime("no ***").with_detail("***!");
        assert_eq!(resolved.mask.outcome(Outcome::Failed(failure)), Outcome::Failed(hidden));
    }

    #[test]
    fn what_is_not_there_is_a_failure_of_the_call() {
        for (places, user, wanted) in [
            (at("/x", "db", None), None, "'db'"),
            (at("/x", "web", None), None, "one field alone"),
            (at("/x", "web", Some("token")), None, "'token'"),
            (BTreeMap::new(), Some("ops"), "'ops'"),
        ] {
            let failure = Resolved::of(user, &places, &web()).unwrap_err();
            assert_eq!((failure.kind.as_str(), failure.status), (Failure::AUTHORIZATION, 403));
            let detail = failure.detail.unwrap();
            assert!(detail.contains(wanted) && !detail.contains("hunter2"), "{detail}");
        }
    }

    #[test]
    fn the_mask_of_a_process_grows_with_its_calls() {
        let mut mask = Mask::default();
        assert_eq!(mask.text("hunter2 &co".to_owned()), "hunter2 &co");
        mask.add(&Resolved::of(Some("web"), &BTreeMap::new(), &web()).unwrap().unwrap().mask);
        assert_eq!(mask.text("so hunter2 &co".to_owned()), "so ***");
    }
}
