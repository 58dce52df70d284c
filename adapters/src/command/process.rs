//! One program from its start to its end.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use impresario_adapter::{Failure, RunContext};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin};
use tokio::time::{sleep, timeout};

use super::account::{Account, SETPRIV};
use super::arguments::RunArguments;
use super::environment;
use crate::capture::Capture;
use crate::ended::{Ended, signal_name};

/// How long a cancelled program and its group may take to end before they are killed.
pub const TERMINATE_GRACE: Duration = Duration::from_secs(5);
/// How long the output of a program that has ended is waited for, if somebody else still holds it.
pub const LINGER: Duration = Duration::from_secs(1);

/// A program to start.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    arguments: Vec<String>,
    environment: Vec<(String, OsString)>,
    directory: Option<String>,
    stdin: Option<Vec<u8>>,
    output_limit: usize,
    account: Option<Account>,
    umask: Option<u32>,
    timeout: Option<Duration>,
}

impl Program {
    /// The program of these arguments, with what it is told of its attempt.
    pub(super) fn new(
        arguments: RunArguments,
        account: Option<Account>,
        attempt: Vec<(String, OsString)>,
    ) -> Self {
        let mut environment: Vec<_> =
            environment::clean().map(|(name, value)| (name.to_owned(), value)).collect();
        environment.extend(account.iter().flat_map(Account::environment));
        environment.extend(arguments.environment.into_iter().map(|(name, text)| (name, text.0.into())));
        environment.extend(attempt);
        let stdin = arguments.stdin.map(|stdin| match stdin {
            Value::String(text) => text.into_bytes(),
            other => other.to_string().into_bytes(),
        });
        Self {
            name: arguments.program,
            arguments: arguments.arguments.into_iter().map(|text| text.0).collect(),
            environment,
            directory: arguments.directory,
            stdin,
            output_limit: arguments.output_limit,
            account,
            umask: arguments.umask,
            timeout: arguments.timeout,
        }
    }

    /// Runs it to its end, or to the end that a cancellation makes of it.
    pub(super) async fn run(self, context: &RunContext) -> Result<Ended, Failure> {
        if context.is_cancelled() {
            return Err(Failure::runtime("cancelled").with_detail(format!("`{}` was not started", self.name)));
        }
        let mut child = self.start().map_err(|error| self.explain(&error))?;
        let group = Group::of(&child);
        let (mut stdout, mut stderr) = (Capture::new(self.output_limit), Capture::new(self.output_limit));
        let input = feed(child.stdin.take(), self.stdin.as_deref());
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let streams = async { tokio::join!(input, stdout.read(output), stderr.read(errors)) };
        let stop = async {
            tokio::select! {
                biased;
                () = context.cancelled() => Failure::runtime("cancelled"),
                limit = elapsed(self.timeout) => {
                    Failure::timeout(format!("`{}` took longer than {} s", self.name, limit.as_secs_f64()))
                }
            }
        };
        let ended = conduct(&mut child, group, stop, streams).await;
        match ended {
            Ok(Ok(status)) => Ok(end_of(status, stdout, stderr)),
            Ok(Err(stop)) => Err(stop.with_detail(format!("`{}` was ended", self.name))),
            Err(error) => Err(Failure::runtime("the program was lost").with_detail(error.to_string())),
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut words = Vec::new();
        if let Some(umask) = self.umask {
            // A mask belongs to a process, and this one has many threads: a shell sets it, and becomes the program.
            let set = format!("umask {umask:04o} && exec \"$@\"");
            words.extend(["/bin/sh".to_owned(), "-c".to_owned(), set, "sh".to_owned()]);
        }
        if let Some(account) = &self.account {
            words.push(SETPRIV.to_owned());
            words.extend(account.options());
        }
        words.push(self.name.clone());
        let mut command = tokio::process::Command::new(&words[0]);
        command
            .args(&words[1..])
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.spawn()
    }

    /// Why it could not be started, and what to do about it.
    fn explain(&self, error: &io::Error) -> Failure {
        let name = &self.name;
        if let Some(directory) = self.directory.as_deref().filter(|directory| !Path::new(directory).is_dir())
        {
            return Failure::configuration(format!("no directory `{directory}`"))
                .with_detail("the `directory` of a command must exist on the node that runs it");
        }
        if self.account.is_some() && self.umask.is_none() && error.kind() == io::ErrorKind::NotFound {
            return Failure::configuration(format!("`{name}` cannot run as another user"))
                .with_detail(format!("that needs `{SETPRIV}` of util-linux in PATH: install it"));
        }
        match error.kind() {
            io::ErrorKind::NotFound if name.contains('/') => Failure::configuration(format!(
                "no program `{name}`"
            ))
            .with_detail(
                "the file does not exist on the node that runs it, or the interpreter that it names does not",
            ),
            io::ErrorKind::NotFound => {
                let path = self.environment.iter().rev().find(|(name, _)| name == "PATH");
                let path = path.map(|(_, path)| path.to_string_lossy()).unwrap_or_default();
                Failure::configuration(format!("no program `{name}` in PATH: {path}"))
                    .with_detail("install it, name it with its full path, or set PATH in `environment`")
            }
            io::ErrorKind::PermissionDenied => Failure::configuration(format!(
                "`{name}` may not be executed"
            ))
            .with_detail("it, or the `directory`, is not accessible to the user that the node runs as"),
            _ => Failure::configuration(format!("`{name}` could not be started"))
                .with_detail(error.to_string()),
        }
    }
}

/// Resolves when that long has passed; never, if there is no limit.
async fn elapsed(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// Waits for the end of the program and of its streams, or says why it was stopped.
async fn conduct<T>(
    child: &mut Child,
    group: Group,
    stop: impl Future<Output = Failure>,
    streams: impl Future<Output = T>,
) -> io::Result<Result<ExitStatus, Failure>> {
    let mut stop = pin!(stop);
    let mut streams = pin!(streams);
    let mut open = true;
    let status = loop {
        tokio::select! {
            // In this order: what has ended was not cancelled.
            biased;
            status = child.wait() => break Ok(status?),
            _ = &mut streams, if open => open = false,
            why = &mut stop => break Err(why),
        }
    };
    if status.is_err() {
        group.signal(Signal::TERM);
        // A group that ends in good order may still write, and must not be stopped by a full pipe.
        let end = async {
            tokio::join!(child.wait(), async {
                if open {
                    drop((&mut streams).await)
                }
            })
            .0
        };
        let ended = timeout(TERMINATE_GRACE, end).await;
        group.signal(Signal::KILL);
        if ended.is_err() {
            child.wait().await?;
        }
    } else if open && timeout(LINGER, &mut streams).await.is_err() {
        // Somebody holds them, so the group is not empty, and its number belongs to nobody else.
        group.signal(Signal::KILL);
        // Whoever left the group may hold them for ever.
        drop(timeout(LINGER, &mut streams).await);
    }
    group.release();
    Ok(status)
}

/// Writes all of its input to the program, and then closes it. A program need not read all, or any, of it.
async fn feed(stdin: Option<ChildStdin>, input: Option<&[u8]>) {
    if let (Some(mut stdin), Some(input)) = (stdin, input) {
        drop(stdin.write_all(input).await);
    }
}

fn end_of(status: ExitStatus, stdout: Capture, stderr: Capture) -> Ended {
    let signal = status.signal();
    let code = status.code().unwrap_or_else(|| 128 + signal.unwrap_or_default());
    Ended { code, signal: signal.map(signal_name), stdout, stderr }
}

/// The process group of a program. It is killed if it is dropped before it was released.
#[derive(Debug)]
struct Group {
    leader: Option<Pid>,
}

impl Group {
    fn of(child: &Child) -> Self {
        let number = child.id().and_then(|id| i32::try_from(id).ok());
        Self { leader: number.and_then(Pid::from_raw) }
    }

    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // Fails if all of them have ended already.
            let _: rustix::io::Result<()> = kill_process_group(leader, signal);
        }
    }

    /// The program has ended: what is left of the group was let go on purpose.
    fn release(mut self) {
        self.leader = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
