//! Why something is not a CloudEvent.

use std::fmt;

/// What is wrong with an event, for the one who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: expected {expected}, found {found}", Place(*.index), Attribute(.attribute))]
pub struct EventError {
    /// Its place in a batch, from 0.
    pub index: Option<usize>,
    /// The attribute, or `data`, or nothing when it is about the whole event.
    pub attribute: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl EventError {
    pub(super) fn new(attribute: &str, expected: impl Into<String>, found: impl Into<String>) -> Self {
        EventError {
            index: None,
            attribute: shorten(attribute),
            expected: expected.into(),
            found: found.into(),
        }
    }
}

struct Place(Option<usize>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(index) => write!(f, "event {index} of the batch: "),
            None => Ok(()),
        }
    }
}

struct Attribute<'a>(&'a str);

impl fmt::Display for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("the event"),
            name => write!(f, "'{name}'"),
        }
    }
}

/// Text that a sender chose, cut to what an error message can carry.
pub(super) fn shorten(text: &str) -> String {
    const LIMIT: usize = 60;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Text that a sender chose, quoted.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", shorten(text))
}
