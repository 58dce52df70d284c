//! One primary, its replicas, and three sentinels that put a replica in its place when it is gone.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::ports;
use crate::process::{LIMIT, Process, eventually};
use crate::server::{Builder, RedisServer, run};

/// What the sentinels call the primary.
pub const PRIMARY: &str = "mymaster";
const SENTINELS: usize = 3;
const QUORUM: usize = 2;
/// After so many milliseconds without an answer, a sentinel holds a server for gone.
const DOWN_AFTER_MS: u32 = 500;
/// How many milliseconds a failover may take before another is tried.
const FAILOVER_MS: u32 = 6_000;
/// How often they ask and tell, in milliseconds, instead of every second to every ten seconds. Not how often they ping: a
/// replica whose news is older than five of those periods is no candidate, and once the primary is gone they ask for news
/// once a second.
const PERIODS: [(&str, &str); 3] = [("INFO-PERIOD", "500"), ("ASK-PERIOD", "200"), ("PUBLISH-PERIOD", "200")];

#[derive(Debug)]
struct Sentinel {
    port: u16,
    _process: Process,
}

/// The servers and the sentinels that watch them.
#[derive(Debug)]
pub struct Sentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<Sentinel>,
    folder: TempDir,
}

impl Sentinels {
    /// One primary and so many replicas with the default settings.
    pub async fn start(replicas: usize) -> Self {
        Sentinels::with(replicas, Builder::default()).await
    }

    /// One primary and so many replicas with these settings; waits until every sentinel knows all of them.
    pub async fn with(replicas: usize, settings: Builder) -> Self {
        let primary = settings.clone().start().await;
        let mut servers = Vec::from([primary]);
        for _ in 0..replicas {
            let line = format!("replicaof 127.0.0.1 {}", servers[0].port());
            // Else a replica waits for others to synchronise together with.
            let settings = settings.clone().line(&line).line("repl-diskless-sync-delay 0");
            servers.push(settings.start().await);
        }
        let folder = tempfile::Builder::new().prefix("impresario-sentinels-").tempdir();
        let folder = folder.expect("a temporary folder");
        let mut all = Sentinels { servers, sentinels: Vec::new(), folder };
        for number in 0..SENTINELS {
            let sentinel = all.sentinel(number).await;
            all.sentinels.push(sentinel);
        }
        all.settled().await;
        all
    }

    /// Starts one sentinel, and waits until it answers.
    async fn sentinel(&self, number: usize) -> Sentinel {
        let home = self.folder.path().join(number.to_string());
        fs::create_dir_all(&home).expect("a temporary folder can be written");
        loop {
            let (port, primary) = (ports::free(), self.servers[0].port());
            let configuration = format!(
                "port {port}\nbind 127.0.0.1\ndaemonize no\ndir {}\n\
                 sentinel monitor {PRIMARY} 127.0.0.1 {primary} {QUORUM}\n\
                 sentinel down-after-milliseconds {PRIMARY} {DOWN_AFTER_MS}\n\
                 sentinel failover-timeout {PRIMARY} {FAILOVER_MS}\n\
                 sentinel parallel-syncs {PRIMARY} 8\n",
                home.display()
            );
            let (file, log) = (home.join("sentinel.conf"), home.join("log"));
            fs::write(&file, configuration).expect("a temporary folder can be written");
            let mut process = Process::spawn("redis-sentinel", &[file], &log);
            let answers = eventually(LIMIT, "a sentinel that answers", async || {
                let answers = ask(port, &["PING"]).await.is_ok_and(|answer| answer == "PONG");
                if answers { Some(true) } else { (!process.runs()).then_some(false) }
            });
            if answers.await && process.runs() {
                for (period, value) in PERIODS {
                    ask(port, &["SENTINEL", "DEBUG", period, value]).await.expect("a sentinel of Redis 7");
                }
                return Sentinel { port, _process: process };
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(said.contains("Address already in use"), "expected a sentinel, found:\n{said}");
        }
    }

    /// Waits until every sentinel sees a primary that is up, with all servers that run as its replicas, and the other
    /// sentinels.
    pub async fn settled(&mut self) {
        let replicas = self.servers.iter_mut().filter_map(|server| server.runs().then_some(())).count() - 1;
        eventually(LIMIT, "sentinels that know each other, one primary, and its replicas", async || {
            let mut primaries = Vec::new();
            for sentinel in &self.sentinels {
                let seen = ask(sentinel.port, &["SENTINEL", "MASTER", PRIMARY]).await.ok()?;
                let others = field(&seen, "num-other-sentinels")?.parse::<usize>().ok()?;
                if field(&seen, "flags")? != "master" || others != SENTINELS - 1 {
                    return None;
                }
                primaries.push(field(&seen, "port")?.parse::<u16>().ok()?);
            }
            primaries.dedup();
            let [primary] = primaries.as_slice() else { return None };
            let primary = self.servers.iter().find(|server| server.port() == *primary)?;
            let role = primary.ask(&["ROLE"]).await.ok()?;
            let online = primary.ask(&["INFO", "replication"]).await.ok()?.matches("state=online").count();
            (role.starts_with("master") && online >= replicas).then_some(())
        })
        .await;
    }

    /// The sentinels' addresses, separated by commas.
    pub fn addresses(&self) -> String {
        let addresses: Vec<String> =
            self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
        addresses.join(",")
    }

    /// The servers, the first primary first.
    pub fn servers(&mut self) -> &mut [RedisServer] {
        &mut self.servers
    }

    /// Which of the servers the sentinels call the primary now.
    pub async fn primary(&self) -> usize {
        eventually(LIMIT, "a sentinel that knows the primary", async || {
            let answer = ask(self.sentinels[0].port, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY]).await;
            let port = answer.ok()?.lines().nth(1)?.parse::<u16>().ok()?;
            self.servers.iter().position(|server| server.port() == port)
        })
        .await
    }

    /// Kills the primary, and waits until a replica has its place; answers which one was killed.
    pub async fn kill_primary(&mut self) -> usize {
        let gone = self.primary().await;
        self.servers[gone].kill();
        self.moved_from(gone).await;
        gone
    }

    /// Has the sentinels put a replica in the place of a primary that is well, and waits until it is there.
    pub async fn failover(&mut self) {
        let before = self.primary().await;
        let port = self.servers[before].port().to_string();
        eventually(LIMIT, "a failover", async || {
            let sentinel = self.sentinels[0].port;
            let seen = ask(sentinel, &["SENTINEL", "MASTER", PRIMARY]).await.ok()?;
            if field(&seen, "port")? != port {
                return Some(());
            }
            // Not begun yet, or given up, because no replica's news was fresh enough.
            if !field(&seen, "flags")?.contains("failover_in_progress") {
                let _ = ask(sentinel, &["SENTINEL", "FAILOVER", PRIMARY]).await;
            }
            None
        })
        .await;
        self.moved_from(before).await;
    }

    async fn moved_from(&self, before: usize) {
        eventually(LIMIT, "another primary", async || {
            let now = self.primary().await;
            if now == before {
                return None;
            }
            let role = self.servers[now].ask(&["ROLE"]).await.ok()?;
            role.starts_with("master").then_some(())
        })
        .await;
    }
}

/// A field of what a sentinel tells, where names and values take turns.
fn field<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().skip_while(|line| *line != name).nth(1)
}

async fn ask(port: u16, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-e", "-p", &port.to_string()]).args(words);
    run(&mut command, Duration::from_secs(1)).await
}
