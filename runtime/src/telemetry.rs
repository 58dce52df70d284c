//! Logs: one subscriber for the process, to standard error. Its levels can be changed while the process runs.

use std::io::IsTerminal;
use std::sync::{OnceLock, RwLock};

use impresario_config::{Log, LogFilter, LogFormat};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::time::SystemTime;

/// What is always left out: the actor library's own spans cost more than the messages they tell of, and the SNMP library has
/// a line for each datagram that anybody sends.
const QUIET: &str = "ractor=warn,async_snmp=off";

/// The levels of the process's subscriber, once there is one.
static LEVELS: OnceLock<Levels> = OnceLock::new();

type Change = Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync>;

struct Levels {
    now: RwLock<String>,
    change: Change,
}

fn filter(levels: &str) -> EnvFilter {
    EnvFilter::new(format!("{levels},{QUIET}"))
}

/// Installs the subscriber that the settings ask for. Another one that is there already stays.
pub fn install(log: &Log) {
    let levels = log.level.as_str();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(levels))
        .with_writer(std::io::stderr)
        .with_timer(SystemTime)
        .with_ansi(std::io::stderr().is_terminal());
    let (installed, change): (_, Change) = match log.format {
        LogFormat::Text => {
            let builder = builder.with_target(false).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| handle.reload(filter)))
        }
        LogFormat::Json => {
            let builder = builder.json().with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| handle.reload(filter)))
        }
    };
    // Only a test process has one already, and it wants its own.
    if installed.is_ok() {
        LEVELS.get_or_init(|| Levels { now: RwLock::new(levels.to_owned()), change });
    }
}

/// The levels in force; nothing if the subscriber is somebody else's.
pub fn levels() -> Option<String> {
    let levels = LEVELS.get()?;
    Some(levels.now.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone())
}

/// Puts other levels in force, until the process ends.
///
/// # Errors
/// What was expected and what was found; or why the subscriber does not take it.
pub fn set_levels(text: &str) -> Result<(), String> {
    LogFilter::new(text)?;
    let levels = LEVELS.get().ok_or("the log of this process is written by somebody else")?;
    // Under the lock, so that what is told is what is in force.
    let mut now = levels.now.write().unwrap_or_else(std::sync::PoisonError::into_inner);
    (levels.change)(filter(text)).map_err(|error| format!("the log does not take it: {error}"))?;
    let before = std::mem::replace(&mut *now, text.to_owned());
    drop(now);
    tracing::info!(before, now = text, "the levels of the log were changed");
    Ok(())
}
