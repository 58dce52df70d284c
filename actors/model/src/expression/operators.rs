//! The arithmetic operators, on numbers and on everything else.

use std::rc::Rc;

use jaq_core::ops::Math;

use super::compare;
use super::format;
use super::json::excerpt;
use super::machine::Machine;
use super::meter::{SIZE_MAX, STEP};
use super::number::Num;
use super::value::{Dict, List, Outcome, OwnDict, Stop, Text, Val};

/// `-a`
pub(super) fn negate(value: Val<'_>) -> Outcome<'_> {
    match value {
        Val::Num(n) => Ok(Val::Num(n.negate())),
        other => Err(Stop::raise(format!("{} ({}) cannot be negated", other.kind(), excerpt(&other)))),
    }
}

/// `left op right`
pub(super) fn calculate<'v>(machine: &Machine<'v>, op: Math, left: Val<'v>, right: Val<'v>) -> Outcome<'v> {
    match (op, left, right) {
        (Math::Add, Val::Num(a), Val::Num(b)) => Ok(Val::Num(a.add(b))),
        (Math::Add, Val::Null, other) | (Math::Add, other, Val::Null) => Ok(other),
        (Math::Add, Val::Str(a), Val::Str(b)) => concat(machine, a, &b),
        (Math::Add, Val::Arr(a), Val::Arr(b)) => append(machine, a, &b),
        (Math::Add, Val::Obj(a), Val::Obj(b)) => merge(machine, a, &b, false),
        (Math::Sub, Val::Num(a), Val::Num(b)) => Ok(Val::Num(a.subtract(b))),
        (Math::Sub, Val::Arr(a), Val::Arr(b)) => without(machine, &a, &b),
        (Math::Mul, Val::Num(a), Val::Num(b)) => Ok(Val::Num(a.multiply(b))),
        (Math::Mul, Val::Obj(a), Val::Obj(b)) => merge(machine, a, &b, true),
        (Math::Mul, Val::Str(s), Val::Num(n)) | (Math::Mul, Val::Num(n), Val::Str(s)) => {
            repeat(machine, s.as_str(), n.as_f64())
        }
        (Math::Div, Val::Num(a), Val::Num(b)) => {
            a.divide(b).map(Val::Num).ok_or_else(|| misfit(op, &Val::Num(a), &Val::Num(b), "by zero"))
        }
        (Math::Div, Val::Str(a), Val::Str(b)) => split(machine, a.as_str(), b.as_str()),
        (Math::Rem, Val::Num(a), Val::Num(b)) => {
            a.remainder(b).map(Val::Num).ok_or_else(|| misfit(op, &Val::Num(a), &Val::Num(b), "by zero"))
        }
        (op, left, right) => Err(misfit(op, &left, &right, "")),
    }
}

fn misfit<'v>(op: Math, left: &Val<'v>, right: &Val<'v>, why: &str) -> Stop<'v> {
    let verb = match op {
        Math::Add => "added",
        Math::Sub => "subtracted",
        Math::Mul => "multiplied",
        Math::Div | Math::Rem => "divided",
    };
    let (a, b) = (excerpt(left), excerpt(right));
    let why = if why.is_empty() { String::new() } else { format!(" {why}") };
    Stop::raise(format!("{} ({a}) and {} ({b}) cannot be {verb}{why}", left.kind(), right.kind()))
}

fn concat<'v>(machine: &Machine<'v>, left: Text<'v>, right: &Text<'v>) -> Outcome<'v> {
    let mut own = match left {
        Text::Own(own) if Rc::strong_count(&own) == 1 => own,
        other => {
            machine.meter.allocate(other.as_str().len())?;
            Rc::new(other.as_str().to_owned())
        }
    };
    format::push(machine, Rc::make_mut(&mut own), right.as_str())?;
    Ok(Val::Str(Text::Own(own)))
}

fn append<'v>(machine: &Machine<'v>, left: List<'v>, right: &List<'v>) -> Outcome<'v> {
    let owned = matches!(&left, List::Own(own) if Rc::strong_count(own) == 1);
    let copied = right.len() + if owned { 0 } else { left.len() };
    machine.meter.allocate(copied * size_of::<Val<'_>>())?;
    let mut own = left.into_own();
    let list = Rc::make_mut(&mut own);
    for item in right.iter() {
        list.depth = list.depth.max(machine.nest(std::iter::once(&item))?);
        list.items.push(item);
    }
    Ok(Val::Arr(List::Own(own)))
}

/// The entries of both, those of `right` winning; `deep` merges objects that lie on both sides.
fn merge<'v>(machine: &Machine<'v>, left: Dict<'v>, right: &Dict<'v>, deep: bool) -> Outcome<'v> {
    let _level = machine.meter.descend()?;
    let owned = matches!(&left, Dict::Own(own) if Rc::strong_count(own) == 1);
    let copied = right.len() + if owned { 0 } else { left.len() };
    machine.meter.allocate(copied * size_of::<(Text<'_>, Val<'_>)>())?;
    let mut own = left.into_own();
    let dict: &mut OwnDict<'v> = Rc::make_mut(&mut own);
    for (key, value) in right.iter() {
        machine.meter.spend(1)?;
        let old = if deep && matches!(value, Val::Obj(_)) { dict.entries.remove(&key) } else { None };
        let value = match (old, value) {
            (Some(Val::Obj(old)), Val::Obj(new)) => merge(machine, old, &new, true)?,
            (_, value) => value,
        };
        dict.depth = dict.depth.max(machine.nest(std::iter::once(&value))?);
        dict.entries.insert(key, value);
    }
    Ok(Val::Obj(Dict::Own(own)))
}

fn without<'v>(machine: &Machine<'v>, left: &List<'v>, right: &List<'v>) -> Outcome<'v> {
    let mut kept = Vec::new();
    'items: for item in left.iter() {
        for gone in right.iter() {
            if compare::compare(&machine.meter, &item, &gone)?.is_eq() {
                continue 'items;
            }
        }
        machine.meter.allocate(size_of::<Val<'_>>())?;
        kept.push(item);
    }
    machine.array(kept)
}

/// `s * n`: null for n <= 0, as in jq.
fn repeat<'v>(machine: &Machine<'v>, s: &str, n: f64) -> Outcome<'v> {
    if n <= 0.0 || n.is_nan() {
        return Ok(Val::Null);
    }
    // A fraction counts as one more repetition up to the first, so that `"x" * 0.5` is "x".
    let times = if n < 1.0 { 1 } else { n as usize };
    let len = s.len().saturating_mul(times);
    if len > SIZE_MAX {
        return Err(format::TOO_LONG);
    }
    machine.meter.allocate(len)?;
    // Repeating nothing is free of cost for the allocator, but not for the loop.
    Ok(Val::text(if s.is_empty() { String::new() } else { s.repeat(times) }))
}

/// `s / separator`
pub(super) fn split<'v>(machine: &Machine<'v>, s: &str, separator: &str) -> Outcome<'v> {
    machine.meter.scan(s.len())?;
    let part = |part: &str| {
        machine.meter.allocate(size_of::<Val<'_>>() + size_of::<String>())?;
        machine.meter.spend(1)?;
        machine.string(part)
    };
    let parts: Outcome<'v, Vec<_>> = match (s.is_empty(), separator.is_empty()) {
        (true, _) => Ok(Vec::new()),
        (false, true) => s.chars().map(|c| part(c.encode_utf8(&mut [0; 4]))).collect(),
        (false, false) => s.split(separator).map(part).collect(),
    };
    machine.array(parts?)
}

/// The positions at which `part` lies in `list`.
pub(super) fn positions_of<'v>(machine: &Machine<'v>, list: &List<'v>, part: &List<'v>) -> Outcome<'v> {
    let mut positions = Vec::new();
    if part.len() == 0 || part.len() > list.len() {
        return if part.len() == 0 { Ok(Val::Null) } else { machine.array(positions) };
    }
    'starts: for start in 0..=list.len() - part.len() {
        machine.meter.spend(STEP)?;
        for (i, wanted) in part.iter().enumerate() {
            let found = list.get(start + i).unwrap_or(Val::Null);
            if compare::compare(&machine.meter, &found, &wanted)?.is_ne() {
                continue 'starts;
            }
        }
        positions.push(Val::int(start));
    }
    machine.array(positions)
}

/// The positions that a slice of something with `len` parts starts and ends at.
pub(super) fn bounds<'v>(from: &Val<'v>, to: &Val<'v>, len: usize) -> Outcome<'v, (usize, usize)> {
    let bound = |value: &Val<'v>, default: usize, round: fn(f64) -> f64| match value {
        Val::Null => Ok(default),
        Val::Num(n) => {
            let at = n.as_f64();
            let at = round(if at < 0.0 { at + len as f64 } else { at });
            // The cast saturates below and takes NaN for 0.
            Ok((at as usize).min(len))
        }
        other => Err(Stop::raise(format!("a slice starts and ends at numbers, not at {}", other.kind()))),
    };
    let start = bound(from, 0, f64::floor)?;
    let end = bound(to, len, f64::ceil)?;
    Ok((start, end.max(start)))
}

/// A number that must be an integer.
pub(super) fn integer<'v>(value: &Val<'v>, what: &str) -> Outcome<'v, i64> {
    match value {
        Val::Num(Num::Int(n)) => Ok(*n),
        Val::Num(Num::Float(x)) if x.fract() == 0.0 => Ok(*x as i64),
        other => Err(Stop::raise(format!("{what} must be an integer, not {}", excerpt(other)))),
    }
}
