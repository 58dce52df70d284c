//! Supervision in OTP's words: what a child is, when it is started again, and when nobody tries any more.
//!
//! Three layers, each ignorant of the next. [`ChildSpec`] is checked data. [`Family`] decides: given that a child
//! ended, what is to be done; it has no clock, no chance and no actors, so its rules are tested as a table.
//! [`Supervisor`] is the thin ractor actor that does what `Family` decided.
//!
//! Absent by choice: one-for-all and rest-for-one (nothing here needs them; children that live and die together
//! are one actor), and names in ractor's registry (it is process-wide, and an actor's name outlives its owner).

mod exit;
mod family;
mod shell;
mod spec;
mod supervisor;

pub use exit::ExitReason;
pub use family::{ChildState, ChildStatus, Family, SupervisorAction};
pub use spec::{Backoff, Budget, ChildSpec, Intensity, Regime, Restart, SpecError};
pub use supervisor::{
    Child, Observer, StartChild, Starting, Supervisor, SupervisorError, SupervisorSettings,
};

#[cfg(test)]
mod tests;
