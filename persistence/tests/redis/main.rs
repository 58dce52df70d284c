//! The Redis store on real servers: it keeps every promise of the port, and what breaks breaks as it says.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "what cannot go on here shall stop here"
)]

mod behind;
mod faults;
mod membership;
mod refusals;
mod servers;
mod several;
mod support;
