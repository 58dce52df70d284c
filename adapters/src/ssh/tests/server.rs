//! A real OpenSSH server for one test: keys in a folder of its own, and one `sshd -i` for each connection.
//!
//! The test listens and hands each connection over, so there is no port to be guessed, and it can end what serves a
//! connection. The server runs as whoever runs the test, and lets that user in.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use impresario_adapter::{Call, RuntimeUser, Target};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

pub(super) const SSHD: &str = "/usr/sbin/sshd";

pub(super) struct Server {
    pub(super) directory: tempfile::TempDir,
    pub(super) port: u16,
    serving: Arc<Mutex<Vec<Child>>>,
    accepting: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with("").await
    }

    /// One with further lines of configuration.
    pub(super) async fn with(more: &str) -> Self {
        assert!(Path::new(SSHD).exists(), "no {SSHD}: tests/run installs openssh-server");
        if rustix::process::geteuid().is_root() {
            // sshd does not start as root without this folder, which its service makes when it is started.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, kind, passphrase) in [
            ("host", "ed25519", ""),
            ("host-rsa", "rsa", ""),
            ("user", "ed25519", ""),
            ("sealed", "ed25519", "open sesame"),
        ] {
            keygen(&path(name), kind, passphrase).await;
        }
        let keys = ["user.pub", "sealed.pub"].map(|name| std::fs::read_to_string(path(name)).unwrap());
        std::fs::write(path("authorized_keys"), keys.concat()).unwrap();
        let configuration = format!(
            "{more}\nHostKey {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n\
             AcceptEnv IMPRESARIO_* TEST_*\nMaxStartups 100\n",
            path("host").display(),
            path("host-rsa").display(),
            path("authorized_keys").display(),
        );
        std::fs::write(path("sshd_config"), configuration).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = Arc::new(Mutex::new(Vec::new()));
        let accepting =
            tokio::spawn(accept(listener, path("sshd_config"), path("log"), Arc::clone(&serving)));
        Self { directory, port, serving, accepting }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Its public key.
    pub(super) fn host_key(&self) -> String {
        self.text("host.pub")
    }

    /// It as a target, with its key pinned.
    pub(super) fn target(&self) -> Target {
        self.target_with(json!({"hostKey": self.host_key()}))
    }

    pub(super) fn target_with(&self, properties: Value) -> Target {
        let mut all =
            Map::from_iter([("host".into(), json!("127.0.0.1")), ("port".into(), json!(self.port))]);
        all.extend(properties.as_object().unwrap().clone());
        Target { name: "box".into(), kind: "unix-server".into(), properties: all }
    }

    /// Whoever runs the test, with a key that the server knows.
    pub(super) fn user(&self) -> RuntimeUser {
        user(&[("username", &me()), ("privateKey", &self.text("user"))])
    }

    pub(super) fn call(&self, function: &str, arguments: Value) -> Call {
        Call {
            token: "token".into(),
            attempt: 1,
            key: "key".into(),
            function: function.into(),
            arguments,
            state: None,
            target: Some(self.target()),
            user: Some(self.user()),
            traceparent: None,
        }
    }

    /// How many connections there were.
    pub(super) fn connections(&self) -> usize {
        self.serving.lock().unwrap().len()
    }

    /// Ends what serves the connections so far, at once. Those of other users than root are served by two processes.
    pub(super) async fn cut(&self) {
        for mut sshd in self.take() {
            let leader = sshd.id().and_then(|id| Pid::from_raw(i32::try_from(id).unwrap()));
            if let Some(leader) = leader {
                kill_process_group(leader, Signal::KILL).unwrap();
            }
            sshd.wait().await.unwrap();
        }
    }

    /// Takes what serves the connections so far.
    pub(super) fn take(&self) -> Vec<Child> {
        self.serving.lock().unwrap().drain(..).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    configuration: PathBuf,
    log: PathBuf,
    serving: Arc<Mutex<Vec<Child>>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = stream.into_std().unwrap();
        socket.set_nonblocking(false).unwrap();
        let out = std::os::fd::OwnedFd::from(socket.try_clone().unwrap());
        let mut sshd = Command::new(SSHD);
        sshd.arg("-i").arg("-f").arg(&configuration).arg("-E").arg(&log);
        sshd.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)))
            .stdout(Stdio::from(out))
            .stderr(Stdio::null());
        serving.lock().unwrap().push(sshd.process_group(0).kill_on_drop(true).spawn().unwrap());
    }
}

pub(super) async fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"])
        .arg(path)
        .status()
        .await
        .unwrap();
    assert!(made.success());
}

pub(super) fn user(fields: &[(&str, &str)]) -> RuntimeUser {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    RuntimeUser { name: "ops".into(), fields }
}

/// The name of the user that runs the test.
pub(super) fn me() -> String {
    let id = std::process::Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(id.stdout).unwrap().trim().to_owned()
}
