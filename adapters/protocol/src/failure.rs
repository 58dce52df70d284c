//! Why a run did not succeed, in the terms of the process language.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a run did not succeed: an RFC 7807 problem without the parts that only the engine knows.
///
/// A definition's `catch` filters on it, so `kind` and `status` are part of an adapter's contract. The texts are shown
/// to people and stored with the instance: they never contain a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A standard kind such as [`Failure::COMMUNICATION`], or the full URI of an error type of the adapter's own.
    pub kind: String,
    /// An HTTP status: the real one if there is one, else the one that suits the kind.
    pub status: u16,
    /// One line for a person: what went wrong.
    pub title: String,
    /// What was expected, what was found, what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Failure {
    /// The definition asks for something that cannot be done as it is written.
    pub const CONFIGURATION: &str = "configuration";
    /// The arguments do not have the shape that the function needs.
    pub const VALIDATION: &str = "validation";
    /// An expression could not be evaluated.
    pub const EXPRESSION: &str = "expression";
    /// The other side does not know who is asking.
    pub const AUTHENTICATION: &str = "authentication";
    /// The other side knows who is asking, and refuses.
    pub const AUTHORIZATION: &str = "authorization";
    /// It took too long.
    pub const TIMEOUT: &str = "timeout";
    /// The other side could not be reached, or answered that it failed.
    pub const COMMUNICATION: &str = "communication";
    /// Everything else that goes wrong while work is done.
    pub const RUNTIME: &str = "runtime";

    /// A failure of any kind and status.
    pub fn new(kind: impl Into<String>, status: u16, title: impl Into<String>) -> Self {
        Self { kind: kind.into(), status, title: title.into(), detail: None }
    }

    /// A `configuration` failure, status 400.
    pub fn configuration(title: impl Into<String>) -> Self {
        Self::new(Self::CONFIGURATION, 400, title)
    }

    /// A `validation` failure, status 400.
    pub fn validation(title: impl Into<String>) -> Self {
        Self::new(Self::VALIDATION, 400, title)
    }

    /// A `timeout` failure, status 408.
    pub fn timeout(title: impl Into<String>) -> Self {
        Self::new(Self::TIMEOUT, 408, title)
    }

    /// A `communication` failure, status 500, for when there is no status of the other side.
    pub fn communication(title: impl Into<String>) -> Self {
        Self::new(Self::COMMUNICATION, 500, title)
    }

    /// A `runtime` failure, status 500.
    pub fn runtime(title: impl Into<String>) -> Self {
        Self::new(Self::RUNTIME, 500, title)
    }

    /// The same failure, with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} {})", self.title, self.kind, self.status)?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
