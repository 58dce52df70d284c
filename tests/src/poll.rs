//! Waiting for a condition of another process: looked at again and again, until a deadline.
//!
//! Another process cannot be waited for in another way. No test waits for a time and then hopes.

pub use impresario_test_servers::eventually;
