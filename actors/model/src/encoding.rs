//! The stored form of entries and snapshots: one version byte, then MessagePack with named fields.
//!
//! Named fields let an old reader skip what it does not know and a new reader default what is absent; the
//! version byte is raised when that is not enough.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The version that this program writes, and the newest that it reads.
pub const VERSION: u8 = 1;

/// Why stored bytes cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// They were written by a newer program.
    #[error("stored by a newer version: format {found}, this program reads up to {VERSION}")]
    Newer {
        /// The version byte.
        found: u8,
    },
    /// They are not what they should be.
    #[error("not readable: {0}")]
    Malformed(String),
}

/// Why a value cannot be stored; only a value nested beyond all limits gets here.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot be stored: {0}")]
pub struct EncodeError(String);

/// The stored form of `value`.
///
/// # Errors
/// [`EncodeError`] when the value is nested beyond what the format takes.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(VERSION);
    rmp_serde::encode::write_named(&mut bytes, value).map_err(|error| EncodeError(error.to_string()))?;
    Ok(bytes)
}

/// Reads the stored form.
///
/// # Errors
/// [`DecodeError`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    match bytes.split_first() {
        Some((&VERSION, body)) => {
            rmp_serde::from_slice(body).map_err(|error| DecodeError::Malformed(error.to_string()))
        }
        Some((&found, _)) if found > VERSION => Err(DecodeError::Newer { found }),
        Some((&found, _)) => Err(DecodeError::Malformed(format!("unknown format {found}"))),
        None => Err(DecodeError::Malformed("empty".to_owned())),
    }
}
