//! The rules as tables, then the glue with actors that crash, hang and refuse to start.

mod glue;
mod rules;
