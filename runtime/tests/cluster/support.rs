//! Nodes that share a memory store, without a registry: the test says who owns what.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use impresario::cluster::{ClusterView, NodeRecord, NodeView};
use impresario::http::{Door, TokenKeeper};
use impresario::metrics::NodeMetrics;
use impresario::node::{Adapters, Local, LocalArguments, Peers, Raised, Recent, SharedWebhooks};
use impresario::orchestrator::{InstanceQuery, Orchestrator, StartRequest, Started};
use impresario_actors::behaviour::BuiltinKinds;
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Flights, HostRunner, LogSink, Scope};
use impresario_actors::gate::Gate;
use impresario_actors::hosts::{HostSpec, Hosts};
use impresario_actors::inventory::SharedInventory;
use impresario_actors::post::Post;
use impresario_actors::shard::ShardSettings;
use impresario_config::Sources;
use impresario_model::router::Window;
use impresario_persistence::{
    Epoch, Member, Membership, MemoryMembership, MemoryStore, Owner, Ownership, ShardId, Store, system_clock,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Shards of the environment.
pub const SHARDS: u16 = 4;

/// One definition that waits for an hour, and is started by an event of type `go` too.
const WAITS: &str = "
document: {dsl: 1.0.3, namespace: ops, name: hold, version: 1.0.0}
schedule: {on: {one: {with: {type: go}}}}
do:
  - hold: {wait: PT1H}
";

/// What all nodes share.
pub struct Cluster {
    pub store: Arc<dyn Store>,
    pub membership: Arc<MemoryMembership>,
}

/// A node with its door.
pub struct Node {
    pub name: String,
    pub local: Local,
    pub engine: Engine,
    pub url: String,
    pub token: String,
    pub keeper: Arc<TokenKeeper>,
    /// What it knows of the cluster.
    pub view: watch::Sender<Arc<ClusterView>>,
    /// Told when it is to leave.
    pub asked_to_leave: mpsc::Receiver<()>,
    close: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _data: TempDir,
}

impl Cluster {
    pub fn new() -> Cluster {
        // A second test of the process has it installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Cluster {
            store: Arc::new(MemoryStore::new(SHARDS)),
            membership: Arc::new(MemoryMembership::new(system_clock())),
        }
    }

    /// Two nodes that know each other: the first owns nothing, the second everything. Nothing is checkpointed.
    pub async fn pair() -> (Cluster, Node, Node) {
        Cluster::of(&[Some("b"); SHARDS as usize]).await
    }

    /// Two nodes `a` and `b` that know each other and own these shards.
    pub async fn of(owners: &[Option<&str>]) -> (Cluster, Node, Node) {
        let cluster = Cluster::new();
        let (a, b) = (cluster.node("a").await, cluster.node("b").await);
        for node in [&a, &b] {
            node.keeper.refresh().await.unwrap();
            node.sees(&[a.seen(), b.seen()], owners);
            for (shard, _) in (0..).zip(owners).filter(|(_, owner)| **owner == Some(node.name.as_str())) {
                node.engine.claim(ShardId(shard), Epoch(0)).await.unwrap();
            }
        }
        (cluster, a, b)
    }

    /// A node that owns nothing yet.
    pub async fn node(&self, name: &str) -> Node {
        let mut settings = impresario_config::load(&Sources::default()).unwrap().config.http;
        settings.listen = "127.0.0.1:0".parse().unwrap();
        let door = Door::bind(settings).await.unwrap();
        let url = door.url();
        let data = tempfile::tempdir().unwrap();
        let keeper = Arc::new(TokenKeeper::open(data.path()).unwrap());
        keeper.share(Arc::clone(&self.store), name).await.unwrap();
        let token = keeper.token().unwrap().to_owned();

        let definitions = Arc::new(Definitions::default());
        let catalog = impresario::node::builtin_catalog();
        definitions.add(impresario_model::language::compile(WAITS, &catalog).unwrap());
        let stopping = Arc::new(AtomicBool::new(false));
        let post = Post::new(Arc::clone(&self.store), 1000);
        let (flights, gate) = (Flights::default(), Gate::default());
        let sink = Arc::new(LogSink::new(post.clone(), flights.clone(), Arc::clone(&stopping)));
        let hosts = Hosts::start(vec![], sink, gate.clone(), None).await.unwrap();
        let window = Window { millis: 60_000, count: 100 };
        let arguments = EngineArguments {
            owner: Owner { node: name.to_owned(), incarnation: incarnation(name) },
            scope: Scope::OnDemand,
            post: post.clone(),
            kinds: Arc::new(BuiltinKinds::new(Arc::clone(&definitions), window)),
            runner: Arc::new(HostRunner::new(hosts.clone(), flights, gate, stopping, post)),
            clock: Clock::system(),
            settings: ShardSettings {
                checkpoint_interval: Duration::from_secs(3600),
                ..ShardSettings::default()
            },
            tick: Duration::from_millis(10),
        };
        let engine = Engine::start(arguments, None).await.unwrap();
        let record = NodeRecord { url: url.clone(), ..NodeRecord::default() };
        let me = NodeView { name: name.to_owned(), incarnation: incarnation(name), alive: true, record };
        let (view, known) = watch::channel(ClusterView::alone(me, SHARDS));
        let (drain, asked_to_leave) = mpsc::channel(1);
        let none = HostSpec::new("", "/");
        let adapters = Adapters::new(name, Arc::clone(&self.store), Arc::clone(&definitions), vec![], none);
        let key_file = data.path().join("environment.key");
        let vault = impresario::secrets::Vault::open(Arc::clone(&self.store) as Arc<dyn Store>, key_file)
            .await
            .unwrap();
        let local = Local::new(LocalArguments {
            node: name.to_owned(),
            engine: engine.clone(),
            hosts,
            adapters,
            raised: Raised::new(Arc::clone(&self.store) as Arc<dyn Store>, Arc::clone(&definitions)),
            definitions,
            inventory: SharedInventory::default(),
            vault,
            view: known,
            peers: Peers::new(&token).unwrap(),
            membership: Arc::clone(&self.membership) as Arc<dyn Membership>,
            drain,
            webhooks: SharedWebhooks::default(),
            lost: vec![],
            metrics: NodeMetrics::default(),
            recent: Recent::new(100, 10_000),
            dedup: (Duration::from_secs(60), 100),
        });
        let (close, closed) = oneshot::channel::<()>();
        let (served, kept) = (Arc::new(local.clone()), Arc::clone(&keeper));
        let serving = tokio::spawn(async move {
            let closed = async {
                let _ = closed.await;
            };
            door.serve(served, kept, closed).await;
        });
        let close = Some(close);
        let name = name.to_owned();
        Node { name, local, engine, url, token, keeper, view, asked_to_leave, close, serving, _data: data }
    }

    /// Announces a node for a time.
    pub async fn present(&self, name: &str, ttl: Duration) {
        let member =
            Member { node: name.to_owned(), incarnation: incarnation(name), record: Default::default() };
        self.membership.renew(member, ttl).await.unwrap();
    }
}

/// The only start of a node.
pub fn incarnation(name: &str) -> String {
    format!("{name}-0123456789")
}

/// A node that nobody reaches: it had a port that nobody listens at any more.
pub fn silent(name: &str) -> NodeView {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let record = NodeRecord { url: format!("http://127.0.0.1:{port}"), ..NodeRecord::default() };
    NodeView { name: name.to_owned(), incarnation: incarnation(name), alive: true, record }
}

/// A node that has none of the shards that it is asked for, and how often it was asked.
pub async fn wrong_owner(name: &str) -> (NodeView, watch::Receiver<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut node = silent(name);
    node.record.url = format!("http://{}", listener.local_addr().unwrap());
    let (times, asked) = watch::channel(0);
    let refuse = move || {
        times.send_modify(|times| *times += 1);
        async { StatusCode::MISDIRECTED_REQUEST }
    };
    // It ends with the runtime of the test.
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await });
    (node, asked)
}

impl Node {
    /// This node as others see it.
    pub fn seen(&self) -> NodeView {
        let record =
            NodeRecord { url: self.url.clone(), version: "0.1.0".to_owned(), ..NodeRecord::default() };
        NodeView { name: self.name.clone(), incarnation: incarnation(&self.name), alive: true, record }
    }

    /// Lets it see these nodes, and for each shard the name of its owner.
    pub fn sees(&self, nodes: &[NodeView], owners: &[Option<&str>]) {
        let owned = |(shard, owner): (u16, &Option<&str>)| Ownership {
            shard: ShardId(shard),
            epoch: Epoch(1),
            owner: owner.map(|name| Owner { node: name.to_owned(), incarnation: incarnation(name) }),
            offered: None,
        };
        self.view.send_replace(Arc::new(ClusterView {
            me: incarnation(&self.name),
            nodes: nodes.to_vec(),
            shards: (0..).zip(owners).map(owned).collect(),
        }));
    }

    /// Starts an instance that waits.
    pub async fn start(&self, key: Option<&str>) -> Started {
        let request = StartRequest {
            definition: "ops/hold".to_owned(),
            input: Some(json!({"host": "web-1"})),
            key: key.map(str::to_owned),
            trace: None,
        };
        self.local.start(request).await.unwrap()
    }

    /// The ids of all instances, and the shards that did not say.
    pub async fn listed(&self) -> (Vec<String>, Vec<u16>) {
        let page = self.local.instances(InstanceQuery::default()).await.unwrap();
        (page.items.into_iter().map(|item| item.id).collect(), page.unheard)
    }

    /// Gets a page of its API over its door.
    pub async fn get(&self, path: &str) -> Value {
        let request = reqwest::Client::new().get(format!("{}{path}", self.url)).bearer_auth(&self.token);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// Closes the door.
    pub async fn close(&mut self) {
        if let Some(close) = self.close.take() {
            let _ = close.send(());
        }
        let _ = (&mut self.serving).await;
    }
}
