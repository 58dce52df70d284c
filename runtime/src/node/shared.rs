//! What a node on a shared store has besides: the settings of the store, its presence, its registry.

use std::sync::Arc;
use std::time::Duration;

use impresario_config::{Config, RedisKeeping, RedisTopology};
use impresario_persistence::{
    Keeping, Membership, RedisConfig, RedisMembership, StoreError, TlsConfig, Topology,
};

use super::NodeError;
use crate::cluster::NodeRecord;
use crate::cluster::placement::PlacementSettings;
use crate::cluster::presence::{Connect, Identity, Presence, PresenceSettings};
use crate::cluster::registry::RegistrySettings;

/// A node of which nothing was heard for this many presences is wedged.
const WEDGED_TTLS: u32 = 5;

/// How the settings say to reach the store.
///
/// # Errors
/// [`NodeError::System`] when the file of the password cannot be read.
pub(super) fn redis(config: &Config) -> Result<RedisConfig, NodeError> {
    let redis = &config.redis;
    let password = redis.password_file.as_ref().map(|path| {
        std::fs::read_to_string(path).map(|text| text.trim_end_matches(['\r', '\n']).to_owned()).map_err(|error| {
            NodeError::System(format!(
                "expected the password of the store in {} (redis.password_file), found: {error}",
                path.display()
            ))
        })
    });
    let tls = redis.tls.then(|| TlsConfig {
        ca: redis.tls_ca.clone(),
        certificate: redis.tls_certificate.clone().zip(redis.tls_key.clone()),
    });
    Ok(RedisConfig {
        topology: match redis.topology {
            RedisTopology::Standalone => Topology::Standalone,
            RedisTopology::Sentinel => Topology::Sentinel { primary: redis.primary.as_str().to_owned() },
            RedisTopology::Cluster => Topology::Cluster,
        },
        user: redis.user.as_ref().map(|user| user.as_str().to_owned()),
        password: password.transpose()?,
        tls,
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

/// Announces this node to the others. It takes no shard until its record says so.
pub(super) async fn presence(
    config: &Config,
    redis: &RedisConfig,
    identity: Identity,
    url: &str,
) -> Result<Presence, StoreError> {
    let cluster = &config.cluster;
    // A renewal that takes longer than this is better tried again.
    let timeout = redis.timeout.min(cluster.presence_interval.max(Duration::from_millis(200)));
    let redis = RedisConfig { timeout, ..redis.clone() };
    let connect: Connect = Box::new(move || {
        Box::pin(async move {
            let membership = RedisMembership::connect(redis).await?;
            Ok(Arc::new(membership) as Arc<dyn Membership>)
        })
    });
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let record = NodeRecord {
        url: config.node.advertise.as_ref().map_or(url, |url| url.as_str()).to_owned(),
        site: config.node.site.as_ref().map(|site| site.as_str().to_owned()),
        labels: config.node.labels.0.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
        weight: config.node.weight,
        draining: true,
        live: 0,
        running: 0,
    };
    let settings = PresenceSettings {
        ttl: cluster.presence_ttl,
        interval: cluster.presence_interval,
        poll: cluster.poll_interval,
        wedged_after: cluster.presence_ttl * WEDGED_TTLS,
    };
    Presence::start(connect, identity, record, settings).await
}

/// How the registry works under these settings.
pub(super) fn registry_settings(config: &Config) -> RegistrySettings {
    let cluster = &config.cluster;
    RegistrySettings {
        poll: cluster.poll_interval,
        ttl: cluster.presence_ttl,
        move_patience: cluster.move_patience,
        placement: PlacementSettings::default(),
    }
}
