//! The host loop over a pair of pipes in memory: flow, cancellation, repetition, panics.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::*;
use crate::lines::HostReader;
use crate::message::*;
use crate::wire::{MAX_LINE_BYTES, encode_node};
use crate::{Adapter, BoxFuture, Failure, RunContext, WatchContext};

mod observing;

/// Its functions do what their names say. What the test waits for is signalled, never slept for.
#[derive(Clone)]
struct Actor {
    started: Arc<Notify>,
    dropped: Arc<Notify>,
    runs: Arc<Semaphore>,
}

struct TellWhenDropped(Arc<Notify>);

impl Drop for TellWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

struct PanicWhenDropped;

impl Drop for PanicWhenDropped {
    fn drop(&mut self) {
        panic!("while dropping");
    }
}

impl Adapter for Actor {
    fn manifest(&self) -> Manifest {
        let names = ["echo", "hang", "obey", "panic", "tear", "report", "bloat"];
        let function = |name: &str, kind| Function {
            name: name.into(),
            version: "1.0.0".into(),
            kind,
            restartable: true,
            ..Function::default()
        };
        let functions = names.map(|name| function(name, FunctionKind::Activity)).into_iter();
        let monitors = ["count", "break"].map(|name| function(name, FunctionKind::Monitor));
        Manifest {
            adapter: "actor".into(),
            version: "1.0.0".into(),
            protocol: PROTOCOL,
            functions: functions.chain(monitors).collect(),
            concurrency: 2,
        }
    }

    fn run(&self, context: RunContext, call: Call) -> BoxFuture<'_, Result<Value, Failure>> {
        self.runs.add_permits(1);
        Box::pin(async move {
            match call.function.as_str() {
                "echo" => Ok(call.arguments),
                "hang" => {
                    let _told = TellWhenDropped(Arc::clone(&self.dropped));
                    self.started.notify_one();
                    std::future::pending().await
                }
                "obey" => {
                    self.started.notify_one();
                    context.cancelled().await;
                    Err(Failure::runtime("cancelled"))
                }
                "panic" => panic!("out of cheese"),
                "tear" => {
                    let _torn = PanicWhenDropped;
                    Ok(json!("never seen"))
                }
                "report" => {
                    context.progress("half", Some(50.0));
                    context.save_state(json!({"page": 3})).await?;
                    Ok(call.state.unwrap_or_default())
                }
                _ => Ok("x".repeat(MAX_LINE_BYTES).into()),
            }
        })
    }

    fn probe(&self, probe: Probe) -> BoxFuture<'_, ProbeOutcome> {
        Box::pin(async move {
            match probe.key.as_str() {
                "done" => ProbeOutcome::Done { output: json!(1) },
                "panic" => panic!("no idea"),
                _ => ProbeOutcome::NotDone,
            }
        })
    }

    /// `count` tells numbers for ever, from the one after its cursor.
    fn watch(&self, mut context: WatchContext, watch: Watch) -> BoxFuture<'_, Result<(), Failure>> {
        Box::pin(async move {
            if watch.function == "break" {
                panic!("out of sight");
            }
            let _told = TellWhenDropped(Arc::clone(&self.dropped));
            let first = watch.cursor.and_then(|cursor| cursor.as_u64()).map_or(0, |last| last + 1);
            for number in first.. {
                context.event(json!({"id": number.to_string()}), Some(number.into())).await?;
            }
            Ok(())
        })
    }
}

/// The node's side of a host that runs in the test's own process.
struct Node {
    actor: Actor,
    to: DuplexStream,
    from: HostReader<DuplexStream>,
    host: JoinHandle<ExitReason>,
}

impl Node {
    async fn start() -> Self {
        Self::with_pipe(64 * 1024).await
    }

    async fn with_pipe(bytes: usize) -> Self {
        let actor =
            Actor { started: Arc::default(), dropped: Arc::default(), runs: Arc::new(Semaphore::new(0)) };
        let (to, input) = tokio::io::duplex(bytes);
        let (output, from) = tokio::io::duplex(bytes);
        let host = tokio::spawn(serve(actor.clone(), input, output));
        let mut node = Self { actor, to, from: HostReader::new(from), host };
        let HostMessage::Hello(manifest) = node.next().await else { panic!("hello comes first") };
        assert_eq!((manifest.adapter.as_str(), manifest.protocol), ("actor", PROTOCOL));
        node
    }

    async fn say(&mut self, message: NodeMessage) {
        self.to.write_all(&encode_node(&message).unwrap()).await.unwrap();
    }

    async fn run(&mut self, token: &str, function: &str) {
        self.say(NodeMessage::Run(call(token, function))).await;
    }

    async fn cancel(&mut self, token: &str) {
        self.say(NodeMessage::Cancel(Cancel { token: token.into() })).await;
    }

    async fn next(&mut self) -> HostMessage {
        self.from.next().await.unwrap().unwrap()
    }

    async fn answer(&mut self) -> Answer {
        match self.next().await {
            HostMessage::Answer(answer) => answer,
            other => panic!("not an answer: {other:?}"),
        }
    }

    /// The failure of the answer to `token`.
    async fn failure(&mut self, token: &str) -> Failure {
        let answer = self.answer().await;
        assert_eq!(answer.id.as_deref(), Some(token));
        match answer.into_run() {
            RunAnswer::Failed(failure) => failure,
            other => panic!("not a failure: {other:?}"),
        }
    }

    /// A ping is answered by the loop itself, so everything before it has been looked at.
    async fn ping(&mut self) {
        self.say(NodeMessage::Ping { id: "ping".into() }).await;
        assert_eq!(self.answer().await, Answer { id: Some("ping".into()), outcome: Ok(json!({})) });
    }
}

fn call(token: &str, function: &str) -> Call {
    Call {
        token: token.into(),
        attempt: 1,
        key: "key".into(),
        function: function.into(),
        arguments: json!({"for": token}),
        state: Some(json!("saved before")),
        ..Call::default()
    }
}

#[tokio::test]
async fn a_run_is_answered_with_its_output() {
    let mut node = Node::start().await;
    node.run("1", "echo").await;
    assert_eq!(node.answer().await, Answer::done("1", json!({"for": "1"})));
}

#[tokio::test]
async fn a_run_tells_how_far_it_is_and_finds_what_was_saved() {
    let mut node = Node::start().await;
    node.run("1", "report").await;
    let HostMessage::Progress(progress) = node.next().await else { panic!("progress") };
    assert_eq!((progress.token.as_str(), progress.percent), ("1", Some(50.0)));
    assert_eq!(
        node.next().await,
        HostMessage::State(SavedState { token: "1".into(), state: json!({"page": 3}) })
    );
    assert_eq!(node.answer().await, Answer::done("1", json!("saved before")));
}

#[tokio::test]
async fn a_token_that_comes_twice_is_answered_once() {
    let mut node = Node::start().await;
    node.run("1", "obey").await;
    node.run("1", "obey").await;
    node.actor.started.notified().await;
    node.cancel("1").await;
    node.failure("1").await;
    node.run("1", "obey").await;
    node.ping().await;
    assert_eq!(node.actor.runs.available_permits(), 1);
}

#[tokio::test]
async fn a_panic_fails_its_own_run_only() {
    let mut node = Node::start().await;
    node.run("other", "obey").await;
    node.run("1", "panic").await;
    let failure = node.failure("1").await;
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::RUNTIME, 500));
    assert_eq!(failure.detail.as_deref(), Some("out of cheese"));
    node.run("2", "tear").await;
    assert_eq!(node.failure("2").await.detail.as_deref(), Some("while dropping"));
    node.run("3", "echo").await;
    assert_eq!(node.answer().await.id.as_deref(), Some("3"));
    node.cancel("other").await;
    assert_eq!(node.failure("other").await.title, "cancelled");
}

#[tokio::test]
async fn beyond_its_concurrency_it_queues_and_beyond_the_queue_it_refuses() {
    let mut node = Node::start().await;
    for number in 0..2 + QUEUE_LEN_MAX {
        node.run(&format!("{number}"), "obey").await;
    }
    node.run("one too many", "obey").await;
    let refused = node.answer().await;
    assert_eq!(refused.id.as_deref(), Some("one too many"));
    assert!(matches!(refused.into_run(), RunAnswer::Refused(_)));
    // Cancelled while it waits: never started.
    node.cancel("5").await;
    assert!(matches!(node.answer().await.into_run(), RunAnswer::Refused(_)));
    // The end of one starts the next.
    node.cancel("0").await;
    node.failure("0").await;
    node.actor.runs.acquire_many(3).await.unwrap().forget();
    assert_eq!(node.actor.runs.available_permits(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ignores_its_cancellation_is_dropped() {
    let mut node = Node::start().await;
    node.run("1", "hang").await;
    node.actor.started.notified().await;
    node.cancel("1").await;
    assert_eq!(node.failure("1").await.title, "cancelled");
    node.actor.dropped.notified().await;
}

#[tokio::test]
async fn shutting_down_finishes_what_was_started() {
    let mut node = Node::start().await;
    for token in ["1", "2", "waiting"] {
        node.run(token, "obey").await;
    }
    node.say(NodeMessage::Shutdown).await;
    for token in ["waiting", "late"] {
        let refused = node.answer().await;
        assert_eq!(refused.id.as_deref(), Some(token));
        assert!(matches!(refused.into_run(), RunAnswer::Refused(_)));
        if token == "waiting" {
            node.run("late", "echo").await;
        }
    }
    node.cancel("1").await;
    node.failure("1").await;
    node.cancel("2").await;
    node.failure("2").await;
    assert!(node.from.next().await.unwrap().is_none(), "its output is closed");
    assert_eq!(node.host.await.unwrap(), ExitReason::Drained);
}

#[tokio::test]
async fn the_end_of_the_input_drops_everything_at_once() {
    let mut node = Node::start().await;
    node.run("1", "hang").await;
    node.actor.started.notified().await;
    drop(node.to);
    assert_eq!(node.host.await.unwrap(), ExitReason::InputClosed);
    node.actor.dropped.notified().await;
}

#[tokio::test]
async fn the_end_of_the_output_ends_the_host() {
    let mut node = Node::start().await;
    node.run("1", "hang").await;
    node.actor.started.notified().await;
    drop(node.from);
    node.to.write_all(&encode_node(&NodeMessage::Ping { id: "p".into() }).unwrap()).await.unwrap();
    assert_eq!(node.host.await.unwrap(), ExitReason::OutputClosed);
}

#[tokio::test]
async fn strange_lines_are_answered_and_survived() {
    let mut node = Node::start().await;
    for (line, code) in [
        ("garbage\n", ErrorObject::PARSE_ERROR),
        ("{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"dance\"}\n", ErrorObject::METHOD_NOT_FOUND),
    ] {
        node.to.write_all(line.as_bytes()).await.unwrap();
        assert_eq!(node.answer().await.outcome.unwrap_err().code, code);
    }
    node.to.write_all("x".repeat(MAX_LINE_BYTES).as_bytes()).await.unwrap();
    node.to.write_all(b"\n").await.unwrap();
    let too_long = node.answer().await;
    assert_eq!(too_long.id, None);
    assert!(too_long.outcome.unwrap_err().message.contains("more than"));
    node.run("1", "unheard").await;
    let failure = node.failure("1").await;
    assert_eq!(failure.kind, Failure::CONFIGURATION);
    assert!(failure.detail.unwrap().contains("echo"));
    node.run("1", "unheard").await;
    node.ping().await;
}

#[tokio::test]
async fn an_output_that_is_too_large_is_a_failure() {
    let mut node = Node::start().await;
    node.run("1", "bloat").await;
    assert_eq!(node.failure("1").await.title, "the output is too large");
}

#[tokio::test]
async fn a_node_that_does_not_read_can_still_cancel() {
    let mut node = Node::with_pipe(256).await;
    node.run("1", "obey").await;
    // More answers than the pipe holds, and none of them is read.
    for number in 0..100 {
        node.say(NodeMessage::Ping { id: format!("ping {number}") }).await;
    }
    node.cancel("1").await;
    let mut last = node.answer().await;
    while last.id.as_deref() != Some("1") {
        last = node.answer().await;
    }
    assert!(matches!(last.into_run(), RunAnswer::Failed(_)));
}

#[tokio::test]
async fn a_node_that_asks_on_and_on_without_reading_loses_its_host() {
    let mut node = Node::with_pipe(256).await;
    let ping = encode_node(&NodeMessage::Ping { id: "p".repeat(50) }).unwrap();
    while node.to.write_all(&ping).await.is_ok() {}
    assert_eq!(node.host.await.unwrap(), ExitReason::Unread);
}

#[tokio::test]
async fn probes_are_answered() {
    let mut node = Node::start().await;
    for (key, expected) in [
        ("done", ProbeOutcome::Done { output: json!(1) }),
        ("lost", ProbeOutcome::NotDone),
        ("panic", ProbeOutcome::Unknown),
    ] {
        let probe =
            Probe { function: "echo".into(), key: key.into(), arguments: json!({}), ..Probe::default() };
        node.say(NodeMessage::Probe { id: key.into(), probe }).await;
        let answer = node.answer().await;
        assert_eq!(answer.id.as_deref(), Some(key));
        assert_eq!(answer.into_probe(), expected);
    }
}

#[tokio::test]
async fn thousands_of_runs_pass() {
    let mut node = Node::start().await;
    for first in (0..5000).step_by(100) {
        let mut lines = Vec::new();
        for number in first..first + 100 {
            lines.extend(encode_node(&NodeMessage::Run(call(&format!("{number}"), "echo"))).unwrap());
        }
        node.to.write_all(&lines).await.unwrap();
        for _ in 0..100 {
            assert!(matches!(node.answer().await.into_run(), RunAnswer::Done(_)));
        }
    }
}
