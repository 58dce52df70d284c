//! Event triggers: their strategies, their options, and an operator's orders, on time that only the test moves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation in a helper is a failed test"
)]

#[path = "triggers/driver.rs"]
mod driver;
#[path = "triggers/hostile.rs"]
mod hostile;
#[path = "triggers/options.rs"]
mod options;
#[path = "triggers/orders.rs"]
mod orders;
#[path = "triggers/overlap.rs"]
mod overlap;
#[path = "triggers/strategies.rs"]
mod strategies;
