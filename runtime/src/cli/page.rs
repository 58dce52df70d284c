//! Printing: JSON or a page, ages and shortened values.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;

use super::args::Global;
use super::error::CliError;

/// Prints the value as JSON, or the page made of it.
pub(super) fn print<T: Serialize>(
    global: &Global,
    value: &T,
    page: impl FnOnce(&T) -> String,
) -> Result<ExitCode, CliError> {
    if global.json {
        print_json(value)?;
    } else {
        write_out(&page(value))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a value as JSON.
pub(super) fn print_json<T: Serialize>(value: &T) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::Failed(format!("cannot print as JSON: {error}")))?;
    write_out(&format!("{text}\n"))
}

/// Writes to standard output; a reader that went away, such as `head`, is no error.
pub(super) fn write_out(text: &str) -> Result<(), CliError> {
    use std::io::Write;
    let mut out = anstream::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::Failed(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A duration with its two largest units: `3m 20s`.
pub(super) fn duration(duration: Duration) -> String {
    let whole = match duration.as_secs() {
        0 => Duration::from_millis(duration.as_millis() as u64),
        seconds => Duration::from_secs(seconds),
    };
    let text = humantime::format_duration(whole).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// How long ago an RFC 3339 time was; the text itself when it is not one.
pub(super) fn age(time: &str, now: SystemTime) -> String {
    match humantime::parse_rfc3339(time) {
        // A clock of another machine may be ahead of ours.
        Ok(time) => duration(now.duration_since(time).unwrap_or_default()),
        Err(_) => time.to_owned(),
    }
}

/// How long it took from one RFC 3339 time to another.
pub(super) fn between(start: &str, end: Option<&str>) -> Option<String> {
    let start = humantime::parse_rfc3339(start).ok()?;
    let end = humantime::parse_rfc3339(end?).ok()?;
    end.duration_since(start).ok().map(duration)
}

/// A value on one line, cut to fit.
pub(super) fn shortened(value: &Value, limit: usize) -> String {
    let text = value.to_string();
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
