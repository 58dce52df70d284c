//! What the port promises of settings: versions that are compared and set.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::{hostile_ids, ok};
use crate::StoreError;
use crate::port::{Setting, Store};

pub(super) async fn run<S: Store + ?Sized>(make: &impl AsyncFn() -> Arc<S>) {
    versions_grow_by_one(&*make().await).await;
    one_of_many_writers_wins(&*make().await).await;
    settings_list_by_prefix(&*make().await).await;
}

async fn versions_grow_by_one<S: Store + ?Sized>(store: &S) {
    let key = || "definitions/a:1".to_owned();
    assert_eq!(store.setting(key()).await, Ok(None));
    let conflict = store.put_setting(key(), 1, Bytes::new()).await;
    assert_eq!(conflict, Err(StoreError::Conflict { expected: 1, found: 0 }));
    assert_eq!(store.put_setting(key(), 0, Bytes::from_static(b"one")).await, Ok(1));
    let conflict = store.put_setting(key(), 0, Bytes::from_static(b"other")).await;
    assert_eq!(conflict, Err(StoreError::Conflict { expected: 0, found: 1 }));
    assert_eq!(store.put_setting(key(), 1, Bytes::from_static(b"two")).await, Ok(2));
    let expected = Setting { version: 2, bytes: Bytes::from_static(b"two") };
    assert_eq!(store.setting(key()).await, Ok(Some(expected)));
}

async fn one_of_many_writers_wins<S: Store + ?Sized>(store: &S) {
    let write = |number: u8| store.put_setting("key".to_owned(), 0, Bytes::from(vec![number]));
    let results = join_all((0..20).map(write)).await;
    let winners: Vec<_> = (0u8..).zip(&results).filter(|(_, result)| result.is_ok()).collect();
    assert_eq!(winners.len(), 1, "exactly one: {results:?}");
    let stored = ok(store.setting("key".to_owned()).await, "setting");
    let expected = Setting { version: 1, bytes: Bytes::from(vec![winners[0].0]) };
    assert_eq!(stored, Some(expected), "and its value is stored");
}

async fn settings_list_by_prefix<S: Store + ?Sized>(store: &S) {
    let mut keys = hostile_ids();
    for key in &keys {
        let bytes = Bytes::from(key.clone());
        assert_eq!(store.put_setting(key.clone(), 0, bytes).await, Ok(1), "{key:?}");
    }
    keys.sort();
    for prefix in &keys {
        let found = ok(store.settings(prefix.clone()).await, "settings");
        let expected: Vec<_> = keys
            .iter()
            .filter(|key| key.starts_with(prefix.as_str()))
            .map(|key| (key.clone(), Setting { version: 1, bytes: Bytes::from(key.clone()) }))
            .collect();
        assert_eq!(found, expected, "by key under {prefix:?}");
        let names: Vec<String> = expected.into_iter().map(|(key, _)| key).collect();
        let found = ok(store.setting_keys(prefix.clone()).await, "setting_keys");
        assert_eq!(found, names, "the keys under {prefix:?}");
    }
}
