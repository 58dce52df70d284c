//! Merges the sources, reads every setting, and checks them together.

use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Problem};
use crate::settings::{Config, SETTINGS};
use crate::source::{Found, Given, Origin, Sources, from_file, from_flags, from_variables};
use crate::table::Setting;
use crate::validate::validate;
use crate::value::SettingValue;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "impresario.toml";
/// A file of settings beyond this is something else.
const FILE_LIMIT: u64 = 1 << 20;

/// The settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// Each setting with its origin, in the order of [`SETTINGS`].
    pub effective: Vec<Effective>,
}

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value, in its canonical text.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

/// Reads and checks all settings.
///
/// # Errors
/// All problems of all sources.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut found = read_file(sources);
    for layer in [from_variables(&sources.variables), from_flags(&sources.flags)] {
        found.given.extend(layer.given);
        found.problems.extend(layer.problems);
    }
    let mut reader = Reader { given: &found.given, effective: Vec::new(), problems: found.problems };
    let config = Config::read(&mut reader);
    let Reader { effective, mut problems, .. } = reader;
    if let (Some(config), true) = (config, problems.is_empty()) {
        problems = validate(&config, &effective);
        if problems.is_empty() {
            return Ok(Loaded { config, effective });
        }
    }
    problems.truncate(ConfigError::LIMIT);
    Err(ConfigError { problems })
}

fn read_file(sources: &Sources) -> Found {
    let named = |name: &str| sources.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let (path, asked_by) = match (&sources.file, named("IMPRESARIO_CONFIG")) {
        (Some(path), _) => (path.clone(), Some("--config")),
        (None, Some(path)) => (PathBuf::from(path), Some("IMPRESARIO_CONFIG")),
        (None, None) => (PathBuf::from(DEFAULT_FILE), None),
    };
    match (read_limited(&path), asked_by) {
        (Ok(text), _) => from_file(&path, &text),
        (Err(error), None) if error.kind() == std::io::ErrorKind::NotFound => Found::default(),
        (Err(error), asked_by) => {
            let wish = asked_by.map_or_else(String::new, |by| format!(" (named by {by})"));
            let message = format!("expected a readable file of settings{wish}, found: {error}");
            let origin = Origin::File { path, line: 0, column: 0 };
            Found { given: vec![], problems: vec![Problem { origin, message }] }
        }
    }
}

fn read_limited(path: &Path) -> std::io::Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_LIMIT {
        let message = format!("{length} bytes, and the limit is {FILE_LIMIT}");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message));
    }
    std::fs::read_to_string(path)
}

/// Hands out one setting after the other, and keeps what it learns on the way.
pub(crate) struct Reader<'a> {
    given: &'a [Given],
    effective: Vec<Effective>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// The value of a setting: of the last source that gives it, else its default.
    pub(crate) fn read<T: SettingValue>(&mut self, key: &'static str) -> Option<T> {
        let setting = SETTINGS.iter().find(|setting| setting.key == key)?;
        let given = self.given.iter().rfind(|given| given.key == key);
        let (text, origin) = match given {
            Some(given) => (given.text.as_str(), given.origin.clone()),
            None => (setting.default, Origin::Default),
        };
        let host_name;
        let text = match (key, text) {
            ("node.name", "auto") => {
                host_name = read_host_name();
                host_name.as_str()
            }
            _ => text,
        };
        let value = T::parse(text);
        match &value {
            Some(value) => self.effective.push(Effective { setting, value: value.show(), origin }),
            None => {
                let message = format!("'{key}': expected {}, found '{text}'", T::EXPECTED);
                self.problems.push(Problem { origin, message });
            }
        }
        value
    }
}

/// The host's name, as the kernel or the file of the system knows it.
fn read_host_name() -> String {
    ["/proc/sys/kernel/hostname", "/etc/hostname"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|name| name.trim().to_owned())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}
