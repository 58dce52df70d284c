//! What packs and operators declare by name, and an actor of that name does from then on: monitors and sinks.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeclaredKind {
    /// Something that an adapter observes.
    Monitor,
    /// Where events go that are raised in the environment.
    Sink,
}

impl DeclaredKind {
    /// All of them.
    pub const ALL: [DeclaredKind; 2] = [DeclaredKind::Monitor, DeclaredKind::Sink];

    /// The last part of its path, and its folder in a pack: `/api/v1/monitors`.
    pub fn plural(self) -> &'static str {
        match self {
            DeclaredKind::Monitor => "monitors",
            DeclaredKind::Sink => "sinks",
        }
    }

    /// What the settings of the environment are named by: `monitor/NAME`.
    pub fn prefix(self) -> &'static str {
        match self {
            DeclaredKind::Monitor => "monitor/",
            DeclaredKind::Sink => "sink/",
        }
    }
}

impl fmt::Display for DeclaredKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix().trim_end_matches('/'))
    }
}

/// One of them, as it is listed and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Declared {
    /// Its name.
    pub name: String,
    /// Who has declared it: `operator` or `pack NAME`.
    pub by: String,
    /// An operator has it rest.
    pub paused: bool,
    /// What it is to do.
    pub spec: Map<String, Value>,
    /// How it does, as its actor says; `state` is always there. Its texts are for people.
    pub status: Map<String, Value>,
}

impl Declared {
    /// A word for how it does.
    pub fn state(&self) -> &str {
        self.status.get("state").and_then(Value::as_str).unwrap_or("unknown")
    }
}

/// What is asked about those of a kind.
#[derive(Clone, Debug, PartialEq)]
pub enum DeclaredRequest {
    /// All of them, by name.
    List,
    /// One of them.
    Show(String),
    /// It is to do this from now on, whether it is there or not.
    Put(String, Value),
    /// It is no more.
    Remove(String),
    /// Something else.
    Order(String, DeclaredOrder),
}

/// What an operator asks of one that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "order", rename_all = "camelCase", deny_unknown_fields)]
pub enum DeclaredOrder {
    /// It rests until it is resumed, also after a restart and a new version of its pack.
    Pause,
    /// It goes on; one that waits after a failure tries at once.
    Resume,
    /// Of a sink: show its dead letters, as `letters` of its status.
    Dead,
    /// Of a sink: send dead letters again; without numbers all.
    Retry {
        /// Their numbers.
        #[serde(default)]
        numbers: Vec<u64>,
    },
    /// Of a sink: forget dead letters; without numbers all.
    Drop {
        /// Their numbers.
        #[serde(default)]
        numbers: Vec<u64>,
    },
}
