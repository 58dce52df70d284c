//! What a node runs: definitions are stored with the environment, so that an instance finds the version it pins
//! after a restart without its pack; triggers and routes follow from the newest versions.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use impresario_actors::definitions::{Definitions, Source, compare_versions};
use impresario_actors::inventory::SharedInventory;
use impresario_model::definition::{DefinitionId, Outline};
use impresario_persistence::Store;
use serde::{Deserialize, Serialize};

use super::definitions::{Catalogs, Checked, DEFINITIONS, STORED_AT_ONCE, StoredDefinition};
use super::{NodeError, declared, inventory, webhooks};
use crate::pack::{self, Compiled, Pack};
use crate::settings::{decode, update};

/// Which definitions a pack has brought last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct StoredPack {
    version: String,
    definitions: BTreeSet<DefinitionId>,
}

/// What was deployed, for the banner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    /// The packs, `name version`.
    pub packs: Vec<String>,
    /// How many definitions are active.
    pub definitions: usize,
    /// The names of the armed triggers.
    pub triggers: Vec<String>,
}

/// Stores the definitions and targets of packs, and takes them up. What the environment has of them is known to `definitions`
/// already, and a file that says the same is not compiled.
pub async fn load_packs(
    store: &Arc<dyn Store>,
    (definitions, inventory): (&Definitions, &SharedInventory),
    paths: &[PathBuf],
) -> Result<(), NodeError> {
    let mut catalogs = Catalogs::read(store).await?;
    let known = definitions.sources();
    for path in paths {
        let pack = pack::load(path).map_err(|error| NodeError::Deploy(error.to_string()))?;
        let catalog = catalogs.with(&pack.functions);
        let is_known = |text: &str| {
            let (id, with) = known.get(text)?;
            (with.task_functions == catalog.task_functions).then(|| id.clone())
        };
        let compiled = pack::compile_new(&pack, &catalog, &is_known)
            .map_err(|files| NodeError::Deploy(pack::describe(&files)))?;
        let mut stored = StoredPack { version: pack.version.clone(), definitions: BTreeSet::new() };
        let mut new = Vec::new();
        for (compiled, (_, text)) in compiled.into_iter().zip(&pack.sources) {
            let outline = match compiled {
                Compiled::Known(id) => {
                    stored.definitions.insert(id);
                    continue;
                }
                Compiled::New(definition) => Outline::of(&definition),
            };
            stored.definitions.insert(outline.id.clone());
            new.push((Arc::new(outline), text.as_str()));
        }
        let stores =
            new.iter().map(|(outline, text)| store_definition(store, &pack, (outline, text), &catalogs.by));
        stream::iter(stores).buffer_unordered(STORED_AT_ONCE).try_collect::<()>().await?;
        for (outline, text) in new {
            definitions.add_source(outline, Source { text: text.into(), catalog: Arc::clone(&catalog) });
        }
        let key = format!("pack/{}", pack.name);
        let before = store.setting(key.clone()).await?;
        let before: Option<StoredPack> = before.map(|setting| decode(&key, &setting.bytes)).transpose()?;
        let newer =
            |before: &StoredPack| compare_versions(&before.version, &pack.version) == Ordering::Greater;
        if !before.as_ref().is_some_and(newer) {
            inventory::deploy(store, inventory, &pack.name, &pack.inventory).await?;
            declared::deploy(store, &pack.name, &pack.declared).await?;
            webhooks::deploy(store, &pack).await?;
        }
        let over = |before| Ok::<_, NodeError>(Some(stored.clone().over(before, &pack.name)));
        update(store, &key, over).await?;
    }
    Ok(())
}

impl StoredPack {
    /// What the environment keeps when a node brings this pack and another one brought `before`. In a rolling upgrade a
    /// node that was not upgraded yet may start again: it must not take the others' newer definitions out of force.
    fn over(mut self, before: Option<StoredPack>, name: &str) -> StoredPack {
        let Some(before) = before else { return self };
        match compare_versions(&before.version, &self.version) {
            Ordering::Greater => {
                tracing::warn!(
                    pack = name,
                    "this node brings version {}, and {} is in force: upgrade this node, or raise the version of its pack",
                    self.version,
                    before.version
                );
                before
            }
            Ordering::Less => self,
            Ordering::Equal => {
                let mut newest: BTreeMap<(&str, &str), &DefinitionId> = BTreeMap::new();
                for id in &before.definitions {
                    let known = newest.entry((&id.namespace, &id.name)).or_insert(id);
                    if compare_versions(&known.version, &id.version) == Ordering::Less {
                        *known = id;
                    }
                }
                let newer = |id: &DefinitionId| {
                    let known = newest.get(&(id.namespace.as_str(), id.name.as_str()))?;
                    let newer = compare_versions(&known.version, &id.version) == Ordering::Greater;
                    newer.then(|| DefinitionId::clone(known))
                };
                self.definitions =
                    self.definitions.iter().map(|id| newer(id).unwrap_or_else(|| id.clone())).collect();
                self
            }
        }
    }
}

/// A version of a definition never changes, because running instances pin it.
async fn store_definition(
    store: &Arc<dyn Store>,
    pack: &Pack,
    (outline, source): (&Outline, &str),
    by: &str,
) -> Result<(), NodeError> {
    let id = &outline.id;
    let checked = Checked { by: by.to_owned(), outline: outline.clone() };
    let new = StoredDefinition {
        source: source.to_owned(),
        functions: pack.functions.clone(),
        checked: Some(checked),
    };
    update(store, &format!("{DEFINITIONS}{id}"), |before: Option<StoredDefinition>| match before {
        None => Ok(Some(new.clone())),
        Some(before) if before.is(&new) => Ok(None),
        Some(_) => Err(NodeError::Deploy(format!(
            "definition {id} is deployed already with other content, and instances may be running it: raise \
             document.version (or use another data folder to start over)"
        ))),
    })
    .await?;
    Ok(())
}

/// The packs that were deployed, `name version`, and the newest of their definitions.
///
/// # Errors
/// When the store does not answer, or a setting is damaged.
pub(super) async fn in_force(
    store: &Arc<dyn Store>,
    definitions: &Definitions,
) -> Result<(Vec<String>, Vec<Arc<Outline>>), NodeError> {
    let mut packs = Vec::new();
    let mut active = BTreeSet::new();
    for (key, setting) in store.settings("pack/".to_owned()).await? {
        let pack: StoredPack = decode(&key, &setting.bytes)?;
        packs.push(format!("{} {}", key.trim_start_matches("pack/"), pack.version));
        active.extend(pack.definitions);
    }
    Ok((packs, definitions.newest_of(&active)))
}

#[cfg(test)]
mod tests;
