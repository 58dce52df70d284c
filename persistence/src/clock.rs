//! The wall clock that a store stamps its entries with, as a parameter.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Answers the wall clock in milliseconds since the Unix epoch. It may step back: stores keep their offsets
/// growing all the same.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The clock of this machine that never steps, in milliseconds. It counts the time in which the machine was suspended:
/// the clocks of other machines went on in that time.
pub fn monotonic_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// The clock of the operating system.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        // A clock before 1970 counts as 1970: offsets still grow, by their sequence.
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    })
}
