//! The raw limits: a server on the same HTTP library that appends what it gets in groups and syncs, or only answers.
//!
//! It runs in a process of its own, as the node does: this program, started again.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
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

/// What it stores into: a file, or nothing.
pub fn asked_to_serve() -> Option<Option<PathBuf>> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == SERVE).then(|| arguments.next().map(PathBuf::from))
}

/// Serves until it is killed.
pub fn serve(file: Option<PathBuf>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let writer = file.map(|path| {
            let file = OpenOptions::new().create(true).append(true).open(path).unwrap();
            let (sender, receiver) = mpsc::channel(QUEUE);
            std::thread::spawn(move || write(file, receiver));
            sender
        });
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

/// A bare server in a process of its own; it is killed when this is dropped.
pub struct Bare {
    child: Child,
    pub host: String,
}

impl Bare {
    pub fn start(file: Option<PathBuf>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(SERVE).args(file).stdout(Stdio::piped());
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
