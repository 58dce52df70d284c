//! On what and as whom a piece of work is done: the target and the runtime user of a call.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the work is done on: a server, a service, a device, as an operator has described it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its type, such as `unix-server`: which properties it has.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its properties, such as `host` and `port`. None of them is secret.
    #[serde(default)]
    pub properties: Map<String, Value>,
}

/// As whom the work is done. The node adds it just before it sends the call; it is in no log and no snapshot.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeUser {
    /// The name by which a definition asks for it.
    pub name: String,
    /// What there is to show, such as `username`, `password`, `privateKey`, `passphrase`, `token`.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

impl RuntimeUser {
    /// A field, if it is there.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

impl fmt::Debug for RuntimeUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&String> = self.fields.keys().collect();
        f.debug_struct("RuntimeUser").field("name", &self.name).field("fields", &fields).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_not_shown() {
        let fields = BTreeMap::from([("password".to_owned(), "hunter2".to_owned())]);
        let user = RuntimeUser { name: "ops".to_owned(), fields };
        let shown = format!("{user:?}");
        assert!(shown.contains("password") && !shown.contains("hunter2"), "{shown}");
        assert_eq!(user.field("password"), Some("hunter2"));
    }
}
