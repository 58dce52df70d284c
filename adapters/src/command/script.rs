//! A script as a file, for as long as its interpreter needs it.

use std::fs::{OpenOptions, remove_file};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::PathBuf;

use impresario_adapter::Failure;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use super::account::Account;

/// A file that nobody but its user can read. It goes when it is dropped.
#[derive(Debug)]
pub(super) struct Script {
    path: PathBuf,
}

impl Script {
    /// Writes it into the folder for temporary files. `token` makes its name.
    pub(super) async fn write(text: String, token: &str, account: Option<&Account>) -> Result<Self, Failure> {
        let name: String = Sha256::digest(token).iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("impresario-script-{name}"));
        let owner = account.map(|account| (account.uid, account.gid));
        let written = spawn_blocking(move || Self::create(path, &text, owner)).await;
        let failed = |error: String| Failure::runtime("the script could not be written").with_detail(error);
        written.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    fn create(path: PathBuf, text: &str, owner: Option<(u32, u32)>) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        // Nothing that is there already is written to, nor a link followed.
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        let script = Self { path };
        file.write_all(text.as_bytes())?;
        if let Some((uid, gid)) = owner {
            fchown(&file, Some(uid), Some(gid))?;
        }
        Ok(script)
    }

    pub(super) fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It is small, and nobody waits for it.
        let _: std::io::Result<()> = remove_file(&self.path);
    }
}
