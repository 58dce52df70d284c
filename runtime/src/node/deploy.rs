//! What a node runs: definitions are stored with the environment, so that an instance finds the version it pins
//! after a restart without its pack; triggers and routes follow from the newest versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use impresario_actors::definitions::Definitions;
use impresario_actors::post::Post;
use impresario_model::definition::{Definition, DefinitionId, TriggerSpec, Watch};
use impresario_model::entry::{Body, Entry, Route, RouterEvent, TriggerEvent};
use impresario_model::ids::ActorId;
use impresario_model::language::{AdapterFunction, Catalog};
use impresario_persistence::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::NodeError;
use crate::pack::{self, Pack};

/// The version of this program, as instances see it.
const RUNTIME: &str = env!("CARGO_PKG_VERSION");

/// A definition as the environment keeps it: its text, and the text of the functions of its pack.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct StoredDefinition {
    source: String,
    functions: BTreeMap<String, String>,
}

/// Which definitions a pack has brought last.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
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
            input: function.and_then(|function| function.input.clone()),
        };
        catalog.adapter_functions.insert(format!("{}:{}", entry.name, entry.version), adapter_function);
    }
    catalog
}

/// Loads every definition that the environment knows.
pub async fn load_stored(store: &Arc<dyn Store>, definitions: &Definitions) -> Result<(), NodeError> {
    for (key, setting) in store.settings("definition/".to_owned()).await? {
        let stored: StoredDefinition = read(&key, &setting.bytes)?;
        let catalog = Catalog { task_functions: stored.functions, ..builtin_catalog() };
        match impresario_model::language::compile(&stored.source, &catalog) {
            Ok(definition) => drop(definitions.add(definition)),
            Err(diagnostics) => {
                // It was valid when it was stored, so this program understands less than the one before.
                let first = diagnostics.first().map(ToString::to_string).unwrap_or_default();
                return Err(NodeError::Deploy(format!(
                    "'{key}' was stored by another version, and this one does not understand it: {first}"
                )));
            }
        }
    }
    Ok(())
}

/// Stores the definitions of packs, and takes them up.
pub async fn load_packs(
    store: &Arc<dyn Store>,
    definitions: &Definitions,
    paths: &[PathBuf],
) -> Result<(), NodeError> {
    for path in paths {
        let pack = pack::load(path).map_err(|error| NodeError::Deploy(error.to_string()))?;
        let compiled = compile(&pack)?;
        let mut stored = StoredPack { version: pack.version.clone(), definitions: BTreeSet::new() };
        for (definition, source) in compiled {
            store_definition(store, &pack, &definition.id, source).await?;
            stored.definitions.insert(definition.id.clone());
            definitions.add(definition);
        }
        put(store, &format!("pack/{}", pack.name), &stored).await?;
    }
    Ok(())
}

fn compile(pack: &Pack) -> Result<Vec<(Definition, &str)>, NodeError> {
    let compiled =
        pack::compile(pack, &builtin_catalog()).map_err(|files| NodeError::Deploy(pack::describe(&files)))?;
    Ok(compiled.into_iter().zip(pack.sources.iter().map(|(_, source)| source.as_str())).collect())
}

/// A version of a definition never changes, because running instances pin it.
async fn store_definition(
    store: &Arc<dyn Store>,
    pack: &Pack,
    id: &DefinitionId,
    source: &str,
) -> Result<(), NodeError> {
    let key = format!("definition/{id}");
    let new = StoredDefinition { source: source.to_owned(), functions: pack.functions.clone() };
    match store.setting(key.clone()).await? {
        None => put(store, &key, &new).await,
        Some(setting) if read::<StoredDefinition>(&key, &setting.bytes)? == new => Ok(()),
        Some(_) => Err(NodeError::Deploy(format!(
            "definition {id} is deployed already with other content, and instances may be running it: raise \
             document.version (or use another data folder to start over)"
        ))),
    }
}

/// Arms the triggers of the newest active definitions, disarms those that are gone, and tells the routers.
pub async fn arm(post: &Post, definitions: &Definitions) -> Result<Deployment, NodeError> {
    let store = post.store();
    let mut deployment = Deployment::default();
    let mut active = BTreeSet::new();
    for (key, setting) in store.settings("pack/".to_owned()).await? {
        let pack: StoredPack = read(&key, &setting.bytes)?;
        deployment.packs.push(format!("{} {}", key.trim_start_matches("pack/"), pack.version));
        active.extend(pack.definitions);
    }
    deployment.definitions = active.len();
    let newest: Vec<_> =
        definitions.newest().into_iter().filter(|definition| active.contains(&definition.id)).collect();
    let mut entries = Vec::new();
    let mut routes = Vec::new();
    let mut armed = BTreeSet::new();
    for definition in &newest {
        for trigger in &definition.triggers {
            armed.insert(trigger.name.clone());
            entries.push(trigger_entry(
                &trigger.name,
                TriggerEvent::Arm { definition: definition.id.clone(), runtime: RUNTIME.to_owned() },
            ));
            routes.extend(route(trigger));
        }
    }
    let before: BTreeSet<String> = match store.setting("triggers".to_owned()).await? {
        None => BTreeSet::new(),
        Some(setting) => read("triggers", &setting.bytes)?,
    };
    entries.extend(before.difference(&armed).map(|gone| trigger_entry(gone, TriggerEvent::Disarm)));
    // Triggers first: an event must not reach one that is not armed.
    post.accept(&entries).await?;
    let route_entry = |shard| Entry {
        to: ActorId::router(shard),
        origin: None,
        body: Body::Router(RouterEvent::Routes(routes.clone())),
    };
    let routers: Vec<Entry> = (0..store.shards()).map(route_entry).collect();
    post.accept(&routers).await?;
    put(store, "triggers", &armed).await?;
    deployment.triggers = armed.into_iter().collect();
    Ok(deployment)
}

fn trigger_entry(name: &str, event: TriggerEvent) -> Entry {
    Entry { to: ActorId::trigger(name), origin: None, body: Body::Trigger(event) }
}

/// Which events a trigger wants to see; none for a schedule.
fn route(trigger: &TriggerSpec) -> Option<Route> {
    let Watch::Event(filters) = &trigger.watch else { return None };
    let types: Option<Vec<String>> =
        filters.iter().map(|filter| filter.event_type().map(str::to_owned)).collect();
    Some(Route { trigger: trigger.name.clone(), types: types.filter(|types| !types.is_empty()) })
}

fn read<T: serde::de::DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, NodeError> {
    serde_json::from_slice(bytes).map_err(|error| {
        NodeError::Deploy(format!("the setting '{key}' of the environment is damaged: {error}"))
    })
}

/// Stores a setting, whatever its version is; nobody else writes it while this node owns the folder.
async fn put<T: Serialize>(store: &Arc<dyn Store>, key: &str, value: &T) -> Result<(), NodeError> {
    let bytes = serde_json::to_vec(value)
        .map_err(|error| NodeError::Deploy(format!("the setting '{key}' cannot be written: {error}")))?;
    let expected = store.setting(key.to_owned()).await?.map_or(0, |setting| setting.version);
    match store.put_setting(key.to_owned(), expected, Bytes::from(bytes)).await {
        Ok(_) => Ok(()),
        Err(StoreError::Conflict { .. }) => Err(NodeError::Deploy(format!(
            "the setting '{key}' was changed by another node at the same time: try again"
        ))),
        Err(error) => Err(error.into()),
    }
}
