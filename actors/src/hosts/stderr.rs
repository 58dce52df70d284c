//! How much of a host's standard error is logged: a flood must not drown what the node and other adapters have to say.

use std::time::Duration;

use tokio::time::Instant;

/// Of each window so many lines are logged; the rest is counted.
const LINES_MAX: u32 = 100;
/// The window.
const WINDOW: Duration = Duration::from_secs(1);

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flow {
    /// It is logged.
    pub(super) passes: bool,
    /// So many before it were not, and this was not said yet.
    pub(super) dropped: u64,
}

/// Lets a bounded number of lines through in each window.
#[derive(Debug, Default)]
pub(super) struct Tap {
    since: Option<Instant>,
    lines: u32,
    dropped: u64,
}

impl Tap {
    /// One more line, now.
    pub(super) fn flow(&mut self, now: Instant) -> Flow {
        let mut dropped = 0;
        if self.since.is_none_or(|since| now.duration_since(since) >= WINDOW) {
            (self.since, self.lines) = (Some(now), 0);
            dropped = self.rest();
        }
        let passes = self.lines < LINES_MAX;
        if passes {
            self.lines += 1;
        } else {
            self.dropped += 1;
        }
        Flow { passes, dropped }
    }

    /// How many lines were dropped and not told yet.
    pub(super) fn rest(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_what_is_missing_is_told_once() {
        let (mut tap, begin) = (Tap::default(), Instant::now());
        let passed = (0..1000).filter(|_| tap.flow(begin).passes).count();
        assert_eq!(passed, 100);
        assert_eq!(tap.flow(begin + WINDOW), Flow { passes: true, dropped: 900 });
        assert_eq!(tap.flow(begin + WINDOW), Flow { passes: true, dropped: 0 });
        assert_eq!(tap.rest(), 0);
    }
}
