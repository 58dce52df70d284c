//! A node of a test: the real process, on a folder of its own, at a port that the system chose.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::api::Api;
use crate::binary;
use crate::cli::{self, Ended};
use crate::disk::SmallDisk;
use crate::poll::eventually;

/// How long a start may take, with a long log to replay on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long a friendly stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A folder in which nodes run one after another.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    settings: Vec<String>,
    packs: Vec<PathBuf>,
    /// The data folder as the nodes see it.
    inside: PathBuf,
    /// The same folder as this process sees it.
    data: PathBuf,
    wrapper: Vec<OsString>,
}

impl Default for Place {
    fn default() -> Self {
        Place::new()
    }
}

impl Place {
    /// A new, empty one.
    pub fn new() -> Self {
        let folder =
            tempfile::Builder::new().prefix("impresario-test-").tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        Place {
            folder,
            settings: Vec::new(),
            packs: Vec::new(),
            inside: data.clone(),
            data,
            wrapper: Vec::new(),
        }
    }

    /// Nodes run with this setting.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push(format!("{key}={value}"));
        self
    }

    /// Nodes deploy this definition.
    pub fn define(mut self, name: &str, source: &str) -> Self {
        self.deploy(name, source);
        self
    }

    /// Nodes deploy this pack.
    pub fn pack(mut self, pack: &Path) -> Self {
        self.packs.push(pack.to_owned());
        self
    }

    /// Nodes that are started from now on deploy this definition.
    pub fn deploy(&mut self, name: &str, source: &str) {
        let path = self.write(&format!("{name}.yaml"), source);
        self.packs.push(path);
    }

    /// Nodes keep their data on this disk.
    pub fn on_disk(mut self, disk: &SmallDisk) -> Self {
        self.inside = disk.inside().join("data");
        self.data = disk.outside().join("data");
        self.wrapper = disk.wrapper().into_iter().map(OsString::from).collect();
        self
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder of the nodes.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Runs a command that finds the node by its data folder.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let mut all = vec!["--data", self.data.to_str().expect("a path")];
        all.extend(arguments);
        cli::run(self.path(), &all)
    }

    /// What such a command says as JSON, once it is done.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        self.run(&all).done().json()
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, content).expect("a temporary folder can be written");
        path
    }

    /// Keeps the folder for a person to look at, and names it.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// Everything that the nodes wrote to standard error.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.path().join("stderr")
    }

    /// The arguments of `serve`, for a test that runs it by itself.
    pub fn serve_arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["--data".into(), self.inside.clone().into()];
        arguments.extend(["--set".into(), "http.listen=127.0.0.1:0".into()]);
        for setting in &self.settings {
            arguments.extend(["--set".into(), setting.into()]);
        }
        arguments.push("serve".into());
        arguments.extend(self.packs.iter().map(OsString::from));
        arguments
    }

    /// Starts a node and does not wait for it.
    pub fn spawn(&self) -> Process {
        let mut command = match self.wrapper.split_first() {
            None => Command::new(binary::impresario()),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(binary::impresario());
                command
            }
        };
        let open = || -> File {
            let file = OpenOptions::new().append(true).create(true).open(self.log_file());
            file.expect("a temporary folder can be written")
        };
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        let child = command
            .args(self.serve_arguments())
            .current_dir(self.path())
            .env_clear()
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(Stdio::from(open()))
            .stderr(Stdio::from(open()))
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        Process { child, data: self.data.clone(), log: self.log_file() }
    }

    /// Starts a node and waits until it is ready.
    pub async fn start(&self) -> Node {
        self.spawn().ready().await
    }
}

/// A process of a node that may not answer yet. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    data: PathBuf,
    log: PathBuf,
}

impl Process {
    /// Its number.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it was not waited for")
    }

    /// Its API, once it listens.
    fn api(&self) -> Option<Api> {
        let text = fs::read_to_string(self.data.join("node.json")).ok()?;
        let told: Value = serde_json::from_str(&text).ok()?;
        // What a node that was killed has told is still there.
        if told["pid"].as_u64() != self.child.id().map(u64::from) {
            return None;
        }
        let token = fs::read_to_string(self.data.join("token")).ok()?;
        Some(Api::new(told["url"].as_str()?, token.trim()))
    }

    /// Waits until it has an address.
    pub async fn listening(mut self) -> Node {
        let api = self.wait_for("a node that listens", async |api| Some(api.clone())).await;
        Node { process: self, api }
    }

    /// Waits until it takes work.
    pub async fn ready(mut self) -> Node {
        let api = self
            .wait_for("a node that is ready", async |api| {
                let health = api.health().await?;
                health.ready.then(|| api.clone())
            })
            .await;
        Node { process: self, api }
    }

    /// Waits until it takes work, or has ended instead: how, and what it said.
    ///
    /// # Errors
    /// When it ended.
    pub async fn ready_or_ended(mut self) -> Result<Node, (ExitStatus, String)> {
        let look = async |api: &Api| api.health().await?.ready.then(|| api.clone());
        match self.look_for("a node that is ready", look).await {
            Ok(api) => Ok(Node { process: self, api }),
            Err(status) => Err((status, self.said())),
        }
    }

    async fn wait_for<T>(&mut self, what: &str, look: impl AsyncFn(&Api) -> Option<T>) -> T {
        match self.look_for(what, look).await {
            Ok(found) => found,
            Err(status) => {
                panic!("expected {what}, found that it has ended: {status}; it said:\n{}", self.said())
            }
        }
    }

    async fn look_for<T>(
        &mut self,
        what: &str,
        look: impl AsyncFn(&Api) -> Option<T>,
    ) -> Result<T, ExitStatus> {
        let began = std::time::Instant::now();
        loop {
            if let Some(api) = self.api()
                && let Some(found) = look(&api).await
            {
                return Ok(found);
            }
            let ended = self.child.try_wait().expect("a child can be waited for");
            if let Some(status) = ended {
                return Err(status);
            }
            assert!(
                began.elapsed() < START_LIMIT,
                "expected {what} within {START_LIMIT:?}; it said:\n{}",
                self.said()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn said(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Kills it at once, as a crash does, and waits until it is gone.
    pub async fn kill(&mut self) {
        // It may have ended by itself, which the tests see elsewhere.
        let _ = self.child.start_kill();
        self.child.wait().await.expect("a child can be waited for");
    }

    /// Asks it to stop, and waits until it has.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process number");
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        match tokio::time::timeout(STOP_LIMIT, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => panic!("expected the node to end within {STOP_LIMIT:?}; it said:\n{}", self.said()),
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }
}

/// A node that answers.
#[derive(Debug)]
pub struct Node {
    /// Its process.
    pub process: Process,
    /// Its API.
    pub api: Api,
}

impl Node {
    /// Kills it at once, as a crash does.
    pub async fn kill(mut self) {
        self.process.kill().await;
    }

    /// Asks it to stop, and expects that it does so in good order.
    pub async fn stop(mut self) {
        let status = self.process.terminate().await;
        assert!(status.success(), "expected a friendly stop, found {status}:\n{}", self.process.said());
    }

    /// Waits until an instance needs an operator, and shows it.
    pub async fn uncertain(&self, id: &str) -> impresario::orchestrator::InstanceDetail {
        eventually(Duration::from_secs(60), "an instance that is uncertain", async || {
            let detail = self.api.instance(id).await.ok()?;
            (detail.summary.status == "uncertain").then_some(detail)
        })
        .await
    }

    /// Waits until an instance has ended, and shows it.
    pub async fn ended(&self, id: &str) -> impresario::orchestrator::InstanceDetail {
        eventually(Duration::from_secs(60), "an instance that has ended", async || {
            let detail = self.api.instance(id).await.ok()?;
            detail.summary.ended_at.is_some().then_some(detail)
        })
        .await
    }
}
