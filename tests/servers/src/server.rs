//! One Redis server: started with what a test asks for, looked into, stopped in every way, and brought back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::process::Command;

use crate::certificates::Certificates;
use crate::ports;
use crate::process::{LIMIT, Process, eventually};

/// How long one question to a server may take.
const ASK: Duration = Duration::from_secs(30);
/// How long a server that starts may take for one answer.
const PING: Duration = Duration::from_secs(1);
/// How many ports are tried before something else must be wrong.
const STARTS: u32 = 5;

/// When a server brings its append-only file to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before it answers.
    Always,
    /// Once in a second.
    EverySecond,
    /// When the operating system likes.
    No,
}

/// What a server is started with. The default: append-only, one fsync a second, nobody has to log in.
#[derive(Clone, Debug)]
pub struct Builder {
    appendonly: bool,
    fsync: Fsync,
    memory: Option<(String, String)>,
    password: Option<String>,
    users: Vec<String>,
    tls: bool,
    lines: Vec<String>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            appendonly: true,
            fsync: Fsync::EverySecond,
            memory: None,
            password: None,
            users: Vec::new(),
            tls: false,
            lines: Vec::new(),
        }
    }
}

impl Builder {
    /// Whether it keeps an append-only file.
    pub fn appendonly(mut self, on: bool) -> Self {
        self.appendonly = on;
        self
    }

    /// When it syncs that file.
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// How much memory it takes, such as `8mb`, and what it does then, such as `allkeys-lru`.
    pub fn memory(mut self, limit: &str, policy: &str) -> Self {
        self.memory = Some((limit.to_owned(), policy.to_owned()));
        self
    }

    /// The password of its default user.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Another user, in the words of an ACL file: `user("ops", "on >secret ~{E}* +@all")`.
    pub fn user(mut self, name: &str, rules: &str) -> Self {
        self.users.push(format!("user {name} {rules}"));
        self
    }

    /// It speaks nothing but TLS, with certificates of its own; clients may show theirs and need not.
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// One more line of its configuration.
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }

    /// Starts it, and waits until it answers.
    pub async fn start(self) -> RedisServer {
        let folder =
            tempfile::Builder::new().prefix("impresario-redis-").tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("data")).expect("a temporary folder can be written");
        let certificates = self.tls.then(|| Certificates::make(&folder.path().join("tls")));
        let mut server =
            RedisServer { port: 0, certificates, process: None, password: self.password.clone(), folder };
        for _ in 0..STARTS {
            server.port = ports::free();
            server.write(&self.configuration(&server));
            if server.launch().await {
                return server;
            }
        }
        panic!("expected a Redis server that starts, found:\n{}", server.log())
    }

    fn configuration(&self, server: &RedisServer) -> String {
        let folder = server.folder.path();
        let mut lines = vec![
            "bind 127.0.0.1".to_owned(),
            "daemonize no".to_owned(),
            format!("dir {}", folder.join("data").display()),
            // Nothing but what the append-only file holds.
            "save \"\"".to_owned(),
            "enable-debug-command yes".to_owned(),
            format!("appendonly {}", if self.appendonly { "yes" } else { "no" }),
        ];
        let fsync = match self.fsync {
            Fsync::Always => "always",
            Fsync::EverySecond => "everysec",
            Fsync::No => "no",
        };
        lines.push(format!("appendfsync {fsync}"));
        match &server.certificates {
            None => lines.push(format!("port {}", server.port)),
            Some(files) => {
                lines.extend(["port 0".to_owned(), format!("tls-port {}", server.port)]);
                lines.push(format!("tls-cert-file {}", files.server.display()));
                lines.push(format!("tls-key-file {}", files.server_key.display()));
                lines.push(format!("tls-ca-cert-file {}", files.authority.display()));
                lines.push("tls-auth-clients optional".to_owned());
            }
        }
        if let Some((limit, policy)) = &self.memory {
            lines.extend([format!("maxmemory {limit}"), format!("maxmemory-policy {policy}")]);
        }
        match (&self.password, self.users.is_empty()) {
            (Some(password), true) => lines.push(format!("requirepass {password}")),
            (None, true) => {}
            (password, false) => {
                let secret = password.as_ref().map_or("nopass".to_owned(), |password| format!(">{password}"));
                let default = format!("user default on {secret} ~* &* +@all\n");
                let file = folder.join("users.acl");
                fs::write(&file, default + &self.users.join("\n") + "\n")
                    .expect("a temporary folder can be written");
                lines.push(format!("aclfile {}", file.display()));
            }
        }
        lines.extend(self.lines.iter().cloned());
        lines.join("\n") + "\n"
    }
}

/// A Redis server. It is killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    // Before the folder, so that it is gone before its folder is.
    process: Option<Process>,
    port: u16,
    password: Option<String>,
    certificates: Option<Certificates>,
    folder: TempDir,
}

impl RedisServer {
    /// What to start it with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Starts one with the default settings.
    pub async fn start() -> Self {
        Builder::default().start().await
    }

    /// The port that it listens at, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address, `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The folder of its data.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The certificates, if it speaks TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn configuration_file(&self) -> PathBuf {
        self.folder.path().join("redis.conf")
    }

    fn write(&self, configuration: &str) {
        fs::write(self.configuration_file(), configuration).expect("a temporary folder can be written");
    }

    /// Starts the process and waits until it answers; false when its port was taken meanwhile.
    async fn launch(&mut self) -> bool {
        let said_before = self.log().len();
        let configuration = self.configuration_file().into_os_string();
        let mut process = Process::spawn("redis-server", &[configuration], &self.log_file());
        let began = std::time::Instant::now();
        let answers = loop {
            if self.ask_within(PING, &["PING"]).await.is_ok_and(|answer| answer == "PONG") {
                // Somebody answers; it is this one if it has not ended.
                break process.runs();
            }
            if !process.runs() {
                break false;
            }
            assert!(began.elapsed() < LIMIT, "expected a Redis server that answers, found:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        if answers {
            self.process = Some(process);
            return true;
        }
        let said = self.log().split_off(said_before);
        assert!(
            said.contains("Address already in use"),
            "expected a Redis server that starts, found:\n{said}"
        );
        false
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the server runs")
    }

    /// Whether its process is there.
    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::runs)
    }

    /// Kills it at once, as a crash does.
    pub fn kill(&mut self) {
        self.process().kill();
        self.process = None;
    }

    /// Asks it to end in good order, and waits until it has.
    pub async fn stop(&mut self) {
        self.process().signal(Signal::TERM);
        let status = self.process().ended().await;
        assert!(
            status.success(),
            "expected a friendly end of the Redis server, found {status}:\n{}",
            self.log()
        );
        self.process = None;
    }

    /// Starts it again, at the same port with what its folder holds.
    pub async fn restart(&mut self) {
        assert!(self.process.is_none(), "expected a server that was stopped or killed");
        // Its port is not the system's to give away, so whoever took it is another test for a moment.
        eventually(LIMIT, "the server's port is free", async || ports::is_free(self.port).then_some(()))
            .await;
        assert!(self.launch().await, "the server's port was taken by somebody else:\n{}", self.log());
    }

    /// Freezes it: connections stay, answers do not come.
    pub fn pause(&mut self) {
        self.process().signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.process().signal(Signal::CONT);
    }

    /// A copy of its data as it is now.
    pub fn copy(&self) -> TempDir {
        let copy = tempfile::Builder::new().prefix("impresario-redis-copy-").tempdir();
        let copy = copy.expect("a temporary folder");
        copy_files(&self.folder(), copy.path());
        copy
    }

    /// Puts a copy in the place of its data: it comes back behind what it has acknowledged since. It must not run.
    pub fn restore(&mut self, copy: &TempDir) {
        assert!(self.process.is_none(), "expected a server that was stopped or killed");
        fs::remove_dir_all(self.folder()).expect("a temporary folder can be removed");
        fs::create_dir(self.folder()).expect("a temporary folder can be written");
        copy_files(copy.path(), &self.folder());
    }

    /// What it answers to a command, as `redis-cli` writes it: lists as lines.
    ///
    /// # Panics
    /// When it answers an error, or not at all.
    pub async fn command(&self, words: &[&str]) -> String {
        match self.ask(words).await {
            Ok(answer) => answer,
            Err(error) => panic!("expected an answer to {words:?}, found: {error}"),
        }
    }

    /// What it answers to a command.
    ///
    /// # Errors
    /// What it answered instead, or why there is no answer.
    pub async fn ask(&self, words: &[&str]) -> Result<String, String> {
        self.ask_within(ASK, words).await
    }

    async fn ask_within(&self, limit: Duration, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new("redis-cli");
        // `-e`: an error is an error for the program that asks, too.
        command.args(["-h", "127.0.0.1", "-e", "-p", &self.port.to_string()]);
        if let Some(password) = &self.password {
            command.args(["--no-auth-warning", "-a", password]);
        }
        if let Some(files) = &self.certificates {
            command.arg("--tls").arg("--cacert").arg(&files.authority);
        }
        run(command.args(words), limit).await
    }
}

/// Runs a program and takes what it writes, without its last line end.
pub(crate) async fn run(command: &mut Command, limit: Duration) -> Result<String, String> {
    let output = tokio::time::timeout(limit, command.kill_on_drop(true).output());
    let output = output.await.map_err(|_| format!("no answer within {limit:?}"))?;
    let output =
        output.map_err(|error| format!("expected the program redis-cli (tests/run installs it): {error}"))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.truncate(said.trim_end_matches('\n').len());
    if output.status.success() {
        return Ok(said);
    }
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(said)
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder can be read") {
        let entry = entry.expect("a folder can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file has a type").is_dir() {
            fs::create_dir(&target).expect("a temporary folder can be written");
            copy_files(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a file can be copied");
        }
    }
}
