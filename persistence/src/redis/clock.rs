//! The server's clock, carried on between two measurements by the clock of the machine that never steps.

use std::sync::{Arc, Mutex};

use redis::Value;

use super::live::{Live, Trouble};
use super::reply::strange;
use crate::sync::lock;
use crate::{Clock, monotonic_ms};

/// The clock of one server.
#[derive(Debug, Default)]
pub(super) struct ServerClock {
    /// The server's milliseconds at a moment of this machine, in milliseconds since it started.
    measured: Mutex<(u64, u64)>,
}

impl ServerClock {
    /// Asks the server for its time.
    pub(super) async fn measure(&self, live: &Live) -> Result<(), Trouble> {
        let before = monotonic_ms();
        let answer = live.ask(&redis::cmd("TIME")).await?;
        let after = monotonic_ms();
        let (seconds, micros): (u64, u64) = match redis::from_redis_value(answer) {
            Ok(time) => time,
            Err(error) => return Err(Trouble::Refused(strange(&Value::SimpleString(error.to_string())))),
        };
        // The answer was made somewhere between question and answer: in the middle is never wrong by more than half.
        *lock(&self.measured) = (seconds * 1000 + micros / 1000, before.midpoint(after));
        Ok(())
    }

    /// The server's time of now, in milliseconds since the Unix epoch.
    pub(super) fn now(&self) -> u64 {
        let (server, here) = *lock(&self.measured);
        server + monotonic_ms().saturating_sub(here)
    }

    pub(super) fn as_clock(self: &Arc<Self>) -> Clock {
        let clock = Arc::clone(self);
        Arc::new(move || clock.now())
    }
}
