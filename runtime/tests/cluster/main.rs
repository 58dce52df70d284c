//! Nodes of one store in one process: each with its door, and a view of the cluster that the test makes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod members;
mod reach;
mod support;
