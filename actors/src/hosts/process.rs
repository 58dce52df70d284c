//! An operating-system process in a process group of its own, which dies as a whole.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::spec::HostSpec;

/// A killed process is reaped within this, unless the kernel itself hangs.
const REAP_LIMIT: Duration = Duration::from_secs(1);
/// A line on standard error is for people; the rest of a longer one is dropped.
const STDERR_LINE_MAX: usize = 4 * 1024;

/// The process. Dropped, it kills its group.
pub(super) struct Process {
    child: Child,
    pub(super) pid: u32,
    /// Absent once it was killed: its number may belong to another group then.
    group: Option<Pid>,
}

/// The ends of its pipes.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

impl Process {
    pub(super) fn start(spec: &HostSpec) -> io::Result<(Self, Pipes)> {
        let mut child = Command::new(&spec.program)
            .args(&spec.arguments)
            .env_clear()
            .envs(spec.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", spec.program.display())))?;
        let pid = child.id().ok_or_else(|| io::Error::other("it ended before it was started"))?;
        let group = i32::try_from(pid).ok().and_then(Pid::from_raw);
        match (group, child.stdin.take(), child.stdout.take(), child.stderr.take()) {
            (Some(group), Some(stdin), Some(stdout), Some(stderr)) => {
                Ok((Self { child, pid, group: Some(group) }, Pipes { stdin, stdout, stderr }))
            }
            _ => Err(io::Error::other("it has no pipes")),
        }
    }

    /// Waits for its end. May be dropped and called again.
    pub(super) async fn exit(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Lets it end by itself for as long as `grace`, then kills whatever is left of its group. Says how it ended.
    pub(super) async fn end(mut self, grace: Duration) -> String {
        let ended = match timeout(grace, self.child.wait()).await {
            Ok(ended) => Ok(ended),
            Err(_) => {
                self.kill();
                timeout(REAP_LIMIT, self.child.wait()).await
            }
        };
        // The group may outlive its leader, so this follows even an orderly end.
        self.kill();
        match ended {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => format!("its end is unknown: {error}"),
            Err(_) => "it was killed and has not ended".to_owned(),
        }
    }

    fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // An error means that nobody is left.
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Hands each line of standard error to `line`, each cut to a bounded length, until the end.
pub(super) async fn read_stderr(stderr: ChildStderr, mut line: impl FnMut(&str)) -> io::Result<()> {
    let mut source = BufReader::new(stderr);
    let mut kept = Vec::new();
    loop {
        let chunk = source.fill_buf().await?;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        kept.extend_from_slice(&part[..part.len().min(STDERR_LINE_MAX - kept.len())]);
        let (used, over) = (part.len() + usize::from(end.is_some()), chunk.is_empty());
        source.consume(used);
        if (end.is_some() || over) && !kept.is_empty() {
            line(&String::from_utf8_lossy(&kept));
            kept.clear();
        }
        if over {
            return Ok(());
        }
    }
}
