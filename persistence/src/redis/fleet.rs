//! All lanes of a store: how they are opened, and which of them a shard lives on.

use std::sync::{Arc, Mutex, OnceLock};

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::{Notify, watch};

use super::behind::{Alarms, Knowledge};
use super::clock::ServerClock;
use super::config::{RedisConfig, Topology};
use super::environment::{self, Environment};
use super::held::{Acknowledged, Logs};
use super::keys::Keys;
use super::lane::Lane;
use super::link::{Greeting, Link, Setup};
use super::live::{Live, Trouble};
use super::reader;
use super::writer::{Queue, Writer};
use crate::StoreError;
use crate::port::{Result, ShardId, Standing};
use crate::sync::lock;

/// The lanes of one store.
pub(super) struct Fleet {
    pub(super) config: Arc<RedisConfig>,
    pub(super) keys: Keys,
    pub(super) logs: Arc<Logs>,
    pub(super) clock: Arc<ServerClock>,
    pub(super) alarms: Arc<Alarms>,
    pub(super) standing: Arc<Standings>,
    /// The first has the environment; where it is the only one it has everything.
    lanes: Vec<Arc<Lane>>,
}

/// Whether all lanes are up.
pub(super) struct Standings {
    lanes: Mutex<Vec<Standing>>,
    all: watch::Sender<Standing>,
}

impl Standings {
    fn set(&self, lane: usize, standing: Standing) {
        let mut lanes = lock(&self.lanes);
        if let Some(place) = lanes.get_mut(lane) {
            *place = standing;
        }
        let away = lanes.iter().find(|standing| **standing != Standing::Up);
        let all = away.cloned().unwrap_or(Standing::Up);
        self.all.send_if_modified(|now| {
            let changed = *now != all;
            *now = all;
            changed
        });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Standing> {
        self.all.subscribe()
    }
}

/// What is common to all lanes while they are opened.
struct Opening {
    config: Arc<RedisConfig>,
    logs: Arc<Logs>,
    clock: Arc<ServerClock>,
    alarms: Arc<Alarms>,
    standing: Arc<Standings>,
}

impl Fleet {
    pub(super) async fn open(config: RedisConfig) -> Result<Fleet> {
        config.check()?;
        let config = Arc::new(config);
        let logs = Arc::new(Logs::new(config.shards));
        let (clock, alarms) = (Arc::default(), Arc::default());
        let standing = Arc::new(Standings { lanes: Mutex::default(), all: watch::Sender::new(Standing::Up) });
        let opening = Opening { config, logs, clock, alarms, standing };
        let environment = opening.environment().await?;
        let keys = Keys::new(&opening.config.environment, environment.groups);
        let all: Vec<ShardId> = (0..opening.config.shards).map(ShardId).collect();
        let mut plans = Vec::new();
        if opening.config.topology == Topology::Cluster {
            plans.push((keys.tag(), Vec::new()));
            for group in 0..environment.groups {
                let shards = all.iter().copied().filter(|shard| keys.group(*shard) == group).collect();
                plans.push((keys.group_tag(group), shards));
            }
        } else {
            plans.push((keys.tag(), all));
        }
        *lock(&opening.standing.lanes) = vec![Standing::Up; plans.len()];
        let opened = plans.into_iter().enumerate().map(|(number, (tag, shards))| {
            opening.lane(number, tag, shards, keys.clone(), environment.dataset.clone())
        });
        let mut lanes = Vec::new();
        let mut failed = None;
        for opened in join_all(opened).await {
            match opened {
                Ok(lane) => lanes.push(lane),
                Err(error) => failed = Some(error),
            }
        }
        let opened = match failed {
            Some(error) => Err(error),
            None => opening.begin(&environment, &keys, &lanes).await,
        };
        if let Err(error) = opened {
            lanes.iter().for_each(|(lane, _)| lane.link.close());
            return Err(error);
        }
        let lanes = lanes.into_iter().map(|(lane, _)| {
            tokio::spawn(Writer::new(Arc::clone(&lane), Arc::clone(&opening.clock)).run());
            tokio::spawn(reader::run(Arc::clone(&lane)));
            lane
        });
        let lanes = lanes.collect();
        let Opening { config, logs, clock, alarms, standing } = opening;
        Ok(Fleet { config, keys, logs, clock, alarms, standing, lanes })
    }

    /// The lane of what belongs to no shard.
    pub(super) fn common(&self) -> Result<Arc<Lane>> {
        self.lanes.first().cloned().ok_or_else(|| StoreError::Failed("a store has a lane".to_owned()))
    }

    /// The lane of a shard.
    pub(super) fn lane(&self, shard: ShardId) -> Result<Arc<Lane>> {
        self.place(shard)
            .and_then(|place| self.lanes.get(place).cloned())
            .ok_or_else(|| StoreError::Failed(format!("there is no shard {}", shard.0)))
    }

    /// The number of the lane of a shard.
    pub(super) fn place(&self, shard: ShardId) -> Option<usize> {
        let place = if self.lanes.len() == 1 { 0 } else { 1 + usize::from(self.keys.group(shard)) };
        (shard.0 < self.config.shards).then_some(place)
    }

    pub(super) fn lanes(&self) -> &[Arc<Lane>] {
        &self.lanes
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // Each writer finishes what waits and then closes its link, which ends the rest.
        self.lanes.iter().for_each(|lane| lane.queue.close());
    }
}

impl Opening {
    /// Finds or makes the environment, over a connection that is not used again.
    async fn environment(&self) -> Result<Environment> {
        let found = Arc::new(OnceLock::new());
        let greeting: Greeting = {
            let (config, found) = (Arc::clone(&self.config), Arc::clone(&found));
            Arc::new(move |live: Live| {
                let (config, found) = (Arc::clone(&config), Arc::clone(&found));
                async move {
                    let environment = environment::find_or_make(&live, &config).await?;
                    let _ = found.set(environment);
                    Ok(())
                }
                .boxed()
            })
        };
        let link = Link::open(Setup {
            config: Arc::clone(&self.config),
            tag: Keys::new(&self.config.environment, 1).tag(),
            clock: Arc::clone(&self.clock),
            greeting,
            standing: Arc::new(|_| {}),
        });
        link.await?.close();
        found.get().cloned().ok_or_else(|| StoreError::Failed("the environment was not found".to_owned()))
    }

    /// Completes the environment, and learns where its logs end.
    async fn begin(
        &self,
        environment: &Environment,
        keys: &Keys,
        lanes: &[(Arc<Lane>, Arc<Knowledge>)],
    ) -> Result<()> {
        let all: Vec<&Lane> = lanes.iter().map(|(lane, _)| &**lane).collect();
        let common = all.first().ok_or_else(|| StoreError::Failed("a store has a lane".to_owned()))?;
        environment::finish(environment, common, &all).await?;
        for (lane, knowledge) in lanes {
            let live = lane.link.live()?;
            let stored = environment::stored(&live, keys, &lane.shards, &self.config, &environment.dataset);
            for shard in stored.await.map_err(Trouble::into_store)? {
                self.logs.moved(shard.shard, shard.end);
            }
            let _ = knowledge.dataset.set(environment.dataset.clone());
        }
        Ok(())
    }

    async fn lane(
        &self,
        number: usize,
        tag: String,
        shards: Vec<ShardId>,
        keys: Keys,
        dataset: String,
    ) -> Result<(Arc<Lane>, Arc<Knowledge>)> {
        let acknowledged: Arc<Mutex<Acknowledged>> = Arc::default();
        let queue = Arc::new(Queue::new(self.config.queue_entries_max));
        let knowledge = Arc::new(Knowledge {
            config: Arc::clone(&self.config),
            keys: keys.clone(),
            tag: tag.clone(),
            shards: shards.clone(),
            dataset: OnceLock::new(),
            logs: Arc::clone(&self.logs),
            acknowledged: Arc::clone(&acknowledged),
            queue: Arc::clone(&queue),
            alarms: Arc::clone(&self.alarms),
        });
        let standing: Arc<dyn Fn(Standing) + Send + Sync> = {
            let standing = Arc::clone(&self.standing);
            Arc::new(move |now| standing.set(number, now))
        };
        let greeting: Greeting = {
            let knowledge = Arc::clone(&knowledge);
            Arc::new(move |live: Live| {
                let knowledge = Arc::clone(&knowledge);
                async move { knowledge.compare(&live).await }.boxed()
            })
        };
        let link = Link::open(Setup {
            config: Arc::clone(&self.config),
            tag: tag.clone(),
            clock: Arc::clone(&self.clock),
            greeting,
            standing: Arc::clone(&standing),
        });
        let lane = Lane {
            config: Arc::clone(&self.config),
            keys,
            tag,
            dataset,
            shards,
            link: link.await?,
            logs: Arc::clone(&self.logs),
            acknowledged,
            queue,
            follow: Notify::new(),
            short: Mutex::new(None),
            standing,
        };
        Ok((Arc::new(lane), knowledge))
    }
}
