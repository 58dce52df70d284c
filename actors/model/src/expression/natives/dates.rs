//! Dates, in UTC only: the zone of a machine must not change what a replay gives.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{Offset, TimeZone};

use super::Entry;
use super::collections::arg;
use super::maths::number;
use super::strings::text;
use crate::expression::json::excerpt;
use crate::expression::machine::Machine;
use crate::expression::operators;
use crate::expression::value::{Outcome, Stop, Val};

/// The longest format.
const FORMAT_MAX: usize = 1024;

pub(super) const TABLE: &[Entry] = &[
    ("todate", 0, |machine, input, _| to_iso(machine, &input)),
    ("todateiso8601", 0, |machine, input, _| to_iso(machine, &input)),
    ("fromdate", 0, |_, input, _| from_iso(&input)),
    ("fromdateiso8601", 0, |_, input, _| from_iso(&input)),
    ("gmtime", 0, |machine, input, _| {
        broken_down(machine, instant(&input)?.to_zoned(TimeZone::UTC).datetime())
    }),
    ("mktime", 0, |_, input, _| Ok(Val::float(civil(&input)?.timestamp().as_second() as f64))),
    ("strftime", 1, |machine, input, args| {
        let zoned = match &input {
            Val::Arr(_) => civil(&input)?,
            other => instant(other)?.to_zoned(TimeZone::UTC),
        };
        let format = arg(args, 0);
        let formatted = strtime::format(format_of(&format)?, &zoned).map_err(|error| refuse(&error))?;
        machine.string(formatted)
    }),
    ("strptime", 1, |machine, input, args| {
        let format = arg(args, 0);
        let mut time =
            BrokenDownTime::parse(format_of(&format)?, text(&input)?).map_err(|error| refuse(&error))?;
        if time.offset().is_none() {
            time.set_offset(Some(Offset::UTC));
        }
        let timestamp = time.to_timestamp().map_err(|error| refuse(&error))?;
        broken_down(machine, timestamp.to_zoned(TimeZone::UTC).datetime())
    }),
];

fn refuse<'v>(error: &jiff::Error) -> Stop<'v> {
    Stop::raise(format!("not a date: {error}"))
}

/// A format without paddings such as `%999999999d`, which would build a text of any length.
fn format_of<'a, 'v>(value: &'a Val<'_>) -> Outcome<'v, &'a str> {
    let format = text(value)?;
    let padding = |directive: &str| {
        let flags = directive.trim_start_matches(['-', '_', '^', '#', '.', ':']);
        flags.bytes().take_while(u8::is_ascii_digit).count()
    };
    if format.len() > FORMAT_MAX || format.split('%').skip(1).any(|directive| padding(directive) > 2) {
        return Err(Stop::raise("the date format is too long or pads too much"));
    }
    Ok(format)
}

fn instant<'v>(value: &Val<'v>) -> Outcome<'v, Timestamp> {
    let seconds = number(value)?;
    // The cast saturates, and the constructor refuses what is out of range.
    Timestamp::from_microsecond((seconds * 1e6) as i64).map_err(|error| refuse(&error))
}

fn to_iso<'v>(machine: &Machine<'v>, value: &Val<'v>) -> Outcome<'v> {
    let instant = instant(value)?;
    let whole = Timestamp::from_second(instant.as_second()).map_err(|error| refuse(&error))?;
    machine.string(whole.to_string())
}

fn from_iso<'v>(value: &Val<'v>) -> Outcome<'v> {
    let instant: Timestamp = text(value)?
        .parse()
        .map_err(|_| Stop::raise(format!("{} is not a date such as 2026-01-02T03:04:05Z", excerpt(value))))?;
    let micros = instant.as_microsecond();
    Ok(Val::float(if micros % 1_000_000 == 0 { instant.as_second() as f64 } else { micros as f64 / 1e6 }))
}

/// `[year, month from 0, day, hours, minutes, seconds, day of week, day of year from 0]`
fn broken_down<'v>(machine: &Machine<'v>, time: DateTime) -> Outcome<'v> {
    let seconds = f64::from(time.second()) + f64::from(time.subsec_nanosecond()) / 1e9;
    let parts = [
        f64::from(time.year()),
        f64::from(time.month()) - 1.0,
        f64::from(time.day()),
        f64::from(time.hour()),
        f64::from(time.minute()),
        seconds,
        f64::from(time.weekday().to_sunday_zero_offset()),
        f64::from(time.day_of_year()) - 1.0,
    ];
    machine.array(parts.into_iter().map(Val::float).collect())
}

fn civil<'v>(value: &Val<'v>) -> Outcome<'v, jiff::Zoned> {
    let refused = || Stop::raise(format!("{} is not a broken down time", excerpt(value)));
    let Val::Arr(list) = value else { return Err(refused()) };
    let part = |i: usize| operators::integer(&list.get(i).unwrap_or(Val::Null), "a part of a time");
    let small = |i: usize| part(i).and_then(|n| i8::try_from(n).map_err(|_| refused()));
    let year = i16::try_from(part(0)?).map_err(|_| refused())?;
    let month = small(1)?.checked_add(1).ok_or_else(refused)?;
    let seconds = number(&list.get(5).unwrap_or(Val::Null))?;
    // Both casts saturate, and the constructor refuses what is out of range.
    let (second, nanos) = (seconds.floor() as i8, (seconds.fract() * 1e9) as i32);
    DateTime::new(year, month, small(2)?, small(3)?, small(4)?, second, nanos)
        .and_then(|time| time.to_zoned(TimeZone::UTC))
        .map_err(|error| refuse(&error))
}
