//! Hosts against small scripted hosts.
