//! Digest authentication (RFC 7616): MD5 and SHA-256, with and without `-sess`, and `qop=auth`.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::Digest as _;

/// What an endpoint asks to be computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The algorithm as the endpoint wrote it, if it did.
    written: Option<String>,
    session: bool,
    protected: bool,
    hide_user: bool,
}

/// From the weakest to the strongest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        match self {
            Self::Md5 => hex(&md5::Md5::digest(text)),
            Self::Sha256 => hex(&sha2::Sha256::digest(text)),
        }
    }
}

/// What is asked of whom.
pub(super) struct Question<'a> {
    pub(super) method: &'a str,
    pub(super) uri: &'a str,
    pub(super) username: &'a str,
    pub(super) password: &'a str,
}

impl Challenge {
    /// The strongest one of a response that can be met.
    pub(super) fn find(headers: &HeaderMap) -> Option<Self> {
        let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let challenges = texts.flat_map(challenges).filter_map(Self::read);
        challenges.max_by_key(|challenge| challenge.algorithm)
    }

    fn read((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Self> {
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let find =
            |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let written = find("algorithm");
        let upper = written.as_deref().unwrap_or("MD5").to_ascii_uppercase();
        let (base, session) =
            upper.strip_suffix("-SESS").map_or((upper.as_str(), false), |base| (base, true));
        let algorithm = match base {
            "MD5" => Algorithm::Md5,
            "SHA-256" => Algorithm::Sha256,
            _ => return None,
        };
        let protected = match find("qop") {
            None => false,
            Some(offered) if offered.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        let hide_user = find("userhash").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let (realm, nonce, opaque) = (find("realm")?, find("nonce")?, find("opaque"));
        Some(Self { realm, nonce, opaque, algorithm, written, session, protected, hide_user })
    }

    /// The header that meets it, for the `count`th time.
    pub(super) fn meet(&self, question: &Question<'_>, count: u32) -> String {
        let mut bytes = [0; 16];
        // Without chance it is still an answer: the endpoint's nonce is what protects it.
        let _: Result<(), ring::error::Unspecified> = SystemRandom::new().fill(&mut bytes);
        let cnonce: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.meet_with(question, count, &cnonce)
    }

    fn meet_with(&self, question: &Question<'_>, count: u32, cnonce: &str) -> String {
        let Question { method, uri, username, password } = question;
        let Self { realm, nonce, algorithm, .. } = self;
        let count = format!("{count:08x}");
        let mut a1 = algorithm.hash(&format!("{username}:{realm}:{password}"));
        if self.session {
            a1 = algorithm.hash(&format!("{a1}:{nonce}:{cnonce}"));
        }
        let a2 = algorithm.hash(&format!("{method}:{uri}"));
        let response = match self.protected {
            true => algorithm.hash(&format!("{a1}:{nonce}:{count}:{cnonce}:auth:{a2}")),
            false => algorithm.hash(&format!("{a1}:{nonce}:{a2}")),
        };
        let mut header = format!(
            "Digest {}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            self.name_of(username),
            quoted(realm),
            quoted(nonce),
            quoted(uri)
        );
        if let Some(written) = &self.written {
            header.push_str(&format!(", algorithm={written}"));
        }
        if let Some(opaque) = &self.opaque {
            header.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        if self.protected {
            header.push_str(&format!(", qop=auth, nc={count}"));
        }
        if self.protected || self.session {
            header.push_str(&format!(", cnonce=\"{cnonce}\""));
        }
        if self.hide_user {
            header.push_str(", userhash=true");
        }
        header
    }

    fn name_of(&self, username: &str) -> String {
        if self.hide_user {
            return format!("username=\"{}\"", self.algorithm.hash(&format!("{username}:{}", self.realm)));
        }
        if username.is_ascii() {
            return format!("username={}", quoted(username));
        }
        let encoded: String = username
            .bytes()
            .map(|byte| match byte.is_ascii_alphanumeric() {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect();
        format!("username*=UTF-8''{encoded}")
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A scheme and its parameters, their names in lower case.
type Parsed = (String, Vec<(String, String)>);

/// The challenges of a header: `scheme name=value, name="value", scheme …`.
fn challenges(text: &str) -> Vec<Parsed> {
    let mut found: Vec<Parsed> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let end = rest.find([',', ' ', '\t', '=']).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        let after = after.trim_start_matches([' ', '\t']);
        if token.is_empty() && after.is_empty() {
            return found;
        }
        match (after.strip_prefix('='), found.last_mut()) {
            (Some(value), parameters) => {
                let (value, left) = value_of(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = parameters {
                    parameters.push((token.to_ascii_lowercase(), value));
                }
                rest = left;
            }
            (None, _) => {
                found.push((token.to_owned(), Vec::new()));
                rest = after;
            }
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (at, character) in inner.char_indices() {
        match character {
            _ if escaped => {
                value.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return (value, &inner[at + 1..]),
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const NONCE: &str = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    const CNONCE: &str = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";

    fn headers(texts: &[String]) -> HeaderMap {
        texts.iter().map(|text| (WWW_AUTHENTICATE, HeaderValue::from_str(text).unwrap())).collect()
    }

    /// The example of RFC 7616, 3.9.1.
    #[test]
    fn the_example_of_the_standard() {
        let challenge = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, nonce=\"{NONCE}\", \
                 opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let question = Question {
            method: "GET",
            uri: "/dir/index.html",
            username: "Mufasa",
            password: "Circle of Life",
        };
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let found = Challenge::find(&headers(&[challenge(algorithm)])).unwrap();
            let header = found.meet_with(&question, 1, CNONCE);
            assert!(header.contains(&format!("response=\"{response}\"")), "{algorithm}: {header}");
            assert!(header.contains("qop=auth, nc=00000001") && header.contains("uri=\"/dir/index.html\""));
        }
        let both = Challenge::find(&headers(&[challenge("MD5"), challenge("SHA-256")])).unwrap();
        assert_eq!(both.algorithm, Algorithm::Sha256, "the strongest");
    }

    #[test]
    fn challenges_are_told_apart() {
        let text = "Negotiate, Basic realm=\"a, \\\"b\\\"\" , Digest realm = x,nonce=\"n\", Bearer";
        let found = challenges(text);
        let schemes: Vec<_> = found.iter().map(|(scheme, _)| scheme.as_str()).collect();
        assert_eq!(schemes, ["Negotiate", "Basic", "Digest", "Bearer"]);
        assert_eq!(found[1].1, [("realm".to_owned(), "a, \"b\"".to_owned())]);
        let digest = Challenge::find(&headers(&[text.to_owned()])).unwrap();
        assert_eq!((digest.realm.as_str(), digest.protected, digest.algorithm), ("x", false, Algorithm::Md5));
        for hopeless in [
            "Digest realm=x, nonce=n, algorithm=SHA-512-256",
            "Digest realm=x, nonce=n, qop=auth-int",
            "Digest realm=x",
            "Basic realm=x",
            "=,=\"",
        ] {
            assert_eq!(Challenge::find(&headers(&[hopeless.to_owned()])), None, "{hopeless}");
        }
    }
}
