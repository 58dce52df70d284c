//! What the tests of running processes share: scenarios as data, and the world outside a process.

#![allow(dead_code, reason = "two tests include it, and each uses its part")]

pub mod exchange;
pub mod outside;
pub mod petstore;
pub mod scenario;
pub mod world;
