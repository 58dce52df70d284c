//! The types of settings: how each is read from text, and how it is shown.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A type that a setting may have. Every source gives text, so that a variable and a file mean the same.
pub(crate) trait SettingValue: Sized {
    /// What a value looks like, for error messages: "expected …".
    const EXPECTED: &'static str;
    /// Reads a value.
    ///
    /// `None` when the text is not one; the caller says what was expected.
    fn parse(text: &str) -> Option<Self>;
    /// The value as text that reads back as the same value.
    fn show(&self) -> String;
}

/// A whole number, with `_` allowed between digits as in TOML.
fn whole_number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.replace('_', "").parse().ok()
}

/// A value from text that is no setting.
fn expected<T: SettingValue>(text: &str) -> Result<T, String> {
    T::parse(text).ok_or_else(|| format!("expected {}, found '{text}'", T::EXPECTED))
}

macro_rules! whole_numbers {
    ($($Type:ty),*) => { $(
        impl SettingValue for $Type {
            const EXPECTED: &'static str = "a whole number";
            fn parse(text: &str) -> Option<Self> {
                whole_number(text)
            }
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )* };
}
whole_numbers!(u8, u16, u64, usize);

impl SettingValue for bool {
    const EXPECTED: &'static str = "true or false";
    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for Duration {
    const EXPECTED: &'static str = "a duration such as 500ms, 10s, 5m, 2h or 7days";
    fn parse(text: &str) -> Option<Self> {
        // humantime reads `M` as a month of 30.44 days: refused, as nobody means that and `m` is a minute.
        let calendar = |unit: &str| unit == "M" || unit.starts_with("month") || unit.starts_with('y');
        let mut units = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|unit| !unit.is_empty());
        if units.any(calendar) {
            return None;
        }
        humantime::parse_duration(text).ok()
    }
    fn show(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl SettingValue for SocketAddr {
    const EXPECTED: &'static str = "an IP address with a port such as 127.0.0.1:4747";
    fn parse(text: &str) -> Option<Self> {
        text.strip_prefix("localhost:")
            .map_or_else(|| text.parse().ok(), |port| format!("127.0.0.1:{port}").parse().ok())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl SettingValue for PathBuf {
    const EXPECTED: &'static str = "a path";
    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains('\0')).then(|| PathBuf::from(text))
    }
    fn show(&self) -> String {
        self.display().to_string()
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const BYTE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |unit: &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(unit.1);
        match BYTE_UNITS.iter().find(exact) {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl SettingValue for ByteSize {
    const EXPECTED: &'static str = "a size such as 64KiB, 1MiB or 500MB";
    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let size = match BYTE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
            Some((_, size)) => *size,
            None if unit.is_empty() => 1,
            None => return None,
        };
        whole_number::<u64>(digits.trim_end())?.checked_mul(size).map(ByteSize)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl std::str::FromStr for ByteSize {
    type Err = &'static str;

    /// Reads it as in the settings.
    ///
    /// # Errors
    /// What was expected.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or(Self::EXPECTED)
    }
}

/// A short name that is safe in a key, a file name and a log field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name(String);

impl Name {
    /// The longest name.
    pub const LIMIT: usize = 64;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SettingValue for Name {
    const EXPECTED: &'static str = "a name of 1 to 64 letters, digits, '-', '_' or '.'";
    fn parse(text: &str) -> Option<Self> {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        // A leading dot would make a hidden file, and `..` the folder above.
        let named =
            (1..=Self::LIMIT).contains(&text.len()) && text.chars().all(safe) && !text.starts_with('.');
        named.then(|| Name(text.to_owned()))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

/// Names, `A,B`, perhaps none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<Name>);

impl SettingValue for Names {
    const EXPECTED: &'static str = "names such as first,second, or none";
    fn parse(text: &str) -> Option<Self> {
        if text == NONE {
            return Some(Names::default());
        }
        text.split(',').map(|part| Name::parse(part.trim())).collect::<Option<_>>().map(Names)
    }
    fn show(&self) -> String {
        if self.0.is_empty() {
            return NONE.to_owned();
        }
        self.0.iter().map(Name::as_str).collect::<Vec<_>>().join(",")
    }
}

/// Declares an enum of words.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $Type:ident, $expected:literal, { $( #[doc = $word_doc:literal] $Word:ident = $text:literal ),* }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Type { $( #[doc = $word_doc] $Word ),* }

        impl SettingValue for $Type {
            const EXPECTED: &'static str = $expected;
            fn parse(text: &str) -> Option<Self> {
                match text { $( $text => Some($Type::$Word), )* _ => None }
            }
            fn show(&self) -> String {
                match self { $( $Type::$Word => $text ),* }.to_owned()
            }
        }
    };
}

words! {
    /// A kind of store.
    StoreKind, "embedded, redis or memory", {
        /// Durable on this machine.
        Embedded = "embedded",
        /// Shared by several nodes.
        Redis = "redis",
        /// Forgets everything at exit.
        Memory = "memory"
    }
}

words! {
    /// How the servers of a shared store belong together.
    RedisTopology, "standalone, sentinel or cluster", {
        /// One server.
        Standalone = "standalone",
        /// A primary that sentinels watch and replace.
        Sentinel = "sentinel",
        /// A Redis Cluster.
        Cluster = "cluster"
    }
}

words! {
    /// How a shared store keeps what it has acknowledged.
    RedisKeeping, "fsync, everysec or memory", {
        /// Flushed to disk before it is acknowledged.
        Fsync = "fsync",
        /// Flushed every second.
        EverySecond = "everysec",
        /// Not kept on disk.
        Memory = "memory"
    }
}

/// The addresses of servers, `HOST:PORT`, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers(pub Vec<(String, u16)>);

impl SettingValue for Servers {
    const EXPECTED: &'static str = "addresses such as redis-1:6379,redis-2:6379";
    fn parse(text: &str) -> Option<Self> {
        let server = |part: &str| {
            let (host, port) = part.trim().rsplit_once(':')?;
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let named = !host.is_empty() && !host.contains(['/', '@', ' ']);
            named.then_some(())?;
            Some((host.to_owned(), port.parse().ok().filter(|port| *port > 0)?))
        };
        text.split(',').map(server).collect::<Option<Vec<_>>>().map(Servers)
    }
    fn show(&self) -> String {
        let server = |(host, port): &(String, u16)| match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        self.0.iter().map(server).collect::<Vec<_>>().join(",")
    }
}

/// Labels of a node, `KEY=VALUE`, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

impl SettingValue for Labels {
    const EXPECTED: &'static str = "labels such as rack=3,zone=a, or none";
    fn parse(text: &str) -> Option<Self> {
        if text == NONE {
            return Some(Labels::default());
        }
        let label = |part: &str| {
            let (key, value) = part.trim().split_once('=')?;
            Some((Name::parse(key)?.0, Name::parse(value)?.0))
        };
        text.split(',').map(label).collect::<Option<BTreeMap<_, _>>>().map(Labels)
    }
    fn show(&self) -> String {
        if self.0.is_empty() {
            return NONE.to_owned();
        }
        self.0.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }
}

/// The word for a setting that is not set.
const NONE: &str = "none";

/// A setting that may be absent; the word for that is `none`.
macro_rules! optional {
    ($($Type:ty: $expected:literal),*) => { $(
        impl SettingValue for Option<$Type> {
            const EXPECTED: &'static str = $expected;
            fn parse(text: &str) -> Option<Self> {
                if text == NONE { Some(None) } else { <$Type>::parse(text).map(Some) }
            }
            fn show(&self) -> String {
                self.as_ref().map_or_else(|| NONE.to_owned(), SettingValue::show)
            }
        }
    )* };
}
optional!(PathBuf: "a path, or none", SocketAddr: "an IP address with a port such as 127.0.0.1:4748, or none", Name: "a name of letters, digits, '-', '_' or '.', or none", Url: "an address such as http://node-1:4747, or none");

/// The address at which others reach something over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// Reads an address.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn new(text: &str) -> Result<Self, String> {
        expected(text)
    }

    /// The address, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SettingValue for Url {
    const EXPECTED: &'static str = "an address such as http://node-1:4747";
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"))?;
        let plain = !rest.is_empty() && !rest.contains(['@', ' ', '?', '#']);
        plain.then(|| Url(text.trim_end_matches('/').to_owned()))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}

words! {
    /// How log lines are written.
    LogFormat, "text or json", {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json"
    }
}

/// Which log lines are written: a level, and exceptions by module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// Reads levels.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn new(text: &str) -> Result<Self, String> {
        expected(text)
    }

    /// The filter as text, as `tracing_subscriber::EnvFilter` reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SettingValue for LogFilter {
    const EXPECTED: &'static str =
        "off, error, warn, info, debug or trace, with exceptions such as warn,impresario_actors=debug";
    fn parse(text: &str) -> Option<Self> {
        let level = |word: &str| matches!(word, "off" | "error" | "warn" | "info" | "debug" | "trace");
        let module = |word: &str| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))
        };
        let directive = |part: &str| match part.split_once('=') {
            Some((target, word)) => module(target) && level(word),
            None => level(part),
        };
        text.split(',').all(directive).then(|| LogFilter(text.to_owned()))
    }
    fn show(&self) -> String {
        self.0.clone()
    }
}
