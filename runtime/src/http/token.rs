//! The node's bearer token: made at the first start, kept as an argon2id hash, verified once per token.
//!
//! `DATA/token` holds the token for those who may read the folder; only `DATA/token.hash` is needed to verify, so
//! the file may be moved away. A verified token is remembered by its SHA-256, so that the slow hash runs once;
//! unknown tokens are verified one at a time, so that guessing costs the guesser and not the node.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, Params};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Files and presented tokens beyond this are none of ours.
const LENGTH_LIMIT: usize = 1024;
/// How many wrong tokens are remembered: enough for senders that were set up wrongly and keep trying.
const WRONG_LIMIT: usize = 64;
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

/// What became of a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    Wrong,
    /// Another unknown token is being verified.
    Busy,
}

/// Verifies tokens against the stored hash.
pub struct TokenKeeper {
    file: PathBuf,
    hash: PasswordHash,
    /// The digest of the right token, once it was seen.
    right: OnceLock<[u8; 32]>,
    wrong: Mutex<VecDeque<[u8; 32]>>,
    verifying: Semaphore,
}

impl TokenKeeper {
    /// Opens the token of a data folder, and makes it at the first start. Takes about 50 ms: it hashes.
    ///
    /// A `token` file that somebody put there before the first start is taken as it is.
    ///
    /// # Errors
    /// When the files cannot be read or written, or do not belong together.
    pub fn open(data: &Path) -> Result<TokenKeeper, TokenError> {
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
            (Some(stored), _) => parse_hash(&hash_file, stored)?,
            (None, Some(token)) => make_hash(&hash_file, token)?,
            (None, None) => return Err(content(&file, "a token", "nothing")),
        };
        let keeper = TokenKeeper {
            file,
            hash,
            right: OnceLock::new(),
            wrong: Mutex::default(),
            verifying: Semaphore::new(1),
        };
        if let Some(token) = token
            && !keeper.learn(token.as_bytes(), digest(&token))
        {
            let expected =
                "the token whose hash is in token.hash beside it (to set a new token, delete token.hash)";
            return Err(content(&keeper.file, expected, "another one"));
        }
        Ok(keeper)
    }

    /// The file that holds, or held, the token.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Whether the token is ours.
    pub(super) async fn verify(self: &Arc<Self>, token: &str) -> Verdict {
        let digest = digest(token);
        if self.right.get() == Some(&digest) {
            return Verdict::Right;
        }
        if token.len() > LENGTH_LIMIT || self.is_known_wrong(&digest) {
            return Verdict::Wrong;
        }
        let Ok(_turn) = self.verifying.try_acquire() else { return Verdict::Busy };
        let (keeper, token) = (Arc::clone(self), token.to_owned());
        match tokio::task::spawn_blocking(move || keeper.learn(token.as_bytes(), digest)).await {
            Ok(true) => Verdict::Right,
            Ok(false) => Verdict::Wrong,
            // The runtime is going down.
            Err(_) => Verdict::Busy,
        }
    }

    /// Verifies the slow way, and remembers the outcome.
    fn learn(&self, token: &[u8], digest: [u8; 32]) -> bool {
        let right = Argon2::default().verify_password(token, &self.hash).is_ok();
        if right {
            // Only ever set to the one digest that verifies.
            let _ = self.right.set(digest);
        } else {
            let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
            wrong.truncate(WRONG_LIMIT - 1);
            wrong.push_front(digest);
        }
        right
    }

    fn is_known_wrong(&self, digest: &[u8; 32]) -> bool {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

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

/// A hash with costs that this machine can pay: they are the file's, and a foreign file could ask for any.
fn parse_hash(path: &Path, text: &str) -> Result<PasswordHash, TokenError> {
    let expected = "an argon2id hash (if it is lost, delete the file: the token file then counts)";
    let hash = PasswordHash::new(text).map_err(|error| content(path, expected, error.to_string()))?;
    let costs = Params::try_from(&hash).map_err(|error| content(path, expected, error.to_string()))?;
    let (memory, passes, lanes) = COST_LIMITS;
    if hash.algorithm.as_str() != "argon2id"
        || costs.m_cost() > memory
        || costs.t_cost() > passes
        || costs.p_cost() > lanes
    {
        return Err(content(
            path,
            expected,
            "another algorithm, or costs beyond 256 MiB, 10 passes and 8 lanes",
        ));
    }
    Ok(hash)
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
