//! Values as JSON: the result of an evaluation, the text of a value, and a value from a text.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::compare::READ_DEPTH_MAX;
use super::format;
use super::machine::{Machine, TOO_DEEP};
use super::meter::SIZE_MAX;
use super::value::{DEPTH_MAX, Dict, List, Outcome, Stop, Text, Val};

/// What a node of a result counts for beside its text; about what it takes in memory.
const NODE_SIZE: usize = 32;
/// How much of a value an error message shows.
const EXCERPT_CHARS: usize = 40;

/// A result as a JSON document of its own. Its size and depth are checked before anything is copied.
pub(super) fn result<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v, Value> {
    let mut left = SIZE_MAX;
    copy(machine, value, &mut left, 0)
}

fn copy<'v>(machine: &Machine<'v>, value: &Val<'v>, left: &mut usize, level: usize) -> Outcome<'v, Value> {
    if level > DEPTH_MAX {
        return Err(TOO_DEEP);
    }
    charge(left, NODE_SIZE)?;
    machine.meter.spend(1)?;
    Ok(match value {
        Val::Null => Value::Null,
        Val::Bool(b) => Value::Bool(*b),
        Val::Num(n) => match n.to_json() {
            Some(number) => Value::Number(number),
            None => return Err(Stop::raise("the result contains a number that is not finite")),
        },
        Val::Str(text) => {
            charge(left, text.as_str().len())?;
            machine.meter.scan(text.as_str().len())?;
            Value::String(text.as_str().to_owned())
        }
        Val::Arr(list) => {
            Value::Array(list.iter().map(|v| copy(machine, &v, left, level + 1)).collect::<Outcome<'v, _>>()?)
        }
        Val::Obj(dict) => {
            let mut entries = Map::new();
            for (key, value) in dict.iter() {
                charge(left, key.as_str().len())?;
                entries.insert(key.as_str().to_owned(), copy(machine, &value, left, level + 1)?);
            }
            Value::Object(entries)
        }
    })
}

fn charge<'v>(left: &mut usize, size: usize) -> Outcome<'v, ()> {
    *left = left.checked_sub(size).ok_or(Stop::Limit("gives a result of more than 8 MiB"))?;
    Ok(())
}

/// Appends a value as JSON text.
pub(super) fn write<'v>(machine: &Machine<'v>, value: &Val<'v>, text: &mut String) -> Outcome<'v, ()> {
    write_at(machine, value, text, 0)
}

fn write_at<'v>(machine: &Machine<'v>, value: &Val<'v>, text: &mut String, level: usize) -> Outcome<'v, ()> {
    if level > READ_DEPTH_MAX {
        return Err(TOO_DEEP);
    }
    machine.meter.spend(2)?;
    match value {
        Val::Null => format::push(machine, text, "null"),
        Val::Bool(b) => format::push(machine, text, if *b { "true" } else { "false" }),
        // As in jq, a document holds no other number than a finite one.
        Val::Num(n) => match n.to_json() {
            Some(number) => format::push(machine, text, &number.to_string()),
            None if n.as_f64().is_nan() => format::push(machine, text, "null"),
            None if n.as_f64() > 0.0 => format::push(machine, text, "1.7976931348623157e+308"),
            None => format::push(machine, text, "-1.7976931348623157e+308"),
        },
        Val::Str(s) => write_string(machine, s, text),
        Val::Arr(list) => {
            let mut before = "[";
            for item in list.iter() {
                format::push(machine, text, before)?;
                write_at(machine, &item, text, level + 1)?;
                before = ",";
            }
            format::push(machine, text, if list.len() == 0 { "[]" } else { "]" })
        }
        Val::Obj(dict) => {
            let mut before = "{";
            for (key, value) in dict.iter() {
                format::push(machine, text, before)?;
                machine.meter.spend(2)?;
                write_string(machine, &key, text)?;
                format::push(machine, text, ":")?;
                write_at(machine, &value, text, level + 1)?;
                before = ",";
            }
            format::push(machine, text, if dict.len() == 0 { "{}" } else { "}" })
        }
    }
}

fn write_string<'v>(machine: &Machine<'v>, s: &Text<'v>, text: &mut String) -> Outcome<'v, ()> {
    machine.meter.allocate(s.as_str().len())?;
    format::push(machine, text, &Value::String(s.as_str().to_owned()).to_string())
}

/// The value that a text holds. The reader refuses what nests deeper than 128 levels.
pub(super) fn read<'v>(machine: &Machine<'v>, text: &str) -> Outcome<'v> {
    // A value takes at most this much more memory than its text.
    machine.meter.allocate(text.len().saturating_mul(NODE_SIZE / 2))?;
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Stop::raise(format!("{error} (while parsing {})", excerpt_of(text))))?;
    own(machine, &value)
}

/// A built value that equals `value`.
fn own<'v>(machine: &Machine<'v>, value: &Value) -> Outcome<'v> {
    Ok(match value {
        Value::Null => Val::Null,
        Value::Bool(b) => Val::Bool(*b),
        Value::Number(n) => Val::Num(n.into()),
        Value::String(s) => Val::text(s.as_str()),
        Value::Array(items) => {
            machine.array(items.iter().map(|v| own(machine, v)).collect::<Outcome<'v, Vec<_>>>()?)?
        }
        Value::Object(entries) => {
            let own =
                |(k, v): (&String, &Value)| Ok((Text::Own(std::rc::Rc::new(k.clone())), own(machine, v)?));
            machine.object(entries.iter().map(own).collect::<Outcome<'v, _>>()?)?
        }
    })
}

/// The start of a value's text, for messages.
pub(super) fn excerpt(value: &Val<'_>) -> String {
    let mut text = String::new();
    sketch(value, &mut text, 0);
    excerpt_of(&text)
}

fn excerpt_of(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

/// Writes at least the start of a value's text, and little more.
fn sketch(value: &Val<'_>, text: &mut String, level: usize) {
    if text.len() > EXCERPT_CHARS * 4 || level > EXCERPT_CHARS {
        return;
    }
    match value {
        Val::Null => text.push_str("null"),
        Val::Bool(b) => text.push_str(if *b { "true" } else { "false" }),
        // Writing into a string cannot fail.
        Val::Num(n) => drop(match n.to_json() {
            Some(n) => write!(text, "{n}"),
            None => write!(text, "{}", n.as_f64()),
        }),
        Val::Str(s) => {
            let start: String = s.as_str().chars().take(EXCERPT_CHARS + 1).collect();
            text.push_str(&Value::String(start).to_string());
        }
        Val::Arr(list) => sketch_list(list, text, level),
        Val::Obj(dict) => sketch_dict(dict, text, level),
    }
}

fn sketch_list(list: &List<'_>, text: &mut String, level: usize) {
    text.push('[');
    for (i, item) in list.iter().take(EXCERPT_CHARS).enumerate() {
        text.push_str(if i > 0 { "," } else { "" });
        sketch(&item, text, level + 1);
    }
    text.push(']');
}

fn sketch_dict(dict: &Dict<'_>, text: &mut String, level: usize) {
    text.push('{');
    for (i, (key, value)) in dict.iter().take(EXCERPT_CHARS).enumerate() {
        text.push_str(if i > 0 { "," } else { "" });
        text.push_str(&Value::String(key.as_str().chars().take(EXCERPT_CHARS).collect()).to_string());
        text.push(':');
        sketch(&value, text, level + 1);
    }
    text.push('}');
}
