//! The definitions as the environment keeps them: a setting each, with its text and what is known of it without compiling it.
//!
//! A node compiles what it takes up for the first time, and notes that it did: the outline, under a fingerprint of whatever
//! decides what a text compiles to. As long as that is the same, the next start compiles nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt, stream};
use impresario_actors::definitions::{Definitions, Source};
use impresario_model::definition::{DefinitionId, Outline};
use impresario_model::inventory::{ADAPTER, SELECT};
use impresario_model::language::{AdapterFunction, Catalog};
use impresario_persistence::{Setting, Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::NodeError;
use super::adapters::wanted;
use super::app::blocking;
use crate::settings::{SettingError, decode, encode};

/// Where the environment keeps the definitions, each under its id.
pub(super) const DEFINITIONS: &str = "definition/";
/// So many definitions are stored at the same time.
pub(super) const STORED_AT_ONCE: usize = 64;
/// More than this are read all together.
const READ_EACH: usize = 256;

/// A definition as the environment keeps it: its text, and the text of the functions of its pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredDefinition {
    pub source: String,
    pub functions: BTreeMap<String, String>,
    /// What whoever compiled it found; it says nothing that the text does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
}

/// That a definition compiles, and to what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Checked {
    /// The fingerprint of what compiled it.
    pub by: String,
    pub outline: Outline,
}

impl StoredDefinition {
    /// Whether both are the same to whoever runs them.
    pub(super) fn is(&self, other: &StoredDefinition) -> bool {
        self.source == other.source && self.functions == other.functions
    }
}

/// What all definitions may call, with the functions of each pack.
#[derive(Clone)]
pub(super) struct Catalogs {
    adapters: Catalog,
    /// The fingerprint of this program and of the functions of its adapters.
    pub by: Arc<str>,
    of_packs: HashMap<BTreeMap<String, String>, Arc<Catalog>>,
}

impl Catalogs {
    /// With what all adapters of the environment add.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(super) async fn read(store: &Arc<dyn Store>) -> Result<Self, NodeError> {
        let mut adapters = builtin_catalog();
        wanted::extend(&mut adapters, &wanted::read_all(store).await?);
        let functions = encode("catalog", &adapters.adapter_functions)?;
        let hash = Sha256::new().chain_update(env!("CARGO_PKG_VERSION")).chain_update(functions).finalize();
        let by = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
        Ok(Catalogs { adapters, by: by.into(), of_packs: HashMap::new() })
    }

    /// The catalog of the definitions of a pack with these functions.
    pub(super) fn with(&mut self, functions: &BTreeMap<String, String>) -> Arc<Catalog> {
        if let Some(known) = self.of_packs.get(functions) {
            return Arc::clone(known);
        }
        let catalog = Arc::new(Catalog { task_functions: functions.clone(), ..self.adapters.clone() });
        self.of_packs.insert(functions.clone(), Arc::clone(&catalog));
        catalog
    }
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
    let mut renewed = Vec::new();
    for (key, loaded) in load(store, unknown).await? {
        let Loaded { outline, source, renew } = loaded?;
        definitions.add_source(outline, source);
        renewed.extend(renew.map(|(version, stored)| (key, version, stored)));
    }
    note_checked(store, renewed).await;
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
    for (key, loaded) in load(store, unknown).await? {
        match loaded {
            Ok(Loaded { outline, source, .. }) => {
                tracing::info!(definition = %outline.id, "another node has deployed a definition");
                definitions.add_source(outline, source);
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
    let known = |key: &str| {
        let id = key.trim_start_matches(DEFINITIONS).parse::<DefinitionId>();
        id.is_ok_and(|id| definitions.knows(&id))
    };
    let mut keys = store.setting_keys(DEFINITIONS.to_owned()).await?;
    keys.retain(|key| !known(key));
    if keys.len() > READ_EACH {
        let mut stored = store.settings(DEFINITIONS.to_owned()).await?;
        stored.retain(|(key, _)| !known(key));
        return Ok(stored);
    }
    let read = stream::iter(keys).map(|key| async move {
        let setting = store.setting(key.clone()).await?;
        Ok::<_, StoreError>(setting.map(|setting| (key, setting)))
    });
    let read: Vec<Option<(String, Setting)>> = read.buffered(STORED_AT_ONCE).try_collect().await?;
    Ok(read.into_iter().flatten().collect())
}

/// A definition as this node takes it up.
struct Loaded {
    outline: Arc<Outline>,
    source: Source,
    /// What to store, and over which version, so that it need not be compiled at the next start.
    renew: Option<(u64, StoredDefinition)>,
}

/// Reads definitions on all processors, and compiles those that this program has not compiled yet: there may be very many.
async fn load(
    store: &Arc<dyn Store>,
    stored: Vec<(String, Setting)>,
) -> Result<Vec<(String, Result<Loaded, NodeError>)>, NodeError> {
    if stored.is_empty() {
        return Ok(Vec::new());
    }
    let catalogs = Catalogs::read(store).await?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let each = stored.len().div_ceil(processors).max(1);
    let mut parts = Vec::new();
    let mut left = stored.into_iter();
    while !left.as_slice().is_empty() {
        let part: Vec<(String, Setting)> = left.by_ref().take(each).collect();
        let mut catalogs = catalogs.clone();
        parts.push(blocking(move || {
            let loaded = part.into_iter().map(|(key, setting)| {
                let loaded = load_one(&key, &setting, &mut catalogs);
                (key, loaded)
            });
            loaded.collect::<Vec<_>>()
        }));
    }
    Ok(try_join_all(parts).await?.into_iter().flatten().collect())
}

/// A definition as the environment keeps it. It was valid when it was stored, so if it does not compile, this program
/// understands less than the one that stored it.
fn load_one(key: &str, setting: &Setting, catalogs: &mut Catalogs) -> Result<Loaded, NodeError> {
    let mut stored: StoredDefinition = decode(key, &setting.bytes)?;
    let catalog = catalogs.with(&stored.functions);
    let checked = stored.checked.take().filter(|checked| *checked.by == *catalogs.by);
    let text: Arc<str> = stored.source.as_str().into();
    let (outline, renew) = match checked {
        Some(checked) => (checked.outline, None),
        None => {
            let compiled = impresario_model::language::compile(&text, &catalog).map_err(|diagnostics| {
                let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
                NodeError::Deploy(format!(
                    "'{key}' was stored by another version, and this one does not understand it: {first}"
                ))
            })?;
            let outline = Outline::of(&compiled);
            stored.checked = Some(Checked { by: catalogs.by.to_string(), outline: outline.clone() });
            (outline, Some((setting.version, stored)))
        }
    };
    Ok(Loaded { outline: Arc::new(outline), source: Source { text, catalog }, renew })
}

/// Notes what was found of definitions. Whoever is not told compiles them again, so a failure costs time alone.
async fn note_checked(store: &Arc<dyn Store>, checked: Vec<(String, u64, StoredDefinition)>) {
    let note = |(key, version, stored): (String, u64, StoredDefinition)| async move {
        let bytes = encode(&key, &stored)?;
        match store.put_setting(key, version, bytes).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(error) => Err(SettingError::Store(error)),
        }
    };
    let noted = stream::iter(checked).map(note).buffer_unordered(STORED_AT_ONCE);
    if let Err(error) = noted.try_collect::<()>().await {
        tracing::warn!(%error, "what was found of definitions was not stored: the next start compiles them again");
    }
}
