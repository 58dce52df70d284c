//! An adapter host as a process of its own: its standard streams, its signals, and what it leaves behind.
//!
//! The test program is its own host: it starts itself again, for the test [`host`] alone, with a variable that tells.
//! What the test harness prints to standard output is skipped, as a node skips what is not of the protocol.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by panicking")]

use std::process::Stdio;

use impresario_adapter::lines::HostReader;
use impresario_adapter::wire::{WireError, encode_node};
use impresario_adapter::{Answer, Call, HostMessage, NodeMessage};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const IS_HOST: &str = "IMPRESARIO_TEST_ADAPTER";

#[test]
fn host() {
    let Some(name) = std::env::var_os(IS_HOST) else { return };
    let adapter = impresario_adapters::builtin(name.to_str().unwrap()).unwrap();
    let reason = impresario_adapter::host::run_on_stdio(adapter).unwrap();
    eprintln!("{reason:?}");
    // What follows in the harness would be printed to a stream that belongs to the protocol.
    std::process::exit(0);
}

/// The node's side of a real host.
struct Node {
    host: Child,
    to: ChildStdin,
    from: HostReader<ChildStdout>,
}

impl Node {
    async fn start(adapter: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "host", "--nocapture"]).env(IS_HOST, adapter).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut host = command.spawn().unwrap();
        let (to, from) = (host.stdin.take().unwrap(), HostReader::new(host.stdout.take().unwrap()));
        let mut node = Self { host, to, from };
        let Some(HostMessage::Hello(manifest)) = node.next().await else { panic!("hello comes first") };
        assert_eq!(manifest.adapter, adapter);
        node
    }

    async fn next(&mut self) -> Option<HostMessage> {
        loop {
            match self.from.next().await {
                Ok(message) => return message,
                Err(WireError::Malformed(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn run(&mut self, token: &str, function: &str, arguments: Value) {
        let (token, key) = (token.into(), "key".into());
        let call = Call { token, attempt: 1, key, function: function.into(), arguments, ..Call::default() };
        self.say(NodeMessage::Run(call)).await;
    }

    async fn say(&mut self, message: NodeMessage) {
        self.to.write_all(&encode_node(&message).unwrap()).await.unwrap();
    }

    /// Starts a grandchild that ignores requests to end, and waits until it is there. The answer ends when it does.
    async fn start_grandchild(&mut self, directory: &tempfile::TempDir) -> tokio::task::JoinHandle<()> {
        let fifo = directory.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().await.unwrap().success());
        let fifo_name = fifo.display();
        let command =
            format!("sh -c 'trap \"\" TERM; exec 9>{fifo_name}; echo ready >&9; exec sleep 1000' & wait");
        self.run("grandchild", "shell", json!({"command": command})).await;
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let ended = tokio::task::spawn_blocking(move || {
            use std::io::{BufRead, Read};
            let mut reader = std::io::BufReader::new(std::fs::File::open(fifo).unwrap());
            reader.read_line(&mut String::new()).unwrap();
            ready.send(()).unwrap();
            drop(reader.read_to_end(&mut Vec::new()));
        });
        is_ready.await.unwrap();
        ended
    }

    async fn reason(self) -> String {
        let Self { host, to, from } = self;
        let output = host.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        drop((to, from));
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    }
}

#[tokio::test]
async fn a_host_answers_over_its_standard_streams_and_exits_when_told() {
    let mut node = Node::start("command").await;
    for first in (0..2000).step_by(50) {
        for number in first..first + 50 {
            node.run(&format!("{number}"), "echo", json!(number)).await;
        }
        for _ in 0..50 {
            let Some(HostMessage::Answer(Answer { outcome: Ok(_), .. })) = node.next().await else {
                panic!("lost")
            };
        }
    }
    // Its input stays open: it must not wait for it.
    node.say(NodeMessage::Shutdown).await;
    assert!(node.next().await.is_none());
    assert_eq!(node.reason().await, "Drained");
}

#[tokio::test]
async fn the_end_of_its_input_ends_a_host_and_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::start("command").await;
    let ended = node.start_grandchild(&directory).await;
    let Node { host, to, from } = node;
    drop(to);
    let output = host.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr).trim(), "InputClosed");
    ended.await.unwrap();
    drop(from);
}

#[tokio::test]
async fn a_signal_ends_a_host_and_all_that_it_started() {
    let directory = tempfile::tempdir().unwrap();
    let mut node = Node::start("command").await;
    let ended = node.start_grandchild(&directory).await;
    let host = Pid::from_raw(i32::try_from(node.host.id().unwrap()).unwrap()).unwrap();
    kill_process(host, Signal::TERM).unwrap();
    assert_eq!(node.reason().await, "Stopped");
    ended.await.unwrap();
}

#[tokio::test]
async fn the_http_host_starts_too() {
    let mut node = Node::start("http").await;
    node.run("1", "request", json!({"method": "get", "uri": "gopher://localhost"})).await;
    let Some(HostMessage::Answer(answer)) = node.next().await else { panic!("no answer") };
    assert_eq!(answer.outcome.unwrap_err().data.unwrap().kind, "configuration");
}
