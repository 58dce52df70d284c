//! A cluster of a test: real nodes, each on a folder of its own, that share nothing but their store; and what breaks it.
//!
//! [`Cluster`] starts, ends and freezes nodes, [`Nemesis`] is what goes wrong, [`run`] is a trial: load, faults, and the
//! accounts in the end.

mod nemesis;
mod report;
mod store;
mod trial;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use impresario_test_servers::Proxy;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::watch;

pub use self::nemesis::Nemesis;
pub use self::report::write as write_report;
pub use self::store::{Store, StoreKind};
pub use self::trial::{Outcome, Progress, Trial, audit, orders, run};
use crate::accounts::{Books, CONCURRENCY};
use crate::api::Api;
use crate::node::{Node, Place};

/// Clients that wait longer than this ask another node.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a node may be refused its own name, after it was killed.
const NAME_LIMIT: Duration = Duration::from_secs(20);

/// How a cluster is built.
#[derive(Clone, Debug)]
pub struct Design {
    /// The site of each node; none where it does not matter.
    pub sites: Vec<Option<&'static str>>,
    /// Settings of every node, beside those of the store.
    pub settings: Vec<(String, String)>,
    /// Whether each node reaches the store through a proxy of its own. One Redis server only.
    pub proxied: bool,
}

impl Design {
    /// So many nodes, without sites.
    pub fn of(nodes: usize) -> Self {
        Design { sites: vec![None; nodes], settings: Vec::new(), proxied: false }
    }

    /// Every node has this setting.
    pub fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// One node of a cluster, running or not.
#[derive(Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    place: Place,
    proxy: Option<Proxy>,
    node: Option<Node>,
}

impl Member {
    /// The running node.
    pub fn node(&self) -> &Node {
        self.node.as_ref().expect("the node runs")
    }

    /// The way to the store.
    pub fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("a cluster that was designed with proxies")
    }

    /// Where it keeps what is its own.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Starts it and waits until it takes work. One that was killed may have to wait until its name is free again.
    async fn start(&mut self) {
        let began = Instant::now();
        loop {
            match self.place.spawn().ready_or_ended().await {
                Ok(node) => {
                    self.node = Some(node);
                    return;
                }
                Err((status, said)) => assert!(
                    said.contains("is taken") && began.elapsed() < NAME_LIMIT,
                    "expected that node {} starts, found {status}; it said:\n{said}",
                    self.name
                ),
            }
        }
    }
}

/// The nodes and their store.
#[derive(Debug)]
pub struct Cluster {
    // Nodes go before their store does.
    members: Vec<Member>,
    /// What they share.
    pub store: Store,
    /// What the activities write.
    pub books: Books,
    doors: watch::Sender<Vec<Api>>,
    folder: Option<TempDir>,
}

impl Cluster {
    /// Starts all nodes of a design at once, and waits until each takes work.
    pub async fn start(kind: StoreKind, design: Design) -> Self {
        let mut cluster = Cluster::prepare(Store::start(kind).await, design).await;
        join_all(cluster.members.iter_mut().map(Member::start)).await;
        cluster.open_doors();
        cluster
    }

    /// The same on a store that is there, with no node started.
    pub async fn prepare(store: Store, design: Design) -> Self {
        let folder = tempfile::Builder::new().prefix("impresario-cluster-").tempdir();
        let folder = folder.expect("a temporary folder");
        let books = Books::open(folder.path());
        let mut members = Vec::new();
        for (number, site) in design.sites.iter().enumerate() {
            let name = format!("node-{number}");
            let mut settings = store.settings();
            let mut proxy = None;
            if design.proxied {
                let (_, servers) = settings
                    .iter_mut()
                    .find(|(key, _)| *key == "redis.servers")
                    .expect("a cluster with proxies has one Redis server");
                let own = Proxy::start(servers).await;
                *servers = own.address();
                proxy = Some(own);
            }
            // What is set later has the last word.
            let mut place = Place::new()
                .set("node.name", &name)
                .set("adapters.concurrency", &CONCURRENCY.to_string())
                .set("engine.checkpoint_interval", "200ms")
                .set("engine.idle_after", "300ms")
                .set("store.shards", "12");
            for (key, value) in settings {
                place = place.set(key, &value);
            }
            if let Some(site) = site {
                place = place.set("node.site", site);
            }
            for (key, value) in &design.settings {
                place = place.set(key, value);
            }
            let place = place.define("five", &books.definition);
            members.push(Member { name, place, proxy, node: None });
        }
        Cluster { members, store, books, doors: watch::Sender::default(), folder: Some(folder) }
    }

    /// A node deploys one more definition when it starts.
    pub fn define(&mut self, number: usize, name: &str, source: &str) {
        self.members[number].place.deploy(name, source);
    }

    /// The nodes, running or not.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// One of them.
    pub fn member(&self, number: usize) -> &Member {
        &self.members[number]
    }

    /// The addresses for clients, kept up to date; of frozen nodes too, for clients cannot know.
    pub fn doors(&self) -> watch::Receiver<Vec<Api>> {
        self.doors.subscribe()
    }

    fn open_doors(&self) {
        self.doors.send_replace(self.apis().iter().map(|api| api.impatient(PATIENCE)).collect());
    }

    /// The APIs of the nodes that run.
    pub fn apis(&self) -> Vec<Api> {
        self.members.iter().filter_map(|member| member.node.as_ref()).map(|node| node.api.clone()).collect()
    }

    /// The APIs of the nodes that run, without one.
    pub fn apis_without(&self, number: usize) -> Vec<Api> {
        let others = self.members.iter().enumerate().filter(|(other, _)| *other != number);
        others.filter_map(|(_, member)| member.node.as_ref()).map(|node| node.api.clone()).collect()
    }

    /// Kills a node at once.
    pub async fn kill(&mut self, number: usize) {
        let node = self.members[number].node.take().expect("the node runs");
        node.kill().await;
        self.open_doors();
    }

    /// Has a node leave in good order.
    pub async fn stop(&mut self, number: usize) {
        let node = self.members[number].node.take().expect("the node runs");
        // Clients hear of it from the node itself.
        node.stop().await;
        self.open_doors();
    }

    /// Starts a node again, under its name and with its folder, and waits until it takes work.
    pub async fn restart(&mut self, number: usize) {
        self.members[number].start().await;
        self.open_doors();
    }

    /// Freezes a node: it does nothing, and does not know it.
    pub fn freeze(&self, number: usize) {
        self.member(number).node().process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw(&self, number: usize) {
        self.member(number).node().process.signal(Signal::CONT);
    }

    /// Whether the process of a node is there.
    pub fn runs(&mut self, number: usize) -> bool {
        self.members[number].node.as_mut().is_some_and(|node| node.process.runs())
    }

    /// Starts every node that does not run, such as one that ended itself because it was not its own master any more.
    pub async fn restart_ended(&mut self) {
        for member in &mut self.members {
            let runs = member.node.as_mut().is_some_and(|node| node.process.runs());
            if !runs {
                member.node = None;
                member.start().await;
            }
        }
        self.open_doors();
    }

    /// Has all nodes leave in good order, one after another.
    pub async fn stop_all(mut self) {
        for number in 0..self.members.len() {
            if self.members[number].node.is_some() {
                self.stop(number).await;
            }
        }
    }

    /// Keeps what the nodes and activities wrote, and names the folders.
    pub fn keep(&mut self) -> Vec<PathBuf> {
        let mut kept: Vec<PathBuf> = self.folder.take().map(TempDir::keep).into_iter().collect();
        kept.extend(self.members.drain(..).map(|member| member.place.keep()));
        kept
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("evidence is kept in {:?}", self.keep());
        }
    }
}
