//! A server process of a test: signalled, waited for, and killed when it is dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a server may take to start, to stop, or to become what it was asked to be.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(15);

/// The first `Some` that `look` answers, looked at again and again: another process cannot be waited for otherwise.
///
/// # Panics
/// When there is none within `limit`.
pub async fn eventually<T>(limit: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < limit, "expected within {limit:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A process, killed on drop.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a program that writes into a log.
    pub(crate) fn spawn(program: &str, arguments: &[impl AsRef<OsStr>], log: &Path) -> Self {
        let open = || {
            let file = File::options().append(true).create(true).open(log);
            Stdio::from(file.expect("a temporary folder can be written"))
        };
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(open())
            .stderr(open())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("expected the program {program} (tests/run installs it), found: {error}")
            });
        Process { child }
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process number");
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }

    /// Ends it at once, wherever it is, and waits until it is gone: its port is free then.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        let began = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(began.elapsed() < LIMIT, "expected that it ends within {LIMIT:?}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
