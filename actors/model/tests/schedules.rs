//! Schedules on virtual time: nights that skip or repeat an hour, calendars, and what becomes of missed times.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

#[path = "schedules/calendars.rs"]
mod calendars;
#[path = "schedules/catch_up.rs"]
mod catch_up;
#[path = "schedules/driver.rs"]
mod driver;
#[path = "schedules/nights.rs"]
mod nights;
