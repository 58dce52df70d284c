//! The environment key, and what is sealed under it: the secrets of runtime users.
//!
//! - `key`: one key, its id, and sealing with it;
//! - `key_file`: the keys that this node has, in a file of its own that only its owner may read;
//! - `export`: the same keys in a file that a passphrase seals, to bring them to another node or into a safe;
//! - `vault`: the runtime users of the environment, opened for the calls that ask for them.
//!
//! The key is never in the store. Whoever has the store alone has the names of runtime users and of their fields.

mod export;
mod key;
mod key_file;
mod users;
mod vault;

use std::path::PathBuf;

pub use self::export::{open_export, seal_export};
pub use self::key::{Key, KeyRing};
pub use self::key_file::{import, key_file, read, read_or_none};
pub use self::users::{UserChange, UserSummary};
pub use self::vault::Vault;

/// Why there is no key, or nothing can be opened with it.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A file cannot be read or written.
    #[error("expected to read or write {}, found: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file can be read by others.
    #[error("expected {} to be readable by its owner alone (mode 0600), found mode {mode:04o}: whoever has read it knows the environment key; correct it with `chmod 600`, and rotate the key with `impresario key rotate`", .path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file holds something else.
    #[error("expected environment keys in {}, found {found}: bring them back with `impresario key import` from an export", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// Secrets are sealed under a key that this node does not have.
    #[error("expected the environment key {id} in {} (setting key.file), found {found}: the secrets of this environment are sealed under it; run `impresario key export` where it is, and `impresario key import` here", .path.display())]
    Missing {
        /// The key's id.
        id: String,
        /// Where it should be.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// An export is no export, was changed, or has another passphrase.
    #[error("expected an export of environment keys, found {0}")]
    Export(String),
    /// A sealed secret was changed, or belongs elsewhere.
    #[error("expected the sealed {0} of the environment, found one that was changed: set it anew")]
    Sealed(String),
    /// The system gives no random bytes, or cannot do the work.
    #[error("{0}")]
    System(String),
}

/// As many random bytes as fit.
fn random<const N: usize>() -> Result<[u8; N], SecretsError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| SecretsError::System(format!("no random bytes: {error}")))?;
    Ok(bytes)
}
