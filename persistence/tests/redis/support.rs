//! Environments on a server of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use impresario_persistence::{
    Append, Claim, Keeping, Offset, Owner, Record, RedisConfig, RedisStore, ShardId, Standing, Store,
};
use impresario_test_servers::{Fsync, RedisServer};

pub const A: ShardId = ShardId(0);
pub const B: ShardId = ShardId(3);

/// A server that flushes before it answers.
pub async fn durable() -> RedisServer {
    RedisServer::builder().fsync(Fsync::Always).start().await
}

/// A fresh environment on a server at an address, which need not keep anything.
pub fn config(address: &str) -> RedisConfig {
    static ENVIRONMENTS: AtomicU32 = AtomicU32::new(0);
    let number = ENVIRONMENTS.fetch_add(1, Ordering::Relaxed);
    RedisConfig { keeping: Keeping::Memory, ..RedisConfig::new(format!("E{number}"), 4, servers(address)) }
}

/// Addresses, separated by commas.
pub fn servers(addresses: &str) -> Vec<(String, u16)> {
    let parts = addresses.split(',').map(|address| address.rsplit_once(':').unwrap());
    parts.map(|(host, port)| (host.to_owned(), port.parse().unwrap())).collect()
}

pub async fn open(config: &RedisConfig) -> RedisStore {
    RedisStore::open(config.clone()).await.unwrap()
}

pub fn entry(shard: ShardId, text: &str) -> Append {
    Append { shard, bytes: Bytes::copy_from_slice(text.as_bytes()) }
}

pub async fn append(store: &RedisStore, shard: ShardId, text: &str) -> Offset {
    store.append(vec![entry(shard, text)]).await.unwrap()[0]
}

pub fn owner(node: &str) -> Owner {
    Owner { node: node.to_owned(), incarnation: format!("{node}-1") }
}

pub async fn claim(store: &RedisStore, shard: ShardId, node: &str) -> Claim {
    let seen = store.owners().await.unwrap()[usize::from(shard.0)].epoch;
    store.claim(shard, owner(node), seen).await.unwrap()
}

pub async fn read_all(store: &RedisStore, shard: ShardId) -> Vec<Record> {
    store.read(shard, Offset::ZERO, usize::MAX, usize::MAX).await.unwrap()
}

pub fn texts(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8_lossy(&record.bytes).into_owned()).collect()
}

/// Waits until it happens, and not for ever.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(20), what).await.expect("within 20 seconds")
}

/// Waits until the store does not answer, and says why.
pub async fn away(store: &RedisStore) -> String {
    let mut standing = store.standing();
    let found = soon(standing.wait_for(|now| *now != Standing::Up)).await.unwrap().clone();
    let Standing::Away(reason) = found else { unreachable!("it waited for another one") };
    reason
}

/// Waits until the store answers again.
pub async fn up(store: &RedisStore) {
    let mut standing = store.standing();
    soon(standing.wait_for(|now| *now == Standing::Up)).await.unwrap();
}
