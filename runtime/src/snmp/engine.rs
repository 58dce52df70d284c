//! The identity of the listener in version 3: an engine id for ever, and a count of starts, kept in the data folder.
//!
//! Senders of informs sign for this engine and its count: one that went back would let old messages pass for new ones.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use async_snmp::{AuthoritativeEngine, PersistedAuthoritativeEngine, generate_engine_id};
use serde::{Deserialize, Serialize};

use super::event::hex;

/// The file, in the data folder.
const FILE: &str = "snmp-engine.json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Kept {
    engine_id: String,
    boots: u32,
}

/// Starts the engine of a data folder once more, or makes it.
///
/// # Errors
/// What was expected and found.
pub(super) fn open(data: &Path) -> Result<AuthoritativeEngine, String> {
    let path = data.join(FILE);
    let shown = path.display().to_string();
    let keep = {
        let path = path.clone();
        move |engine: &PersistedAuthoritativeEngine| write(&path, engine)
    };
    let failed = |error: Box<async_snmp::Error>| {
        format!("expected to keep the SNMP engine in {shown}, found: {error}")
    };
    match fs::read(&path) {
        Ok(bytes) => {
            let wrong = |found: String| {
                format!(
                    "expected the SNMP engine in {shown}, found {found}; without the file a new one is made"
                )
            };
            let kept: Kept = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
            let id = unhex(&kept.engine_id)
                .ok_or_else(|| wrong("an engine id that is not hexadecimal".to_owned()))?;
            let kept = PersistedAuthoritativeEngine::new(id, kept.boots)
                .map_err(|error| wrong(error.to_string()))?;
            AuthoritativeEngine::restart(kept, keep).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = generate_engine_id().map_err(failed)?;
            AuthoritativeEngine::install(id, keep).map_err(failed)
        }
        Err(error) => Err(format!("expected to read {shown}, found: {error}")),
    }
}

/// Whole or not at all, and on the disk before it is used.
fn write(path: &PathBuf, engine: &PersistedAuthoritativeEngine) -> io::Result<()> {
    let kept = Kept { engine_id: hex(engine.engine_id()), boots: engine.engine_boots() };
    let half = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(&serde_json::to_vec(&kept)?)?;
    file.sync_all()?;
    fs::rename(&half, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_counts_and_the_engine_stays() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path()).unwrap();
        let second = open(folder.path()).unwrap();
        assert_eq!((first.engine_boots(), second.engine_boots()), (1, 2));
        assert_eq!(first.engine_id(), second.engine_id());
        for damage in ["", "{}", r#"{"engineId":"zz","boots":1}"#, r#"{"engineId":"80","boots":1}"#] {
            fs::write(folder.path().join(FILE), damage).unwrap();
            assert!(open(folder.path()).unwrap_err().contains(FILE), "{damage}");
        }
    }
}
