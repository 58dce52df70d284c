//! Durations as the language writes them.

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::expression::{EvaluationError, Expression, Fuel, Variables};

/// A duration of a definition: fixed, calendar-relative, or computed.
#[derive(Clone, Debug)]
pub enum Delay {
    /// A fixed number of milliseconds.
    Millis(u64),
    /// An ISO 8601 duration with years or months, which only an instant gives a length.
    Calendar(jiff::Span),
    /// An expression that gives an ISO 8601 duration or a map of units.
    Expression(Expression),
}

/// The units of a fixed length, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("days", 86_400_000),
    ("hours", 3_600_000),
    ("minutes", 60_000),
    ("seconds", 1_000),
    ("milliseconds", 1),
];

const WEEK_MS: u64 = 7 * 86_400_000;

/// A thousand years: beyond it, a sum with an instant could leave the range of a calendar.
const MILLIS_MAX: u64 = 365_250 * 86_400_000;

impl Delay {
    /// The length in milliseconds when counted from `now_ms` (milliseconds since the Unix epoch).
    ///
    /// # Errors
    /// [`EvaluationError`] of the expression, or where its value is not a duration.
    pub fn millis(
        &self,
        now_ms: u64,
        input: &Value,
        variables: &dyn Variables,
        fuel: &mut Fuel,
    ) -> Result<u64, EvaluationError> {
        match self {
            Delay::Millis(millis) => Ok(*millis),
            Delay::Calendar(span) => calendar_millis(span, now_ms).map_err(EvaluationError::Raised),
            Delay::Expression(expression) => {
                let value = expression.evaluate(input, variables, fuel)?;
                match Delay::from_value(&value).map_err(EvaluationError::Raised)? {
                    Delay::Millis(millis) => Ok(millis),
                    Delay::Calendar(span) => calendar_millis(&span, now_ms).map_err(EvaluationError::Raised),
                    Delay::Expression(_) => Err(EvaluationError::Raised("expected a duration".to_owned())),
                }
            }
        }
    }

    /// Reads a duration: ISO 8601 text or a map of days, hours, minutes, seconds, milliseconds.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => from_text(text),
            Value::Object(units) if !units.is_empty() => {
                let mut total = Some(0_u64);
                for (name, count) in units {
                    let Some((_, unit)) = UNITS.iter().find(|(known, _)| known == name) else {
                        let known: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
                        return Err(format!("expected a duration of {}, found '{name}'", known.join(", ")));
                    };
                    let count = count
                        .as_u64()
                        .ok_or_else(|| format!("expected a whole number of {name}, found {count}"))?;
                    total = count.checked_mul(*unit).and_then(|part| total?.checked_add(part));
                }
                fixed(total)
            }
            other => Err(format!("expected a duration such as PT30S or {{\"seconds\": 30}}, found {other}")),
        }
    }
}

fn fixed(total: Option<u64>) -> Result<Delay, String> {
    match total {
        Some(millis) if millis <= MILLIS_MAX => Ok(Delay::Millis(millis)),
        _ => Err("expected a duration of at most a thousand years".to_owned()),
    }
}

/// What ISO 8601 text says, designator by designator.
#[derive(Default)]
struct Parts {
    years: u64,
    months: u64,
    /// All the rest, whose length is fixed.
    millis: u64,
}

fn from_text(text: &str) -> Result<Delay, String> {
    let refused = || {
        let shown: String = text.chars().take(40).collect();
        format!("expected an ISO 8601 duration such as PT30S or P1DT12H, found '{shown}'")
    };
    let parts = parse(text).ok_or_else(refused)?;
    if parts.years == 0 && parts.months == 0 {
        return fixed(Some(parts.millis));
    }
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let too_long = |_| "expected a duration of at most a thousand years".to_owned();
    if parts.years > 1_000 || parts.months > 12_000 || parts.millis > MILLIS_MAX {
        return fixed(None);
    }
    jiff::Span::new()
        .try_years(whole(parts.years))
        .and_then(|span| span.try_months(whole(parts.months)))
        .and_then(|span| span.try_milliseconds(whole(parts.millis)))
        .map(Delay::Calendar)
        .map_err(too_long)
}

/// `P[nY][nM][nW][nD][T[nH][nM][nS]]`; the numbers may have fractions where the length of the unit is fixed.
fn parse(text: &str) -> Option<Parts> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((date, time)) if !time.is_empty() => (date, time),
        Some(_) => return None,
        None if rest.is_empty() => return None,
        None => (rest, ""),
    };
    let mut parts = Parts::default();
    let date_units = [('Y', None), ('M', None), ('W', Some(WEEK_MS)), ('D', Some(86_400_000))];
    let time_units = [('H', Some(3_600_000)), ('M', Some(60_000)), ('S', Some(1_000))];
    designators(date, &date_units, &mut parts)?;
    designators(time, &time_units, &mut parts)?;
    Some(parts)
}

/// Reads numbers with designators, which must come in the order of `units` and each at most once.
fn designators(mut text: &str, units: &[(char, Option<u64>)], parts: &mut Parts) -> Option<()> {
    let mut units = units.iter();
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, rest) = text.split_at(end);
        let designator = rest.chars().next()?;
        text = rest.get(designator.len_utf8()..)?;
        let (designator, unit) = units.find(|(known, _)| *known == designator)?;
        match unit {
            Some(unit) => parts.millis = parts.millis.checked_add(scaled(number, *unit)?)?,
            None if *designator == 'Y' => parts.years = number.parse().ok()?,
            None => parts.months = number.parse().ok()?,
        }
    }
    Some(())
}

/// A decimal number of units in whole milliseconds; what is less than one is cut off.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    /// More digits than these do not change a millisecond of a week.
    const DIGITS: usize = 12;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits = &fraction[..fraction.len().min(DIGITS)];
    let scale = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let part = digits.parse::<u128>().ok()?.checked_mul(u128::from(unit))? / scale;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

/// The length of a span with years or months that begins at `now_ms`, in UTC.
fn calendar_millis(span: &jiff::Span, now_ms: u64) -> Result<u64, String> {
    let beyond = || "expected an instant within the calendar's range".to_owned();
    let start = i64::try_from(now_ms).map_err(|_| beyond())?;
    let start = jiff::Timestamp::from_millisecond(start).map_err(|_| beyond())?.to_zoned(TimeZone::UTC);
    let end = start.checked_add(*span).map_err(|_| beyond())?;
    let length = end.timestamp().as_millisecond() - start.timestamp().as_millisecond();
    u64::try_from(length).map_err(|_| beyond())
}
