//! What a definition says of secrets: their names, never their values. A node resolves them just before a call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Template;

/// What stands in the arguments of a call where its adapter will see a secret.
pub const PLACEHOLDER: &str = "***";

/// A field of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretField {
    /// The name of the secret: that of a runtime user.
    pub name: String,
    /// Which of its fields; its only one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// As whom an activity is done.
#[derive(Clone, Debug)]
pub struct RunAs {
    /// Evaluates to the name of a runtime user.
    pub name: Template,
    /// The names that `use.secrets` of its document declares. Data must not choose any other.
    pub declared: Vec<String>,
}

impl Template {
    /// Where its value has the placeholders of secrets: their JSON pointers.
    pub fn secrets(&self) -> BTreeMap<String, SecretField> {
        let mut found = BTreeMap::new();
        self.find_secrets(&mut String::new(), &mut found);
        found
    }

    fn find_secrets(&self, pointer: &mut String, found: &mut BTreeMap<String, SecretField>) {
        let length = pointer.len();
        match self {
            Template::Secret(secret) => drop(found.insert(pointer.clone(), secret.clone())),
            Template::Map(members) => {
                for (name, member) in members {
                    pointer.push('/');
                    pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
                    member.find_secrets(pointer, found);
                    pointer.truncate(length);
                }
            }
            Template::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    pointer.push_str(&format!("/{index}"));
                    item.find_secrets(pointer, found);
                    pointer.truncate(length);
                }
            }
            Template::Literal(_) | Template::Expression(_) | Template::Uri(_) => {}
        }
    }
}
