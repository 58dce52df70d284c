//! When the server comes back without what it had acknowledged.
//!
//! A replica that was promoted, or an append-only file that lost its end, may be behind what this node has read of it
//! or was told by it. So every new connection is compared with what this node knows before anything is let through.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

use super::config::RedisConfig;
use super::environment::stored;
use super::held::{Acknowledged, Logs};
use super::keys::Keys;
use super::live::{Live, Trouble};
use crate::port::ShardId;
use crate::sync::lock;

/// How many alarms are kept.
const ALARMS: usize = 100;

/// What an operator has to know, the latest of it.
#[derive(Debug, Default)]
pub(super) struct Alarms(Mutex<VecDeque<String>>);

impl Alarms {
    pub(super) fn raise(&self, words: String) {
        tracing::error!("{words}");
        let mut alarms = lock(&self.0);
        if alarms.len() == ALARMS {
            alarms.pop_front();
        }
        alarms.push_back(words);
    }

    pub(super) fn list(&self) -> Vec<String> {
        lock(&self.0).iter().cloned().collect()
    }
}

/// What this node knows of the shards of one lane.
pub(super) struct Knowledge {
    pub(super) config: Arc<RedisConfig>,
    pub(super) keys: Keys,
    pub(super) shards: Vec<ShardId>,
    /// Set once the environment is known and complete.
    pub(super) dataset: OnceLock<String>,
    pub(super) logs: Arc<Logs>,
    pub(super) acknowledged: Arc<Mutex<Acknowledged>>,
    pub(super) alarms: Arc<Alarms>,
}

impl Knowledge {
    /// Compares a server with what is known.
    pub(super) async fn compare(&self, live: &Live) -> Result<(), Trouble> {
        let Some(dataset) = self.dataset.get() else { return Ok(()) };
        let found = stored(live, &self.keys, &self.shards, &self.config, dataset).await?;
        for shard in found {
            if self.logs.followed(shard.shard) {
                self.logs.moved(shard.shard, shard.end);
            }
        }
        Ok(())
    }
}
