//! One process generation: hello, then runs out and answers in, until either side has had enough.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::FusedFuture;
use impresario_adapter::lines::HostReader;
use impresario_adapter::message::{Cancel, PROTOCOL};
use impresario_adapter::wire::{WireError, encode_node};
use impresario_adapter::{Call, HostMessage, Manifest, NodeMessage};
use ractor::ActorRef;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::host::Order;
use super::lane::Lane;
use super::process::{Pipes, Process};
use super::status::Cause;
use super::stderr::Tap;
use super::{memory, process};
use crate::activity::{Outcome, RunRequest};

/// What is left in the pipes of a process that ended is read for this long. A grandchild may hold them open for ever.
const REST_LIMIT: Duration = Duration::from_millis(500);
/// One write takes up to this many runs …
const BATCH_RUNS: usize = 256;
/// … and is done early when it has this many bytes.
const BATCH_BYTES: usize = 256 * 1024;

/// How often the memory of a process is looked at: a leak that is faster than this is the kernel's to stop.
const WEIGH_INTERVAL: Duration = Duration::from_secs(1);

/// The id of all pings: any sign of life answers them. No token of ours looks like it.
const PING: &str = "node:ping";

/// How a generation ended.
#[derive(Debug)]
pub(super) enum End {
    /// It was asked to.
    Stopped,
    /// It disappeared, or had to be killed.
    Died(String),
}

/// When a generation has to be gone; absent while it may live. The host sets it, the session obeys.
pub(super) type Deadline = watch::Sender<Option<Instant>>;

pub(super) struct Session {
    pub(super) lane: Arc<Lane>,
    pub(super) host: ActorRef<Order>,
    pub(super) generation: u64,
    pub(super) deadline: Deadline,
    pub(super) pulse: Pulse,
}

/// Whether the process shows life.
#[derive(Default)]
pub(super) struct Pulse {
    heard: AtomicBool,
    ping: Notify,
}

impl Session {
    /// Runs to the end. Whatever cuts it off, a panic included, the process is killed, what it had is lost, and the
    /// host is told.
    pub(super) async fn run(self, process: Process, pipes: Pipes) {
        let mut farewell = Farewell { session: &self, end: None };
        // Declared after the farewell and so dropped before it: nothing is called lost while it may still be done.
        let mut process = process;
        let Pipes { stdin, stdout, stderr } = pipes;
        let pid = process.pid;
        let mut stderr = pin!(self.log(pid, stderr).fuse());
        let verdict = tokio::select! {
            verdict = self.talk(pid, stdin, stdout) => verdict,
            () = self.rest_after_exit(&mut process) => Err("it left its pipes to others".to_owned()),
            () = overdue(self.deadline.subscribe()) => Err("it did not stop in time".to_owned()),
            never = async { stderr.as_mut().await; pending::<Infallible>().await } => match never {},
        };
        let ended = process.end(if verdict.is_ok() { REST_LIMIT } else { Duration::ZERO }).await;
        // The last words of a process are those that explain its end.
        if !stderr.is_terminated() {
            let _rest = timeout(REST_LIMIT, stderr).await;
        }
        farewell.end = Some(match verdict {
            Ok(()) if self.lane.is_retiring(self.generation) => End::Stopped,
            Ok(()) => End::Died(format!("the host disappeared ({ended})")),
            Err(reason) => End::Died(format!("the host was killed: {reason} ({ended})")),
        });
    }

    /// Ok when the process closed its output, which is how one ends.
    async fn talk(&self, pid: u32, stdin: ChildStdin, stdout: ChildStdout) -> Result<(), String> {
        let mut reader = HostReader::new(stdout);
        let mut listener = Listener { session: self, garbage: 0, wished: false };
        let limit = self.lane.spec().hello_timeout;
        let Some(manifest) = timeout(limit, listener.hello(&mut reader))
            .await
            .map_err(|_| format!("it did not say hello within {limit:?}"))??
        else {
            return Ok(());
        };
        self.lane.ready(self.generation, pid, manifest);
        // An error means that the host actor has ended, and this session with it.
        let _gone = self.host.cast(Order::Ready(self.generation));
        tokio::select! {
            verdict = listener.listen(&mut reader) => verdict,
            error = self.write(stdin) => Err(error),
            error = self.feel_pulse() => Err(error),
            error = self.weigh(pid) => Err(error),
        }
    }

    /// Ends when the process has said nothing for a whole interval, although it was pinged at its beginning.
    async fn feel_pulse(&self) -> String {
        let Some(interval) = self.lane.spec().ping_interval else { return pending().await };
        loop {
            self.pulse.heard.store(false, Ordering::Relaxed);
            self.pulse.ping.notify_one();
            sleep(interval).await;
            if !self.pulse.heard.load(Ordering::Relaxed) {
                return format!("it has been silent for {interval:?}, even to a ping");
            }
        }
    }

    /// Looks how much the process has in memory: too much and it is replaced, twice as much and it ends with this.
    async fn weigh(&self, pid: u32) -> String {
        loop {
            sleep(WEIGH_INTERVAL).await;
            let Some(weight) = memory::weigh(pid).await else { continue };
            let current = self.lane.measured(self.generation, weight.all);
            let Some(max) = self.lane.spec().memory_max else { continue };
            if weight.own > max.saturating_mul(2) {
                self.lane.count(|counters| counters.memory_restarts += 1);
                return format!("it has {} bytes in memory, more than twice its limit of {max}", weight.own);
            }
            if weight.all > max && current {
                let reason = format!("it has {} bytes in memory, more than its limit of {max}", weight.all);
                let _gone = self.host.cast(Order::Replace(Cause::Memory, reason));
            }
        }
    }

    /// Writes what there is to write. Never ends while the process may still answer.
    async fn write(&self, mut stdin: ChildStdin) -> String {
        let mut work = self.lane.work();
        let mut batch = Vec::new();
        let (mut retired, mut ping) = (false, false);
        loop {
            work.borrow_and_update();
            let next = self.lane.take(self.generation, BATCH_RUNS);
            let idle = next.runs.is_empty()
                && next.cancels.is_empty()
                && next.probes.is_empty()
                && next.watching.is_empty()
                && next.retire == retired;
            if idle && !ping {
                ping = self.wait_for(&mut work, retired).await;
                continue;
            }
            let messages = next.runs.into_iter().map(run_message);
            let messages =
                messages.chain(next.probes.into_iter().map(|(id, probe)| NodeMessage::Probe { id, probe }));
            let messages =
                messages.chain(next.cancels.into_iter().map(|token| NodeMessage::Cancel(Cancel { token })));
            let messages = messages.chain(next.watching);
            let retire = (next.retire && !retired).then_some(NodeMessage::Shutdown);
            retired |= next.retire;
            let ping = std::mem::take(&mut ping).then(|| NodeMessage::Ping { id: PING.to_owned() });
            for message in messages.chain(retire).chain(ping) {
                self.encode(&message, &mut batch);
                if batch.len() >= BATCH_BYTES {
                    if let Err(error) = stdin.write_all(&batch).await {
                        return self.input_closed(&error).await;
                    }
                    batch = Vec::new();
                }
            }
            if let Err(error) = stdin.write_all(&batch).await {
                return self.input_closed(&error).await;
            }
            batch.clear();
        }
    }

    /// The process may have ended orderly, with answers still in its output: those are read first.
    async fn input_closed(&self, error: &std::io::Error) -> String {
        sleep(REST_LIMIT).await;
        format!("it closed its input: {error}")
    }

    /// Waits for work; retires after the idle time. True if a ping is due.
    async fn wait_for(&self, work: &mut watch::Receiver<()>, retired: bool) -> bool {
        let idle_timeout = self.lane.spec().idle_timeout.filter(|_| !retired);
        let idle = async {
            match idle_timeout {
                Some(limit) => sleep(limit).await,
                None => pending().await,
            }
        };
        tokio::select! {
            // The lane holds the sender, and this session holds the lane.
            _ = work.changed() => {}
            () = self.pulse.ping.notified() => return true,
            () = idle => if self.lane.retire_if_idle(self.generation) {
                self.deadline.send_replace(Some(Instant::now() + self.lane.spec().stop_timeout));
            }
        }
        false
    }

    fn encode(&self, message: &NodeMessage, batch: &mut Vec<u8>) {
        match (encode_node(message), message) {
            (Ok(line), _) => batch.extend_from_slice(&line),
            (Err(error), NodeMessage::Run(call)) => {
                let reason = format!("it cannot be sent to an adapter host: {error}");
                self.lane.settle(self.generation, &call.token, Outcome::Refused { reason });
            }
            (Err(error), _) => tracing::error!(adapter = %self.lane.name, %error, "message not sent"),
        }
    }

    async fn log(&self, pid: u32, stderr: ChildStderr) {
        let (adapter, generation) = (self.lane.name.as_str(), self.generation);
        let mut tap = Tap::default();
        let read = process::read_stderr(stderr, |line| {
            let flow = tap.flow(Instant::now());
            if flow.dropped > 0 {
                tracing::warn!(target: "adapter", adapter, generation, pid, dropped = flow.dropped,
                    "so many lines of standard error were dropped: there were too many at once");
            }
            if flow.passes {
                tracing::info!(target: "adapter", adapter, generation, pid, "{}", self.lane.hidden(line.to_owned()));
            } else {
                self.lane.count(|counters| counters.stderr_dropped += 1);
            }
        })
        .await;
        if let Err(error) = read {
            tracing::warn!(adapter, generation, pid, %error, "standard error of the host failed");
        }
        let dropped = tap.rest();
        if dropped > 0 {
            tracing::warn!(target: "adapter", adapter, generation, pid, dropped,
                "so many lines of standard error were dropped: there were too many at once");
        }
    }

    /// Ends some time after the process: its last answers may still be in the pipe.
    async fn rest_after_exit(&self, process: &mut Process) {
        let _status = process.exit().await;
        sleep(REST_LIMIT).await;
    }
}

/// Reads one process.
struct Listener<'a> {
    session: &'a Session,
    garbage: u64,
    wished: bool,
}

impl Listener<'_> {
    /// The hello; nothing if the process closed its output instead.
    async fn hello(&mut self, reader: &mut HostReader<ChildStdout>) -> Result<Option<Manifest>, String> {
        loop {
            match reader.next().await {
                Ok(Some(HostMessage::Hello(manifest))) if manifest.protocol == PROTOCOL => {
                    return Ok(Some(manifest));
                }
                Ok(Some(HostMessage::Hello(manifest))) => {
                    return Err(format!("it speaks protocol {}, expected {PROTOCOL}", manifest.protocol));
                }
                Ok(Some(_)) => return Err("its first message was not hello".to_owned()),
                Ok(None) => return Ok(None),
                Err(error) => self.forgive(&error)?,
            }
        }
    }

    async fn listen(&mut self, reader: &mut HostReader<ChildStdout>) -> Result<(), String> {
        let (lane, generation) = (&self.session.lane, self.session.generation);
        loop {
            let next = reader.next().await;
            self.session.pulse.heard.store(true, Ordering::Relaxed);
            match next {
                Ok(Some(HostMessage::Answer(answer))) if answer.id.as_deref() == Some(PING) => {}
                Ok(Some(HostMessage::Answer(answer))) => lane.answered(generation, answer),
                Ok(Some(HostMessage::Restart(wish))) => {
                    // One wish is enough; more would only fill the mailbox.
                    if !std::mem::replace(&mut self.wished, true) {
                        let _gone = self.session.host.cast(Order::Replace(Cause::Wish, wish.reason));
                    }
                }
                Ok(Some(HostMessage::Hello(_))) => {
                    self.forgive(&WireError::Malformed("a second hello".into()))?
                }
                Ok(Some(HostMessage::Progress(progress))) => lane.note_progress(generation, progress),
                Ok(Some(HostMessage::State(saved))) => lane.save(generation, saved),
                Ok(Some(HostMessage::Event(observed))) => {
                    if let Err(found) = lane.observed(generation, observed) {
                        self.forgive(&WireError::Malformed(found))?;
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => self.forgive(&error)?,
            }
        }
    }

    /// Counts what was no message; too much of it is an error.
    fn forgive(&mut self, error: &WireError) -> Result<(), String> {
        let spec = self.session.lane.spec();
        match error {
            WireError::Stream(error) => return Err(format!("its output failed: {error}")),
            // A newer host may say more than this node understands.
            WireError::UnknownMethod(_) => return Ok(()),
            WireError::TooLong | WireError::Malformed(_) => {}
        }
        self.garbage += 1;
        self.session.lane.count(|counters| counters.garbage += 1);
        let error = self.session.lane.hidden(error.to_string());
        tracing::warn!(adapter = %self.session.lane.name, error, "ignored a line of the host");
        if self.garbage > spec.garbage_max {
            return Err(format!("it wrote more than {} lines that are no messages", spec.garbage_max));
        }
        Ok(())
    }
}

struct Farewell<'a> {
    session: &'a Session,
    end: Option<End>,
}

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let Session { lane, generation, host, .. } = self.session;
        let end = self.end.take().unwrap_or_else(|| End::Died("the host was cut off".to_owned()));
        let reason = match &end {
            End::Stopped => "the host stopped before it answered",
            End::Died(reason) => reason,
        };
        lane.close(*generation, reason);
        let _gone = host.cast(Order::Ended(*generation, end));
    }
}

async fn overdue(mut deadline: watch::Receiver<Option<Instant>>) {
    loop {
        let at = *deadline.borrow_and_update();
        let passed = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = passed => return,
            // The session itself holds a sender.
            _ = deadline.changed() => {}
        }
    }
}

fn run_message(request: RunRequest) -> NodeMessage {
    let RunRequest { token, attempt, key, function, arguments, state, on, resolved, trace, .. } = request;
    let arguments = match &resolved {
        Some(resolved) => resolved.fill(arguments),
        None => arguments,
    };
    let user = resolved.and_then(|resolved| resolved.user);
    let traceparent = trace.map(String::from);
    NodeMessage::Run(Call { token, attempt, key, function, arguments, state, target: on, user, traceparent })
}
