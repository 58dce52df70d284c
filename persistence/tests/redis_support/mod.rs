//! A Redis server of a test's own: on a free port, in a folder of its own, gone with the test.
#![allow(dead_code, reason = "each test file uses a part")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use impresario_persistence::{Keeping, RedisConfig, RedisStore};
use tempfile::TempDir;

pub struct Server {
    pub port: u16,
    pub folder: TempDir,
    args: Vec<String>,
    child: Option<Child>,
    environments: AtomicU32,
}

impl Server {
    pub async fn start(args: &[&str]) -> Server {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut server = Server { port, folder, args, child: None, environments: AtomicU32::new(0) };
        server.run().await;
        server
    }

    pub async fn run(&mut self) {
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// A fresh environment.
    pub fn config(&self, shards: u16) -> RedisConfig {
        let number = self.environments.fetch_add(1, Ordering::Relaxed);
        let servers = vec![("127.0.0.1".to_owned(), self.port)];
        RedisConfig { keeping: Keeping::Memory, ..RedisConfig::new(format!("E{number}"), shards, servers) }
    }

    pub async fn store(&self, shards: u16) -> RedisStore {
        RedisStore::open(self.config(shards)).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
