//! Where a session goes: the properties of a target, or the same in the arguments of a call.

use std::path::PathBuf;
use std::time::Duration;

use impresario_adapter::{Failure, Target};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::trust::Trust;
use crate::arguments::seconds;

/// How long a connection may take to be made, unless the target says otherwise.
pub(super) const CONNECT_TIMEOUT_SECONDS: f64 = 10.0;
/// How long it may ask for at most.
pub(super) const CONNECT_TIMEOUT_SECONDS_MAX: f64 = 120.0;
/// The port of SSH.
const PORT: u16 = 22;
/// What of a target, or of a call's arguments, says where to go.
const PROPERTIES: [&str; 6] = ["host", "port", "username", "hostKey", "knownHosts", "connectTimeoutSeconds"];

/// Where a session goes, and how it is known that it got there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) username: Option<String>,
    pub(super) trust: Trust,
    pub(super) connect_timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    host: String,
    port: Option<u16>,
    username: Option<String>,
    #[serde(default, deserialize_with = "one_or_more")]
    host_key: Vec<String>,
    known_hosts: Option<PathBuf>,
    #[serde(default, deserialize_with = "connect_timeout")]
    connect_timeout_seconds: Option<Duration>,
}

impl Place {
    /// Takes it out of the arguments of `function`, which are left without it, or out of the target.
    pub(super) fn take(
        function: &str,
        arguments: &mut Value,
        target: Option<&Target>,
    ) -> Result<Self, Failure> {
        let direct = arguments.as_object_mut().map(split).unwrap_or_default();
        let (properties, of) = match target {
            None if !direct.contains_key("host") => {
                return Err(Failure::validation(format!("`{function}` does not know where"))
                    .with_detail("name a `target`, or a `host` and what else `docs/adapter-ssh.md` lists"));
            }
            None => (direct, format!("the arguments of `{function}`")),
            Some(target) => match direct.keys().next() {
                Some(key) => {
                    let title = format!("`{function}` has both the target `{}` and `{key}`", target.name);
                    return Err(Failure::validation(title)
                        .with_detail("the target says where: leave the argument out"));
                }
                None => {
                    let mut properties = target.properties.clone();
                    (split(&mut properties), format!("the properties of the target `{}`", target.name))
                }
            },
        };
        let properties: Properties = serde_json::from_value(Value::Object(properties)).map_err(|error| {
            Failure::validation(format!("{of} are not valid")).with_detail(error.to_string())
        })?;
        Self::checked(properties)
    }

    fn checked(properties: Properties) -> Result<Self, Failure> {
        let Properties { host, port, username, host_key, known_hosts, connect_timeout_seconds } = properties;
        if host.is_empty() || host.contains(|character: char| character.is_whitespace() || character == '@') {
            return Err(Failure::validation(format!("`{host}` is not a host"))
                .with_detail("expected a name or an address; the user is the runtime user's `username`"));
        }
        let trust = Trust::new(host_key, known_hosts)?;
        let connect_timeout =
            connect_timeout_seconds.unwrap_or(Duration::from_secs_f64(CONNECT_TIMEOUT_SECONDS));
        Ok(Self { host, port: port.unwrap_or(PORT), username, trust, connect_timeout })
    }

    /// As it may be shown.
    pub(super) fn shown(&self) -> String {
        match (self.port, self.host.contains(':')) {
            (PORT, _) => self.host.clone(),
            (port, true) => format!("[{}]:{port}", self.host),
            (port, false) => format!("{}:{port}", self.host),
        }
    }

    /// What it is called in a `known_hosts` file.
    pub(super) fn known_as(&self) -> String {
        let host = self.host.to_ascii_lowercase();
        if self.port == PORT { host } else { format!("[{host}]:{}", self.port) }
    }
}

/// Takes out what says where to go.
fn split(from: &mut Map<String, Value>) -> Map<String, Value> {
    PROPERTIES.iter().filter_map(|name| from.remove_entry(*name)).collect()
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Keys {
        One(String),
        More(Vec<String>),
    }
    Ok(match Option::<Keys>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Keys::One(key)) => vec![key],
        Some(Keys::More(keys)) => keys,
    })
}

fn connect_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    seconds("connectTimeoutSeconds", CONNECT_TIMEOUT_SECONDS_MAX, deserializer)
}
