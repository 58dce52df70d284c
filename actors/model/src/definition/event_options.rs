//! What an operator lays down about an event trigger, beyond what the language says: `metadata.ops.triggers`.

use jiff::civil::Weekday;
use serde_json::Value;

use crate::expression::Expression;

/// How long an event waits for the others that it belongs to, if nothing is said, in milliseconds.
pub const SETS_WITHIN_MS: u64 = 3_600_000;
/// How many sets of events may wait to be complete, if nothing is said.
pub const SETS_MAX: usize = 1_000;

/// The options of an event trigger.
#[derive(Clone, Debug, Default)]
pub struct EventOptions {
    /// `threshold`.
    pub threshold: Option<Threshold>,
    /// `rate`.
    pub rate: Option<Rate>,
    /// `active`.
    pub active: Option<Active>,
    /// `sets`.
    pub sets: Sets,
}

/// Fires when so many events came within so long.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// How many events.
    pub count: usize,
    /// In milliseconds, back from the last of them.
    pub within_ms: u64,
    /// Counted apart by the value of this, evaluated on the envelope.
    pub by: Option<Expression>,
}

/// Fires at most so often in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How often.
    pub max: usize,
    /// In milliseconds.
    pub per_ms: u64,
}

/// The sets of events that wait to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sets {
    /// How long one may wait, in milliseconds.
    pub within_ms: u64,
    /// How many may wait.
    pub max: usize,
}

impl Default for Sets {
    fn default() -> Self {
        Sets { within_ms: SETS_WITHIN_MS, max: SETS_MAX }
    }
}

/// When events count: at these times of these days.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Active {
    /// From this minute of the day on; from midnight if absent.
    pub from: Option<u16>,
    /// Before this minute of the day; to midnight if absent. At or before `from`, it is the next day's.
    pub to: Option<u16>,
    /// The days of the week; all if absent.
    pub days: Option<Vec<Weekday>>,
}

impl Active {
    /// The local day that a moment counts for, if its time of day is one of these; none if it is not, or the zone is
    /// unknown.
    pub fn day(&self, now_ms: u64, zone: &str) -> Option<jiff::civil::Date> {
        let moment = jiff::Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?;
        let local = moment.in_tz(zone).ok()?;
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).ok()?;
        let (from, to) = (self.from.unwrap_or(0), self.to.unwrap_or(DAY_MINUTES));
        let today = local.date();
        let day = match from < to {
            true => (from..to).contains(&minute).then_some(today),
            // Beyond midnight it is still the evening before.
            false if minute >= from => Some(today),
            false if minute < to => today.yesterday().ok(),
            false => None,
        }?;
        let counts = self.days.as_ref().is_none_or(|days| days.contains(&day.weekday()));
        counts.then_some(day)
    }
}

/// The minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// A text that stands for a value that events have in common: its JSON, or a digest of it where that is long.
pub fn key_text(value: &Value) -> String {
    use sha2::{Digest, Sha256};
    const KEY_BYTES: usize = 200;
    let text = value.to_string();
    if text.len() <= KEY_BYTES {
        return text;
    }
    let digest = Sha256::digest(text.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digest}")
}
