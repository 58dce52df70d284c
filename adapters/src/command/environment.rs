//! The environment that programs start with.
//!
//! It is clean: the host's own variables may hold settings and credentials of the node, which are no business of what
//! a definition starts. A few that programs need to find their way are passed on; the definition adds its own; and
//! the attempt tells who it is, so that a program can do its work once however often it is started.

use std::ffi::OsString;

use impresario_adapter::Call;

/// What is passed on from the host, if it is set there.
const PASSED_ON: [&str; 9] =
    ["HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SHELL"];
/// Where programs are looked for if the host itself does not know.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The host's part of the environment. Nothing here is a setting of ours: it is passed on as it is.
pub(super) fn clean() -> impl Iterator<Item = (&'static str, OsString)> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let passed_on = PASSED_ON.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    passed_on.chain([("PATH", path)])
}

/// What a program sees of the attempt that it runs for. The definition cannot replace it.
pub(super) fn of_attempt(call: &Call) -> Vec<(String, OsString)> {
    let traceparent = call.traceparent.clone().map(|context| ("TRACEPARENT", context));
    let variables = [
        ("IMPRESARIO_ACTIVITY_KEY", call.key.clone()),
        ("IMPRESARIO_ACTIVITY_TOKEN", call.token.clone()),
        ("IMPRESARIO_ACTIVITY_ATTEMPT", call.attempt.to_string()),
    ];
    variables.into_iter().chain(traceparent).map(|(name, value)| (name.to_owned(), value.into())).collect()
}
