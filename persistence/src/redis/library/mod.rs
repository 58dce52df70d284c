//! The functions that the server carries out, under a name that changes with every change of them.
//!
//! So nodes of two versions work side by side on one server, each with the functions that it was built with.

use std::sync::LazyLock;

use redis::Cmd;

/// In this order: what comes first is used by the others.
const SOURCE: &str = concat!(
    include_str!("common.lua"),
    include_str!("log.lua"),
    include_str!("owners.lua"),
    include_str!("rows.lua"),
    include_str!("environment.lua"),
    include_str!("members.lua"),
);

/// The name of the library, which begins the name of each of its functions.
pub(super) static NAME: LazyLock<String> =
    LazyLock::new(|| format!("impresario_{:08x}", crc32fast::hash(SOURCE.as_bytes())));

/// The library as the server is given it.
pub(super) fn source() -> String {
    format!("#!lua name={name}\nlocal LIBRARY = '{name}'\n{SOURCE}", name = *NAME)
}

/// A call of a function that may write.
pub(super) fn call(function: &str, keys: &[&str]) -> Cmd {
    start("FCALL", function, keys)
}

/// A call of a function that only reads.
pub(super) fn look(function: &str, keys: &[&str]) -> Cmd {
    start("FCALL_RO", function, keys)
}

fn start(command: &str, function: &str, keys: &[&str]) -> Cmd {
    let mut call = redis::cmd(command);
    call.arg(format!("{}_{function}", *NAME)).arg(keys.len()).arg(keys);
    call
}
