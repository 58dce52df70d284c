//! The vault across restarts, with lost keys, with several nodes, and with a rotation that is cut off anywhere.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use impresario_persistence::MemoryStore;
use tempfile::TempDir;

use super::*;
use crate::node::test_store::Slow;

struct World {
    store: Arc<MemoryStore>,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        World { store: Arc::new(MemoryStore::new(1)), folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, node: &str) -> PathBuf {
        self.folder.path().join(format!("{node}.key"))
    }

    async fn open(&self, node: &str) -> Result<Vault, NodeError> {
        Vault::open(Arc::clone(&self.store) as Arc<dyn Store>, self.file(node)).await
    }
}

fn change(fields: &[(&str, &str)]) -> UserChange {
    let field = |(name, value): &(&str, &str)| ((*name).to_owned(), Some((*value).to_owned().into()));
    UserChange { description: None, fields: fields.iter().map(field).collect() }
}

#[tokio::test]
async fn what_was_set_is_opened_after_a_restart_and_is_nowhere_in_clear() {
    let world = World::new();
    let vault = world.open("a").await.unwrap();
    let summary =
        vault.set_user("web", change(&[("username", "ada"), ("password", "hunter2")])).await.unwrap();
    assert_eq!(summary.fields, ["password", "username"]);
    let again = world.open("a").await.unwrap();
    assert_eq!(again.user("web").unwrap().field("password"), Some("hunter2"));
    for (key, setting) in world.store.settings(String::new()).await.unwrap() {
        let text = String::from_utf8_lossy(&setting.bytes).into_owned();
        assert!(!text.contains("hunter2") && !text.contains("ada"), "{key}: {text}");
    }
    again.set_user("web", change(&[("password", "other")])).await.unwrap();
    assert_eq!(again.user("web").unwrap().field("username"), Some("ada"));
    again.remove_user("web").await.unwrap();
    let failure = again.user("web").unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::AUTHORIZATION, 403));
    assert!(matches!(again.remove_user("web").await, Err(Refusal::NotFound(_))));
}

#[tokio::test]
async fn a_sealed_field_cannot_be_moved_to_another_user() {
    let world = World::new();
    let vault = world.open("a").await.unwrap();
    vault.set_user("root", change(&[("password", "hunter2")])).await.unwrap();
    let stolen = world.store.setting("user/root".to_owned()).await.unwrap().unwrap();
    world.store.put_setting("user/guest".to_owned(), 0, stolen.bytes).await.unwrap();
    vault.refresh().await.unwrap();
    let failure = vault.user("guest").unwrap_err();
    assert!(failure.detail.unwrap().contains("changed"));
}

#[tokio::test]
async fn without_its_key_a_node_is_refused_once_something_is_sealed() {
    let world = World::new();
    let first = world.open("a").await.unwrap();
    let without = world.open("b").await.unwrap();
    let refused = without.set_user("web", change(&[("token", "t")])).await.unwrap_err();
    assert!(refused.to_string().contains("key import"), "{refused}");
    assert!(!world.file("b").exists(), "a node that joins makes no key of its own");
    first.set_user("web", change(&[("token", "hunter2")])).await.unwrap();
    for node in ["b", "c"] {
        if node == "c" {
            key_file::write(&world.file("c"), &KeyRing::default().with(Key::make(7).unwrap())).unwrap();
        }
        let error = world.open(node).await.err().unwrap();
        let words = error.to_string();
        assert!(matches!(error, NodeError::Secrets(SecretsError::Missing { .. })), "{words}");
        assert!(words.contains("key import") && !words.contains("hunter2"), "{words}");
    }
    key_file::import(&world.file("c"), key_file::read(&world.file("a")).unwrap()).unwrap();
    assert_eq!(world.open("c").await.unwrap().user("web").unwrap().field("token"), Some("hunter2"));
    std::fs::remove_file(world.file("a")).unwrap();
    let lost = world.open("a").await.err().unwrap().to_string();
    assert!(lost.contains("key export") && lost.contains("no key"), "{lost}");
}

#[tokio::test]
async fn a_rotation_leaves_one_key_and_every_secret() {
    let world = World::new();
    let vault = world.open("a").await.unwrap();
    let before = key_file::read(&world.file("a")).unwrap().ids();
    vault.set_user("web", change(&[("token", "hunter2")])).await.unwrap();
    let id = vault.rotate().await.unwrap();
    assert_ne!(id, before);
    assert_eq!(key_file::read(&world.file("a")).unwrap().ids(), id);
    assert_eq!(vault.users().await.unwrap()[0].keys, [id]);
    assert_eq!(vault.user("web").unwrap().field("token"), Some("hunter2"));
}

/// One thread for work on files, so that what a cut rotation has begun there is done before the next begins.
#[test]
fn a_rotation_may_be_cut_off_anywhere() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        for cut in 0.. {
            let world = World::new();
            let vault = world.open("a").await.unwrap();
            for user in ["one", "two", "three"] {
                vault.set_user(user, change(&[("token", user), ("password", "hunter2")])).await.unwrap();
            }
            let slow = Arc::new(Slow::new(Arc::clone(&world.store), 1));
            let slow = Vault::open(slow, world.file("a")).await.unwrap();
            let whole = {
                let mut rotation = pin!(slow.rotate_steps());
                let mut polls = 0;
                poll_fn(|context| {
                    if polls == cut {
                        return Poll::Ready(None);
                    }
                    polls += 1;
                    rotation.as_mut().poll(context).map(Some)
                })
                .await
            };
            tokio::task::spawn_blocking(|| ()).await.unwrap();
            let after = world.open("a").await.unwrap();
            let check = |vault: &Vault| {
                for user in ["one", "two", "three"] {
                    let found = vault.user(user).unwrap();
                    assert_eq!(found.field("token"), Some(user), "cut at {cut}");
                    assert_eq!(found.field("password"), Some("hunter2"), "cut at {cut}");
                }
            };
            check(&after);
            let id = after.rotate().await.unwrap();
            check(&after);
            assert_eq!(key_file::read(&world.file("a")).unwrap().ids(), id, "cut at {cut}");
            if whole.is_some() {
                assert!(cut > 15, "expected many places to cut at, found {cut}");
                break;
            }
        }
    });
}
