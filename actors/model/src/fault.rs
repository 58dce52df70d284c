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

/// The kind of a standard error type, over all spellings of its URI in use; none for other types.
pub fn standard_kind(uri: &str) -> Option<&str> {
    const PATHS: [&str; 2] = ["/spec/1.0.0/errors/", "/dsl/errors/types/"];
    const HOSTS: [&str; 2] = ["serverlessworkflow.io", "open-workflow-specification.org"];
    const KINDS: [&str; 8] = [
        "configuration",
        "validation",
        "expression",
        "authentication",
        "authorization",
        "timeout",
        "communication",
        "runtime",
    ];
    let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"))?;
    let rest = HOSTS.iter().find_map(|host| rest.strip_prefix(host))?;
    let kind = PATHS.iter().find_map(|path| rest.strip_prefix(path))?;
    KINDS.contains(&kind).then_some(kind)
}

impl Fault {
    /// Whether a `catch` with this static filter looks at the fault: all members that it gives are equal.
    pub fn caught_by(&self, filter: &crate::definition::ErrorFilter) -> bool {
        let same_kind = |kind: &String| match (standard_kind(kind), standard_kind(&self.kind)) {
            (Some(filtered), Some(own)) => filtered == own,
            _ => *kind == self.kind,
        };
        let same = |member: &Option<String>, own: &Option<String>| member.is_none() || member == own;
        filter.kind.as_ref().is_none_or(same_kind)
            && filter.status.is_none_or(|status| status == self.status)
            && same(&filter.instance, &self.instance)
            && same(&filter.title, &self.title)
            && same(&filter.detail, &self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::ErrorFilter;

    #[test]
    fn standard_types_match_over_all_spellings() {
        let fault = Fault::new(FaultKind::Communication, "x", "y", "/do/0/a");
        for (kind, caught) in [
            ("https://serverlessworkflow.io/spec/1.0.0/errors/communication", true),
            ("https://serverlessworkflow.io/dsl/errors/types/communication", true),
            ("https://open-workflow-specification.org/spec/1.0.0/errors/communication", true),
            ("https://open-workflow-specification.org/dsl/errors/types/communication", true),
            ("https://serverlessworkflow.io/spec/1.0.0/errors/timeout", false),
            ("https://example.com/communication", false),
        ] {
            let filter = ErrorFilter { kind: Some(kind.to_owned()), ..ErrorFilter::default() };
            assert_eq!(fault.caught_by(&filter), caught, "{kind}");
        }
        let other_status = ErrorFilter { status: Some(404), ..ErrorFilter::default() };
        assert!(!fault.caught_by(&other_status));
        assert!(fault.caught_by(&ErrorFilter::default()));
    }
}
