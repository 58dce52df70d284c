//! Verifies the bearer tokens of requests: the token of this node, and those of the nodes that it shares a store with.
//!
//! Every node registers the hash of its token in the environment, so that a client's token is good at every node, and
//! nodes can call each other. A verified token is remembered by a salted digest, so that the slow hash runs once;
//! unknown tokens are verified one at a time, so that guessing costs the guesser and not the node.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use bytes::Bytes;
use impresario_persistence::{Store, StoreError};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::token_file::{LENGTH_LIMIT, OwnToken, parse_hash, verifies};
pub use super::token_file::{TokenError, token_file};
use crate::settings::{self, SettingError};

/// Where the environment keeps the hashes, each under the name of its node.
const PREFIX: &str = "token/";
/// How many wrong tokens are remembered: enough for senders that were set up wrongly and keep trying.
const WRONG_LIMIT: usize = 64;
/// How many hashes of others count: each costs an unknown token one verification.
const OTHERS_LIMIT: usize = 256;
/// How often an unknown token has the hashes read again at most, and how long that may take.
const REFRESH: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(2));

type TokenDigest = [u8; 32];

/// What became of a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
    /// Another unknown token is being verified.
    Busy,
}

/// Verifies tokens.
pub struct TokenKeeper {
    own: OwnToken,
    /// Of the digests: they are worth nothing to whoever sees the memory of another process.
    salt: [u8; 32],
    store: OnceLock<Arc<dyn Store>>,
    known: Mutex<Known>,
    verifying: Semaphore,
}

#[derive(Default)]
struct Known {
    /// The hashes of the other nodes, as the environment has them.
    others: Arc<[Other]>,
    /// Tokens that were verified, with the hash that they belong to.
    right: Vec<(TokenDigest, String)>,
    wrong: VecDeque<TokenDigest>,
    /// When the hashes were read last.
    read: Option<Instant>,
}

#[derive(Clone)]
struct Other {
    text: String,
    hash: PasswordHash,
}

impl TokenKeeper {
    /// Opens the token of a data folder, and makes it at the first start. Takes about 50 ms: it hashes.
    ///
    /// A `token` file that somebody put there before the first start is taken as it is.
    ///
    /// # Errors
    /// When the files cannot be read or written, or do not belong together.
    pub fn open(data: &Path) -> Result<TokenKeeper, TokenError> {
        let own = OwnToken::open(data)?;
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|error| TokenError::Make(error.to_string()))?;
        let mut known = Known::default();
        if let Some(token) = &own.token {
            known.right.push((digest(&salt, token), own.hash.to_string()));
        }
        Ok(TokenKeeper {
            own,
            salt,
            store: OnceLock::new(),
            known: Mutex::new(known),
            verifying: Semaphore::new(1),
        })
    }

    /// The file that holds, or held, the token.
    pub fn file(&self) -> &Path {
        &self.own.file
    }

    /// The token of this node, with which it calls the others.
    ///
    /// # Errors
    /// When its file was moved away.
    pub fn token(&self) -> Result<&str, TokenError> {
        self.own.token.as_deref().ok_or_else(|| TokenError::Content {
            path: self.own.file.clone(),
            expected: "the token of this node, with which it calls the nodes that share its store (put it back, or \
                       delete token.hash beside it to have a new one made)",
            found: "no file".to_owned(),
        })
    }

    /// Lets the tokens of all nodes of a store in, and has them let the one of this node in.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn share(&self, store: Arc<dyn Store>, node: &str) -> Result<(), SettingError> {
        put(&store, node, Bytes::from(self.own.hash.to_string())).await?;
        // Only ever set once, by the one that puts the node together.
        let _ = self.store.set(Arc::clone(&store));
        Ok(self.refresh().await?)
    }

    /// Reads anew whose tokens count. To be called when settings of the environment have changed; does nothing
    /// unless [`TokenKeeper::share`] was called.
    ///
    /// # Errors
    /// When the store does not answer; then those that counted before still do.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let Some(store) = self.store.get() else { return Ok(()) };
        self.lock().read = Some(Instant::now());
        let own = self.own.hash.to_string();
        let mut others = Vec::new();
        for (key, setting) in store.settings(PREFIX.to_owned()).await? {
            // A node that was removed leaves an empty setting.
            let text = String::from_utf8_lossy(&setting.bytes).into_owned();
            if text.is_empty() || text == own || others.len() == OTHERS_LIMIT {
                continue;
            }
            match parse_hash(&text) {
                Ok(hash) => others.push(Other { text, hash }),
                Err(found) => {
                    tracing::warn!(
                        key,
                        found,
                        "expected an argon2id hash in a setting; its token does not count"
                    );
                }
            }
        }
        let mut known = self.lock();
        if !known.others.iter().map(|other| &other.text).eq(others.iter().map(|other| &other.text)) {
            known.right.retain(|(_, text)| *text == own || others.iter().any(|other| other.text == *text));
            known.wrong.clear();
            known.others = others.into();
        }
        Ok(())
    }

    /// Whether a token is ours, or of a node that shares the store.
    pub(crate) async fn verify(self: &Arc<Self>, token: &str) -> Verdict {
        let digest = digest(&self.salt, token);
        let due = {
            let known = self.lock();
            if known.right.iter().any(|(right, _)| *right == digest) {
                return Verdict::Right;
            }
            let due = self.store.get().is_some() && known.read.is_none_or(|read| read.elapsed() >= REFRESH.0);
            if token.len() > LENGTH_LIMIT || (known.wrong.contains(&digest) && !due) {
                return Verdict::Wrong;
            }
            due
        };
        let Ok(_turn) = self.verifying.try_acquire() else { return Verdict::Busy };
        if due {
            // A node may have come since. A store that does not answer leaves it at those that are known.
            let _ = tokio::time::timeout(REFRESH.1, self.refresh()).await;
            if self.lock().wrong.contains(&digest) {
                return Verdict::Wrong;
            }
        }
        let (keeper, token) = (Arc::clone(self), token.to_owned());
        match tokio::task::spawn_blocking(move || keeper.learn(&token, digest)).await {
            Ok(true) => Verdict::Right,
            Ok(false) => Verdict::Wrong,
            // The runtime is going down.
            Err(_) => Verdict::Busy,
        }
    }

    /// Verifies the slow way, and remembers the outcome.
    fn learn(&self, token: &str, digest: TokenDigest) -> bool {
        let others = Arc::clone(&self.lock().others);
        let found = match verifies(token, &self.own.hash) {
            true => Some(self.own.hash.to_string()),
            false => others.iter().find(|other| verifies(token, &other.hash)).map(|other| other.text.clone()),
        };
        let mut known = self.lock();
        // What was compared with hashes that are out of date by now is not remembered.
        if !Arc::ptr_eq(&others, &known.others) {
            return found.is_some_and(|text| {
                text == self.own.hash.to_string() || known.others.iter().any(|other| other.text == text)
            });
        }
        match found {
            Some(text) => {
                // One token belongs to a hash, so there are no more of these than hashes.
                known.right.push((digest, text));
                true
            }
            None => {
                known.wrong.truncate(WRONG_LIMIT - 1);
                known.wrong.push_front(digest);
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the token of a node that was removed away; false when it had none.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn withdraw(store: &Arc<dyn Store>, node: &str) -> Result<bool, SettingError> {
    put(store, node, Bytes::new()).await
}

/// Sets the hash of a node, empty for none; false if it was so already.
async fn put(store: &Arc<dyn Store>, node: &str, hash: Bytes) -> Result<bool, SettingError> {
    settings::exchange(store, &format!("{PREFIX}{node}"), |before| {
        Ok((before.unwrap_or_default() != hash).then(|| hash.clone()))
    })
    .await
}

fn digest(salt: &[u8; 32], token: &str) -> TokenDigest {
    Sha256::new().chain_update(salt).chain_update(token.as_bytes()).finalize().into()
}
