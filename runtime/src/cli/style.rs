//! Colours that mean something: good, bad, in between, faint. Whoever prints strips them where nobody sees them.

use anstyle::{AnsiColor, Style};

/// It is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Someone must act.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// It goes on, or it waits.
pub const ACTIVE: Style = AnsiColor::Cyan.on_default();
/// It was stopped on purpose, or is about to be well again.
pub const PAUSED: Style = AnsiColor::Yellow.on_default();
/// Beside the point.
pub const FAINT: Style = Style::new().dimmed();
/// A heading.
pub const HEADING: Style = Style::new().bold();
/// What to do.
pub const HINT: Style = AnsiColor::Green.on_default().bold();

/// The colour of a status of an instance, an activity, an actor or a node.
pub(crate) fn of_status(status: &str) -> Style {
    match status {
        "completed" | "ready" | "alive" | "enabled" => GOOD,
        "faulted" | "failed" | "quarantined" | "uncertain" | "gone" | "no answer" | "not ready"
        | "problem" => BAD,
        "running" | "waiting" | "pending" | "requested" | "retrying" | "probing" => ACTIVE,
        "cancelled" | "skipped" | "suspended" | "paused" | "restarting" | "draining" | "catching up" => {
            PAUSED
        }
        _ => Style::new(),
    }
}
