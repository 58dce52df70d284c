//! Values of flags: JSON, `@FILE`, or `-` for standard input.

use std::fs::File;
use std::io::{Read, stdin};

use serde_json::Value;

use super::error::CliError;

/// More than any node takes.
const LIMIT: u64 = 64 << 20;

/// Reads the JSON of a flag.
pub(super) fn json(flag: &str, text: &str) -> Result<Value, CliError> {
    match (text, text.strip_prefix('@')) {
        ("-", _) => parse(flag, "standard input", &read("standard input", stdin())?),
        (_, Some(path)) => file(flag, path),
        _ => parse(flag, "it", text.as_bytes()),
    }
}

/// Reads the JSON of a file, or of standard input for `-`.
pub(super) fn file(flag: &str, path: &str) -> Result<Value, CliError> {
    if path == "-" {
        return json(flag, path);
    }
    let file =
        File::open(path).map_err(|error| CliError::Failed(format!("{flag}: cannot read {path}: {error}")))?;
    parse(flag, path, &read(path, file)?)
}

/// Reads the text of a file, or of standard input for `-`.
pub(super) fn text(flag: &str, path: &str) -> Result<String, CliError> {
    let bytes = match path {
        "-" => read("standard input", stdin())?,
        path => {
            let file = File::open(path);
            let file =
                file.map_err(|error| CliError::Failed(format!("{flag}: cannot read {path}: {error}")))?;
            read(path, file)?
        }
    };
    String::from_utf8(bytes).map_err(|_| CliError::Usage(format!("{flag}: expected text in UTF-8 in {path}")))
}

fn read(name: &str, source: impl Read) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    source
        .take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| CliError::Failed(format!("cannot read {name}: {error}")))?;
    match bytes.len() as u64 > LIMIT {
        true => Err(CliError::Failed(format!("expected at most {LIMIT} bytes in {name}, found more"))),
        false => Ok(bytes),
    }
}

fn parse(flag: &str, place: &str, bytes: &[u8]) -> Result<Value, CliError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let hint = match place {
            "it" => "; text needs quotes of its own, such as '\"text\"', and @FILE reads a file",
            _ => "",
        };
        CliError::Usage(format!("{flag}: expected JSON in {place}, found: {error}{hint}"))
    })
}
