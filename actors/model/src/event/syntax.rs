//! Whether text has the syntax that an attribute asks for.

/// Whether there is nothing in the text that no URI may hold. The parts are the business of who uses them.
pub(super) fn is_uri_reference(text: &str) -> bool {
    !text
        .chars()
        .any(|c| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\\' | '^' | '`' | '{' | '|' | '}'))
}

pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_starts = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let scheme_goes_on = scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    scheme_starts && scheme_goes_on && !rest.is_empty() && is_uri_reference(text)
}

/// RFC 3339 exactly: the calendar checks are jiff's, the shape is checked here because jiff reads more.
pub(super) fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let is = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|byte| allowed.contains(byte));
    let start = digits(0..4) && is(4, b"-") && digits(5..7) && is(7, b"-") && digits(8..10) && is(10, b"Tt");
    let clock = digits(11..13) && is(13, b":") && digits(14..16) && is(16, b":") && digits(17..19);
    if !(start && clock) {
        return false;
    }
    let mut zone = 19;
    if is(19, b".") {
        zone = 20 + bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if zone == 20 {
            return false;
        }
    }
    let utc = is(zone, b"Zz") && bytes.len() == zone + 1;
    let below = |at: usize, limit: &str| text.get(at..at + 2).is_some_and(|part| part < limit);
    // Up to a day, exclusively: jiff reads offsets beyond it too.
    let offset = is(zone, b"+-")
        && digits(zone + 1..zone + 3)
        && below(zone + 1, "24")
        && is(zone + 3, b":")
        && digits(zone + 4..zone + 6)
        && below(zone + 4, "60")
        && bytes.len() == zone + 6;
    // The calendar alone: a timestamp of jiff ends a day before the last that can be written.
    (utc || offset) && text.get(..19).is_some_and(|moment| moment.parse::<jiff::civil::DateTime>().is_ok())
}

fn is_token(text: &str) -> bool {
    let symbol = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || symbol(byte))
}

/// `type/subtype`, with parameters whose values are tokens or quoted strings (RFC 9110, 8.3.1).
pub(super) fn is_media_type(text: &str) -> bool {
    let mut parts = split_parameters(text).into_iter();
    let essence = parts.next().and_then(|essence| essence.trim_end().split_once('/'));
    let parameter = |part: &str| match part.trim().split_once('=') {
        Some((name, value)) => is_token(name) && (is_token(value) || is_quoted_string(value)),
        None => false,
    };
    essence.is_some_and(|(kind, subkind)| is_token(kind) && is_token(subkind)) && parts.all(parameter)
}

/// Splits at `;` outside of quotes.
fn split_parameters(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn is_quoted_string(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut escaped = false;
    for byte in inner.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return false,
            _ => {}
        }
    }
    !escaped
}

/// Whether data of this media type is JSON. Without a media type it is.
pub(crate) fn is_json(media_type: Option<&str>) -> bool {
    let Some(media_type) = media_type else { return true };
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.ends_with("/json") || essence.ends_with("+json")
}
