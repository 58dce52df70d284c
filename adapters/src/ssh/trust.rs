//! Whether the key that a host shows is that host's.
//!
//! There is no way to skip the question: a key that nobody has vouched for ends the connection before anything of
//! ours is sent, and the failure says which key was shown, so that an operator can compare and record it.

use std::io::Read;
use std::path::{Path, PathBuf};

use impresario_adapter::Failure;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts, Marker};
use russh::keys::ssh_key::{Fingerprint, PublicKey};
use russh::keys::{Algorithm, HashAlg};
use serde::Serialize;

use super::place::Place;

/// More of a `known_hosts` file is not read.
const KNOWN_HOSTS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Where hosts are known from, unless a target says otherwise; the first is in the home folder of the node's user.
const USER_KNOWN_HOSTS: &str = ".ssh/known_hosts";
const SYSTEM_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";

/// Who vouches for the key of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Trust {
    /// The target: its key is one of these, each a public key or a fingerprint.
    Pinned(Vec<String>),
    /// This file.
    File(PathBuf),
    /// The files in which this user and this system know hosts.
    System,
}

impl Trust {
    /// What the properties `hostKey` and `knownHosts` say.
    pub(super) fn new(host_key: Vec<String>, known_hosts: Option<PathBuf>) -> Result<Self, Failure> {
        for text in &host_key {
            Pin::read(text)?;
        }
        match (host_key.is_empty(), known_hosts) {
            (false, None) => Ok(Self::Pinned(host_key)),
            (true, Some(file)) => Ok(Self::File(file)),
            (true, None) => Ok(Self::System),
            (false, Some(_)) => Err(Failure::validation("both `hostKey` and `knownHosts` are given")
                .with_detail("one of them vouches for the host: leave the other out")),
        }
    }
}

/// What is known of a host's keys. Reading it blocks.
#[derive(Debug)]
pub(super) struct Known {
    place: String,
    source: String,
    pins: Vec<Pin>,
    revoked: Vec<PublicKey>,
}

#[derive(Debug)]
enum Pin {
    Key(PublicKey),
    Print(Fingerprint),
}

impl Pin {
    fn read(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let print = text.parse::<Fingerprint>().map(Self::Print);
        print.or_else(|_| PublicKey::from_openssh(text).map(Self::Key)).map_err(|error| {
            Failure::validation(format!("`{text}` is not a host key")).with_detail(format!(
                "expected a public key such as `ssh-ed25519 AAAA…`, or a fingerprint such as `SHA256:…`: {error}"
            ))
        })
    }

    fn is(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(known) => known.key_data() == key.key_data(),
            Self::Print(print) => key.fingerprint(print.algorithm()) == *print,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Key(key) => describe(key),
            Self::Print(print) => print.to_string(),
        }
    }
}

impl Known {
    /// What vouches for this place.
    pub(super) fn read(place: &Place) -> Result<Self, Failure> {
        let shown = place.shown();
        let mut known = Self { place: shown, source: String::new(), pins: Vec::new(), revoked: Vec::new() };
        match &place.trust {
            Trust::Pinned(texts) => {
                known.source = "its `hostKey`".into();
                known.pins = texts.iter().map(|text| Pin::read(text)).collect::<Result<_, _>>()?;
            }
            Trust::File(file) => {
                known.source = format!("`{}`", file.display());
                let text = text_of(file).map_err(|error| {
                    Failure::configuration(format!("the file {} cannot be read", known.source))
                        .with_detail(format!("{error}; `knownHosts` names a file on the node"))
                })?;
                known.add(place, &text);
            }
            Trust::System => {
                let own = std::env::home_dir().map(|home| home.join(USER_KNOWN_HOSTS));
                let files: Vec<_> = own.into_iter().chain([PathBuf::from(SYSTEM_KNOWN_HOSTS)]).collect();
                let names: Vec<_> = files.iter().map(|file| format!("`{}`", file.display())).collect();
                known.source = names.join(" or ");
                // One that is not there knows nobody.
                for text in files.iter().filter_map(|file| text_of(file).ok()) {
                    known.add(place, &text);
                }
            }
        }
        Ok(known)
    }

    /// Adds the lines that are about this place. A line that cannot be read vouches for nobody.
    fn add(&mut self, place: &Place, text: &str) {
        let name = place.known_as();
        for entry in KnownHosts::new(text).flatten().filter(|entry| is_about(entry, &name)) {
            let key = entry.public_key().clone();
            match entry.marker() {
                None => self.pins.push(Pin::Key(key)),
                Some(Marker::Revoked) => self.revoked.push(key),
                // Certificates of hosts are not asked for.
                Some(Marker::CertAuthority) => {}
            }
        }
    }

    /// The kinds of the keys that are known, so that the host can be asked for one that can be compared.
    pub(super) fn algorithms(&self) -> Vec<Algorithm> {
        let keys = self.pins.iter().filter_map(|pin| match pin {
            Pin::Key(key) => Some(key.algorithm()),
            Pin::Print(_) => None,
        });
        keys.collect()
    }

    /// Whether this key is the place's, and if not, what to do.
    pub(super) fn check(&self, key: &PublicKey) -> Result<(), Failure> {
        let Self { place, source, .. } = self;
        let shown = describe(key);
        if self.revoked.iter().any(|revoked| revoked.key_data() == key.key_data()) {
            return Err(Failure::configuration(format!("the host key of {place} is revoked")).with_detail(
                format!("it showed {shown}, which is marked as revoked in {source}: do not trust this host"),
            ));
        }
        if self.pins.iter().any(|pin| pin.is(key)) {
            return Ok(());
        }
        if self.pins.is_empty() {
            let line = key.to_openssh().unwrap_or_default();
            return Err(Failure::configuration(format!("the host key of {place} is not known")).with_detail(
                format!(
                    "it showed {shown}, and {source} has none for it; compare the fingerprint with the host's own \
                     (`ssh-keygen -lf /etc/ssh/ssh_host_*.pub` there), then set the target's `hostKey` to `{line}`"
                ),
            ));
        }
        let expected: Vec<_> = self.pins.iter().map(Pin::shown).collect();
        Err(Failure::configuration(format!("the host key of {place} is not the known one")).with_detail(
            format!(
                "it showed {shown}, {source} has {}; somebody may be in between, or the host was installed anew: ask \
                 who runs it, and change what is recorded only then",
                expected.join(", ")
            ),
        ))
    }
}

fn describe(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}

fn text_of(file: &Path) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(KNOWN_HOSTS_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a line is about the host of that name. One pattern that excludes it outweighs all that include it.
fn is_about(entry: &Entry, name: &str) -> bool {
    match entry.host_patterns() {
        HostPatterns::HashedName { salt, hash } => {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            ring::hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let fits = |pattern: &str| matches(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
            let excluded = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(fits);
            !excluded && patterns.iter().any(|pattern| fits(pattern))
        }
    }
}

/// Whether a pattern with `*` and `?` is fulfilled, in time proportional to both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut pos, mut star) = (0, 0, None);
    while pos < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, pos));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[pos] => {
                at += 1;
                pos += 1;
            }
            _ => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (at, pos) = (after, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEGftJKAAHuGM1i0TpwaXEOTHYjmFCil++8CmoEYnWgA";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGIm+/2tk+yAGBrlNE4P50Uwld8MDOgp1MDBidDEV3j7";

    fn place(host: &str, port: u16) -> Place {
        let connect_timeout = std::time::Duration::from_secs(1);
        Place { host: host.into(), port, username: None, trust: Trust::System, connect_timeout }
    }

    fn known(place: &Place, text: &str) -> Known {
        let mut known =
            Known { place: place.shown(), source: "`a file`".into(), pins: Vec::new(), revoked: Vec::new() };
        known.add(place, text);
        known
    }

    fn key(text: &str) -> PublicKey {
        PublicKey::from_openssh(text).unwrap()
    }

    #[test]
    fn lines_are_about_the_hosts_that_they_name() {
        for (line, host, port, vouched) in [
            ("web1", "web1", 22, true),
            ("web1", "WEB1", 22, true),
            ("web1", "web1", 2222, false),
            ("[web1]:2222", "web1", 2222, true),
            ("db,web?,10.0.*", "web1", 22, true),
            ("db,web?,10.0.*", "10.0.0.7", 22, true),
            ("web*,!web1", "web1", 22, false),
            ("web*,!web1", "web22", 22, true),
            ("*b*c", "abbbc", 22, true),
            ("*b*c", "abbbd", 22, false),
        ] {
            let place = place(host, port);
            let known = known(&place, &format!("# a comment\n\n{line} {KEY} somebody\n"));
            assert_eq!(known.check(&key(KEY)).is_ok(), vouched, "{line} {host}");
        }
    }

    #[test]
    fn hashed_names_and_revoked_keys() {
        // `ssh-keygen -H` made it of `example.com`.
        let hashed = "|1|Z59aShI61QKvKi+iVn77tVJEnZk=|L+ADhOVlkRUnK+1I+FNdyl+Ap3U= ";
        let example = place("example.com", 22);
        assert!(known(&example, &format!("{hashed}{KEY}")).check(&key(KEY)).is_ok());
        assert!(known(&place("example.org", 22), &format!("{hashed}{KEY}")).check(&key(KEY)).is_err());
        let text = format!("example.com {KEY}\n@revoked * {KEY}\n@cert-authority * {OTHER}\n");
        let known = known(&example, &text);
        assert!(known.check(&key(KEY)).unwrap_err().title.contains("revoked"));
        let failure = known.check(&key(OTHER)).unwrap_err();
        assert!(failure.title.contains("not the known one"), "an authority is no host: {failure}");
    }

    #[test]
    fn what_was_shown_and_what_was_expected_is_told() {
        let place = place("web1", 22);
        let unknown = known(&place, "").check(&key(KEY)).unwrap_err();
        assert_eq!(unknown.kind, Failure::CONFIGURATION);
        let detail = unknown.detail.unwrap();
        let print = key(KEY).fingerprint(HashAlg::Sha256).to_string();
        assert!(detail.contains(&print) && detail.contains(KEY) && detail.contains("`a file`"), "{detail}");
        let changed = known(&place, &format!("web1 {OTHER}")).check(&key(KEY)).unwrap_err();
        let expected = key(OTHER).fingerprint(HashAlg::Sha256).to_string();
        let detail = changed.detail.unwrap();
        assert!(detail.contains(&print) && detail.contains(&expected), "{detail}");
    }

    #[test]
    fn pins_are_keys_or_fingerprints() {
        let print = key(KEY).fingerprint(HashAlg::Sha256).to_string();
        for pins in [vec![KEY.to_owned()], vec![print], vec![OTHER.to_owned(), format!("{KEY} comment")]] {
            let place = Place { trust: Trust::new(pins, None).unwrap(), ..place("web1", 22) };
            assert!(Known::read(&place).unwrap().check(&key(KEY)).is_ok());
        }
        assert!(Trust::new(vec!["MD5-ish".into()], None).unwrap_err().title.contains("MD5-ish"));
        assert!(Trust::new(vec![KEY.into()], Some("/x".into())).is_err());
    }
}
