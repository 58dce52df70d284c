//! Values inside strings: `"\(..)"` and the formats such as `@uri`.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::json::{self, excerpt};
use super::machine::Machine;
use super::meter::SIZE_MAX;
use super::node::Format;
use super::value::{List, Outcome, Stop, Val};

/// A string grows beyond what any string may hold.
pub(super) const TOO_LONG: Stop<'static> = Stop::Limit("builds a string of more than 8 MiB");

/// Appends to a string, which is how every string grows.
pub(super) fn push<'v>(machine: &Machine<'v>, text: &mut String, more: &str) -> Outcome<'v, ()> {
    if text.len() + more.len() > SIZE_MAX {
        return Err(TOO_LONG);
    }
    machine.meter.allocate(more.len())?;
    text.push_str(more);
    Ok(())
}

/// Appends a value in a format.
pub(super) fn write<'v>(
    machine: &Machine<'v>,
    format: Format,
    value: &Val<'v>,
    text: &mut String,
) -> Outcome<'v, ()> {
    match format {
        Format::Text => write_text(machine, value, text),
        Format::Json => json::write(machine, value, text),
        Format::Csv => write_row(machine, value, text, ",", csv_field),
        Format::Tsv => write_row(machine, value, text, "\t", tsv_field),
        Format::Shell => match value {
            Val::Arr(list) => write_list(machine, list, text, " ", shell_word),
            value => push(machine, text, &shell_word(machine, value)?),
        },
        Format::Html => escape(machine, value, text, |c, escaped| match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\'' => escaped.push_str("&#39;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }),
        Format::Uri => escape(machine, value, text, |c, escaped| {
            if c.is_ascii_alphanumeric() || "-_.~".contains(c) {
                return escaped.push(c);
            }
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                escaped.push_str(&format!("%{byte:02X}"));
            }
        }),
        Format::UriDecode => push(machine, text, &uri_decoded(&plain(machine, value)?)?),
        Format::Base64 => push(machine, text, &STANDARD.encode(plain(machine, value)?)),
        Format::Base64Decode => push(machine, text, &base64_decoded(&plain(machine, value)?)?),
    }
}

/// What `"\(value)"` gives: a string as it is, anything else as JSON.
pub(super) fn plain<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v, String> {
    let mut text = String::new();
    write_text(machine, value, &mut text)?;
    Ok(text)
}

fn write_text<'v>(machine: &Machine<'v>, value: &Val<'v>, text: &mut String) -> Outcome<'v, ()> {
    match value {
        Val::Str(s) => push(machine, text, s.as_str()),
        other => json::write(machine, other, text),
    }
}

fn escape<'v>(
    machine: &Machine<'v>,
    value: &Val<'v>,
    text: &mut String,
    write: fn(char, &mut String),
) -> Outcome<'v, ()> {
    let mut escaped = String::new();
    for c in plain(machine, value)?.chars() {
        escaped.clear();
        write(c, &mut escaped);
        push(machine, text, &escaped)?;
    }
    Ok(())
}

type Field = for<'v> fn(&Machine<'v>, &Val<'v>) -> Outcome<'v, String>;

fn write_row<'v>(
    machine: &Machine<'v>,
    value: &Val<'v>,
    text: &mut String,
    separator: &str,
    field: Field,
) -> Outcome<'v, ()> {
    match value {
        Val::Arr(list) => write_list(machine, list, text, separator, field),
        other => {
            Err(Stop::raise(format!("{} ({}) cannot be a row, only an array", other.kind(), excerpt(other))))
        }
    }
}

fn write_list<'v>(
    machine: &Machine<'v>,
    list: &List<'v>,
    text: &mut String,
    separator: &str,
    field: Field,
) -> Outcome<'v, ()> {
    for (i, item) in list.iter().enumerate() {
        machine.meter.spend(1)?;
        push(machine, text, if i > 0 { separator } else { "" })?;
        push(machine, text, &field(machine, &item)?)?;
    }
    Ok(())
}

fn csv_field<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v, String> {
    match value {
        Val::Str(s) => Ok(format!("\"{}\"", s.as_str().replace('"', "\"\""))),
        other => scalar(machine, other, "csv"),
    }
}

fn tsv_field<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v, String> {
    match value {
        Val::Str(s) => {
            let s = s.as_str().replace('\\', "\\\\").replace('\t', "\\t");
            Ok(s.replace('\n', "\\n").replace('\r', "\\r"))
        }
        other => scalar(machine, other, "tsv"),
    }
}

fn scalar<'v>(machine: &Machine<'v>, value: &Val<'v>, format: &str) -> Outcome<'v, String> {
    match value {
        Val::Null => Ok(String::new()),
        Val::Bool(_) | Val::Num(_) => plain(machine, value),
        other => {
            Err(Stop::raise(format!("{} ({}) cannot be in a {format} row", other.kind(), excerpt(other))))
        }
    }
}

fn shell_word<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v, String> {
    match value {
        Val::Str(s) => Ok(format!("'{}'", s.as_str().replace('\'', "'\\''"))),
        Val::Arr(_) | Val::Obj(_) => {
            Err(Stop::raise(format!("{} ({}) cannot be escaped for a shell", value.kind(), excerpt(value))))
        }
        other => plain(machine, other),
    }
}

fn uri_decoded<'v>(text: &str) -> Outcome<'v, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| *byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            None if *byte == b'%' => {
                return Err(Stop::raise(format!(
                    "{} is not a valid uri encoding",
                    excerpt(&Val::text(text))
                )));
            }
            None => {
                bytes.push(*byte);
                rest = tail;
            }
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Padding may be missing; what is not UTF-8 is replaced, since strings hold nothing else.
fn base64_decoded<'v>(text: &str) -> Outcome<'v, String> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let bytes = LENIENT
        .decode(text)
        .map_err(|_| Stop::raise(format!("{} is not valid base64 data", excerpt(&Val::text(text)))))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
