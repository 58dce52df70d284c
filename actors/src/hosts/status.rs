//! What a console shows of an adapter host.

use std::sync::Arc;
use std::time::Duration;

use impresario_adapter::Manifest;

/// An adapter host as it is now.
#[derive(Clone, Debug)]
pub struct HostStatus {
    /// The adapter.
    pub name: String,
    /// Where it stands.
    pub state: HostState,
    /// What the newest process said of itself.
    pub manifest: Option<Arc<Manifest>>,
    /// The process that takes new work.
    pub pid: Option<u32>,
    /// Its number: each process started gets the next.
    pub generation: Option<u64>,
    /// What it has in memory with its children, in bytes, as it was measured last.
    pub memory: Option<u64>,
    /// For how long it has been ready.
    pub uptime: Option<Duration>,
    /// Older processes that finish what they have.
    pub retiring: usize,
    /// Runs that hosts work on.
    pub in_flight: usize,
    /// Runs that wait for a host.
    pub queued: usize,
    /// Runs that ended and whose report is not durable yet.
    pub undelivered: usize,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// What happened so far.
    pub counters: Counters,
}

/// Where an adapter host stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostState {
    /// No process: there is no work.
    Idle,
    /// A process was started and has not said hello.
    Starting,
    /// It takes work.
    Running,
    /// It disappeared and is started again after a wait.
    Restarting,
    /// It disappeared too often: all work is refused until an operator releases it.
    Quarantined {
        /// What happened last.
        reason: String,
    },
    /// An operator has stopped it: what comes waits until it is started.
    Paused,
    /// The node stops, or the adapter was removed.
    Stopped,
}

/// Why a process is replaced by a fresh one while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An operator asked for it.
    Operator,
    /// What is wanted of it has changed.
    Settings,
    /// It has more in memory than it may.
    Memory,
    /// It asked for it itself.
    Wish,
}

/// Counted since the node's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Processes started.
    pub processes: u64,
    /// Processes started again because one disappeared.
    pub restarts: u64,
    /// Processes that ended, or had to be killed, without being asked to end.
    pub disappearances: u64,
    /// Processes replaced because an operator asked for it.
    pub operator_restarts: u64,
    /// Processes replaced because their settings changed.
    pub settings_restarts: u64,
    /// Processes replaced because they had too much in memory.
    pub memory_restarts: u64,
    /// Processes replaced because they asked for it.
    pub requested_restarts: u64,
    /// Processes stopped because there was nothing to do.
    pub idle_shutdowns: u64,
    /// Lines of standard error that were not logged because there were too many at once.
    pub stderr_dropped: u64,
    /// Runs sent to a host.
    pub started: u64,
    /// Runs that ended with an output.
    pub completed: u64,
    /// Runs that ended with an error.
    pub failed: u64,
    /// Runs whose host disappeared.
    pub lost: u64,
    /// Runs that were accepted and never started.
    pub refused: u64,
    /// Runs that were not accepted because the queue was full.
    pub busy: u64,
    /// Answers to nothing that was asked.
    pub stray: u64,
    /// Messages about what was observed for monitors.
    pub observed: u64,
    /// Those of them that nobody waited for any more.
    pub observed_late: u64,
    /// Lines that were no messages.
    pub garbage: u64,
}
