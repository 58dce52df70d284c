//! The store port of Impresario and its stores.
//!
//! [`port`] says what the engine asks of a store. Stores keep bytes and know nothing of what they mean.

pub mod error;
pub mod port;

pub use error::StoreError;
pub use port::*;
