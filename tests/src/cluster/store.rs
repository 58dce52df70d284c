//! What the nodes of a trial share, if they share anything.

use impresario_test_servers::{Builder, Fsync, RedisCluster, RedisServer, Sentinels};

/// How many other servers have every acknowledged entry, where there are any.
const REPLICAS: u32 = 1;

/// Which store to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// Nothing: each node forgets what it held.
    Memory,
    /// Each node has its own.
    Embedded,
    /// One Redis server that syncs before it answers.
    Redis,
    /// A primary, two replicas, three sentinels.
    Sentinels,
    /// Three masters with a replica each.
    RedisCluster,
}

/// The store of a cluster.
#[derive(Debug)]
pub enum Store {
    /// Nothing is shared.
    Own(StoreKind),
    /// One server.
    Redis(Box<RedisServer>),
    /// Watched by sentinels.
    Sentinels(Box<Sentinels>),
    /// A Redis Cluster.
    Cluster(Box<RedisCluster>),
}

impl Store {
    /// Starts it.
    pub async fn start(kind: StoreKind) -> Self {
        let settings = Builder::default().fsync(Fsync::Always);
        match kind {
            StoreKind::Memory | StoreKind::Embedded => Store::Own(kind),
            StoreKind::Redis => Store::Redis(Box::new(settings.start().await)),
            StoreKind::Sentinels => Store::Sentinels(Box::new(Sentinels::with(2, settings).await)),
            StoreKind::RedisCluster => Store::Cluster(Box::new(RedisCluster::with(true, settings).await)),
        }
    }

    /// What acknowledgements promise on it.
    pub fn durability(&self) -> &'static str {
        match self {
            Store::Own(StoreKind::Memory) => "memory",
            Store::Own(_) | Store::Redis(_) => "fsync",
            Store::Sentinels(_) | Store::Cluster(_) => "fsync+replicated(1)",
        }
    }

    /// The settings of a node on it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let redis = |topology: &str, servers: String| {
            vec![
                ("store.kind", "redis".to_owned()),
                ("redis.keeping", "fsync".to_owned()),
                ("redis.topology", topology.to_owned()),
                ("redis.servers", servers),
            ]
        };
        match self {
            Store::Own(StoreKind::Memory) => vec![("store.kind", "memory".to_owned())],
            Store::Own(_) => vec![("store.kind", "embedded".to_owned())],
            Store::Redis(server) => redis("standalone", server.address()),
            Store::Sentinels(all) => {
                let mut settings = redis("sentinel", all.addresses());
                settings.push(("redis.replicas", REPLICAS.to_string()));
                settings
            }
            Store::Cluster(cluster) => {
                let mut settings = redis("cluster", cluster.addresses());
                settings.push(("redis.replicas", REPLICAS.to_string()));
                settings
            }
        }
    }

    /// The one server.
    pub fn redis(&mut self) -> &mut RedisServer {
        let Store::Redis(server) = self else { panic!("expected one Redis server, found {self:?}") };
        server
    }

    /// The sentinels.
    pub fn sentinels(&mut self) -> &mut Sentinels {
        let Store::Sentinels(all) = self else { panic!("expected sentinels, found {self:?}") };
        all
    }

    /// The Redis Cluster.
    pub fn cluster(&mut self) -> &mut RedisCluster {
        let Store::Cluster(cluster) = self else { panic!("expected a Redis Cluster, found {self:?}") };
        cluster
    }
}
