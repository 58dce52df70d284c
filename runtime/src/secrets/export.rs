//! Keys in a file that a passphrase seals: a line that says how, and a line that is sealed.
//!
//! The first line is a header of what is sealed, so no byte of either can be changed without notice.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::KEY_BYTES;
use super::{KeyRing, SecretsError, random};

/// The format's name and version.
const FORMAT: &str = "impresario key export 1";
const SALT_BYTES: usize = 16;
/// The costs of a new export: 64 MiB, 3 passes, 1 lane, about a third of a second.
const COSTS: Costs = Costs { memory_kib: 64 * 1024, passes: 3, lanes: 1 };
/// The costs that an export may ask for: it comes from anywhere.
const COSTS_MAX: Costs = Costs { memory_kib: 256 * 1024, passes: 10, lanes: 8 };
/// A shorter passphrase is found by trying.
const PASSPHRASE_MIN: usize = 12;
/// An export beyond this is none.
const LENGTH_MAX: usize = 256 * 1024;

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Costs {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    argon2id: Costs,
    salt: String,
}

/// Seals keys with a passphrase: the text of an export. Takes about a third of a second.
///
/// # Errors
/// [`SecretsError::Export`] for a passphrase that is too short.
pub fn seal_export(ring: &KeyRing, passphrase: &str) -> Result<String, SecretsError> {
    seal_with(ring, passphrase, COSTS)
}

fn seal_with(ring: &KeyRing, passphrase: &str, costs: Costs) -> Result<String, SecretsError> {
    let length = passphrase.chars().count();
    if length < PASSPHRASE_MIN {
        return Err(SecretsError::Export(format!(
            "a passphrase of {length} characters; it needs at least {PASSPHRASE_MIN}, such as four words"
        )));
    }
    let salt = random::<SALT_BYTES>()?;
    let head = Head { format: FORMAT.to_owned(), argon2id: costs, salt: BASE64_STANDARD.encode(salt) };
    let head = serde_json::to_string(&head).map_err(|error| SecretsError::System(error.to_string()))?;
    let sealed = cipher(passphrase, costs, &salt)?.encrypt([head.as_bytes()], ring.to_text()?.as_bytes());
    let sealed = sealed.map_err(|_| SecretsError::System("the keys cannot be sealed".to_owned()))?;
    Ok(format!("{head}\n{}\n", BASE64_STANDARD.encode(sealed)))
}

/// Opens an export.
///
/// # Errors
/// [`SecretsError::Export`] when it is none, was changed, or has another passphrase.
pub fn open_export(text: &[u8], passphrase: &str) -> Result<KeyRing, SecretsError> {
    let refused = |found: &str| SecretsError::Export(found.to_owned());
    if text.len() > LENGTH_MAX {
        return Err(refused("more than 256 KiB"));
    }
    let text = std::str::from_utf8(text).map_err(|_| refused("bytes that are no text"))?;
    let lines = text.strip_suffix('\n').and_then(|lines| lines.split_once('\n'));
    let (line, sealed) = lines.ok_or_else(|| refused("a text that is not of two lines"))?;
    let head: Head = serde_json::from_str(line).map_err(|_| refused("a first line of another kind"))?;
    if head.format != FORMAT {
        return Err(refused("another format or a newer version of it"));
    }
    let Costs { memory_kib, passes, lanes } = head.argon2id;
    if memory_kib > COSTS_MAX.memory_kib || passes > COSTS_MAX.passes || lanes > COSTS_MAX.lanes {
        return Err(refused("costs beyond 256 MiB, 10 passes and 8 lanes"));
    }
    let salt = BASE64_STANDARD.decode(&head.salt).map_err(|_| refused("a salt that is no base64"))?;
    if salt.len() != SALT_BYTES {
        return Err(refused("a salt of another length"));
    }
    let sealed = BASE64_STANDARD.decode(sealed).map_err(|_| refused("a second line that is no base64"))?;
    let plain = cipher(passphrase, head.argon2id, &salt)?.decrypt([line.as_bytes()], &sealed);
    let plain = plain.map(Zeroizing::new).map_err(|_| {
        refused("one that this passphrase does not open, or that was changed since it was written")
    })?;
    let text = std::str::from_utf8(&plain).map_err(|_| refused("keys that are no text"))?;
    KeyRing::parse(text).map_err(SecretsError::Export)
}

fn cipher(passphrase: &str, costs: Costs, salt: &[u8]) -> Result<Aes256Siv, SecretsError> {
    let failed = |error: argon2::Error| SecretsError::Export(format!("costs that make no sense: {error}"));
    let Costs { memory_kib, passes, lanes } = costs;
    let params = Params::new(memory_kib, passes, lanes, Some(KEY_BYTES)).map_err(failed)?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .map_err(failed)?;
    Aes256Siv::new_from_slice(&*key).map_err(|_| SecretsError::System("a key of another length".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::Key;
    use super::*;

    /// As little as argon2 allows: the tests try every byte.
    const CHEAP: Costs = Costs { memory_kib: 8, passes: 1, lanes: 1 };
    const WORDS: &str = "correct horse battery staple";

    #[test]
    fn an_export_opens_with_its_passphrase_alone() {
        let ring = KeyRing::default().with(Key::make(1).unwrap()).with(Key::make(2).unwrap());
        let text = seal_export(&ring, WORDS).unwrap();
        assert_eq!(open_export(text.as_bytes(), WORDS).unwrap().ids(), ring.ids());
        let error = open_export(text.as_bytes(), "correct horse battery stable").unwrap_err().to_string();
        assert!(error.contains("passphrase"), "{error}");
        assert!(seal_export(&ring, "short").unwrap_err().to_string().contains("at least 12"));
    }

    #[test]
    fn no_byte_of_an_export_can_be_changed_left_out_or_added() {
        let ring = KeyRing::default().with(Key::make(1).unwrap());
        let text = seal_with(&ring, WORDS, CHEAP).unwrap().into_bytes();
        assert!(open_export(&text, WORDS).is_ok());
        for at in 0..text.len() {
            for bit in [0x01, 0x20] {
                let mut changed = text.clone();
                changed[at] ^= bit;
                assert!(open_export(&changed, WORDS).is_err(), "byte {at} ^ {bit:02x}");
            }
            assert!(open_export(&text[..at], WORDS).is_err(), "cut at {at}");
        }
        assert!(open_export(&[&text[..], b"\n"].concat(), WORDS).is_err());
    }

    #[test]
    fn an_export_cannot_ask_for_more_than_this_machine_should_pay() {
        let ring = KeyRing::default().with(Key::make(1).unwrap());
        let text = seal_with(&ring, WORDS, CHEAP).unwrap();
        for (from, to) in
            [("\"memory_kib\":8", "\"memory_kib\":4000000000"), ("\"passes\":1", "\"passes\":1000000")]
        {
            let error = open_export(text.replace(from, to).as_bytes(), WORDS).unwrap_err().to_string();
            assert!(error.contains("costs beyond"), "{error}");
        }
    }
}
