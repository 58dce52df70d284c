//! The order of values: null, false, true, numbers, strings, arrays, objects. Reading them is paid for.

use std::cmp::Ordering;

use jaq_core::ops::Cmp;

use super::machine::TOO_DEEP;
use super::meter::Meter;
use super::value::{DEPTH_MAX, Dict, Outcome, Val};

/// How deep a comparison goes: through all that was built, into an input as deep as JSON can be.
pub(super) const READ_DEPTH_MAX: usize = DEPTH_MAX + 128;

/// `a < b` and the like.
pub(super) fn test<'v>(meter: &Meter, op: Cmp, a: &Val<'v>, b: &Val<'v>) -> Outcome<'v, bool> {
    let order = compare(meter, a, b)?;
    Ok(match op {
        Cmp::Lt => order.is_lt(),
        Cmp::Le => order.is_le(),
        Cmp::Gt => order.is_gt(),
        Cmp::Ge => order.is_ge(),
        Cmp::Eq => order.is_eq(),
        Cmp::Ne => order.is_ne(),
    })
}

/// The order of two values.
pub(super) fn compare<'v>(meter: &Meter, a: &Val<'v>, b: &Val<'v>) -> Outcome<'v, Ordering> {
    compare_at(meter, a, b, 0)
}

fn compare_at<'v>(meter: &Meter, a: &Val<'v>, b: &Val<'v>, level: usize) -> Outcome<'v, Ordering> {
    meter.spend(1)?;
    if level > READ_DEPTH_MAX {
        return Err(TOO_DEEP);
    }
    Ok(match (a, b) {
        (Val::Num(a), Val::Num(b)) => a.compare(*b),
        (Val::Str(a), Val::Str(b)) => {
            meter.scan(a.as_str().len().min(b.as_str().len()))?;
            a.cmp(b)
        }
        (Val::Arr(a), Val::Arr(b)) => {
            for (a, b) in a.iter().zip(b.iter()) {
                let order = compare_at(meter, &a, &b, level + 1)?;
                if order.is_ne() {
                    return Ok(order);
                }
            }
            a.len().cmp(&b.len())
        }
        (Val::Obj(a), Val::Obj(b)) => return compare_objects(meter, a, b, level),
        (a, b) => rank(a).cmp(&rank(b)),
    })
}

/// First the keys as sorted arrays, then value by value.
fn compare_objects<'v>(meter: &Meter, a: &Dict<'v>, b: &Dict<'v>, level: usize) -> Outcome<'v, Ordering> {
    meter.spend(a.len().min(b.len()) as u64)?;
    let keys = a.iter().map(|(key, _)| key).cmp(b.iter().map(|(key, _)| key));
    if keys.is_ne() {
        return Ok(keys);
    }
    for ((_, a), (_, b)) in a.iter().zip(b.iter()) {
        let order = compare_at(meter, &a, &b, level + 1)?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(Ordering::Equal)
}

fn rank(value: &Val<'_>) -> u8 {
    match value {
        Val::Null => 0,
        Val::Bool(false) => 1,
        Val::Bool(true) => 2,
        Val::Num(_) => 3,
        Val::Str(_) => 4,
        Val::Arr(_) => 5,
        Val::Obj(_) => 6,
    }
}

/// Sorts values.
pub(super) fn sort<'v>(meter: &Meter, values: Vec<Val<'v>>) -> Outcome<'v, Vec<Val<'v>>> {
    let pairs = values.into_iter().map(|value| (value, ())).collect();
    Ok(sort_by_key(meter, pairs)?.into_iter().map(|(value, ())| value).collect())
}

/// Sorts by the first part, stably. A merge sort of our own, because a comparison can fail here and NaN, which
/// jq orders before itself, would break the promises that the library's sort asks for.
pub(super) fn sort_by_key<'v, T>(meter: &Meter, pairs: Vec<(Val<'v>, T)>) -> Outcome<'v, Vec<(Val<'v>, T)>> {
    meter.allocate(2 * pairs.len() * size_of::<(Val<'_>, T)>())?;
    let mut runs: Vec<Vec<(Val<'v>, T)>> = pairs.into_iter().map(|pair| vec![pair]).collect();
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut rest = runs.into_iter();
        while let Some(left) = rest.next() {
            merged.push(match rest.next() {
                Some(right) => merge(meter, left, right)?,
                None => left,
            });
        }
        runs = merged;
    }
    Ok(runs.pop().unwrap_or_default())
}

type Run<'v, T> = Vec<(Val<'v>, T)>;

fn merge<'v, T>(meter: &Meter, left: Run<'v, T>, right: Run<'v, T>) -> Outcome<'v, Run<'v, T>> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some((a, _)), Some((b, _))) = (left.peek(), right.peek()) {
        let next = if compare(meter, b, a)?.is_lt() { right.next() } else { left.next() };
        merged.extend(next);
    }
    merged.extend(left);
    merged.extend(right);
    Ok(merged)
}
