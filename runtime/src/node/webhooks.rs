//! The webhooks of the environment: brought by packs, kept in its settings, followed by every node.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use impresario_actors::secrets::Resolver;
use impresario_persistence::Store;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::NodeError;
use super::local::Local;
use crate::orchestrator::{Orchestrator, Refusal};
use crate::pack::Pack;
use crate::settings::{decode, update};
use crate::webhook::{
    Delivery, Mapped, Webhook, WebhookFindings, WebhookOutcome, WebhookSpec, WebhookSummary, WebhookTrial,
};

/// Where the environment keeps them, each under its name.
const WEBHOOKS: &str = "webhook/";
/// How many requests are mapped at once: it is work for a processor, and others wait for theirs.
const MAPPED_AT_ONCE: usize = 4;

/// A webhook as the environment keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stored {
    /// The pack that has brought it.
    pack: String,
    /// What it is; nothing once its pack has it no more.
    #[serde(default)]
    spec: Option<WebhookSpec>,
}

struct Known {
    stored: Stored,
    webhook: Arc<Webhook>,
}

/// The webhooks as a node knows them. Cheap to clone.
#[derive(Clone)]
pub struct SharedWebhooks {
    known: Arc<RwLock<Arc<BTreeMap<String, Known>>>>,
    mapping: Arc<Semaphore>,
}

impl Default for SharedWebhooks {
    fn default() -> Self {
        SharedWebhooks { known: Arc::default(), mapping: Arc::new(Semaphore::new(MAPPED_AT_ONCE)) }
    }
}

impl SharedWebhooks {
    fn now(&self) -> Arc<BTreeMap<String, Known>> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, name: &str) -> Option<Arc<Webhook>> {
        self.now().get(name).map(|known| Arc::clone(&known.webhook))
    }

    /// Reads them anew. What this version does not understand is left out.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn refresh(&self, store: &Arc<dyn Store>) -> Result<(), NodeError> {
        let mut next = BTreeMap::new();
        for (key, setting) in store.settings(WEBHOOKS.to_owned()).await? {
            let name = key.trim_start_matches(WEBHOOKS).to_owned();
            let stored: Stored = match decode(&key, &setting.bytes) {
                Ok(stored) => stored,
                Err(error) => {
                    tracing::error!(%error, "a webhook is left out at this node: upgrade it");
                    continue;
                }
            };
            let Some(spec) = &stored.spec else { continue };
            match spec.compile(&name) {
                Ok(webhook) => drop(next.insert(name, Known { webhook: Arc::new(webhook), stored })),
                Err(error) => tracing::error!(name, error, "a webhook is left out at this node: upgrade it"),
            }
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        Ok(())
    }
}

/// Puts the webhooks of a pack, and closes those that an earlier version of it had.
///
/// # Errors
/// [`NodeError::Deploy`] when another pack has one of that name.
pub(super) async fn deploy(store: &Arc<dyn Store>, pack: &Pack) -> Result<(), NodeError> {
    for (name, spec) in &pack.webhooks {
        let new = Stored { pack: pack.name.clone(), spec: Some(spec.clone()) };
        update(store, &format!("{WEBHOOKS}{name}"), |before: Option<Stored>| match before {
            Some(before) if before == new => Ok(None),
            Some(Stored { pack: other, spec: Some(_) }) if other != pack.name => Err(NodeError::Deploy(format!(
                "expected a webhook of its own in pack {}, found '{name}', which is one of pack {other}: rename the file",
                pack.name
            ))),
            _ => Ok(Some(new.clone())),
        })
        .await?;
    }
    for (key, setting) in store.settings(WEBHOOKS.to_owned()).await? {
        let name = key.trim_start_matches(WEBHOOKS);
        let stored: Stored = decode(&key, &setting.bytes)?;
        if stored.pack == pack.name && stored.spec.is_some() && !pack.webhooks.contains_key(name) {
            update(store, &key, |before: Option<Stored>| {
                let own = before.filter(|before| before.pack == pack.name && before.spec.is_some());
                Ok::<_, NodeError>(own.map(|own| Stored { spec: None, ..own }))
            })
            .await?;
        }
    }
    Ok(())
}

impl Local {
    pub(super) async fn list_webhooks(&self, name: Option<String>) -> Result<Vec<WebhookSummary>, Refusal> {
        let store = self.engine.store();
        self.webhooks.refresh(store).await.map_err(|error| Refusal::later(error.to_string()))?;
        let known = self.webhooks.now();
        let summary = |(name, known): (&String, &Known), whole: bool| {
            let spec = known.stored.spec.as_ref()?;
            Some(WebhookSummary {
                name: name.clone(),
                by: format!("pack {}", known.stored.pack),
                description: spec.description.clone(),
                verify: spec.verify.word().to_owned(),
                spec: if whole { serde_json::to_value(spec).ok() } else { None },
            })
        };
        let Some(name) = name else {
            return Ok(known.iter().filter_map(|entry| summary(entry, false)).collect());
        };
        let found = known.get_key_value(&name).and_then(|entry| summary(entry, true));
        found.map(|found| vec![found]).ok_or_else(|| self.no_webhook(&name))
    }

    fn no_webhook(&self, name: &str) -> Refusal {
        let known = self.webhooks.now();
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let names = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
        Refusal::NotFound(format!("expected the name of a webhook, found '{name}'; known: {names}"))
    }

    pub(super) async fn findings(&self, name: &str, trial: WebhookTrial) -> Result<WebhookFindings, Refusal> {
        let webhook = self.webhooks.get(name).ok_or_else(|| self.no_webhook(name))?;
        let delivery = trial.delivery((self.engine.store().clock())());
        let verified = self.verified(&webhook, &delivery);
        let Mapped { events, reply } = self.mapped(webhook, delivery).await?;
        let events: Vec<Value> = events.into_iter().map(|event| event.into_envelope()).collect();
        Ok(WebhookFindings { verified: verified.is_ok(), reason: verified.err(), events, reply })
    }

    pub(super) async fn take_delivery(
        &self,
        name: &str,
        mut delivery: Delivery,
    ) -> Result<WebhookOutcome, Refusal> {
        let Some(webhook) = self.webhooks.get(name) else {
            tracing::debug!(name, "a request for a webhook that does not exist");
            return Ok(WebhookOutcome::Unverified);
        };
        delivery.now = (self.engine.store().clock())();
        if let Err(reason) = self.verified(&webhook, &delivery) {
            tracing::info!(name, reason, "a request to a webhook was refused");
            return Ok(WebhookOutcome::Unverified);
        }
        let Mapped { events, reply } = self.mapped(webhook, delivery).await?;
        if events.is_empty() {
            return Ok(WebhookOutcome::Accepted { accepted: 0, durability: self.tier(), reply });
        }
        let accepted = self.accept(events).await?;
        Ok(WebhookOutcome::Accepted { accepted: accepted.accepted, durability: accepted.durability, reply })
    }

    fn verified(&self, webhook: &Webhook, delivery: &Delivery) -> Result<(), String> {
        webhook.verifier().verify(delivery, &|secret| {
            let user =
                self.vault.user(&secret.user).map_err(|failure| failure.detail.unwrap_or(failure.title))?;
            let value = user.field(&secret.field).map(|value| Zeroizing::new(value.to_owned()));
            value.ok_or_else(|| {
                format!(
                    "expected a field '{}' of the runtime user '{}', found none",
                    secret.field, secret.user
                )
            })
        })
    }

    /// Maps a request beside the async threads, and not too many of them at once.
    async fn mapped(&self, webhook: Arc<Webhook>, delivery: Delivery) -> Result<Mapped, Refusal> {
        let place = Arc::clone(&self.webhooks.mapping).acquire_owned().await;
        let mapping = tokio::task::spawn_blocking(move || {
            let _place = place;
            webhook.map(&delivery)
        });
        match mapping.await {
            Ok(mapped) => mapped.map_err(Refusal::Invalid),
            Err(error) => Err(Refusal::later(format!("the request was not mapped: {error}"))),
        }
    }
}
