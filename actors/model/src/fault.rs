//! Errors of processes, as problem details (RFC 9457).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The standard kinds of errors of the process language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The definition or its surroundings are not set up for it.
    Configuration,
    /// Data does not fit its schema.
    Validation,
    /// An expression failed.
    Expression,
    /// Something took too long.
    Timeout,
    /// A service answered with an error, or not at all.
    Communication,
    /// Anything else.
    Runtime,
}

impl FaultKind {
    /// The word of the kind.
    pub fn word(self) -> &'static str {
        match self {
            FaultKind::Configuration => "configuration",
            FaultKind::Validation => "validation",
            FaultKind::Expression => "expression",
            FaultKind::Timeout => "timeout",
            FaultKind::Communication => "communication",
            FaultKind::Runtime => "runtime",
        }
    }

    /// The status of the kind.
    pub fn status(self) -> u16 {
        match self {
            FaultKind::Configuration | FaultKind::Validation | FaultKind::Expression => 400,
            FaultKind::Timeout => 408,
            FaultKind::Communication | FaultKind::Runtime => 500,
        }
    }
}

/// The URI of a standard error type, from its word.
pub fn standard_type(word: &str) -> String {
    format!("https://serverlessworkflow.io/spec/1.0.0/errors/{word}")
}

/// An error of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// `type`, a URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// `status`, as in HTTP.
    pub status: u16,
    /// `title`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// `detail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `instance`: the JSON pointer of the task in the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Whether no `catch` may handle it, because only an operator can tell what happened.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncatchable: bool,
}

impl Fault {
    /// A fault of a standard kind at a task.
    pub fn new(kind: FaultKind, title: &str, detail: impl Into<String>, pointer: &str) -> Self {
        Fault {
            kind: standard_type(kind.word()),
            status: kind.status(),
            title: Some(title.to_owned()),
            detail: Some(detail.into()),
            instance: Some(pointer.to_owned()),
            uncatchable: false,
        }
    }

    /// The members that expressions and operators see.
    pub fn to_value(&self) -> Value {
        let mut value = json!({ "type": self.kind, "status": self.status });
        for (name, member) in [("title", &self.title), ("detail", &self.detail), ("instance", &self.instance)]
        {
            if let Some(text) = member {
                value[name] = json!(text);
            }
        }
        value
    }
}
