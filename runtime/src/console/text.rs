//! Text on its way to a terminal: what comes from the cluster is cleaned, measured in cells, and cut to fit.

use std::time::{Duration, SystemTime};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// No cell shows more of a text than this, however wide the terminal is.
pub(super) const TEXT_LIMIT: usize = 400;

/// The first characters of a text, without anything that a terminal would obey: control characters, and characters that
/// turn the direction of writing or take no room.
pub(super) fn clean(text: &str) -> String {
    cleaned(text, TEXT_LIMIT)
}

/// The same, of a text that is shown on several lines.
pub(super) fn cleaned(text: &str, limit: usize) -> String {
    let mut shown: String = text.chars().take(limit).map(harmless).collect();
    if text.chars().nth(limit).is_some() {
        shown.push('…');
    }
    shown
}

fn harmless(character: char) -> char {
    match character {
        '\n' => '↵',
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '·',
        other if other.is_control() => '·',
        other => other,
    }
}

/// How many cells a text takes.
pub(super) fn width(text: &str) -> usize {
    text.width()
}

/// As much of a text as has room in so many cells; with an ellipsis where something is missing.
pub(super) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut used = 0;
    let mut shown = String::new();
    for character in text.chars() {
        let cells = character.width().unwrap_or(0);
        if used + cells + 1 > room {
            break;
        }
        used += cells;
        shown.push(character);
    }
    if room > 0 {
        shown.push('…');
    }
    shown
}

/// Breaks a text into lines of at most so many cells, at spaces where it has some; the last line tells of what is left out.
pub(super) fn wrap(text: &str, room: usize, lines_most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && width(&line) + 1 + width(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    if lines.len() > lines_most {
        let rest = lines.split_off(lines_most.saturating_sub(1)).join(" ");
        lines.push(rest);
    }
    lines.iter().map(|line| cut(line, room)).collect()
}

/// How long ago an RFC 3339 time was, in its largest unit: `12s`, `3m`, `2d`. The text itself when it is no time.
pub(super) fn age(time: &str, now: SystemTime) -> String {
    match humantime::parse_rfc3339_weak(time) {
        // A clock of another machine may be ahead of ours.
        Ok(time) => span(now.duration_since(time).unwrap_or_default()),
        Err(_) => clean(time),
    }
}

/// How long it is until an RFC 3339 time: `in 3m`, or how long it is over: `3m ago`.
pub(super) fn until(time: &str, now: SystemTime) -> String {
    match humantime::parse_rfc3339_weak(time).map(|time| time.duration_since(now)) {
        Ok(Ok(left)) => format!("in {}", span(left)),
        Ok(Err(over)) => format!("{} ago", span(over.duration())),
        Err(_) => clean(time),
    }
}

/// A duration in its largest unit, and the next one where the largest says little.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        600..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The time of day of an RFC 3339 time, with milliseconds: `16:40:12.123`.
pub(super) fn clock(time: &str) -> String {
    match humantime::parse_rfc3339_weak(time) {
        Ok(time) => humantime::format_rfc3339_millis(time).to_string().chars().skip(11).take(12).collect(),
        Err(_) => clean(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(clean("a\x1b[31m\nb\u{202e}c\t\u{9b}"), "a·[31m↵b·c ·");
        assert_eq!(clean(&"x".repeat(1000)).chars().count(), TEXT_LIMIT + 1);
    }

    #[test]
    fn texts_are_cut_in_cells_and_not_in_characters() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
        // Each of these is two cells wide.
        assert_eq!(cut("漢字漢字", 6), "漢字…");
        assert_eq!(cut("漢字漢字", 0), "");
        assert_eq!(wrap("one two three four", 9, 3), ["one two", "three", "four"]);
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three fo…"]);
    }

    #[test]
    fn times_are_told_as_distances() {
        let now = humantime::parse_rfc3339("2026-01-02T00:00:00Z").unwrap();
        assert_eq!(age("2026-01-01T23:59:48Z", now), "12s");
        assert_eq!(age("2026-01-01T20:59:00Z", now), "3h01m");
        assert_eq!(age("2027-01-01T20:59:00Z", now), "0s");
        assert_eq!(age("yester\x07day", now), "yester·day");
        assert_eq!(until("2026-01-02T00:02:05Z", now), "in 2m05s");
        assert_eq!(until("2026-01-01T00:00:00Z", now), "1d00h ago");
        assert_eq!(clock("2026-01-01T20:59:00.5Z"), "20:59:00.500");
    }
}
