//! The sources of settings: the file, the environment, the flags. Each gives `(key, text, origin)`.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::{Problem, nearest};
use crate::settings::SETTINGS;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default of the program.
    Default,
    /// The file, with line and column from 1 (0 when it is about the whole file).
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The column, in characters.
        column: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A flag, as it was typed.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File { path, line: 0, .. } => write!(f, "{}", path.display()),
            Origin::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Origin::Variable(name) => write!(f, "env {name}"),
            Origin::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A setting given by a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The setting.
    pub key: String,
    /// Its value as text.
    pub value: String,
    /// The flag, such as `--listen`.
    pub flag: String,
}

/// What to read. The later ones win: file, variables, flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that must be there; without one, `IMPRESARIO_CONFIG` names it; without that, `impresario.toml`
    /// of the working folder is read if it is there.
    pub file: Option<PathBuf>,
    /// The environment: all of it, the prefix is looked for here.
    pub variables: Vec<(String, String)>,
    /// The flags.
    pub flags: Vec<Override>,
}

/// The variables of this process.
pub fn process_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

const PREFIX: &str = "IMPRESARIO_";

/// Variables with our prefix that are no settings: the file, what the command line reads of a remote node, and what
/// a command finds of its attempt, which must not keep it from calling this program.
pub const RESERVED_VARIABLES: &[&str] = &[
    "IMPRESARIO_CONFIG",
    "IMPRESARIO_URL",
    "IMPRESARIO_TOKEN",
    "IMPRESARIO_ACTIVITY_KEY",
    "IMPRESARIO_ACTIVITY_TOKEN",
    "IMPRESARIO_ACTIVITY_ATTEMPT",
];

/// The variable of a setting: `IMPRESARIO_HTTP_LISTEN` of `http.listen`.
pub fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// One value found in a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) key: &'static str,
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// What a source holds: values, and problems beside them.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) given: Vec<Given>,
    pub(crate) problems: Vec<Problem>,
}

fn setting_key(key: &str) -> Option<&'static str> {
    SETTINGS.iter().map(|setting| setting.key).find(|known| *known == key)
}

fn keys() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.key)
}

/// Reads the text of the file.
pub(crate) fn from_file(path: &Path, text: &str) -> Found {
    let mut file = File { path, text, found: Found::default() };
    match DeTable::parse(text) {
        Ok(table) => file.table("", table.get_ref()),
        Err(error) => {
            let message = format!("expected TOML, found a mistake: {}", error.message());
            file.problem(error.span().map_or(0, |span| span.start), message);
        }
    }
    file.found
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    found: Found,
}

impl File<'_> {
    fn origin(&self, at: usize) -> Origin {
        let before = self.text.get(..at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].chars().count() + 1;
        Origin::File { path: self.path.to_owned(), line: before.matches('\n').count() + 1, column }
    }

    fn problem(&mut self, at: usize, message: String) {
        let origin = self.origin(at);
        self.found.problems.push(Problem { origin, message });
    }

    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            if let Some(known) = setting_key(&key) {
                self.value(known, value);
            } else if let (true, DeValue::Table(inner)) = (is_section(&key), value.get_ref()) {
                self.table(&format!("{key}."), inner);
            } else {
                self.unknown(&key, name.span().start);
            }
        }
    }

    fn unknown(&mut self, key: &str, at: usize) {
        let hint = match is_section(key) {
            true => format!(": it is a section, write [{key}]"),
            false => {
                nearest(key, keys().chain(SETTINGS.iter().filter_map(|setting| section_of(setting.key))))
            }
        };
        self.problem(at, format!("unknown setting '{key}'{hint}"));
    }

    fn value(&mut self, key: &'static str, value: &Spanned<DeValue<'_>>) {
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Boolean(word) => word.to_string(),
            other => {
                let message = format!("'{key}': expected a string or a number, found a {}", other.type_str());
                return self.problem(value.span().start, message);
            }
        };
        let origin = self.origin(value.span().start);
        self.found.given.push(Given { key, text, origin });
    }
}

fn section_of(key: &'static str) -> Option<&'static str> {
    key.split_once('.').map(|(section, _)| section)
}

fn is_section(key: &str) -> bool {
    keys().filter_map(section_of).any(|section| section == key)
}

/// Reads the variables that have our prefix.
///
/// A misspelt variable is an error as a misspelt key is: without that it would silently have no effect.
pub(crate) fn from_variables(variables: &[(String, String)]) -> Found {
    let mut found = Found::default();
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        // A container platform sets these for any service that is called impresario.
        let injected = rest.starts_with("SERVICE_") || rest == "PORT" || rest.starts_with("PORT_");
        if injected || RESERVED_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        let origin = Origin::Variable(name.clone());
        match keys().find(|key| variable_of(key) == *name) {
            Some(key) => found.given.push(Given { key, text: text.clone(), origin }),
            None => {
                let known: Vec<String> = keys().map(variable_of).collect();
                let hint = nearest(name, known.iter().map(String::as_str));
                found.problems.push(Problem { origin, message: format!("unknown setting{hint}") });
            }
        }
    }
    found
}

/// Reads the flags.
pub(crate) fn from_flags(flags: &[Override]) -> Found {
    let mut found = Found::default();
    for Override { key, value, flag } in flags {
        let origin = Origin::Flag(flag.clone());
        match setting_key(key) {
            Some(key) => found.given.push(Given { key, text: value.clone(), origin }),
            None => {
                let message = format!("unknown setting '{key}'{}", nearest(key, keys()));
                found.problems.push(Problem { origin, message });
            }
        }
    }
    found
}
