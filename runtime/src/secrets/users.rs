//! Runtime users as people see and change them. A secret goes in and never comes out.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::Sealed;
use crate::orchestrator::Refusal;

/// The longest name of a user or a field.
const NAME_MAX: usize = 64;
/// The most fields of one user.
const FIELDS_MAX: usize = 32;
/// The longest value: a private key or a chain of certificates fits.
const VALUE_MAX: usize = 64 * 1024;
/// The longest description.
const DESCRIPTION_MAX: usize = 1024;

/// A runtime user, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserSummary {
    /// Its name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Which fields it has.
    pub fields: Vec<String>,
    /// The ids of the keys that its fields are sealed under.
    pub keys: Vec<String>,
    /// When it was changed last: RFC 3339, UTC.
    pub changed: String,
}

/// What changes of a runtime user.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// What it is for; as it was if absent.
    #[serde(default)]
    pub description: Option<String>,
    /// New values of fields; one without a value goes.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Option<String>>")]
    pub fields: BTreeMap<String, Option<Zeroizing<String>>>,
}

impl fmt::Debug for UserChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&String> = self.fields.keys().collect();
        f.debug_struct("UserChange").field("description", &self.description).field("fields", &fields).finish()
    }
}

/// A runtime user as the environment keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredUser {
    #[serde(default)]
    pub(super) description: String,
    #[serde(default)]
    pub(super) fields: BTreeMap<String, Sealed>,
    /// Milliseconds since the Unix epoch.
    #[serde(default)]
    pub(super) changed: u64,
    /// A setting is never deleted, so a removed user leaves its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) removed: bool,
}

impl StoredUser {
    pub(super) fn summary(&self, name: &str) -> UserSummary {
        let mut keys: Vec<String> = self.fields.values().map(|sealed| sealed.key.clone()).collect();
        keys.sort();
        keys.dedup();
        UserSummary {
            name: name.to_owned(),
            description: self.description.clone(),
            fields: self.fields.keys().cloned().collect(),
            keys,
            changed: impresario_model::instance::rfc3339(self.changed),
        }
    }
}

/// Checks what somebody wants to change, before anything is sealed. No message has a value in it.
pub(super) fn check(name: &str, change: &UserChange) -> Result<(), Refusal> {
    let invalid = |message: String| Err(Refusal::Invalid(message));
    for name in std::iter::once(name).chain(change.fields.keys().map(String::as_str)) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
            return invalid(format!(
                "expected a name of 1 to {NAME_MAX} letters, digits, '-', '_' and '.', found '{}'",
                name.chars().take(NAME_MAX).collect::<String>()
            ));
        }
    }
    if change.fields.len() > FIELDS_MAX {
        return invalid(format!("expected at most {FIELDS_MAX} fields, found {}", change.fields.len()));
    }
    if change.description.as_ref().is_some_and(|text| text.len() > DESCRIPTION_MAX) {
        return invalid(format!("expected a description of at most {DESCRIPTION_MAX} bytes, found more"));
    }
    for (field, value) in &change.fields {
        let length = value.as_ref().map_or(1, |value| value.len());
        if length == 0 || length > VALUE_MAX {
            return invalid(format!("{field}: expected 1 to {VALUE_MAX} bytes, found {length}"));
        }
    }
    Ok(())
}
