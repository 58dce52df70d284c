//! What was found.

use std::fmt;

use serde::Serialize;

/// All checks of a program, in the order in which they were made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The adapter's name, if it told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The checks.
    pub checks: Vec<Check>,
}

/// One rule of the protocol, and whether the program keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, such as `ping`.
    pub check: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What the protocol asks for.
    pub expected: String,
    /// What the program did; why the check was not made.
    pub found: String,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As expected.
    Passed,
    /// Otherwise.
    Failed,
    /// It could not be made with what was given.
    Skipped,
}

impl Report {
    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.outcome == Outcome::Failed)
    }

    /// Adds a check: what was found, and `Ok` if it is as expected.
    pub(crate) fn judge(
        &mut self,
        check: &'static str,
        expected: impl Into<String>,
        found: Result<String, String>,
    ) {
        let (outcome, found) = match found {
            Ok(found) => (Outcome::Passed, found),
            Err(found) => (Outcome::Failed, found),
        };
        self.checks.push(Check { check, outcome, expected: expected.into(), found });
    }

    /// Adds a check that cannot be made.
    pub(crate) fn skip(&mut self, check: &'static str, expected: &str, why: &str) {
        let (expected, found) = (expected.to_owned(), why.to_owned());
        self.checks.push(Check { check, outcome: Outcome::Skipped, expected, found });
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
        })
    }
}
