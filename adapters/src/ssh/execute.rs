//! One command on the other side, from its start to its end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use impresario_adapter::{Failure, RunContext};
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::pool::Lease;
use crate::arguments::Text;
use crate::capture::Capture;
use crate::command::{LINGER, TERMINATE_GRACE};
use crate::ended::{Ended, Wanted, signal_code};

/// What standard error is on a channel.
const STDERR: u32 = 1;

/// A command for the user's login shell on the other side.
#[derive(Debug)]
pub(super) struct Program {
    /// What it is called in texts: nothing of it is secret.
    pub(super) name: String,
    pub(super) command: String,
    pub(super) environment: BTreeMap<String, Text>,
    pub(super) stdin: Option<Vec<u8>>,
    pub(super) wanted: Wanted,
    pub(super) timeout: Option<Duration>,
}

/// Why it did not come to its own end.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Cancelled,
    TimedOut(Duration),
}

impl Program {
    /// Runs it on a channel. `attempt` are variables that the host need not accept.
    pub(super) async fn run(
        self,
        lease: Lease,
        place: &str,
        attempt: &[(&str, String)],
        context: &RunContext,
    ) -> Result<Value, Failure> {
        let Lease { mut channel, hold: _hold } = lease;
        let unsent = |error: russh::Error| {
            Failure::communication(format!(
                "the connection to {place} broke before `{}` was started",
                self.name
            ))
            .with_detail(error.to_string())
        };
        for (name, value) in attempt {
            channel.set_env(false, *name, value.as_str()).await.map_err(unsent)?;
        }
        for (name, value) in &self.environment {
            channel.set_env(true, name, value.0.as_str()).await.map_err(unsent)?;
            if !accepted(&mut channel).await {
                return Err(Failure::configuration(format!("{place} does not accept the variable `{name}`"))
                    .with_detail(format!(
                        "its sshd takes the variables that `AcceptEnv` lists, for example `AcceptEnv {name}`; or hand \
                         the value over in `arguments` or `stdin`; nothing was started"
                    )));
            }
        }
        channel.exec(true, self.command.as_str()).await.map_err(unsent)?;
        let (read, write) = channel.split();
        let remote = Remote { write: Some(write) };
        let ended = self.conduct(read, &remote, place, context).await?;
        remote.release().await;
        self.wanted.of(&self.name, &ended)
    }

    async fn conduct(
        &self,
        mut read: ChannelReadHalf,
        remote: &Remote,
        place: &str,
        context: &RunContext,
    ) -> Result<Ended, Failure> {
        let mut heard = Heard::new(self.wanted.output_limit);
        let stop = {
            let mut work = pin!(async {
                let mut feeding = true;
                let mut feed = pin!(remote.feed(self.stdin.as_deref()));
                let mut listening = pin!(heard.listen(&mut read));
                loop {
                    tokio::select! {
                        biased;
                        () = &mut listening => return,
                        () = &mut feed, if feeding => feeding = false,
                    }
                }
            });
            let stop = tokio::select! {
                // In this order: what has ended was not cancelled.
                biased;
                () = &mut work => None,
                () = context.cancelled() => Some(Stop::Cancelled),
                limit = elapsed(self.timeout) => Some(Stop::TimedOut(limit)),
            };
            if stop.is_some() {
                remote.signal(Sig::TERM).await;
                if timeout(TERMINATE_GRACE, &mut work).await.is_err() {
                    remote.signal(Sig::KILL).await;
                    drop(timeout(LINGER, &mut work).await);
                }
            }
            stop
        };
        match stop {
            Some(stop) => Err(self.stopped(stop, place, heard.has_ended())),
            None => self.ended(heard, place),
        }
    }

    fn ended(&self, heard: Heard, place: &str) -> Result<Ended, Failure> {
        let name = &self.name;
        let Heard { started, end, stdout, stderr, .. } = heard;
        match end {
            Some(End::Code(code)) => Ok(Ended { code, signal: None, stdout, stderr }),
            Some(End::Signal(signal)) => {
                Ok(Ended { code: signal_code(&signal), signal: Some(signal), stdout, stderr })
            }
            Some(End::Refused) => {
                Err(Failure::configuration(format!("{place} does not run commands for this user"))
                    .with_detail("its sshd refused the request; nothing was started"))
            }
            None => {
                Err(Failure::communication(format!("the connection to {place} was lost while `{name}` ran"))
                    .with_detail(match started {
                        true => "it was started; how it ended, and whether it has ended, is not known",
                        false => "whether it was started is not known",
                    }))
            }
        }
    }

    fn stopped(&self, stop: Stop, place: &str, ended: bool) -> Failure {
        let name = &self.name;
        let failure = match stop {
            Stop::Cancelled => Failure::runtime("cancelled"),
            Stop::TimedOut(limit) => {
                Failure::timeout(format!("`{name}` took longer than {} s", limit.as_secs_f64()))
            }
        };
        failure.with_detail(match ended {
            true => format!("`{name}` on {place} was ended"),
            false => format!("`{name}` on {place} was told to end; whether it has is not known"),
        })
    }
}

/// The answer to a request on a channel that was opened just now.
pub(super) async fn accepted(channel: &mut russh::Channel<Msg>) -> bool {
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Success => return true,
            ChannelMsg::Failure | ChannelMsg::Close => return false,
            _ => {}
        }
    }
    false
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

/// How a command ended.
#[derive(Debug)]
enum End {
    Code(i32),
    Signal(String),
    /// It never began.
    Refused,
}

/// What was heard of a command.
#[derive(Debug)]
struct Heard {
    started: bool,
    closed: bool,
    end: Option<End>,
    stdout: Capture,
    stderr: Capture,
}

impl Heard {
    fn new(limit: usize) -> Self {
        let (stdout, stderr) = (Capture::new(limit), Capture::new(limit));
        Self { started: false, closed: false, end: None, stdout, stderr }
    }

    fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Listens until the command has ended and its output with it. What somebody else holds open is waited for
    /// no longer than [`LINGER`].
    async fn listen(&mut self, from: &mut ChannelReadHalf) {
        while !self.closed && self.end.is_none() {
            let Some(message) = from.wait().await else { return };
            self.hear(message);
        }
        let rest = async {
            while !self.closed {
                let Some(message) = from.wait().await else { return };
                self.hear(message);
            }
        };
        drop(timeout(LINGER, rest).await);
    }

    fn hear(&mut self, message: ChannelMsg) {
        match message {
            ChannelMsg::Success => self.started = true,
            ChannelMsg::Failure if !self.started => {
                self.end = Some(End::Refused);
                self.closed = true;
            }
            ChannelMsg::Data { data } => self.stdout.take(&data),
            ChannelMsg::ExtendedData { data, ext: STDERR } => self.stderr.take(&data),
            ChannelMsg::ExitStatus { exit_status } => {
                self.end = Some(End::Code(i32::try_from(exit_status).unwrap_or(255)));
            }
            ChannelMsg::ExitSignal { signal_name, .. } => {
                self.end = Some(End::Signal(name_of(signal_name)));
            }
            ChannelMsg::Close => self.closed = true,
            // The end of the output comes before the end of the command.
            _ => {}
        }
    }
}

fn name_of(signal: Sig) -> String {
    match signal {
        Sig::Custom(name) => name,
        known => format!("{known:?}"),
    }
}

/// Our end of the channel to a command. If it is dropped before it was released, the command is killed.
struct Remote {
    write: Option<ChannelWriteHalf<Msg>>,
}

impl Remote {
    /// Writes all of its input to the command, and then closes it. A command need not read all, or any, of it.
    async fn feed(&self, input: Option<&[u8]>) {
        let Some(write) = &self.write else { return };
        if let Some(input) = input {
            drop(write.data(input).await);
        }
        drop(write.eof().await);
    }

    async fn signal(&self, signal: Sig) {
        if let Some(write) = &self.write {
            // Fails if the connection has ended, and the command with it.
            drop(write.signal(signal).await);
        }
    }

    /// The command has ended.
    async fn release(mut self) {
        if let Some(write) = self.write.take() {
            drop(write.close().await);
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let (Some(write), Ok(runtime)) = (self.write.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                drop(write.signal(Sig::KILL).await);
                drop(write.close().await);
            });
        }
    }
}
