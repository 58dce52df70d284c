//! The ledger against a model, then hosts against small scripted processes.

mod ends;
mod flow;
mod ledger;
mod operated;
mod support;
