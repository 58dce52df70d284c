//! The raw limits: a server on the same HTTP library that appends what it gets in groups and syncs, adds it to a stream
//! in Redis, or only answers.
//!
//! It runs in a process of its own, as the node does: this program, started again.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

const SERVE: &str = "--serve-bare";
/// As many as the node's own writer takes.
const QUEUE: usize = 16_384;

type Waiting = (Bytes, oneshot::Sender<()>);

/// What a bare server stores into.
#[derive(Clone, Debug)]
pub enum Into {
    /// Nothing.
    Nothing,
    /// A file, which is synced.
    File(PathBuf),
    /// A stream of the Redis server at this address, with one XADD each.
    Redis(String),
}

/// What it was started to store into, if this process is a bare server.
pub fn asked_to_serve() -> Option<Into> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != SERVE {
        return None;
    }
    Some(match (arguments.next().as_deref(), arguments.next()) {
        (Some("file"), Some(path)) => Into::File(path.into()),
        (Some("redis"), Some(address)) => Into::Redis(address),
        _ => Into::Nothing,
    })
}

/// Serves until it is killed.
pub fn serve(into: Into) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let writer = match into {
            Into::Nothing => None,
            Into::File(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
                std::thread::spawn(move || write(file, receiver));
                Some(sender)
            }
            Into::Redis(address) => {
                std::thread::spawn(move || add(&address, receiver));
                Some(sender)
            }
        };
        let routes = Router::new().route("/events", post(accept)).with_state(writer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        axum::serve(listener, routes).await.unwrap();
    });
}

async fn accept(
    State(writer): State<Option<mpsc::Sender<Waiting>>>,
    body: Bytes,
) -> (StatusCode, &'static str) {
    if let Some(writer) = writer {
        let (done, written) = oneshot::channel();
        writer.send((body, done)).await.unwrap();
        written.await.unwrap();
    }
    (StatusCode::ACCEPTED, "{\"accepted\":1,\"durability\":\"fsync\"}")
}

/// Everything that waits is one append and one sync.
fn write(mut file: File, mut waiting: mpsc::Receiver<Waiting>) {
    let mut group = Vec::new();
    let mut bytes = Vec::new();
    loop {
        let count = waiting.blocking_recv_many(&mut group, QUEUE);
        if count == 0 {
            return;
        }
        bytes.clear();
        group.iter().for_each(|(body, _)| bytes.extend_from_slice(body));
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        for (_, done) in group.drain(..) {
            // A client that went away needs no answer.
            let _ = done.send(());
        }
    }
}

/// Everything that waits is sent at once, one command each, and then all answers are read.
fn add(address: &str, mut waiting: mpsc::Receiver<Waiting>) {
    let mut server = TcpStream::connect(address).unwrap();
    server.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(server.try_clone().unwrap());
    let mut group = Vec::new();
    let mut commands = Vec::new();
    let mut line = String::new();
    loop {
        let count = waiting.blocking_recv_many(&mut group, QUEUE);
        if count == 0 {
            return;
        }
        commands.clear();
        for (body, _) in &group {
            write!(commands, "*5\r\n$4\r\nXADD\r\n$4\r\nbare\r\n$1\r\n*\r\n$1\r\nb\r\n${}\r\n", body.len())
                .unwrap();
            commands.extend_from_slice(body);
            commands.extend_from_slice(b"\r\n");
        }
        server.write_all(&commands).unwrap();
        for (_, done) in group.drain(..) {
            // Its length, and the id of the entry.
            for _ in 0..2 {
                line.clear();
                answers.read_line(&mut line).unwrap();
                assert!(!line.starts_with('-'), "Redis answered {line}");
            }
            // A client that went away needs no answer.
            let _ = done.send(());
        }
    }
}

/// A bare server in a process of its own; it is killed when this is dropped.
pub struct Bare {
    child: Child,
    pub host: String,
}

impl Bare {
    pub fn start(into: &Into) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(SERVE).stdout(Stdio::piped());
        match into {
            Into::Nothing => {}
            Into::File(path) => drop(command.arg("file").arg(path)),
            Into::Redis(address) => drop(command.args(["redis", address])),
        }
        let mut child = command.spawn().unwrap();
        let mut host = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut host).unwrap();
        Bare { child, host: host.trim().to_owned() }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
