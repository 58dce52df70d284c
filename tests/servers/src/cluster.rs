//! A Redis Cluster: three masters, with a replica each where a test wants to lose one.

use std::time::Duration;

use tokio::process::Command;

use crate::process::{LIMIT, eventually};
use crate::server::{Builder, RedisServer, run};

const MASTERS: usize = 3;
/// After so many milliseconds without an answer, the others hold a node for gone.
const NODE_TIMEOUT_MS: u32 = 1_000;

/// The servers of a cluster.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Three masters, and a replica for each if wanted.
    pub async fn start(replicas: bool) -> Self {
        RedisCluster::with(replicas, Builder::default()).await
    }

    /// The same with these settings for each of them; waits until all agree that the cluster is whole.
    pub async fn with(replicas: bool, settings: Builder) -> Self {
        let count = if replicas { 2 * MASTERS } else { MASTERS };
        let settings = settings
            .line("cluster-enabled yes")
            .line("cluster-config-file nodes.conf")
            .line(&format!("cluster-node-timeout {NODE_TIMEOUT_MS}"))
            // A replica takes over however old its data is: a test wants to see what becomes of it.
            .line("cluster-replica-validity-factor 0")
            .line("repl-diskless-sync-delay 0");
        let mut nodes = Vec::with_capacity(count);
        for _ in 0..count {
            // A port of its own for what they say among themselves, instead of one that is 10 000 higher.
            let settings = settings.clone().line(&format!("cluster-port {}", crate::ports::free()));
            nodes.push(settings.start().await);
        }
        let cluster = RedisCluster { nodes };
        cluster.join(replicas).await;
        cluster.settled().await;
        cluster
    }

    async fn join(&self, replicas: bool) {
        let mut command = Command::new("redis-cli");
        command.args(["--cluster", "create"]);
        command.args(self.nodes.iter().map(RedisServer::address));
        command.args(["--cluster-replicas", if replicas { "1" } else { "0" }, "--cluster-yes"]);
        if let Err(said) = run(&mut command, LIMIT).await {
            panic!("expected a cluster, found:\n{said}");
        }
    }

    /// Waits until every node that answers says that the cluster is whole, and every replica of it is up to date.
    pub async fn settled(&self) {
        eventually(LIMIT, "a cluster that is whole", async || {
            let mut masters = 0;
            for node in &self.nodes {
                // One that was killed does not answer.
                let Ok(info) = node.ask(&["CLUSTER", "INFO"]).await else { continue };
                let role = node.ask(&["INFO", "replication"]).await.ok()?;
                let whole = info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384");
                if !whole || role.contains("master_link_status:down") {
                    return None;
                }
                masters += usize::from(role.contains("role:master"));
            }
            (masters == MASTERS).then_some(())
        })
        .await;
    }

    /// The addresses of all of them, separated by commas.
    pub fn addresses(&self) -> String {
        let addresses: Vec<String> = self.nodes.iter().map(RedisServer::address).collect();
        addresses.join(",")
    }

    /// The servers; the first three began as masters.
    pub fn nodes(&mut self) -> &mut [RedisServer] {
        &mut self.nodes
    }

    /// Kills the first node that is a master, and waits until a replica has its place; answers which one was killed.
    pub async fn kill_master(&mut self) -> usize {
        let mut gone = None;
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if gone.is_none() && node.runs() && node.command(&["ROLE"]).await.starts_with("master") {
                node.kill();
                gone = Some(number);
            }
        }
        self.settled().await;
        gone.expect("a cluster has a master that runs")
    }

    /// How long the others wait for a node before they hold it for gone.
    pub fn node_timeout(&self) -> Duration {
        Duration::from_millis(u64::from(NODE_TIMEOUT_MS))
    }
}
