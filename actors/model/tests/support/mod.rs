//! What the tests of running processes share: scenarios as data, the world outside a process, and an executor.

pub mod executor;
pub mod petstore;
pub mod scenario;
pub mod world;
