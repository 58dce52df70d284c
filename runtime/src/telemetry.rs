//! Logs: one subscriber for the process, to standard error.

use std::io::IsTerminal;

use impresario_config::{Log, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// What is always left out: the actor library's own spans cost more than the messages they tell of, and the SNMP library has
/// a line for each datagram that anybody sends.
const QUIET: &str = "ractor=warn,async_snmp=off";

/// Installs the subscriber that the settings ask for. Another one that is there already stays.
pub fn install(log: &Log) {
    let filter = EnvFilter::new(format!("{},{QUIET}", log.level.as_str()));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_timer(SystemTime)
        .with_ansi(std::io::stderr().is_terminal());
    let installed = match log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    // Only a test process has one already, and it wants its own.
    let _ = installed;
}
