//! What is wrong with the settings.

use std::fmt;

use crate::source::Origin;

/// Everything wrong with the settings, at most [`ConfigError::LIMIT`] problems of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.lines())]
pub struct ConfigError {
    /// The problems, in the order of the sources.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// More problems than this help nobody.
    pub const LIMIT: usize = 20;

    fn lines(&self) -> String {
        self.problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
    }
}

/// One thing wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The place of the mistake.
    pub origin: Origin,
    /// What was expected, what was found, what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// ", did you mean '…'?" when one of the candidates is near enough to be meant.
pub(crate) fn nearest<'a>(found: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let limit = 1 + found.len() / 4;
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(found, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map_or_else(String::new, |(_, candidate)| format!(", did you mean '{candidate}'?"))
}
