//! The loop itself: what is running, what is waiting, and when it ends.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};

use super::attempt::{attempt, panicked, probe};
use super::recent::Recent;
use super::watches::{Full, Watches};
use crate::adapter::{Adapter, HostHandle, RunContext};
use crate::failure::Failure;
use crate::lines::{LineReader, pump};
use crate::message::{
    Answer, Call, ErrorObject, FunctionKind, HostMessage, Manifest, NodeMessage, Probe, Watch,
};
use crate::outbox::{Outbox, Unread, outbox};
use crate::wire::{Unreadable, WireError, decode_node};

/// How many calls wait while as many run as may. The node knows the concurrency, so this only absorbs what was under
/// way; a longer queue would hide work from the node's own, which can be seen and can be served by another host.
pub const QUEUE_LEN_MAX: usize = 256;
/// How many probes run at once. They follow a crash, one for each run that was cut off.
const PROBES_MAX: usize = 64;
/// How long dropped runs and last words may take before the host exits without them.
const EXIT_GRACE: Duration = Duration::from_secs(2);

/// Why a host stopped serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It was told to shut down, and has finished everything.
    Drained,
    /// Its input ended: the node is gone.
    InputClosed,
    /// Its output was closed, or failed.
    OutputClosed,
    /// The node asks more and more, and reads none of the answers.
    Unread,
    /// The caller of [`serve_until`] wanted it.
    Stopped,
}

/// Serves an adapter until its node ends it.
pub async fn serve(
    adapter: impl Adapter,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
) -> ExitReason {
    serve_until(adapter, input, output, std::future::pending()).await
}

/// Serves an adapter until its node ends it, or `stop` resolves. Returns only once everything is dropped.
pub async fn serve_until(
    adapter: impl Adapter,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin,
    stop: impl Future<Output = ()>,
) -> ExitReason {
    let (outbox, mut queue) = outbox();
    let mut host = Host::new(Arc::new(adapter), outbox);
    let mut input = LineReader::new(input);
    let mut written = pin!(pump(&mut queue, output));
    let mut stop = pin!(stop);
    let reason = loop {
        if host.is_drained() {
            break ExitReason::Drained;
        }
        let handled = tokio::select! {
            _ = &mut written => break ExitReason::OutputClosed,
            () = &mut stop => break ExitReason::Stopped,
            line = input.next() => match line {
                Ok(Some(line)) => host.take(decode_node(line)),
                Ok(None) | Err(WireError::Stream(_)) => break ExitReason::InputClosed,
                Err(error) => host.unreadable(&error),
            },
            Some(ended) = host.runs.join_next_with_id() => host.ended(ended),
            Some(_) = host.probes.join_next() => Ok(()),
            Some(answer) = host.watches.next() => host.outbox.reply(&HostMessage::Answer(answer)),
        };
        if let Err(Unread) = handled {
            break ExitReason::Unread;
        }
    };
    let exit = host.exit();
    if reason == ExitReason::Drained {
        // The queue ends as soon as it is empty, since nobody can add to it any more.
        let last_words = async { tokio::join!(exit, &mut written).1 };
        drop(tokio::time::timeout(EXIT_GRACE, last_words).await);
    } else {
        drop(tokio::time::timeout(EXIT_GRACE, exit).await);
    }
    reason
}

struct Host {
    adapter: Arc<dyn Adapter>,
    manifest: Manifest,
    outbox: Outbox,
    runs: JoinSet<String>,
    probes: JoinSet<()>,
    watches: Watches,
    running: HashMap<String, Running>,
    waiting: VecDeque<Call>,
    finished: Recent,
    draining: bool,
}

struct Running {
    task: Id,
    cancel: watch::Sender<bool>,
}

impl Host {
    fn new(adapter: Arc<dyn Adapter>, outbox: Outbox) -> Self {
        let manifest = adapter.manifest();
        // The queue is empty, so there is a place.
        let _: Result<(), Unread> = outbox.reply(&HostMessage::Hello(manifest.clone()));
        adapter.started(HostHandle::new(outbox.downgrade()));
        Self {
            adapter,
            manifest,
            outbox,
            runs: JoinSet::new(),
            probes: JoinSet::new(),
            watches: Watches::default(),
            running: HashMap::new(),
            waiting: VecDeque::new(),
            finished: Recent::default(),
            draining: false,
        }
    }

    fn take(&mut self, message: Result<NodeMessage, Unreadable>) -> Result<(), Unread> {
        match message {
            Ok(NodeMessage::Run(call)) => self.run(call),
            Ok(NodeMessage::Probe { id, probe }) => self.probe(id, probe),
            Ok(NodeMessage::Ping { id }) => {
                let pong = Answer { id: Some(id), outcome: Ok(serde_json::json!({})) };
                self.outbox.reply(&HostMessage::Answer(pong))
            }
            Ok(NodeMessage::Watch(watch)) => self.watch(watch),
            Ok(NodeMessage::Cancel(cancel)) => self.cancel(&cancel.token),
            Ok(NodeMessage::Unwatch(unwatch)) => {
                self.watches.stop(&unwatch.watch);
                Ok(())
            }
            Ok(NodeMessage::Taken(taken)) => {
                self.watches.taken(taken);
                Ok(())
            }
            Ok(NodeMessage::Shutdown) => self.shut_down(),
            Err(Unreadable { id, code, reason, answer: true }) => {
                self.error(id, ErrorObject::new(code, reason))
            }
            Err(Unreadable { answer: false, .. }) => Ok(()),
        }
    }

    fn run(&mut self, call: Call) -> Result<(), Unread> {
        let token = &call.token;
        let waits = self.waiting.iter().any(|waiting| waiting.token == *token);
        if waits || self.running.contains_key(token) || self.finished.contains(token) {
            return Ok(());
        }
        if self.draining {
            return self.refuse(call.token, ErrorObject::SHUTTING_DOWN, "the adapter host is shutting down");
        }
        if let Err(failure) = self.find(&call.function, FunctionKind::Activity) {
            self.finished.insert(call.token.clone());
            return self.error(Some(call.token), ErrorObject::failed(failure));
        }
        if self.running.len() < self.concurrency() {
            self.start(call);
        } else if self.waiting.len() < QUEUE_LEN_MAX {
            self.waiting.push_back(call);
        } else {
            return self.refuse(call.token, ErrorObject::BUSY, "the adapter host is busy");
        }
        Ok(())
    }

    fn start(&mut self, call: Call) {
        let (cancel, cancelled) = watch::channel(false);
        let token = call.token.clone();
        let context = RunContext::new(token.clone(), cancelled, self.outbox.downgrade());
        let run = attempt(Arc::clone(&self.adapter), context, call, self.outbox.clone());
        let task = self.runs.spawn(run).id();
        self.running.insert(token, Running { task, cancel });
    }

    fn ended(&mut self, ended: Result<(Id, String), JoinError>) -> Result<(), Unread> {
        let answered = match ended {
            Ok((_, token)) => {
                self.running.remove(&token);
                self.finished.insert(token);
                Ok(())
            }
            Err(error) => self.torn(error),
        };
        while self.running.len() < self.concurrency()
            && let Some(call) = self.waiting.pop_front()
        {
            self.start(call);
        }
        answered
    }

    /// A run that panicked outside of its containment, in a destructor that is, has not been answered yet.
    fn torn(&mut self, error: JoinError) -> Result<(), Unread> {
        let torn = self.running.iter().find(|(_, running)| running.task == error.id());
        let Some(token) = torn.map(|(token, _)| token.clone()) else { return Ok(()) };
        self.running.remove(&token);
        self.finished.insert(token.clone());
        let failure = match error.try_into_panic() {
            Ok(panic) => panicked(&*panic),
            Err(_) => Failure::runtime("the run was dropped"),
        };
        self.error(Some(token), ErrorObject::failed(failure))
    }

    fn probe(&mut self, id: String, question: Probe) -> Result<(), Unread> {
        if self.probes.len() >= PROBES_MAX {
            return self.refuse(id, ErrorObject::BUSY, "the adapter host is busy");
        }
        self.probes.spawn(probe(Arc::clone(&self.adapter), id, question, self.outbox.clone()));
        Ok(())
    }

    fn watch(&mut self, watch: Watch) -> Result<(), Unread> {
        if self.draining {
            return self.refuse(watch.watch, ErrorObject::SHUTTING_DOWN, "the adapter host is shutting down");
        }
        if let Err(failure) = self.find(&watch.function, FunctionKind::Monitor) {
            return self.error(Some(watch.watch), ErrorObject::failed(failure));
        }
        let name = watch.watch.clone();
        match self.watches.start(Arc::clone(&self.adapter), watch, self.outbox.downgrade()) {
            Ok(()) => Ok(()),
            Err(Full) => {
                self.refuse(name, ErrorObject::BUSY, "the adapter host has as many watches as it may")
            }
        }
    }

    fn cancel(&mut self, token: &str) -> Result<(), Unread> {
        if let Some(running) = self.running.get(token) {
            running.cancel.send_replace(true);
        } else if let Some(at) = self.waiting.iter().position(|call| call.token == token) {
            self.waiting.remove(at);
            return self.refuse(token.to_owned(), ErrorObject::CANCELLED, "cancelled before it was started");
        }
        Ok(())
    }

    /// What was started is finished; what only waits is better served elsewhere.
    fn shut_down(&mut self) -> Result<(), Unread> {
        self.draining = true;
        self.watches.stop_all();
        while let Some(call) = self.waiting.pop_front() {
            self.refuse(call.token, ErrorObject::SHUTTING_DOWN, "the adapter host is shutting down")?;
        }
        Ok(())
    }

    fn unreadable(&self, error: &WireError) -> Result<(), Unread> {
        self.error(None, ErrorObject::new(ErrorObject::PARSE_ERROR, error.to_string()))
    }

    fn refuse(&self, id: String, code: i64, title: &str) -> Result<(), Unread> {
        self.error(Some(id), ErrorObject::refused(code, title))
    }

    fn error(&self, id: Option<String>, error: ErrorObject) -> Result<(), Unread> {
        self.outbox.reply(&HostMessage::Answer(Answer::error(id, error)))
    }

    fn find(&self, name: &str, kind: FunctionKind) -> Result<(), Failure> {
        let found = self.manifest.function(name);
        if found.is_some_and(|function| function.kind == kind) {
            return Ok(());
        }
        let adapter = &self.manifest.adapter;
        let what = match (found, kind) {
            (None, _) => "has no function",
            (Some(_), FunctionKind::Activity) => "watches, and does not run,",
            (Some(_), FunctionKind::Monitor) => "runs, and does not watch,",
        };
        let functions = self.manifest.functions.iter().filter(|function| function.kind == kind);
        let known: Vec<_> = functions.map(|function| function.name.as_str()).collect();
        Err(Failure::configuration(format!("the adapter `{adapter}` {what} `{name}`"))
            .with_detail(format!("expected one of: {}", known.join(", "))))
    }

    fn is_drained(&self) -> bool {
        self.draining && self.runs.is_empty() && self.probes.is_empty() && self.watches.is_empty()
    }

    fn concurrency(&self) -> usize {
        usize::try_from(self.manifest.concurrency).unwrap_or(usize::MAX).max(1)
    }

    /// Drops every run, probe and watch, and waits until they are gone; gives up the last way to say something.
    async fn exit(self) {
        let Self { mut runs, mut probes, watches, outbox, .. } = self;
        drop(outbox);
        runs.shutdown().await;
        probes.shutdown().await;
        watches.shutdown().await;
    }
}
