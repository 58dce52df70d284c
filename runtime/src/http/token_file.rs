//! The token of a data folder: made at the first start, kept as an argon2id hash.
//!
//! `DATA/token` holds the token for those who may read the folder; only `DATA/token.hash` is needed to verify it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Files and presented tokens beyond this are none of ours.
pub(super) const LENGTH_LIMIT: usize = 1024;
/// The costs that a stored hash may ask for: 256 MiB, 10 passes, 8 lanes.
const COST_LIMITS: (u32, u32, u32) = (256 * 1024, 10, 8);

/// Where the token of a data folder is.
pub fn token_file(data: &Path) -> PathBuf {
    data.join("token")
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A file cannot be read or written.
    #[error("expected to read or write {}, found: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("expected {expected} in {}, found {found}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold, and what to do.
        expected: &'static str,
        /// What it holds.
        found: String,
    },
    /// The system gives no random bytes, or the hash failed.
    #[error("expected to make a token, found: {0}")]
    Make(String),
}

/// The token of a data folder.
pub(super) struct OwnToken {
    /// The file that holds, or held, the token.
    pub file: PathBuf,
    /// The token itself, unless its file was moved away.
    pub token: Option<String>,
    /// Its hash.
    pub hash: PasswordHash,
}

impl OwnToken {
    /// Reads the token, and makes it at the first start. Takes about 50 ms: it hashes.
    pub fn open(data: &Path) -> Result<OwnToken, TokenError> {
        let file = fs::canonicalize(data).map(|data| token_file(&data)).unwrap_or_else(|_| token_file(data));
        let hash_file = file.with_extension("hash");
        let token = read_limited(&file)?;
        let stored = read_limited(&hash_file)?;
        let token = match (token, &stored) {
            (None, None) => Some(make_token(&file)?),
            (Some(token), _) if token.is_empty() => return Err(content(&file, "a token", "nothing")),
            (token, _) => token,
        };
        let hash = match (&stored, &token) {
            (Some(stored), _) => {
                parse_hash(stored).map_err(|found| content(&hash_file, EXPECTED_HASH, found))?
            }
            (None, Some(token)) => make_hash(&hash_file, token)?,
            (None, None) => return Err(content(&file, "a token", "nothing")),
        };
        if let Some(token) = &token
            && !verifies(token, &hash)
        {
            let expected =
                "the token whose hash is in token.hash beside it (to set a new token, delete token.hash)";
            return Err(content(&file, expected, "another one"));
        }
        Ok(OwnToken { file, token, hash })
    }
}

/// Whether a token is the one of a hash. Slow on purpose.
pub(super) fn verifies(token: &str, hash: &PasswordHash) -> bool {
    Argon2::default().verify_password(token.as_bytes(), hash).is_ok()
}

const EXPECTED_HASH: &str = "an argon2id hash (if it is lost, delete the file: the token file then counts)";

fn content(path: &Path, expected: &'static str, found: impl Into<String>) -> TokenError {
    TokenError::Content { path: path.to_owned(), expected, found: found.into() }
}

/// The trimmed text of a file, if it is there.
fn read_limited(path: &Path) -> Result<Option<String>, TokenError> {
    let failed = |source| TokenError::Io { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    file.take(LENGTH_LIMIT as u64 + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() > LENGTH_LIMIT {
        return Err(content(path, "at most 1024 bytes", "more"));
    }
    Ok(Some(text.trim().to_owned()))
}

fn make_token(path: &Path) -> Result<String, TokenError> {
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(|error| TokenError::Make(error.to_string()))?;
    let token = BASE64_URL_SAFE_NO_PAD.encode(random);
    write_private(path, &token)?;
    Ok(token)
}

fn make_hash(path: &Path, token: &str) -> Result<PasswordHash, TokenError> {
    let hashed: Result<PasswordHash, _> = Argon2::default().hash_password(token.as_bytes());
    let hash = hashed.map_err(|error| TokenError::Make(error.to_string()))?;
    write_private(path, &hash.to_string())?;
    Ok(hash)
}

/// A hash with costs that this machine can pay: they are the text's, and a foreign one could ask for any. The error
/// says what was found.
pub(super) fn parse_hash(text: &str) -> Result<PasswordHash, String> {
    let hash = PasswordHash::new(text).map_err(|error| error.to_string())?;
    let costs = Params::try_from(&hash).map_err(|error| error.to_string())?;
    let (memory, passes, lanes) = COST_LIMITS;
    let payable = costs.m_cost() <= memory && costs.t_cost() <= passes && costs.p_cost() <= lanes;
    match hash.algorithm.as_str() == "argon2id" && payable {
        true => Ok(hash),
        false => Err("another algorithm, or costs beyond 256 MiB, 10 passes and 8 lanes".to_owned()),
    }
}

/// Writes a file that only its owner may read. Whole or not at all: a start may be cut off.
fn write_private(path: &Path, text: &str) -> Result<(), TokenError> {
    let failed = |source| TokenError::Io { path: path.to_owned(), source };
    let half = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half).map_err(failed)?;
    writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&half, path).map_err(failed)
}
