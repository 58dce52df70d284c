//! What a node is told about an adapter host.

use std::path::PathBuf;
use std::time::Duration;

use crate::supervision::{Backoff, ChildSpec, Intensity, Restart, SpecError};

/// Beyond its own limit a host is given this long to be killed and reaped.
const KILL_MARGIN: Duration = Duration::from_secs(3);

/// An adapter host: the program, and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct HostSpec {
    /// The adapter's name, such as `http`: what runs are addressed to.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its whole environment. Nothing is inherited: the node's own holds credentials.
    pub environment: Vec<(String, String)>,
    /// How many runs it works on at once; the host itself may declare fewer.
    pub concurrency: usize,
    /// How many more runs wait for it on this node. Beyond that a run is refused with [`super::Refusal::Busy`].
    pub queue: usize,
    /// Started with the node rather than at its first run.
    pub eager: bool,
    /// How long it may take to say hello.
    pub hello_timeout: Duration,
    /// How long it may take to finish when the node stops.
    pub stop_timeout: Duration,
    /// How long a process that was replaced by a newer one may go on with what it has.
    pub retire_timeout: Duration,
    /// Stopped after so long without work; never, if absent.
    pub idle_timeout: Option<Duration>,
    /// Replaced by a fresh one when it has more than so many bytes in memory, its children included; killed when it has
    /// twice as many by itself. No limit, if absent.
    pub memory_max: Option<u64>,
    /// How often it is asked whether it is there, and how long it may take to say anything at all; never, if absent.
    /// Only for hosts that read while they work: one that does not would be killed at its work.
    pub ping_interval: Option<Duration>,
    /// How many lines that are no messages are forgiven in one process's life.
    pub garbage_max: u64,
    /// How often it may disappear until it is quarantined.
    pub intensity: Intensity,
    /// The waits before it is started again.
    pub backoff: Backoff,
}

/// Why a [`HostSpec`] is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostSpecError {
    /// A limit of zero, under which nothing could run.
    #[error("adapter {name}: {setting} must be at least 1")]
    Zero {
        /// Of the adapter.
        name: String,
        /// Which limit.
        setting: &'static str,
    },
    /// Two adapters have one name.
    #[error("there are two adapters named {0}")]
    Twice(String),
    /// The supervision makes no sense.
    #[error("adapter {0}")]
    Supervision(#[from] SpecError),
}

impl HostSpec {
    /// With the defaults: 64 runs at once, 256 waiting, five restarts a minute.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            concurrency: 64,
            queue: 256,
            eager: false,
            hello_timeout: Duration::from_secs(10),
            stop_timeout: Duration::from_secs(10),
            retire_timeout: Duration::from_secs(60 * 60),
            idle_timeout: Some(Duration::from_secs(10 * 60)),
            memory_max: None,
            ping_interval: None,
            garbage_max: 100,
            intensity: Intensity { restarts: 5, period: Duration::from_secs(60) },
            backoff: Backoff {
                initial: Duration::from_millis(200),
                max: Duration::from_secs(10),
                jitter: 0.25,
            },
        }
    }

    /// Refuses what could not work.
    pub fn validate(&self) -> Result<(), HostSpecError> {
        let zero = |setting| HostSpecError::Zero { name: self.name.clone(), setting };
        match (self.concurrency, self.queue) {
            (0, _) => Err(zero("concurrency")),
            (_, 0) => Err(zero("queue")),
            _ => Ok(self.child().validate()?),
        }
    }

    /// Its place in the supervision tree.
    pub(super) fn child(&self) -> ChildSpec {
        ChildSpec {
            name: self.name.clone(),
            kind: "host",
            restart: Restart::Permanent,
            intensity: self.intensity,
            backoff: self.backoff,
            shutdown: self.stop_timeout + KILL_MARGIN,
        }
    }
}
