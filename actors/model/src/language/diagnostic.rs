//! What is wrong with a document, where, and what to do about it.

use std::fmt;

use super::node::{At, Content, Place};

/// So many diagnostics of one document are worth reading; the rest would be noise of the first ones.
const DIAGNOSTICS_MAX: usize = 50;

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// 1-based line; 0 when it is about the whole document.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
    /// The place in the document as a JSON pointer, such as `/do/0/watch`.
    pub pointer: String,
    /// What was expected and what was found: lower case, no full stop.
    pub message: String,
    /// What to do, such as "did you mean 'switch'?".
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// The diagnostics found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Nothing was found.
    pub(super) fn is_clean(&self) -> bool {
        self.diagnostics.is_empty()
    }

    /// The diagnostics by place, each once: a function that is called twice is compiled twice.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        let key = |one: &Diagnostic| (one.line, one.column);
        self.diagnostics.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message)));
        self.diagnostics.dedup();
        self.diagnostics.truncate(DIAGNOSTICS_MAX);
        self.diagnostics
    }

    /// Whether nobody would read one more; work that only serves a better message can be left out.
    fn is_full(&self) -> bool {
        self.diagnostics.len() >= DIAGNOSTICS_MAX * 2
    }

    /// Adds one at any place.
    pub(super) fn push(&mut self, place: Place, pointer: &str, message: String, hint: Option<String>) {
        if self.is_full() {
            return;
        }
        self.diagnostics.push(Diagnostic {
            line: place.line,
            column: place.column,
            pointer: pointer.to_owned(),
            message,
            hint,
        });
    }

    /// Adds one about a value.
    pub(super) fn error(&mut self, at: &At<'_>, message: impl Into<String>) {
        self.push(at.node.place, &at.pointer, message.into(), None);
    }

    /// Adds one about a value, with what to do.
    pub(super) fn error_hint(&mut self, at: &At<'_>, message: impl Into<String>, hint: impl Into<String>) {
        self.push(at.node.place, &at.pointer, message.into(), Some(hint.into()));
    }

    /// Adds one about the name under which a value stands.
    pub(super) fn error_named(&mut self, at: &At<'_>, message: impl Into<String>, hint: Option<String>) {
        self.push(at.named, &at.pointer, message.into(), hint);
    }

    /// Adds "expected this, found that".
    pub(super) fn expected(&mut self, at: &At<'_>, expected: &str) {
        self.error(at, format!("expected {expected}, found {}", at.describe()));
    }

    /// Adds "unknown `what` 'word' (expected one of …)" with the nearest of the `known` words.
    pub(super) fn unknown(&mut self, at: &At<'_>, place: Place, what: &str, word: &str, known: &[&str]) {
        if self.is_full() {
            return;
        }
        let expected = match known {
            [] => "there are none here".to_owned(),
            _ if known.len() > 24 => format!("{} are known", known.len()),
            _ => format!("expected one of {}", known.join(", ")),
        };
        let hint = nearest(word, known).map(|near| format!("did you mean '{near}'?"));
        self.push(place, &at.pointer, format!("unknown {what} '{}' ({expected})", shorten(word)), hint);
    }

    /// The text of a value, or a diagnostic.
    pub(super) fn text<'n>(&mut self, at: &At<'n>) -> Option<&'n str> {
        match &at.node.content {
            Content::Text(text) => Some(text),
            Content::Number(_) | Content::Bool(_) => {
                let found = at.describe();
                let hint = format!("put it in quotes: '{}'", at.node.to_json());
                self.error_hint(at, format!("expected a string, found {found}"), hint);
                None
            }
            Content::Null | Content::List(_) | Content::Map(_) => {
                self.expected(at, "a string");
                None
            }
        }
    }

    /// The text of a value that must not be empty, or a diagnostic.
    pub(super) fn name<'n>(&mut self, at: &At<'n>) -> Option<&'n str> {
        let text = self.text(at)?;
        if text.trim().is_empty() {
            self.error(at, "expected a string that is not empty");
            return None;
        }
        Some(text)
    }

    /// One of the `known` words, or a diagnostic.
    pub(super) fn word<'n>(&mut self, at: &At<'n>, what: &str, known: &[&str]) -> Option<&'n str> {
        let text = self.text(at)?;
        if known.contains(&text) {
            return Some(text);
        }
        self.unknown(at, at.node.place, what, text, known);
        None
    }

    /// The boolean of a value, or a diagnostic.
    pub(super) fn boolean(&mut self, at: &At<'_>) -> Option<bool> {
        match at.node.content {
            Content::Bool(value) => Some(value),
            _ => {
                self.expected(at, "true or false");
                None
            }
        }
    }

    /// The whole number of a value that is not negative, or a diagnostic.
    pub(super) fn count(&mut self, at: &At<'_>) -> Option<u64> {
        let count = match &at.node.content {
            Content::Number(number) => number.as_u64(),
            _ => None,
        };
        if count.is_none() {
            self.expected(at, "a whole number that is not negative");
        }
        count
    }

    /// The items of a list, or a diagnostic.
    pub(super) fn list<'n>(&mut self, at: &At<'n>, what: &str) -> Option<Vec<At<'n>>> {
        let items = at.items();
        if items.is_none() {
            self.expected(at, what);
        }
        items
    }

    /// A map with only the `known` members, or a diagnostic. Unknown members are reported, the map is given all
    /// the same so that its other members are checked too.
    pub(super) fn map<'n>(&mut self, at: &At<'n>, what: &str, known: &[&str]) -> Option<At<'n>> {
        let map = self.open_map(at, what)?;
        for (name, member) in map.members() {
            if !known.contains(&name) {
                self.unknown(&map, member.named, "key", name, known);
            }
        }
        Some(map)
    }

    /// A map with any members, or a diagnostic.
    pub(super) fn open_map<'n>(&mut self, at: &At<'n>, what: &str) -> Option<At<'n>> {
        if matches!(at.node.content, Content::Map(_)) {
            return Some(at.clone());
        }
        self.expected(at, what);
        None
    }

    /// A member that must be there, or a diagnostic.
    pub(super) fn required<'n>(&mut self, map: &At<'n>, name: &str) -> Option<At<'n>> {
        let member = map.get(name);
        if member.is_none() {
            self.error_named(map, format!("expected a member '{name}', found none"), None);
        }
        member
    }
}

/// The known word that is most like `word`, if one is near enough to be a slip of the pen.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    const WORD_MAX: usize = 64;
    let length = word.chars().count();
    if length > WORD_MAX {
        return None;
    }
    let word = word.to_lowercase();
    let distance = |near: &str| strsim::damerau_levenshtein(&word, &near.to_lowercase());
    known
        .iter()
        .filter(|near| near.len() <= WORD_MAX)
        .map(|near| (distance(near), *near))
        .min()
        // A third of the letters; in a word of one or two, any other letter makes another word.
        .filter(|(distance, _)| *distance <= length / 3)
        .map(|(_, near)| near)
}

/// Text of a document as far as a message needs it.
pub(super) fn shorten(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
