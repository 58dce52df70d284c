//! What a node runs: definitions are stored with the environment, so that an instance finds the version it pins
//! after a restart without its pack; triggers and routes follow from the newest versions.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use impresario_actors::definitions::{Definitions, compare_versions};
use impresario_actors::inventory::SharedInventory;
use impresario_model::definition::{Definition, DefinitionId};
use impresario_model::inventory::{ADAPTER, SELECT};
use impresario_model::language::{AdapterFunction, Catalog};
use impresario_persistence::{Setting, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::adapters::wanted;
use super::app::blocking;
use super::{NodeError, declared, inventory, webhooks};
use crate::pack::{self, Pack};
use crate::settings::{decode, update};

/// Where the environment keeps the definitions, each under its id.
const DEFINITIONS: &str = "definition/";

/// A definition as the environment keeps it: its text, and the text of the functions of its pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StoredDefinition {
    source: String,
    functions: BTreeMap<String, String>,
}

/// Which definitions a pack has brought last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct StoredPack {
    version: String,
    definitions: BTreeSet<DefinitionId>,
}

/// So many definitions are stored at the same time.
const STORED_AT_ONCE: usize = 64;

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

/// What the built-in adapters add to every catalog.
pub fn builtin_catalog() -> Catalog {
    let manifests = impresario_adapters::manifests();
    let mut catalog = Catalog::default();
    for entry in impresario_adapters::catalog() {
        let manifest = manifests.iter().find(|manifest| manifest.adapter == entry.adapter);
        let function = manifest.and_then(|manifest| manifest.function(entry.function));
        let adapter_function = AdapterFunction {
            adapter: entry.adapter.to_owned(),
            function: entry.function.to_owned(),
            restartable: function.is_some_and(|function| function.restartable),
            probe: function.is_some_and(|function| function.probe),
            input: function.and_then(|function| function.input.clone()),
        };
        catalog.adapter_functions.insert(format!("{}:{}", entry.name, entry.version), adapter_function);
    }
    catalog.adapter_functions.insert("select:1.0.0".to_owned(), select_function());
    catalog
}

/// What all adapters of the environment add to every catalog.
///
/// # Errors
/// When the store does not answer.
async fn catalog(store: &Arc<dyn Store>) -> Result<Catalog, StoreError> {
    let mut catalog = builtin_catalog();
    wanted::extend(&mut catalog, &wanted::read_all(store).await?);
    Ok(catalog)
}

/// The function that selects targets, which the node answers by itself.
fn select_function() -> AdapterFunction {
    AdapterFunction {
        adapter: ADAPTER.to_owned(),
        function: SELECT.to_owned(),
        restartable: true,
        probe: false,
        input: Some(json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "group": { "type": "string" },
                "where": { "type": "string" },
                "variables": { "type": "object" },
                "name": { "type": "string" },
                "take": { "enum": ["all", "any", "one"] },
                "allowEmpty": { "type": "boolean" },
            },
        })),
    }
}

/// Loads every definition that the environment knows, and this node does not.
///
/// # Errors
/// When the store does not answer, or this version does not understand one of them.
pub async fn load_stored(store: &Arc<dyn Store>, definitions: &Definitions) -> Result<(), NodeError> {
    let unknown = unknown(store, definitions).await?;
    for (_, definition) in compile_stored(unknown, catalog(store).await?).await? {
        definitions.add(definition?);
    }
    Ok(())
}

/// Loads the definitions that other nodes have deployed since. One that this version does not understand is left out,
/// and told once: it is noted in `skipped`. The node goes on with all others.
///
/// # Errors
/// When the store does not answer.
pub async fn refresh(
    store: &Arc<dyn Store>,
    definitions: &Definitions,
    skipped: &mut BTreeSet<String>,
) -> Result<(), NodeError> {
    let mut unknown = unknown(store, definitions).await?;
    unknown.retain(|(key, _)| !skipped.contains(key));
    for (key, definition) in compile_stored(unknown, catalog(store).await?).await? {
        match definition {
            Ok(definition) => {
                tracing::info!(definition = %definition.id, "another node has deployed a definition");
                definitions.add(definition);
            }
            Err(error) => {
                tracing::error!(%error, "a definition is left out at this node: upgrade it");
                skipped.insert(key);
            }
        }
    }
    Ok(())
}

/// The stored definitions that this node does not know. A stored one never changes, so a known one is not read again.
async fn unknown(
    store: &Arc<dyn Store>,
    definitions: &Definitions,
) -> Result<Vec<(String, Setting)>, StoreError> {
    let mut stored = store.settings(DEFINITIONS.to_owned()).await?;
    stored.retain(|(key, _)| {
        let id = key.trim_start_matches(DEFINITIONS).parse::<DefinitionId>();
        !id.is_ok_and(|id| definitions.get(&id).is_some())
    });
    Ok(stored)
}

/// Compiles definitions on all processors; there may be very many.
async fn compile_stored(
    stored: Vec<(String, Setting)>,
    catalog: Catalog,
) -> Result<Vec<(String, Result<Definition, NodeError>)>, NodeError> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let each = stored.len().div_ceil(processors).max(1);
    let mut parts = Vec::new();
    let mut left = stored.into_iter();
    while !left.as_slice().is_empty() {
        let part: Vec<(String, Setting)> = left.by_ref().take(each).collect();
        let mut catalog = catalog.clone();
        parts.push(blocking(move || {
            let compiled = part.into_iter().map(|(key, setting)| {
                let definition = stored_definition(&key, &setting.bytes, &mut catalog);
                (key, definition)
            });
            compiled.collect::<Vec<_>>()
        }));
    }
    Ok(try_join_all(parts).await?.into_iter().flatten().collect())
}

/// A definition as the environment keeps it. It was valid when it was stored, so if it does not compile, this program
/// understands less than the one that stored it.
fn stored_definition(key: &str, bytes: &[u8], catalog: &mut Catalog) -> Result<Definition, NodeError> {
    let stored: StoredDefinition = decode(key, bytes)?;
    catalog.task_functions = stored.functions;
    impresario_model::language::compile(&stored.source, catalog).map_err(|diagnostics| {
        let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
        NodeError::Deploy(format!(
            "'{key}' was stored by another version, and this one does not understand it: {first}"
        ))
    })
}

/// Stores the definitions and targets of packs, and takes them up.
pub async fn load_packs(
    store: &Arc<dyn Store>,
    (definitions, inventory): (&Definitions, &SharedInventory),
    paths: &[PathBuf],
) -> Result<(), NodeError> {
    let catalog = catalog(store).await?;
    let known = store.settings(DEFINITIONS.to_owned()).await?.into_iter();
    let known: BTreeMap<String, Bytes> = known.map(|(key, setting)| (key, setting.bytes)).collect();
    for path in paths {
        let pack = pack::load(path).map_err(|error| NodeError::Deploy(error.to_string()))?;
        let compiled = compile(&pack, &catalog)?;
        let mut stored = StoredPack { version: pack.version.clone(), definitions: BTreeSet::new() };
        let stores = compiled.iter().map(|(definition, source)| {
            let id = &definition.id;
            store_definition(store, &pack, (id, source), known.get(&format!("{DEFINITIONS}{id}")))
        });
        stream::iter(stores).buffer_unordered(STORED_AT_ONCE).try_collect::<()>().await?;
        for (definition, _) in compiled {
            stored.definitions.insert(definition.id.clone());
            definitions.add(definition);
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

fn compile<'p>(pack: &'p Pack, catalog: &Catalog) -> Result<Vec<(Definition, &'p str)>, NodeError> {
    let compiled = pack::compile(pack, catalog).map_err(|files| NodeError::Deploy(pack::describe(&files)))?;
    Ok(compiled.into_iter().zip(pack.sources.iter().map(|(_, source)| source.as_str())).collect())
}

/// A version of a definition never changes, because running instances pin it. `known` is what was read of it.
async fn store_definition(
    store: &Arc<dyn Store>,
    pack: &Pack,
    (id, source): (&DefinitionId, &str),
    known: Option<&Bytes>,
) -> Result<(), NodeError> {
    let new = StoredDefinition { source: source.to_owned(), functions: pack.functions.clone() };
    let key = format!("{DEFINITIONS}{id}");
    if known.is_some_and(|known| decode(&key, known).is_ok_and(|known: StoredDefinition| known == new)) {
        return Ok(());
    }
    update(store, &key, |before: Option<StoredDefinition>| match before {
        None => Ok(Some(new.clone())),
        Some(before) if before == new => Ok(None),
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
) -> Result<(Vec<String>, Vec<Arc<Definition>>), NodeError> {
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
