//! Nodes that deploy at the same time, in every order that their steps can take turns in.

use std::path::Path;

use bytes::Bytes;
use impresario_actors::post::Post;
use impresario_model::encoding;
use impresario_model::entry::{Body, Entry, RouterEvent, TriggerEvent};
use impresario_persistence::{MemoryStore, Offset, ShardId};

use super::super::arm::{TRIGGERS, arm};
use super::super::definitions::{builtin_catalog, load_stored, refresh};
use super::super::test_store::Slow;
use super::*;
use crate::settings::encode;

const SHARDS: u16 = 2;

/// A definition in a file, with a trigger for events of its own name.
fn pack(folder: &Path, name: &str, text: &str) -> PathBuf {
    version(folder, name, text, "1.0.0")
}

/// The same in another version.
fn version(folder: &Path, name: &str, text: &str, version: &str) -> PathBuf {
    let path = folder.join(format!("{name}.yaml"));
    let source = format!(
        "document: {{dsl: 1.0.3, namespace: ops, name: {name}, version: {version}}}\n\
         schedule: {{on: {{one: {{with: {{type: {name}}}}}}}}}\ndo:\n  - say: {{set: {{text: {text}}}}}\n"
    );
    std::fs::write(&path, source).unwrap();
    path
}

/// Starts a node on a store, as far as its definitions go.
async fn deploy(store: &Arc<MemoryStore>, turns: usize, packs: &[PathBuf]) -> Result<Deployment, NodeError> {
    let store: Arc<dyn Store> = Arc::new(Slow::new(Arc::clone(store), turns));
    let definitions = Definitions::default();
    load_stored(&store, &definitions).await?;
    let inventory = SharedInventory::default();
    load_packs(&store, (&definitions, &inventory), packs).await?;
    arm(&Post::new(store, 1000), &definitions, &inventory).await
}

/// The triggers that the routers tell of events, after all that is in their logs; and those that are armed.
async fn in_force(store: &Arc<MemoryStore>) -> (Vec<Vec<String>>, BTreeSet<String>) {
    let (mut routes, mut armed, mut heard) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
    for shard in 0..SHARDS {
        let mut of_router = Vec::new();
        for record in store.read(ShardId(shard), Offset::ZERO, 10_000, usize::MAX).await.unwrap() {
            let entry: Entry = encoding::decode(&record.bytes).unwrap();
            match entry.body {
                Body::Router(RouterEvent::Routes(routes)) => {
                    of_router = routes.into_iter().map(|route| route.trigger).collect();
                }
                Body::Trigger(TriggerEvent::Arm { generation, .. } | TriggerEvent::Retire { generation })
                    if heard.get(entry.to.key()).is_some_and(|heard| *heard > generation) => {}
                Body::Trigger(TriggerEvent::Arm { generation, .. }) => {
                    heard.insert(entry.to.key().to_owned(), generation);
                    armed.insert(entry.to.key().to_owned());
                }
                Body::Trigger(TriggerEvent::Retire { generation }) => {
                    heard.insert(entry.to.key().to_owned(), generation);
                    armed.remove(entry.to.key());
                }
                other => panic!("{other:?}"),
            }
        }
        routes.push(of_router);
    }
    (routes, armed)
}

#[tokio::test]
async fn nodes_that_start_together_end_with_the_packs_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (pack(folder.path(), "ours", "a"), pack(folder.path(), "theirs", "b"));
    let both = ["ops/ours", "ops/theirs"];
    let mut versions = BTreeSet::new();
    for (first, second) in (0..40).map(|one| (one % 8, one / 8)) {
        let store = Arc::new(MemoryStore::new(SHARDS));
        let started = tokio::join!(
            deploy(&store, first, std::slice::from_ref(&ours)),
            deploy(&store, second, std::slice::from_ref(&theirs))
        );
        let deployed = [started.0.unwrap(), started.1.unwrap()];
        let (routes, armed) = in_force(&store).await;
        let expected: BTreeSet<String> = both.iter().map(|name| trigger_of(name)).collect();
        assert_eq!(armed, expected, "with {first} and {second} turns");
        for of_router in routes {
            assert_eq!(BTreeSet::from_iter(of_router), expected, "with {first} and {second} turns");
        }
        let last = deployed.iter().max_by_key(|deployment| deployment.triggers.len()).unwrap();
        assert_eq!(BTreeSet::from_iter(last.triggers.clone()), expected);
        let version = store.setting(TRIGGERS.to_owned()).await.unwrap().unwrap().version;
        assert!(version >= 2, "what is told is said before and afterwards, once for both if one saw both");
        versions.insert(version);
    }
    assert!(versions.len() > 1, "in every order they met in the same way: {versions:?}");
}

/// The name of the only trigger of a definition.
fn trigger_of(definition: &str) -> String {
    let name = definition.trim_start_matches("ops/");
    let folder = tempfile::tempdir().unwrap();
    let pack = pack::load(&pack(folder.path(), name, "x")).unwrap();
    pack::compile(&pack, &builtin_catalog()).unwrap()[0].triggers[0].name.clone()
}

#[tokio::test]
async fn the_same_pack_is_deployed_by_all_and_other_content_by_none() {
    let folder = tempfile::tempdir().unwrap();
    let same = pack(folder.path(), "same", "a");
    let store = Arc::new(MemoryStore::new(SHARDS));
    let nodes = (0..5).map(|turns| deploy(&store, turns, std::slice::from_ref(&same)));
    for deployed in futures_util::future::join_all(nodes).await {
        assert_eq!(deployed.unwrap().triggers, [trigger_of("ops/same")]);
    }
    let stored = store.setting("definition/ops/same:1.0.0".to_owned()).await.unwrap().unwrap();
    assert_eq!(stored.version, 1, "what is there already is not written again");

    let other = pack(folder.path(), "same", "b");
    let refused = deploy(&store, 0, &[other]).await.err().unwrap().to_string();
    assert!(refused.contains("deployed already with other content"), "{refused}");
}

#[tokio::test]
async fn a_running_node_takes_up_what_others_deploy_and_leaves_out_what_it_does_not_understand() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Arc::new(MemoryStore::new(SHARDS));
    let store: Arc<dyn Store> = memory.clone();
    let (definitions, mut skipped) = (Definitions::default(), BTreeSet::new());
    refresh(&store, &definitions, &mut skipped).await.unwrap();
    assert!(definitions.all().is_empty());

    let newer = StoredDefinition {
        source: "document: {dsl: 9.9.9}".to_owned(),
        functions: BTreeMap::new(),
        checked: None,
    };
    store.put_setting("definition/ops/newer:1.0.0".to_owned(), 0, encode("", &newer).unwrap()).await.unwrap();
    store.put_setting("definition/ops/torn:1.0.0".to_owned(), 0, Bytes::from_static(b"{")).await.unwrap();
    let known = pack(folder.path(), "known", "a");
    let other = Definitions::default();
    load_packs(&store, (&other, &SharedInventory::default()), &[known]).await.unwrap();
    refresh(&store, &definitions, &mut skipped).await.unwrap();
    let ids: Vec<String> = definitions.all().iter().map(|definition| definition.id.to_string()).collect();
    assert_eq!(ids, ["ops/known:1.0.0"]);
    assert_eq!(skipped.len(), 2, "{skipped:?}");

    // It is told once, and at a start it is fatal: nothing runs there yet that would be lost.
    refresh(&store, &definitions, &mut skipped).await.unwrap();
    assert_eq!(skipped.len(), 2);
    let fatal = load_stored(&store, &Definitions::default()).await.err().unwrap().to_string();
    assert!(fatal.contains("stored by another version"), "{fatal}");
}

/// A pack of a folder with a version of its own, which has one definition.
fn versioned(folder: &Path, of_pack: &str, of_definition: &str) -> PathBuf {
    let path = folder.join(of_pack);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("pack.yaml"), format!("name: rolling\nversion: {of_pack}\n")).unwrap();
    std::fs::create_dir_all(path.join("definitions")).unwrap();
    version(&path.join("definitions"), "roll", of_definition, of_definition);
    path
}

async fn active(store: &Arc<MemoryStore>) -> Vec<String> {
    let mut ids = Vec::new();
    for (key, setting) in store.settings("pack/".to_owned()).await.unwrap() {
        let pack: StoredPack = decode(&key, &setting.bytes).unwrap();
        ids.extend(pack.definitions.iter().map(ToString::to_string));
    }
    ids
}

#[tokio::test]
async fn a_node_with_an_older_pack_takes_nothing_newer_out_of_force() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new(SHARDS));
    let old = versioned(folder.path(), "1.0.0", "1.0.0");
    let new = versioned(folder.path(), "1.10.0", "1.1.0");
    deploy(&store, 0, std::slice::from_ref(&old)).await.unwrap();
    deploy(&store, 0, std::slice::from_ref(&new)).await.unwrap();
    let again = deploy(&store, 0, std::slice::from_ref(&old)).await.unwrap();
    assert_eq!(active(&store).await, ["ops/roll:1.1.0"]);
    assert_eq!(again.triggers, [trigger_of("ops/roll")]);
    assert_eq!(again.packs, ["rolling 1.10.0"]);

    // Whoever wants the old definition back says so with a newer pack.
    let back = versioned(folder.path(), "1.11.0", "1.0.0");
    let deployed = deploy(&store, 0, std::slice::from_ref(&back)).await;
    // A definition's content is that of its version, so the older one is the very same.
    assert_eq!(active(&store).await, ["ops/roll:1.0.0"]);
    assert_eq!(deployed.unwrap().triggers, [trigger_of("ops/roll")]);
}

#[tokio::test]
async fn among_packs_without_a_version_the_newer_definition_is_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    std::fs::create_dir_all(&one).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    let store = Arc::new(MemoryStore::new(SHARDS));
    let newer = version(&one, "roll", "b", "1.1.0");
    deploy(&store, 0, &[newer]).await.unwrap();
    let older = version(&other, "roll", "a", "1.0.0");
    deploy(&store, 0, &[older]).await.unwrap();
    assert_eq!(active(&store).await, ["ops/roll:1.1.0"]);
}
