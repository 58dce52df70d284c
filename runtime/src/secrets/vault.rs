//! The runtime users of the environment as a node has them: sealed in the settings, opened for a call that asks.
//!
//! The environment notes in a setting which key is the current one. A node without it may run as long as nothing is sealed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use impresario_actors::secrets::{Resolver, unknown};
use impresario_adapter::{Failure, RuntimeUser};
use impresario_persistence::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::key::Sealed;
use super::users::{self, StoredUser};
use super::{Key, KeyRing, SecretsError, UserChange, UserSummary, key_file};
use crate::node::{NodeError, blocking};
use crate::orchestrator::Refusal;
use crate::settings::{self, decode, encode};

/// Where the environment keeps the runtime users, each under its name.
const USERS: &str = "user/";
/// Where it notes which key is the current one.
const KEY: &str = "environment-key";

/// What the environment notes of its key; never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CurrentKey {
    id: String,
    made: String,
}

/// The runtime users and keys of a node. Cheap to clone.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    path: PathBuf,
    held: RwLock<Held>,
    /// One change of the key file at a time.
    changing: tokio::sync::Mutex<()>,
    /// Names of settings that this version does not understand: each is told once.
    told: Mutex<BTreeSet<String>>,
}

#[derive(Clone, Default)]
struct Held {
    ring: KeyRing,
    current: Option<CurrentKey>,
    users: BTreeMap<String, StoredUser>,
}

impl Vault {
    /// Reads the key, and makes it at the first start of the environment.
    ///
    /// # Errors
    /// [`NodeError::Secrets`] when the key file is open to others or damaged, or secrets are sealed under a key that is
    /// not in it.
    pub async fn open(store: Arc<dyn Store>, path: PathBuf) -> Result<Vault, NodeError> {
        let inner = Inner {
            store,
            path,
            held: RwLock::default(),
            changing: tokio::sync::Mutex::new(()),
            told: Mutex::default(),
        };
        let vault = Vault(Arc::new(inner));
        vault.refresh().await?;
        if vault.held().current.is_none() {
            vault.make_first().await?;
        }
        let held = vault.held();
        let needed = held.users.values().flat_map(|user| user.fields.values()).map(|sealed| &sealed.key);
        if let Some(id) = needed.into_iter().find(|id| held.ring.get(id).is_none()) {
            return Err(vault.missing(id, &held).into());
        }
        match &held.current {
            Some(current) if held.ring.get(&current.id).is_none() => tracing::warn!(
                key = current.id,
                "this node does not have the key of its environment: `impresario key export` at a node that has it, and `impresario key import` here, before secrets are used"
            ),
            _ => {}
        }
        Ok(vault)
    }

    /// Makes the key of an environment that has none. When several nodes start at the same time, one of them is first.
    async fn make_first(&self) -> Result<(), NodeError> {
        let _one = self.0.changing.lock().await;
        let ring = self.held().ring;
        let key = match ring.keys().last() {
            Some(key) => key.clone(),
            None => Key::make((self.0.store.clock())())?,
        };
        // In the file before the environment knows of it: after a crash it is there, and taken up.
        self.write_ring(ring.with(key.clone())).await?;
        let current = CurrentKey { id: key.id.clone(), made: key.made };
        match self.0.store.put_setting(KEY.to_owned(), 0, encode(KEY, &current)?).await {
            Ok(_) => tracing::info!(key = key.id, file = %self.0.path.display(), "made the environment key"),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.refresh().await
    }

    fn missing(&self, id: &str, held: &Held) -> SecretsError {
        SecretsError::Missing { id: id.to_owned(), path: self.0.path.clone(), found: held.ring.ids() }
    }

    /// Reads anew what others may have changed: the runtime users, which key is the current one, and the key file.
    ///
    /// # Errors
    /// When the store does not answer, or the key file cannot be used.
    pub async fn refresh(&self) -> Result<(), NodeError> {
        let current = self.0.store.setting(KEY.to_owned()).await?;
        let current = current.map(|setting| decode(KEY, &setting.bytes)).transpose()?;
        let mut users = BTreeMap::new();
        for (key, setting) in self.0.store.settings(USERS.to_owned()).await? {
            match decode::<StoredUser>(&key, &setting.bytes) {
                Ok(user) if user.removed => {}
                Ok(user) => drop(users.insert(key.trim_start_matches(USERS).to_owned(), user)),
                Err(error) => {
                    if lock(&self.0.told).insert(key) {
                        tracing::error!(%error, "a runtime user is left out at this node");
                    }
                }
            }
        }
        let path = self.0.path.clone();
        let ring = blocking(move || key_file::read_or_none(&path)).await??.unwrap_or_default();
        *self.0.held.write().unwrap_or_else(PoisonError::into_inner) = Held { ring, current, users };
        Ok(())
    }

    fn held(&self) -> Held {
        self.0.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write_ring(&self, ring: KeyRing) -> Result<(), NodeError> {
        let path = self.0.path.clone();
        Ok(blocking(move || key_file::write(&path, &ring)).await??)
    }

    /// The runtime users, by name.
    pub async fn users(&self) -> Result<Vec<UserSummary>, Refusal> {
        self.refresh().await.map_err(unsettled)?;
        Ok(self.held().users.iter().map(|(name, user)| user.summary(name)).collect())
    }

    /// Changes a runtime user, or adds one.
    pub async fn set_user(&self, name: &str, change: UserChange) -> Result<UserSummary, Refusal> {
        users::check(name, &change)?;
        self.refresh().await.map_err(unsettled)?;
        let held = self.held();
        let current = held.current.as_ref().map(|current| current.id.as_str()).unwrap_or_default();
        let key = held.ring.get(current).ok_or_else(|| unsettled(self.missing(current, &held).into()))?;
        let mut sealed = BTreeMap::new();
        for (field, value) in &change.fields {
            let value = value.as_ref().map(|value| key.seal(&["user", name, field], value.as_bytes()));
            sealed.insert(field.clone(), value.transpose().map_err(|error| unsettled(error.into()))?);
        }
        let now = (self.0.store.clock())();
        let after = self
            .update(name, |before| {
                let mut user = before.filter(|user| !user.removed).unwrap_or_default();
                user.description = change.description.clone().unwrap_or(user.description);
                for (field, value) in &sealed {
                    match value {
                        Some(value) => drop(user.fields.insert(field.clone(), value.clone())),
                        None => drop(user.fields.remove(field)),
                    }
                }
                user.changed = now;
                Some(user)
            })
            .await
            .map_err(unsettled)?;
        self.refresh().await.map_err(unsettled)?;
        Ok(after.unwrap_or_default().summary(name))
    }

    /// Removes a runtime user.
    pub async fn remove_user(&self, name: &str) -> Result<(), Refusal> {
        self.refresh().await.map_err(unsettled)?;
        let held = self.held();
        if !held.users.contains_key(name) {
            let known: Vec<&str> = held.users.keys().map(String::as_str).collect();
            return Err(Refusal::NotFound(format!(
                "expected the name of a runtime user (one of {}), found '{name}'",
                known.join(", ")
            )));
        }
        let changed = (self.0.store.clock())();
        let removed = StoredUser { removed: true, changed, ..StoredUser::default() };
        self.update(name, |_| Some(removed.clone())).await.map_err(unsettled)?;
        self.refresh().await.map_err(unsettled)
    }

    /// Makes a new key and seals every secret anew under it: its id. Wherever it is cut off, what is sealed can be opened
    /// with the keys in the file, and the next rotation brings it to its end:
    /// the new key is in the file before anything is sealed under it, the environment names it only once all is sealed
    /// under it, and the old one goes last, when nothing needs it.
    pub async fn rotate(&self) -> Result<String, Refusal> {
        // To its end also when nobody waits for it any more: what is written to the file must not overtake a later rotation.
        let vault = self.clone();
        let rotation = tokio::spawn(async move { vault.rotate_steps().await });
        match rotation.await {
            Ok(rotated) => rotated.map_err(unsettled),
            Err(error) => Err(Refusal::later(format!("the rotation failed: {error}"))),
        }
    }

    async fn rotate_steps(&self) -> Result<String, NodeError> {
        let _one = self.0.changing.lock().await;
        self.refresh().await?;
        let held = self.held();
        let needed = held.users.values().flat_map(|user| user.fields.values()).map(|sealed| &sealed.key);
        if let Some(id) = needed.into_iter().find(|id| held.ring.get(id).is_none()) {
            return Err(self.missing(id, &held).into());
        }
        let key = Key::make((self.0.store.clock())())?;
        let ring = held.ring.with(key.clone());
        self.write_ring(ring.clone()).await?;
        self.seal_anew(&ring, &key).await?;
        let setting = self.0.store.setting(KEY.to_owned()).await?;
        let version = setting.map_or(0, |setting| setting.version);
        let current = CurrentKey { id: key.id.clone(), made: key.made.clone() };
        self.0.store.put_setting(KEY.to_owned(), version, encode(KEY, &current)?).await?;
        // Whoever set a user meanwhile may have sealed it under the old key.
        self.seal_anew(&ring, &key).await?;
        self.write_ring(ring.only(|id| id == key.id)).await?;
        self.refresh().await?;
        Ok(key.id)
    }

    async fn seal_anew(&self, ring: &KeyRing, key: &Key) -> Result<(), NodeError> {
        for (name, _) in self.0.store.settings(USERS.to_owned()).await? {
            let name = name.trim_start_matches(USERS).to_owned();
            self.try_update(&name, |before| {
                let Some(mut user) = before else { return Ok(None) };
                if user.fields.values().all(|sealed| sealed.key == key.id) {
                    return Ok(None);
                }
                for (field, sealed) in &mut user.fields {
                    let plain = self.open_with(ring, &name, field, sealed)?;
                    *sealed = key.seal(&["user", &name, field], &plain)?;
                }
                Ok(Some(user))
            })
            .await?;
        }
        Ok(())
    }

    fn open_with(
        &self,
        ring: &KeyRing,
        name: &str,
        field: &str,
        sealed: &Sealed,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, SecretsError> {
        let key = ring.get(&sealed.key).ok_or_else(|| SecretsError::Missing {
            id: sealed.key.clone(),
            path: self.0.path.clone(),
            found: ring.ids(),
        })?;
        key.open(&["user", name, field], sealed)
    }

    async fn update(
        &self,
        name: &str,
        change: impl Fn(Option<StoredUser>) -> Option<StoredUser>,
    ) -> Result<Option<StoredUser>, NodeError> {
        self.try_update(name, |before| Ok(change(before))).await
    }

    /// Changes a stored user into what `change` makes of it, if anything.
    async fn try_update(
        &self,
        name: &str,
        change: impl Fn(Option<StoredUser>) -> Result<Option<StoredUser>, NodeError>,
    ) -> Result<Option<StoredUser>, NodeError> {
        settings::update(&self.0.store, &format!("{USERS}{name}"), change).await
    }

    /// Where the keys of this node are.
    pub fn key_file(&self) -> &Path {
        &self.0.path
    }
}

impl Resolver for Vault {
    fn user(&self, name: &str) -> Result<RuntimeUser, Failure> {
        let held = self.0.held.read().unwrap_or_else(PoisonError::into_inner);
        let Some(user) = held.users.get(name) else {
            return Err(unknown(name, "`impresario users` lists those that there are"));
        };
        let mut fields = BTreeMap::new();
        for (field, sealed) in &user.fields {
            let plain = self.open_with(&held.ring, name, field, sealed).map_err(|error| {
                tracing::error!(user = name, %error, "a secret cannot be opened");
                Failure::configuration("Secret not available").with_detail(error.to_string())
            })?;
            let text = String::from_utf8(plain.to_vec())
                .map_err(|_| Failure::configuration("Secret not available").with_detail("it is no text"))?;
            fields.insert(field.clone(), text);
        }
        Ok(RuntimeUser { name: name.to_owned(), fields })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What stands in the way of a change.
fn unsettled(error: NodeError) -> Refusal {
    match error {
        NodeError::Secrets(error) => Refusal::Conflict(error.to_string()),
        error => Refusal::later(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
