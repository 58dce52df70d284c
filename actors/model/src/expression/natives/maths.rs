//! Functions on numbers.
//!
//! Everything beyond arithmetic goes through `libm`, which computes the same bits on every platform; the
//! platform's own functions need not, and then a replay on another machine could differ.

use super::Entry;
use super::collections::arg;
use crate::expression::json::excerpt;
use crate::expression::number::Num;
use crate::expression::value::{Outcome, Stop, Val};

pub(super) const TABLE: &[Entry] = &[
    ("nan", 0, |_, _, _| Ok(Val::Num(Num::Float(f64::NAN)))),
    ("infinite", 0, |_, _, _| Ok(Val::Num(Num::Float(f64::INFINITY)))),
    ("isnan", 0, |_, input, _| Ok(Val::Bool(number(&input)?.is_nan()))),
    ("isinfinite", 0, |_, input, _| Ok(Val::Bool(number(&input)?.is_infinite()))),
    ("isnormal", 0, |_, input, _| Ok(Val::Bool(number(&input)?.is_normal()))),
    ("abs", 0, |_, input, _| match input {
        Val::Num(n) if n.as_f64() < 0.0 => Ok(Val::Num(n.negate())),
        Val::Num(_) => Ok(input),
        other => Err(misfit(&other)),
    }),
    ("floor", 0, |_, input, _| whole(input, f64::floor)),
    ("ceil", 0, |_, input, _| whole(input, f64::ceil)),
    ("round", 0, |_, input, _| whole(input, f64::round)),
    ("trunc", 0, |_, input, _| whole(input, f64::trunc)),
    ("fabs", 0, |_, input, _| Ok(Val::float(number(&input)?.abs()))),
    ("sqrt", 0, |_, input, _| Ok(Val::float(libm::sqrt(number(&input)?)))),
    ("cbrt", 0, |_, input, _| Ok(Val::float(libm::cbrt(number(&input)?)))),
    ("exp", 0, |_, input, _| Ok(Val::float(libm::exp(number(&input)?)))),
    ("exp2", 0, |_, input, _| Ok(Val::float(libm::exp2(number(&input)?)))),
    ("exp10", 0, |_, input, _| Ok(Val::float(libm::exp10(number(&input)?)))),
    ("log", 0, |_, input, _| Ok(Val::float(libm::log(number(&input)?)))),
    ("log2", 0, |_, input, _| Ok(Val::float(libm::log2(number(&input)?)))),
    ("log10", 0, |_, input, _| Ok(Val::float(libm::log10(number(&input)?)))),
    ("sin", 0, |_, input, _| Ok(Val::float(libm::sin(number(&input)?)))),
    ("cos", 0, |_, input, _| Ok(Val::float(libm::cos(number(&input)?)))),
    ("tan", 0, |_, input, _| Ok(Val::float(libm::tan(number(&input)?)))),
    ("asin", 0, |_, input, _| Ok(Val::float(libm::asin(number(&input)?)))),
    ("acos", 0, |_, input, _| Ok(Val::float(libm::acos(number(&input)?)))),
    ("atan", 0, |_, input, _| Ok(Val::float(libm::atan(number(&input)?)))),
    ("atan2", 2, |_, _, args| pair(args, libm::atan2)),
    ("pow", 2, |_, _, args| pair(args, libm::pow)),
    ("fmin", 2, |_, _, args| pair(args, libm::fmin)),
    ("fmax", 2, |_, _, args| pair(args, libm::fmax)),
    ("fmod", 2, |_, _, args| pair(args, libm::fmod)),
    ("hypot", 2, |_, _, args| pair(args, libm::hypot)),
];

fn pair<'v>(args: &[Val<'v>], function: fn(f64, f64) -> f64) -> Outcome<'v> {
    Ok(Val::float(function(number(&arg(args, 0))?, number(&arg(args, 1))?)))
}

/// The number that a value must be.
pub(super) fn number<'v>(value: &Val<'_>) -> Outcome<'v, f64> {
    match value {
        Val::Num(n) => Ok(n.as_f64()),
        other => Err(misfit(other)),
    }
}

fn whole<'v>(value: Val<'v>, round: fn(f64) -> f64) -> Outcome<'v> {
    match value {
        Val::Num(Num::Float(x)) => Ok(Val::float(round(x))),
        Val::Num(_) => Ok(value),
        other => Err(misfit(&other)),
    }
}

fn misfit<'v>(value: &Val<'_>) -> Stop<'v> {
    Stop::raise(format!("{} ({}) is not a number", value.kind(), excerpt(value)))
}
