//! This node as one of several: it joins once it can take work, gives its work away, and leaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use impresario_actors::behaviour::Refresh;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, Flights};
use impresario_actors::hosts::Hosts;
use impresario_actors::inventory::SharedInventory;
use impresario_config::Config;
use impresario_persistence::{Store, monotonic_ms};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::adapters::Adapters;
use super::raised::Raised;
use super::webhooks::SharedWebhooks;
use super::{definitions, inventory};
use crate::cluster::placement::PlacementSettings;
use crate::cluster::presence::{Identity, Presence};
use crate::cluster::registry::{Registry, RegistryArguments, RegistrySettings};
use crate::http::TokenKeeper;
use crate::secrets::Vault;

/// How long the others are told that this node leaves; if they are not, its presence expires.
const LEAVE_LIMIT: Duration = Duration::from_secs(2);
/// The part of a shutdown that is kept for what could not be given away: a third.
const RESERVE: u32 = 3;

/// This node's part in a cluster.
pub(super) struct Cluster {
    pub(super) presence: Arc<Presence>,
    pub(super) registry: Registry,
}

impl Cluster {
    /// Takes shards from now on.
    pub(super) fn join(
        config: &Config,
        identity: &Identity,
        presence: Arc<Presence>,
        (engine, flights, hosts, refresh): (Engine, Flights, Option<Hosts>, Refresh),
    ) -> Self {
        presence.record.send_modify(|record| record.draining = false);
        let cluster = &config.cluster;
        let registry = Registry::start(RegistryArguments {
            me: identity.incarnation.clone(),
            engine,
            flights,
            hosts,
            presence: Arc::clone(&presence),
            clock: Arc::new(monotonic_ms),
            refresh,
            settings: RegistrySettings {
                poll: cluster.poll_interval,
                ttl: cluster.presence_ttl,
                move_patience: cluster.move_patience,
                placement: PlacementSettings::default(),
            },
        });
        Cluster { presence, registry }
    }

    /// Resolves once another node has this one's name, with the reason to end.
    pub(super) async fn replaced(&self) -> String {
        let mut replaced = self.presence.replaced.clone();
        match replaced.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => "the presence of this node has ended".to_owned(),
        }
    }

    /// Gives the shards of this node to the others, as their work in flight ends.
    pub(super) async fn give_away(&self, limit: Duration) {
        let left = self.registry.drain(Instant::now() + (limit - limit / RESERVE)).await;
        if !left.is_empty() {
            tracing::warn!(
                shards = ?left,
                "these shards still have work in flight, which is cut off; their next owner goes on from their logs"
            );
        }
    }

    /// Tells the others that this node is gone.
    pub(super) async fn leave(&self) {
        match timeout(LEAVE_LIMIT, self.presence.leave()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the others were not told that this node leaves"),
            Err(_) => {
                tracing::warn!("the others were not told that this node leaves: the store does not answer")
            }
        }
    }
}

/// What other nodes add to the environment while this one runs: definitions, targets, runtime users, what is wanted of
/// adapters, and tokens that count.
#[derive(Clone)]
pub(super) struct News {
    store: Arc<dyn Store>,
    definitions: Arc<Definitions>,
    inventory: SharedInventory,
    keeper: Arc<TokenKeeper>,
    adapters: Adapters,
    vault: Option<Vault>,
    raised: Option<Raised>,
    webhooks: SharedWebhooks,
    /// Definitions that this version does not understand; the lock has one reader at a time.
    skipped: Arc<Mutex<BTreeSet<String>>>,
}

impl News {
    /// Nothing was left out yet.
    pub(super) fn new(
        store: Arc<dyn Store>,
        definitions: Arc<Definitions>,
        inventory: SharedInventory,
        keeper: Arc<TokenKeeper>,
        adapters: Adapters,
    ) -> Self {
        News {
            store,
            definitions,
            inventory,
            keeper,
            adapters,
            vault: None,
            raised: None,
            webhooks: SharedWebhooks::default(),
            skipped: Arc::default(),
        }
    }

    /// With the runtime users.
    pub(super) fn with_vault(self, vault: Vault) -> Self {
        News { vault: Some(vault), ..self }
    }

    /// With who wants to see what is raised.
    pub(super) fn with_raised(self, raised: Raised) -> Self {
        News { raised: Some(raised), ..self }
    }

    /// With the webhooks.
    pub(super) fn with_webhooks(self, webhooks: SharedWebhooks) -> Self {
        News { webhooks, ..self }
    }

    /// Reads what is new, whenever it is called.
    pub(super) fn refresh(&self) -> Refresh {
        let news = self.clone();
        Arc::new(move || {
            let news = news.clone();
            Box::pin(async move {
                let mut skipped = news.skipped.lock().await;
                if let Err(error) = definitions::refresh(&news.store, &news.definitions, &mut skipped).await {
                    tracing::warn!(%error, "definitions of other nodes were not read; trying again with the next change");
                }
                if let Err(error) = news.adapters.follow().await {
                    tracing::warn!(%error, "what is wanted of adapters was not read; trying again with the next change");
                }
                if let Err(error) = inventory::refresh(&news.store, &news.inventory).await {
                    tracing::warn!(%error, "the targets were not read anew; trying again with the next change");
                }
                if let Some(vault) = &news.vault
                    && let Err(error) = vault.refresh().await
                {
                    tracing::warn!(%error, "the runtime users were not read anew; trying again with the next change");
                }
                if let Some(raised) = &news.raised
                    && let Err(error) = raised.refresh().await
                {
                    tracing::warn!(%error, "the sinks were not read anew; trying again with the next change");
                }
                if let Err(error) = news.webhooks.refresh(&news.store).await {
                    tracing::warn!(%error, "the webhooks were not read anew; trying again with the next change");
                }
                if let Err(error) = news.keeper.refresh().await {
                    tracing::warn!(%error, "the tokens of other nodes were not read; trying again with the next change");
                }
            })
        })
    }
}
