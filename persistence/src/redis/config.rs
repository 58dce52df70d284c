//! What a Redis store is told: where it is, and what it has to promise.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::StoreError;
use crate::port::{Keeping, Result};

/// How to reach an environment in Redis, and what is expected of the server.
#[derive(Clone)]
pub struct RedisConfig {
    /// The environment: a name of its own for all its keys. Not empty, and without braces.
    pub environment: String,
    /// How many shards the environment has; fixed when it is made.
    pub shards: u16,
    /// Servers to begin with, host and port: the servers themselves, the Sentinels, or any members of the cluster.
    pub servers: Vec<(String, u16)>,
    /// How the server is found.
    pub topology: Topology,
    /// The user of the server's access control list; `None` for its default user.
    pub user: Option<String>,
    /// The password of that user.
    pub password: Option<String>,
    /// TLS to every server; `None` for plain connections.
    pub tls: Option<TlsConfig>,
    /// How an acknowledged write has to be kept at least. A server that keeps less is refused.
    pub keeping: Keeping,
    /// How many replicas must have a write before it is acknowledged.
    pub replicas: u8,
    /// How long an answer may take before the server counts as away.
    pub timeout: Duration,
    /// How many entries may wait to be appended, for each lane; more are refused as busy.
    pub queue_entries_max: usize,
}

/// How the server of a key is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server; several addresses are tried in turn.
    Standalone,
    /// Sentinels name the server.
    Sentinel {
        /// The name of the primary that the Sentinels watch.
        primary: String,
    },
    /// The members of a Redis Cluster name the server of each slot.
    Cluster,
}

/// TLS to the servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// Who must have signed the server's certificate, a PEM file; `None` for whom the machine trusts.
    pub ca: Option<PathBuf>,
    /// The certificate and the key to show to the server, PEM files.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl RedisConfig {
    /// A server alone that flushes to disk every second, with two seconds for an answer.
    pub fn new(environment: impl Into<String>, shards: u16, servers: Vec<(String, u16)>) -> Self {
        RedisConfig {
            environment: environment.into(),
            shards,
            servers,
            topology: Topology::Standalone,
            user: None,
            password: None,
            tls: None,
            keeping: Keeping::EverySecond,
            replicas: 0,
            timeout: Duration::from_secs(2),
            queue_entries_max: 65_536,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let refused = |words: String| Err(StoreError::Refused(words));
        if self.environment.is_empty() || self.environment.contains(['{', '}']) {
            return refused(format!(
                "the environment '{}' cannot be kept in Redis: its name must not be empty or contain braces",
                self.environment
            ));
        }
        if self.shards == 0 {
            return refused("an environment has at least one shard".to_owned());
        }
        if self.servers.is_empty() {
            return refused("no Redis server is named: expected at least one host and port".to_owned());
        }
        if self.user.is_some() && self.password.is_none() {
            return refused("a user for Redis is named, but no password: give both or none".to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("environment", &self.environment)
            .field("shards", &self.shards)
            .field("servers", &self.servers)
            .field("topology", &self.topology)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "(hidden)"))
            .field("tls", &self.tls)
            .field("keeping", &self.keeping)
            .field("replicas", &self.replicas)
            .field("timeout", &self.timeout)
            .field("queue_entries_max", &self.queue_entries_max)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        let mut config = RedisConfig::new("E", 4, vec![("localhost".to_owned(), 6379)]);
        config.password = Some("hunter2".to_owned());
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2") && shown.contains("(hidden)"), "{shown}");
    }

    #[test]
    fn what_cannot_work_is_refused_in_words() {
        let good = RedisConfig::new("E", 4, vec![("localhost".to_owned(), 6379)]);
        assert_eq!(good.check(), Ok(()));
        let bad = [
            RedisConfig { environment: String::new(), ..good.clone() },
            RedisConfig { environment: "a{b}".to_owned(), ..good.clone() },
            RedisConfig { shards: 0, ..good.clone() },
            RedisConfig { servers: Vec::new(), ..good.clone() },
            RedisConfig { user: Some("u".to_owned()), ..good.clone() },
        ];
        for config in bad {
            assert!(matches!(config.check(), Err(StoreError::Refused(_))), "{config:?}");
        }
    }
}
