//! The store that the settings name, opened; a shared one together with the presence of this node in it.

use std::sync::Arc;
use std::time::Duration;

use impresario_config::{Config, RedisKeeping, RedisTopology, StoreKind};
use impresario_persistence::{
    EmbeddedConfig, EmbeddedStore, Keeping, Membership, MemoryStore, RedisConfig, RedisMembership,
    RedisStore, Store, StoreError, TlsConfig, Topology, system_clock,
};

use super::app::blocking;
use super::{NodeError, store_folder};
use crate::cluster::NodeRecord;
use crate::cluster::presence::{Connect, Identity, Presence, PresenceSettings};

/// A node that was silent for so many times the life of a presence is wedged.
const WEDGED_TTLS: u32 = 5;
/// The shortest wait for the store to confirm a presence.
const PRESENCE_TIMEOUT_MIN: Duration = Duration::from_millis(200);

/// Opens the store. With a shared one, the node announces itself at `url`, and is let in only if its name is free.
///
/// # Errors
/// [`NodeError`].
pub(super) async fn open(
    config: &Config,
    identity: &Identity,
    url: &str,
) -> Result<(Arc<dyn Store>, Option<Arc<Presence>>), NodeError> {
    let store = config.store.clone();
    match store.kind {
        StoreKind::Memory => Ok((Arc::new(MemoryStore::new(store.shards)), None)),
        StoreKind::Embedded => {
            let embedded = EmbeddedConfig {
                segment_bytes: store.segment_size.0,
                queue_entries_max: store.queue,
                ..EmbeddedConfig::new(store_folder(config), store.shards)
            };
            let opened = blocking(move || EmbeddedStore::open(embedded)).await??;
            tracing::debug!(report = ?opened.report(), "opened the store");
            Ok((Arc::new(opened), None))
        }
        StoreKind::Redis => {
            let config = config.clone();
            let redis = blocking({
                let config = config.clone();
                move || redis(&config)
            });
            let redis = redis.await??;
            let store: Arc<dyn Store> = Arc::new(RedisStore::open(redis.clone()).await?);
            let presence = presence(&config, &redis, identity.clone(), url).await?;
            Ok((store, Some(Arc::new(presence))))
        }
    }
}

/// How the settings say to reach the shared store.
fn redis(config: &Config) -> Result<RedisConfig, NodeError> {
    let redis = &config.redis;
    let password = redis.password_file.as_ref().map(|path| match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(NodeError::System(format!(
            "expected the password of the store in {} (redis.password_file), found: {error}",
            path.display()
        ))),
    });
    Ok(RedisConfig {
        topology: match redis.topology {
            RedisTopology::Standalone => Topology::Standalone,
            RedisTopology::Sentinel => Topology::Sentinel { primary: redis.primary.as_str().to_owned() },
            RedisTopology::Cluster => Topology::Cluster,
        },
        user: redis.user.as_ref().map(|user| user.as_str().to_owned()),
        password: password.transpose()?,
        tls: redis.tls.then(|| TlsConfig {
            ca: redis.tls_ca.clone(),
            certificate: redis.tls_certificate.clone().zip(redis.tls_key.clone()),
        }),
        keeping: match redis.keeping {
            RedisKeeping::Fsync => Keeping::Fsync,
            RedisKeeping::EverySecond => Keeping::EverySecond,
            RedisKeeping::Memory => Keeping::Memory,
        },
        replicas: redis.replicas,
        timeout: redis.timeout,
        queue_entries_max: config.store.queue,
        ..RedisConfig::new(config.environment.as_str(), config.store.shards, redis.servers.0.clone())
    })
}

/// What this node, whose door is at `url`, tells of itself.
pub(super) fn record(config: &Config, url: &str) -> NodeRecord {
    NodeRecord {
        url: config.node.advertise.as_ref().map_or(url, |url| url.as_str()).to_owned(),
        site: config.node.site.as_ref().map(|site| site.as_str().to_owned()),
        labels: config.node.labels.0.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: system_clock()(),
        weight: config.node.weight,
        ..NodeRecord::default()
    }
}

/// Announces this node to the others. It takes no shard until its registry says that it is not leaving.
async fn presence(
    config: &Config,
    redis: &RedisConfig,
    identity: Identity,
    url: &str,
) -> Result<Presence, StoreError> {
    let cluster = &config.cluster;
    // A renewal that takes longer than until the next one is better tried again.
    let timeout = redis.timeout.min(cluster.presence_interval.max(PRESENCE_TIMEOUT_MIN));
    let redis = RedisConfig { timeout, ..redis.clone() };
    let connect: Connect = Box::new(move || {
        Box::pin(async move {
            let membership = RedisMembership::connect(redis).await?;
            Ok(Arc::new(membership) as Arc<dyn Membership>)
        })
    });
    // Until its registry says that it is not leaving.
    let record = NodeRecord { draining: true, ..record(config, url) };
    let settings = PresenceSettings {
        ttl: cluster.presence_ttl,
        interval: cluster.presence_interval,
        poll: cluster.poll_interval,
        wedged_after: cluster.presence_ttl * WEDGED_TTLS,
    };
    Presence::start(connect, identity, record, settings).await
}
