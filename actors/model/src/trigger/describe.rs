//! What a trigger watches, in words.

use crate::definition::{Consumption, Definition, Delay, Strategy, Until, Watch};

/// What a trigger watches, in words.
pub fn describe(definition: &Definition, watch: &Watch) -> String {
    match watch {
        Watch::Every(delay) => format!("every {}", delay_words(delay)),
        Watch::After(delay) => format!("{} after it ended", delay_words(delay)),
        Watch::Cron(pattern) => {
            format!("cron '{pattern}' in {}", definition.ops.time_zone.as_deref().unwrap_or("UTC"))
        }
        Watch::Event(consumption) => {
            let mut words = consumption_words(consumption);
            if let Some(threshold) = &definition.ops.events.threshold {
                let within = millis_words(threshold.within_ms);
                words = format!("{words}, {} within {within}", threshold.count);
                if let Some(by) = &threshold.by {
                    words = format!("{words} by {}", by.source().trim());
                }
            }
            words
        }
    }
}

fn consumption_words(consumption: &Consumption) -> String {
    let types: Vec<&str> =
        consumption.filters.iter().map(|filter| filter.event_type().unwrap_or("any type")).collect();
    let between = match consumption.strategy {
        Strategy::One | Strategy::Any => " or ",
        Strategy::All => " and ",
    };
    let words =
        if types.is_empty() { "every event".to_owned() } else { format!("event {}", types.join(between)) };
    match &consumption.until {
        None => words,
        Some(Until::Never) => format!("{words}, for ever"),
        Some(Until::Condition(condition)) => format!("{words}, until {}", condition.source().trim()),
        Some(Until::Events(ending)) => format!("{words}, until {}", consumption_words(ending)),
    }
}

/// A number of milliseconds in its largest whole unit.
pub fn millis_words(millis: u64) -> String {
    if !millis.is_multiple_of(1000) {
        return format!("{millis} ms");
    }
    match millis / 1000 {
        s if s % 86_400 == 0 && s > 0 => format!("{} d", s / 86_400),
        s if s % 3_600 == 0 && s > 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 && s > 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

fn delay_words(delay: &Delay) -> String {
    match delay {
        Delay::Millis(millis) => millis_words(*millis),
        Delay::Calendar(span) => span.to_string(),
        Delay::Expression(expression) => expression.source().to_owned(),
    }
}
