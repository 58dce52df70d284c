//! Environment keys, and sealing under them: AES-SIV with keys of 64 bytes.
//!
//! The same words sealed twice differ, because the last header is random. What is sealed is bound to where it belongs: at any
//! other place it does not open.

use std::fmt;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{SecretsError, random};

/// The bytes of a key.
pub(super) const KEY_BYTES: usize = 64;
/// The bytes of the random header.
const NONCE_BYTES: usize = 16;
/// The bytes of a key's id.
const ID_BYTES: usize = 6;
/// The version of what is sealed; a header of it.
const VERSION: &str = "1";

/// One environment key. It is shown by its id alone.
#[derive(Clone)]
pub struct Key {
    /// Follows from the key, so that a damaged key is noticed.
    pub id: String,
    /// When it was made: RFC 3339, UTC.
    pub made: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("made", &self.made).finish_non_exhaustive()
    }
}

/// Something sealed, as the environment keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The id of the key.
    pub key: String,
    nonce: String,
    sealed: String,
}

impl Key {
    /// A new key.
    pub fn make(now_ms: u64) -> Result<Key, SecretsError> {
        let bytes = Zeroizing::new(random::<KEY_BYTES>()?);
        Ok(Key::of(Zeroizing::new(bytes.to_vec()), impresario_model::instance::rfc3339(now_ms)))
    }

    fn of(bytes: Zeroizing<Vec<u8>>, made: String) -> Key {
        let mut digest = Sha256::new();
        digest.update(b"impresario environment key");
        digest.update(&*bytes);
        let id = digest.finalize().iter().take(ID_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Key { id, made, bytes }
    }

    fn cipher(&self) -> Result<Aes256Siv, SecretsError> {
        Aes256Siv::new_from_slice(&self.bytes)
            .map_err(|_| SecretsError::System(format!("expected a key of {KEY_BYTES} bytes")))
    }

    /// Seals `plain` for the place that `place` names.
    pub fn seal(&self, place: &[&str], plain: &[u8]) -> Result<Sealed, SecretsError> {
        let nonce = random::<NONCE_BYTES>()?;
        let sealed = self.cipher()?.encrypt(self.headers(place, &nonce), plain);
        let sealed = sealed.map_err(|_| SecretsError::System("a secret cannot be sealed".to_owned()))?;
        Ok(Sealed {
            key: self.id.clone(),
            nonce: BASE64_STANDARD.encode(nonce),
            sealed: BASE64_STANDARD.encode(sealed),
        })
    }

    /// Opens what was sealed for that place.
    pub fn open(&self, place: &[&str], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, SecretsError> {
        let changed = || SecretsError::Sealed(place.join(" "));
        let nonce = BASE64_STANDARD.decode(&sealed.nonce).map_err(|_| changed())?;
        let bytes = BASE64_STANDARD.decode(&sealed.sealed).map_err(|_| changed())?;
        let plain = self.cipher()?.decrypt(self.headers(place, &nonce), &bytes);
        plain.map(Zeroizing::new).map_err(|_| changed())
    }

    /// The random one comes last.
    fn headers<'a>(&'a self, place: &[&'a str], nonce: &'a [u8]) -> Vec<&'a [u8]> {
        let mut headers: Vec<&[u8]> = vec![b"impresario", VERSION.as_bytes(), self.id.as_bytes()];
        headers.extend(place.iter().map(|part| part.as_bytes()));
        headers.push(nonce);
        headers
    }
}

/// The keys that a node has, oldest first. Old ones stay until nothing is sealed under them.
#[derive(Clone, Debug, Default)]
pub struct KeyRing(Vec<Key>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: u32,
    keys: Vec<KeyText>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyText {
    id: String,
    made: String,
    key: Zeroizing<String>,
}

/// The version of the text of a key ring.
const FORMAT: u32 = 1;
/// More keys than anybody rotates at the same time.
const KEYS_MAX: usize = 64;

impl KeyRing {
    /// The keys, oldest first.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// The key of an id.
    pub fn get(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The ids, for people.
    pub fn ids(&self) -> String {
        let ids: Vec<&str> = self.0.iter().map(|key| key.id.as_str()).collect();
        if ids.is_empty() { "no key".to_owned() } else { ids.join(", ") }
    }

    /// With another key, unless it is there.
    pub fn with(mut self, key: Key) -> KeyRing {
        if self.get(&key.id).is_none() {
            self.0.push(key);
            self.0.sort_by(|a, b| a.made.cmp(&b.made));
        }
        self
    }

    /// Only the keys of these ids.
    pub fn only(mut self, keep: impl Fn(&str) -> bool) -> KeyRing {
        self.0.retain(|key| keep(&key.id));
        self
    }

    /// As text; it is as secret as the keys.
    pub fn to_text(&self) -> Result<Zeroizing<String>, SecretsError> {
        let key = |key: &Key| KeyText {
            id: key.id.clone(),
            made: key.made.clone(),
            key: Zeroizing::new(BASE64_STANDARD.encode(&*key.bytes)),
        };
        let text = Text { format: FORMAT, keys: self.0.iter().map(key).collect() };
        let text = serde_json::to_string_pretty(&text);
        text.map(Zeroizing::new).map_err(|error| SecretsError::System(error.to_string()))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What was found instead, without any of it.
    pub fn parse(text: &str) -> Result<KeyRing, String> {
        let Text { format, keys } = serde_json::from_str(text)
            .map_err(|error| format!("no text of keys (line {}, column {})", error.line(), error.column()))?;
        if format != FORMAT || keys.is_empty() || keys.len() > KEYS_MAX {
            return Err(format!("format {format} with {} keys", keys.len()));
        }
        let mut ring = KeyRing::default();
        for KeyText { id, made, key } in keys {
            let bytes = BASE64_STANDARD.decode(key.as_bytes()).map(Zeroizing::new);
            let key = bytes.ok().filter(|bytes| bytes.len() == KEY_BYTES).map(|bytes| Key::of(bytes, made));
            match key.filter(|key| key.id == id) {
                Some(key) => ring = ring.with(key),
                None => return Err("a key that was changed since it was made".to_owned()),
            }
        }
        Ok(ring)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_at_its_place_under_its_key_and_unchanged() {
        let (key, other) = (Key::make(0).unwrap(), Key::make(0).unwrap());
        let sealed = key.seal(&["user", "web", "password"], b"hunter2").unwrap();
        assert_eq!(&**key.open(&["user", "web", "password"], &sealed).unwrap(), b"hunter2");
        assert!(key.open(&["user", "db", "password"], &sealed).is_err());
        assert!(key.open(&["user", "web"], &sealed).is_err());
        assert!(other.open(&["user", "web", "password"], &sealed).is_err());
        let again = key.seal(&["user", "web", "password"], b"hunter2").unwrap();
        assert_ne!(sealed, again, "the same words must not look the same");
        let mut bytes = BASE64_STANDARD.decode(&sealed.sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            let changed = Sealed { sealed: BASE64_STANDARD.encode(&bytes), ..sealed.clone() };
            assert!(key.open(&["user", "web", "password"], &changed).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        assert!(!format!("{key:?}").contains(&BASE64_STANDARD.encode(&*key.bytes)));
    }

    #[test]
    fn a_ring_is_read_as_it_was_written_and_not_if_a_key_was_changed() {
        let ring = KeyRing::default().with(Key::make(2).unwrap()).with(Key::make(1).unwrap());
        let text = ring.to_text().unwrap();
        let read = KeyRing::parse(&text).unwrap();
        assert_eq!(read.ids(), ring.ids());
        assert!(read.keys()[0].made < read.keys()[1].made);
        let key = BASE64_STANDARD.encode(&*ring.keys()[0].bytes);
        let other = BASE64_STANDARD.encode([7; KEY_BYTES]);
        for broken in
            [text.replace(&key, &other), text.replace("\"format\": 1", "\"format\": 2"), String::new()]
        {
            assert!(KeyRing::parse(&broken).is_err());
        }
    }
}
