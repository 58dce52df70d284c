//! Functions on strings, and between strings and other values.

use super::Entry;
use super::collections::arg;
use crate::expression::format;
use crate::expression::json::{self, excerpt};
use crate::expression::machine::Machine;
use crate::expression::node::Format;
use crate::expression::number::Num;
use crate::expression::operators;
use crate::expression::value::{Outcome, Stop, Val};

pub(super) const TABLE: &[Entry] = &[
    ("tostring", 0, |machine, input, _| match input {
        Val::Str(_) => Ok(input),
        other => formatted(machine, Format::Json, &other),
    }),
    ("tojson", 0, |machine, input, _| formatted(machine, Format::Json, &input)),
    ("fromjson", 0, |machine, input, _| json::read(machine, text(&input)?)),
    ("tonumber", 0, |_, input, _| to_number(input)),
    ("toboolean", 0, |_, input, _| match (input.as_str(), &input) {
        (Some("true"), _) | (_, Val::Bool(true)) => Ok(Val::Bool(true)),
        (Some("false"), _) | (_, Val::Bool(false)) => Ok(Val::Bool(false)),
        _ => {
            Err(Stop::raise(format!("{} ({}) cannot be parsed as a boolean", input.kind(), excerpt(&input))))
        }
    }),
    ("utf8bytelength", 0, |_, input, _| Ok(Val::int(text(&input)?.len()))),
    ("ascii_downcase", 0, |machine, input, _| machine.string(text(&input)?.to_ascii_lowercase())),
    ("ascii_upcase", 0, |machine, input, _| machine.string(text(&input)?.to_ascii_uppercase())),
    ("explode", 0, |machine, input, _| {
        let s = text(&input)?;
        machine.meter.allocate(s.len() * size_of::<Val<'_>>())?;
        machine.array(s.chars().map(|c| Val::Num(Num::Int(i64::from(u32::from(c))))).collect())
    }),
    ("implode", 0, |machine, input, _| implode(machine, &input)),
    ("startswith", 1, |_, input, args| Ok(Val::Bool(text(&input)?.starts_with(text(&arg(args, 0))?)))),
    ("endswith", 1, |_, input, args| Ok(Val::Bool(text(&input)?.ends_with(text(&arg(args, 0))?)))),
    ("ltrimstr", 1, |machine, input, args| {
        let stripped =
            input.as_str().zip(arg(args, 0).as_str()).and_then(|(s, p)| s.strip_prefix(p).map(str::to_owned));
        stripped.map_or(Ok(input), |s| machine.string(s))
    }),
    ("rtrimstr", 1, |machine, input, args| {
        let stripped =
            input.as_str().zip(arg(args, 0).as_str()).and_then(|(s, p)| s.strip_suffix(p).map(str::to_owned));
        stripped.map_or(Ok(input), |s| machine.string(s))
    }),
    ("trim", 0, |machine, input, _| machine.string(text(&input)?.trim())),
    ("ltrim", 0, |machine, input, _| machine.string(text(&input)?.trim_start())),
    ("rtrim", 0, |machine, input, _| machine.string(text(&input)?.trim_end())),
    ("split", 1, |machine, input, args| operators::split(machine, text(&input)?, text(&arg(args, 0))?)),
    ("join", 1, |machine, input, args| join(machine, &input, &arg(args, 0))),
    ("indices", 1, |machine, input, args| indices(machine, &input, &arg(args, 0))),
];

/// The string that a value must be.
pub(super) fn text<'a, 'v>(value: &'a Val<'_>) -> Outcome<'v, &'a str> {
    value
        .as_str()
        .ok_or_else(|| Stop::raise(format!("{} ({}) is not a string", value.kind(), excerpt(value))))
}

/// The string that a value is in a format.
pub(super) fn formatted<'v>(machine: &Machine<'v>, format: Format, value: &Val<'v>) -> Outcome<'v> {
    let mut text = String::new();
    format::write(machine, format, value, &mut text)?;
    Ok(Val::text(text))
}

fn to_number(value: Val<'_>) -> Outcome<'_> {
    let Some(s) = value.as_str() else {
        return match value {
            Val::Num(_) => Ok(value),
            other => Err(Stop::raise(format!(
                "{} ({}) cannot be parsed as a number",
                other.kind(),
                excerpt(&other)
            ))),
        };
    };
    // JSON knows neither `+1`, `.5`, `1.` nor `inf`, but a leading zero is common in texts.
    let s = s.trim();
    let digits = s.strip_prefix('-').unwrap_or(s);
    let number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let integer = s.parse().map(Num::Int).or_else(|_| s.parse().map(Num::Big));
    match integer.or_else(|_| s.parse().map(Num::calculated)) {
        Ok(n) if number && n.as_f64().is_finite() => Ok(Val::Num(n)),
        _ => Err(Stop::raise(format!("{} cannot be parsed as a number", excerpt(&value)))),
    }
}

fn implode<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v> {
    let Val::Arr(list) = value else { return Err(Stop::raise("implode takes an array of code points")) };
    let mut s = String::new();
    for item in list.iter() {
        let code = operators::integer(&item, "a code point")?;
        let c = u32::try_from(code).ok().and_then(char::from_u32);
        let c = c.ok_or_else(|| Stop::raise(format!("{code} is not a code point")))?;
        machine.meter.spend(1)?;
        format::push(machine, &mut s, c.encode_utf8(&mut [0; 4]))?;
    }
    Ok(Val::text(s))
}

fn join<'v>(machine: &Machine<'v>, value: &Val<'v>, separator: &Val<'v>) -> Outcome<'v> {
    let Val::Arr(list) = value else {
        return Err(Stop::raise(format!(
            "{} ({}) cannot be joined, only an array",
            value.kind(),
            excerpt(value)
        )));
    };
    let separator = match separator {
        Val::Null => "",
        other => text(other)?,
    };
    let mut joined = String::new();
    for (i, item) in list.iter().enumerate() {
        machine.meter.spend(1)?;
        format::push(machine, &mut joined, if i > 0 { separator } else { "" })?;
        match &item {
            Val::Null => {}
            Val::Arr(_) | Val::Obj(_) => {
                return Err(Stop::raise(format!("{} ({}) cannot be joined", item.kind(), excerpt(&item))));
            }
            scalar => format::write(machine, Format::Text, scalar, &mut joined)?,
        }
    }
    Ok(Val::text(joined))
}

fn indices<'v>(machine: &Machine<'v>, value: &Val<'v>, part: &Val<'v>) -> Outcome<'v> {
    match (value, part) {
        (Val::Null, _) => Ok(Val::Null),
        (Val::Str(s), Val::Str(part)) => positions(machine, s.as_str(), part.as_str()),
        (Val::Arr(list), Val::Arr(part)) => operators::positions_of(machine, list, part),
        (Val::Arr(list), item) => {
            let Val::Arr(part) = machine.array(vec![item.clone()])? else { return Ok(Val::Null) };
            operators::positions_of(machine, list, &part)
        }
        (value, part) => Err(Stop::raise(format!("{} has no positions of {}", value.kind(), part.kind()))),
    }
}

/// Where `part` starts, overlapping or not, counted in characters.
fn positions<'v>(machine: &Machine<'v>, s: &str, part: &str) -> Outcome<'v> {
    if part.is_empty() {
        return Ok(Val::Null);
    }
    machine.meter.spend(s.len() as u64)?;
    let mut found = Vec::new();
    for (at, (byte, _)) in s.char_indices().enumerate() {
        if s.get(byte..).is_some_and(|rest| rest.starts_with(part)) {
            machine.meter.scan(part.len() + size_of::<Val<'_>>())?;
            found.push(Val::int(at));
        }
    }
    machine.array(found)
}
