//! `key`: the environment key of this machine, which never goes over the wire.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write, stdin};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{Global, KeyCommand};
use super::client::{self, Client};
use super::error::CliError;
use super::style::{FAINT, GOOD};
use super::{hidden, page};
use crate::secrets::{self, KeyRing, SecretsError};

/// An export beyond this is none.
const EXPORT_LIMIT: u64 = 256 * 1024;

/// The commands that work on the key file of this machine.
pub(super) fn local(global: &Global, command: KeyCommand) -> Result<ExitCode, CliError> {
    let config = client::settings(global, vec![])?.config;
    let path = secrets::key_file(&config);
    match command {
        KeyCommand::Show => {
            let ring = secrets::read(&path).map_err(failed)?;
            page::print(global, &shown(&path, &ring), |_| render(&path, &ring))
        }
        KeyCommand::Export { file, passphrase_file } => {
            let ring = secrets::read(&path).map_err(failed)?;
            let passphrase = hidden::passphrase(passphrase_file.as_deref(), true)?;
            let text = secrets::seal_export(&ring, &passphrase).map_err(failed)?;
            let Some(file) = file else {
                page::write_out(&text)?;
                return Ok(ExitCode::SUCCESS);
            };
            let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
            written
                .and_then(|mut written| written.write_all(text.as_bytes()).and_then(|()| written.sync_all()))
                .map_err(|error| CliError::Failed(format!("cannot write {}: {error}", file.display())))?;
            page::print(global, &json!({ "exported": ids(&ring), "file": file }), |_| {
                format!("{GOOD}exported{GOOD:#} {} to {}\n", ring.ids(), file.display())
            })
        }
        KeyCommand::Import { file, passphrase_file } => {
            let text = read(&file)?;
            let passphrase = hidden::passphrase(passphrase_file.as_deref(), false)?;
            let keys = secrets::open_export(&text, &passphrase).map_err(failed)?;
            let ring = secrets::import(&path, keys).map_err(failed)?;
            page::print(global, &shown(&path, &ring), |_| {
                format!("{GOOD}imported{GOOD:#} into {}: {}\n", path.display(), ring.ids())
            })
        }
        KeyCommand::Rotate => Ok(ExitCode::SUCCESS),
    }
}

/// Rotates the key of the node that is asked.
pub(super) async fn rotate(global: &Global, client: &Client) -> Result<ExitCode, CliError> {
    let rotated: Value = client.post("/api/v1/key/rotate", "application/json", &json!({})).await?;
    page::print(global, &rotated, |rotated| {
        let id = rotated.get("key").and_then(Value::as_str).unwrap_or_default();
        format!("{GOOD}rotated{GOOD:#} the environment key: now {id}; export it anew\n")
    })
}

fn failed(error: SecretsError) -> CliError {
    CliError::Failed(error.to_string())
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |error| CliError::Failed(format!("cannot read {}: {error}", file.display()));
    let mut bytes = Vec::new();
    let source: Box<dyn Read> = match file == Path::new("-") {
        true => Box::new(stdin()),
        false => Box::new(File::open(file).map_err(failed)?),
    };
    source.take(EXPORT_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn ids(ring: &KeyRing) -> Vec<&str> {
    ring.keys().iter().map(|key| key.id.as_str()).collect()
}

fn shown(path: &Path, ring: &KeyRing) -> Value {
    let keys: Vec<Value> = ring.keys().iter().map(|key| json!({ "id": key.id, "made": key.made })).collect();
    json!({ "file": path, "keys": keys })
}

fn render(path: &Path, ring: &KeyRing) -> String {
    let mut page = format!("{FAINT}{}{FAINT:#}\n", path.display());
    for key in ring.keys() {
        page.push_str(&format!("{}  {FAINT}made {}{FAINT:#}\n", key.id, key.made));
    }
    page
}
