//! Days and weekdays as calendars write them.

use jiff::civil::{self, Date};
use serde::{Deserialize, Serialize};

/// A day, written `2026-12-24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Day(pub Date);

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.0.to_string()
    }
}

impl TryFrom<String> for Day {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let day: Option<Date> = text.parse().ok();
        // The parser takes whole timestamps too, whose time would be lost without a word.
        day.filter(|day| day.to_string() == text).map(Day).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            format!("expected a day such as 2026-12-24, found '{shown}'")
        })
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is what its name says")]
pub enum Weekday {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Weekday {
    /// That of a day.
    pub fn of(day: Date) -> Self {
        match day.weekday() {
            civil::Weekday::Monday => Weekday::Mon,
            civil::Weekday::Tuesday => Weekday::Tue,
            civil::Weekday::Wednesday => Weekday::Wed,
            civil::Weekday::Thursday => Weekday::Thu,
            civil::Weekday::Friday => Weekday::Fri,
            civil::Weekday::Saturday => Weekday::Sat,
            civil::Weekday::Sunday => Weekday::Sun,
        }
    }
}

/// The day of a moment, in milliseconds since the Unix epoch, in a time zone of the IANA database.
pub fn local_day(moment: u64, zone: &str) -> Option<Date> {
    let moment = jiff::Timestamp::from_millisecond(i64::try_from(moment).ok()?).ok()?;
    Some(moment.in_tz(zone).ok()?.date())
}
