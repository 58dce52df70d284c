//! How long connections and commands live.

use std::path::PathBuf;

use tokio::sync::oneshot;

use super::*;

/// A command there that says that it is there, and then goes on until it is ended, or nobody listens to it any more.
struct Held {
    path: PathBuf,
    ready: oneshot::Receiver<()>,
    ended: oneshot::Receiver<()>,
}

impl Held {
    async fn new(server: &Server) -> Self {
        let path = server.path("fifo");
        assert!(tokio::process::Command::new("mkfifo").arg(&path).status().await.unwrap().success());
        let ((is_ready, ready), (has_ended, ended)) = (oneshot::channel(), oneshot::channel());
        let fifo = path.clone();
        // Not a thread of the runtime: that would be waited for when a test fails.
        std::thread::spawn(move || {
            use std::io::BufRead;
            let mut lines = std::io::BufReader::new(std::fs::File::open(fifo).unwrap()).lines();
            assert_eq!(lines.next().unwrap().unwrap(), "here");
            is_ready.send(()).unwrap();
            // Until every process that holds the pipe for writing is dead, or the test has seen enough.
            while !has_ended.is_closed() && lines.next().is_some_and(|line| line.is_ok()) {}
            let _: Result<(), ()> = has_ended.send(());
        });
        Self { path, ready, ended }
    }

    fn command(&self, before: &str) -> Value {
        let command = "while echo here >&9; do sleep 0.1; done 2>/dev/null";
        json!({"command": format!("{before} exec 9>{}; {command}", self.path.display())})
    }

    /// Waits for its end, where the server ends it. OpenSSH passes no signals on in sessions of root.
    async fn end(self) {
        if !rustix::process::geteuid().is_root() {
            self.ended.await.unwrap();
        }
    }
}

#[tokio::test]
async fn pieces_of_work_share_connections() {
    let server = Server::start().await;
    let ssh = Arc::new(Ssh::new());
    let started: Vec<_> = (0..20)
        .map(|number| {
            let call =
                server.call("ssh-run", json!({"command": format!("echo {number}"), "return": "stdout"}));
            let ssh = Arc::clone(&ssh);
            tokio::spawn(async move { act(&ssh, call).await })
        })
        .collect();
    for (number, run) in started.into_iter().enumerate() {
        assert_eq!(run.await.unwrap().unwrap(), json!(format!("{number}\n")));
    }
    assert!(server.connections() <= 3, "{}", server.connections());
    assert_eq!(ssh.pool.sessions().await, server.connections());

    // Somebody else has a connection of their own, even with the same name.
    let mut user = server.user();
    user.fields.insert("privateKey".into(), server.text("sealed"));
    user.fields.insert("passphrase".into(), "open sesame".into());
    let before = server.connections();
    act(&ssh, as_user(&server, user, json!({"command": "true"}))).await.unwrap();
    assert_eq!(server.connections(), before + 1);
}

#[tokio::test]
async fn a_host_that_wants_one_channel_a_connection_gets_more_connections() {
    let server = Server::with("MaxSessions 1").await;
    let ssh = Arc::new(Ssh::new());
    let mut held = Held::new(&server).await;
    let call = server.call("ssh-run", held.command(""));
    let (cancel, context) = RunContext::detached("token");
    let long = {
        let ssh = Arc::clone(&ssh);
        tokio::spawn(async move { ssh.run(context, call).await })
    };
    (&mut held.ready).await.unwrap();
    let call = server.call("ssh-run", json!({"command": "echo in", "return": "stdout"}));
    assert_eq!(act(&ssh, call).await.unwrap(), json!("in\n"));
    assert_eq!(server.connections(), 2);
    cancel.send(true).unwrap();
    assert_eq!(long.await.unwrap().unwrap_err().title, "cancelled");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = Server::start().await;
    let ssh = Ssh { pool: Arc::new(Pool::new(Duration::from_millis(200))) };
    act(&ssh, server.call("ssh-run", json!({"command": "true"}))).await.unwrap();
    let [sshd] = server.take().try_into().unwrap();
    assert!(sshd.wait_with_output().await.unwrap().status.code().is_some());
    assert_eq!(ssh.pool.sessions().await, 0);
}

#[tokio::test]
async fn a_dead_connection_is_replaced_before_anything_is_started() {
    let server = Server::start().await;
    let ssh = Ssh::new();
    let call = || server.call("ssh-run", json!({"command": "echo in", "return": "stdout"}));
    assert_eq!(act(&ssh, call()).await.unwrap(), json!("in\n"));
    server.cut().await;
    assert_eq!(act(&ssh, call()).await.unwrap(), json!("in\n"));
    assert_eq!(server.connections(), 1, "a new one");
}

#[tokio::test]
async fn what_was_started_is_not_started_again() {
    let server = Server::start().await;
    let ssh = Ssh::new();
    let mut held = Held::new(&server).await;
    let mark = server.path("mark");
    let call = server.call("ssh-run", held.command(&format!("echo once >>{};", mark.display())));
    let run = tokio::spawn(async move { act(&ssh, call).await });
    (&mut held.ready).await.unwrap();
    let log = server.text("log");
    server.cut().await;
    let failure = run.await.unwrap().unwrap_err();
    assert_eq!(failure.kind, Failure::COMMUNICATION, "{failure} {log}");
    assert!(failure.title.contains("was lost while"), "{failure}");
    assert!(failure.detail.unwrap().contains("is not known"));
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "once\n");
    assert_eq!(server.connections(), 0, "nobody came again");
}

#[tokio::test]
async fn a_cancelled_command_is_ended_there() {
    let server = Server::start().await;
    let ssh = Ssh::new();
    let mut held = Held::new(&server).await;
    let call = server.call("ssh-run", held.command(""));
    let (cancel, context) = RunContext::detached("token");
    let run = tokio::spawn(async move { ssh.run(context, call).await });
    (&mut held.ready).await.unwrap();
    cancel.send(true).unwrap();
    let failure = run.await.unwrap().unwrap_err();
    assert_eq!(failure.title, "cancelled");
    let known = match rustix::process::geteuid().is_root() {
        true => "was told to end; whether it has is not known",
        false => "was ended",
    };
    assert!(failure.detail.as_deref().unwrap().ends_with(known), "{failure}");
    held.end().await;
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_there() {
    let server = Server::start().await;
    let held = Held::new(&server).await;
    let mut arguments = held.command("");
    arguments["timeoutSeconds"] = json!(1);
    let failure = once(&server, "ssh-run", arguments).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::TIMEOUT, 408));
    held.end().await;
}

#[tokio::test]
async fn a_command_whose_run_is_dropped_is_ended_there() {
    let server = Server::start().await;
    let ssh = Ssh::new();
    let mut held = Held::new(&server).await;
    let call = server.call("ssh-run", held.command(""));
    let run = tokio::spawn(async move { act(&ssh, call).await });
    (&mut held.ready).await.unwrap();
    run.abort();
    held.end().await;
}
