//! Whether a request comes from whom it says: a signature of its body, or a token. Comparisons take as long for a wrong
//! value as for the right one.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use zeroize::Zeroizing;

use super::Delivery;
use super::spec::{
    Algorithm, Encoding, HmacSpec, SecretEncoding, SecretSpec, TimestampSpec, TokenSpec, VerifySpec,
};

/// How many signatures of one header are looked at.
const SIGNATURES_MAX: usize = 8;

/// Gives the value of a secret, or says why there is none.
pub type Secrets<'a> = dyn Fn(&SecretSpec) -> Result<Zeroizing<String>, String> + 'a;

/// Verifies the senders of one webhook.
#[derive(Clone, Debug)]
pub enum Verifier {
    /// By a signature.
    Hmac(Box<HmacSpec>, Vec<Part>),
    /// By a token.
    Token(TokenSpec),
    /// Believes everybody.
    None,
}

/// A part of what is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// This text.
    Text(String),
    /// The body.
    Body,
    /// The time of the request, as its header has it.
    Timestamp,
    /// The value of a header.
    Header(String),
}

impl Verifier {
    /// Checks how senders are to be verified.
    ///
    /// # Errors
    /// What was expected and found, with its place in the file.
    pub(super) fn new(spec: &VerifySpec) -> Result<Verifier, String> {
        match spec {
            VerifySpec::None => Ok(Verifier::None),
            VerifySpec::Hmac(hmac) => {
                let parts = parts(&hmac.signed).map_err(|error| format!("verify.hmac.signed: {error}"))?;
                if !parts.contains(&Part::Body) {
                    return Err("verify.hmac.signed: expected {body} in what is signed, found none: anything could be \
                                sent under an old signature"
                        .to_owned());
                }
                if parts.contains(&Part::Timestamp) != hmac.timestamp.is_some() {
                    return Err(
                        "verify.hmac: expected 'timestamp' with {timestamp} in 'signed', found one of them"
                            .to_owned(),
                    );
                }
                header_name("verify.hmac.header", &hmac.header)?;
                Ok(Verifier::Hmac(Box::new(hmac.clone()), parts))
            }
            VerifySpec::Token(token) => match (&token.header, &token.query) {
                (Some(header), None) => {
                    header_name("verify.token.header", header)?;
                    Ok(Verifier::Token(token.clone()))
                }
                (None, Some(_)) => Ok(Verifier::Token(token.clone())),
                (Some(_), Some(_)) | (None, None) => {
                    Err("verify.token: expected either 'header' or 'query', found both or none".to_owned())
                }
            },
        }
    }

    /// Whether a request is to be believed.
    ///
    /// # Errors
    /// Why not: for the operator's eyes, never for the sender's.
    pub fn verify(&self, delivery: &Delivery, secrets: &Secrets<'_>) -> Result<(), String> {
        match self {
            Verifier::None => Ok(()),
            Verifier::Token(token) => verify_token(token, delivery, secrets),
            Verifier::Hmac(spec, parts) => verify_hmac(spec, parts, delivery, secrets),
        }
    }

    /// Which header and which parameter are secrets: no expression sees them.
    pub(super) fn hides(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Verifier::Token(token) => (token.header.as_deref(), token.query.as_deref()),
            Verifier::Hmac(..) | Verifier::None => (None, None),
        }
    }
}

fn header_name(place: &str, name: &str) -> Result<(), String> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    match !name.is_empty() && name.chars().all(token) {
        true => Ok(()),
        false => Err(format!("{place}: expected the name of a header, found '{name}'")),
    }
}

fn parts(signed: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest) = (Vec::new(), signed);
    while let Some((text, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}').ok_or("expected a '}' behind '{'")?;
        parts.extend((!text.is_empty()).then(|| Part::Text(text.to_owned())));
        parts.push(match (name, name.strip_prefix("header:")) {
            ("body", _) => Part::Body,
            ("timestamp", _) => Part::Timestamp,
            (_, Some(header)) => Part::Header(header.to_owned()),
            (other, None) => {
                return Err(format!(
                    "expected {{body}}, {{timestamp}} or {{header:NAME}}, found {{{other}}}"
                ));
            }
        });
        rest = after;
    }
    parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
    Ok(parts)
}

fn key(secret: &SecretSpec, secrets: &Secrets<'_>) -> Result<Zeroizing<Vec<u8>>, String> {
    let text = secrets(secret)?;
    match secret.encoding {
        SecretEncoding::Text => Ok(Zeroizing::new(text.as_bytes().to_vec())),
        SecretEncoding::Base64 => BASE64_STANDARD.decode(text.trim()).map(Zeroizing::new).map_err(|_| {
            format!(
                "expected base64 in the field '{}' of '{}', found something else",
                secret.field, secret.user
            )
        }),
    }
}

fn verify_token(spec: &TokenSpec, delivery: &Delivery, secrets: &Secrets<'_>) -> Result<(), String> {
    let (place, found) = match (&spec.header, &spec.query) {
        (Some(header), _) => (format!("the header {header}"), delivery.header(header)),
        (None, query) => {
            let name = query.as_deref().unwrap_or_default();
            (format!("the parameter {name}"), delivery.parameter(name))
        }
    };
    let found = found.ok_or_else(|| format!("expected a token in {place}, found none"))?;
    let found = found
        .strip_prefix(spec.prefix.as_str())
        .ok_or_else(|| format!("expected '{}' in front of the token in {place}", spec.prefix))?;
    let expected = key(&spec.secret, secrets)?;
    // Both through the same hash, so that a comparison tells neither place nor length of the first difference.
    let hash = hmac::Key::new(hmac::HMAC_SHA256, b"compare");
    match hmac::verify(&hash, found.as_bytes(), hmac::sign(&hash, &expected).as_ref()) {
        Ok(()) => Ok(()),
        Err(_) => {
            Err(format!("expected the token of the runtime user '{}', found another", spec.secret.user))
        }
    }
}

fn verify_hmac(
    spec: &HmacSpec,
    parts: &[Part],
    delivery: &Delivery,
    secrets: &Secrets<'_>,
) -> Result<(), String> {
    let header = &spec.header;
    let found = delivery
        .header(header)
        .ok_or_else(|| format!("expected one header {header} with a signature, found none or several"))?;
    let time = spec.timestamp.as_ref().map(|spec| timestamp(spec, delivery)).transpose()?;
    let mut signed = Vec::with_capacity(delivery.body.len() + 64);
    for part in parts {
        match part {
            Part::Text(text) => signed.extend_from_slice(text.as_bytes()),
            Part::Body => signed.extend_from_slice(&delivery.body),
            Part::Timestamp => signed.extend_from_slice(time.unwrap_or_default().as_bytes()),
            Part::Header(name) => {
                let value = delivery
                    .header(name)
                    .ok_or_else(|| format!("expected one header {name}, which is signed"))?;
                signed.extend_from_slice(value.as_bytes());
            }
        }
    }
    let algorithm = match spec.algorithm {
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Algorithm::Sha256 => hmac::HMAC_SHA256,
        Algorithm::Sha512 => hmac::HMAC_SHA512,
    };
    let key = hmac::Key::new(algorithm, &key(&spec.secret, secrets)?);
    let written = |text: &str| match spec.encoding {
        Encoding::Hex => unhex(text),
        Encoding::Base64 => BASE64_STANDARD.decode(text).ok(),
    };
    let mut signatures = found
        .split_ascii_whitespace()
        .take(SIGNATURES_MAX)
        .filter_map(|one| one.strip_prefix(spec.prefix.as_str()).and_then(written));
    match signatures.any(|signature| hmac::verify(&key, &signed, &signature).is_ok()) {
        true => Ok(()),
        false => Err(format!(
            "expected a signature of the body with the field '{}' of the runtime user '{}' in {header}, found another",
            spec.secret.field, spec.secret.user
        )),
    }
}

/// The time of a request as it is written, if it is near enough.
fn timestamp<'d>(spec: &TimestampSpec, delivery: &'d Delivery) -> Result<&'d str, String> {
    let header = &spec.header;
    let text = delivery
        .header(header)
        .ok_or_else(|| format!("expected one header {header}, found none or several"))?;
    let seconds: u64 =
        text.parse().map_err(|_| format!("expected seconds since 1970 in {header}, found '{text}'"))?;
    let distance = delivery.now.abs_diff(seconds.saturating_mul(1000));
    match u128::from(distance) <= spec.tolerance.as_millis() {
        true => Ok(text),
        false => Err(format!(
            "expected a time of at most {} from now in {header}, found {} s from now",
            humantime::format_duration(spec.tolerance),
            distance / 1000
        )),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
            _ => None,
        })
        .collect()
}
