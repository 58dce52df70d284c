//! Sentinels, a cluster, and replicas.

use std::sync::Arc;
use std::time::Duration;

use impresario_persistence::{
    Membership, RedisConfig, RedisMembership, RedisStore, ShardId, Standing, Store, StoreError, Topology,
    conformance,
};
use impresario_test_servers::{RedisCluster, RedisServer, Sentinels};

use crate::support::{A, append, away, config, entry, open, read_all, soon, texts, up};

fn sentinels(sentinels: &Sentinels) -> RedisConfig {
    RedisConfig {
        topology: Topology::Sentinel { primary: "mymaster".to_owned() },
        timeout: Duration::from_secs(1),
        ..config(&sentinels.addresses())
    }
}

fn cluster(cluster: &RedisCluster) -> RedisConfig {
    RedisConfig { topology: Topology::Cluster, ..config(&cluster.addresses()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_in_a_cluster() {
    let servers = RedisCluster::start(false).await;
    conformance::run(async || Arc::new(open(&cluster(&servers)).await)).await;
    let membership = RedisMembership::connect(cluster(&servers)).await.unwrap();
    assert!(membership.census().await.unwrap().members.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_is_followed_to_its_successor() {
    let mut servers = Sentinels::start(1).await;
    let config = RedisConfig { replicas: 1, ..sentinels(&servers) };
    let store = open(&config).await;
    assert_eq!(store.tier().to_string(), "everysec+replicated(1)");
    let mut head = store.head(A);
    for number in 1..=20 {
        append(&store, A, &number.to_string()).await;
    }
    let killed = servers.kill_primary().await;
    // The only replica is the primary now: nothing is acknowledged until there is another one.
    let doubt = tokio::spawn(store.append(vec![entry(A, "21")]));
    let reason = away(&store).await;
    assert!(!reason.is_empty());
    servers.servers()[killed].restart().await;
    let told = soon(doubt).await.unwrap();
    up(&store).await;
    if told.is_err() {
        append(&store, A, "21").await;
    }
    let records = read_all(&store, A).await;
    assert_eq!(texts(&records), (1..=21).map(|number: u32| number.to_string()).collect::<Vec<_>>());
    soon(head.wait_for(|head| *head == records[20].offset)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_demoted_is_left() {
    let mut servers = Sentinels::start(1).await;
    let store = open(&sentinels(&servers)).await;
    append(&store, A, "1").await;
    servers.failover().await;
    let mut number = 1;
    // Until the connection to the old one is gone, an append may be in doubt; it is never lost and never doubled.
    for _ in 0..20 {
        number += 1;
        loop {
            match soon(store.append(vec![entry(A, &number.to_string())])).await {
                Ok(_) => break,
                Err(StoreError::Away(_)) => up(&store).await,
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert_eq!(texts(&read_all(&store, A).await).len(), 21);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_of_a_cluster_is_lost_and_its_replica_goes_on() {
    let mut servers = RedisCluster::start(true).await;
    let store = open(&cluster(&servers)).await;
    let mut expected = Vec::new();
    for number in 0..40 {
        for shard in 0..4 {
            append(&store, ShardId(shard), &number.to_string()).await;
        }
        expected.push(number.to_string());
    }
    servers.settled().await;
    servers.kill_master().await;
    for shard in 0..4 {
        loop {
            match soon(store.append(vec![entry(ShardId(shard), "after")])).await {
                Ok(_) => break,
                Err(StoreError::Away(_)) => up(&store).await,
                Err(error) => panic!("{error}"),
            }
        }
    }
    up(&store).await;
    expected.push("after".to_owned());
    for shard in 0..4 {
        assert_eq!(texts(&read_all(&store, ShardId(shard)).await), expected, "shard {shard}");
    }
}

/// A primary, its replica, and a store whose every write both must have.
async fn replicated() -> (RedisServer, RedisServer, RedisStore) {
    let primary = RedisServer::start().await;
    let replica = RedisServer::builder()
        .line(&format!("replicaof 127.0.0.1 {}", primary.port()))
        .line("repl-diskless-sync-delay 0")
        .start()
        .await;
    let wanted =
        RedisConfig { replicas: 1, timeout: Duration::from_millis(500), ..config(&primary.address()) };
    let store = open(&wanted).await;
    (primary, replica, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_without_its_replicas() {
    let (_primary, mut replica, store) = replicated().await;
    append(&store, A, "1").await;
    replica.kill();
    let mut doubt = tokio::spawn(store.append(vec![entry(A, "2")]));
    let reason = away(&store).await;
    assert!(reason.contains("1 replicas must have each write, and 0 answer"), "{reason}");
    assert!(
        matches!(store.append(vec![entry(A, "3")]).await, Err(StoreError::Away(_))),
        "nothing new is taken"
    );
    assert!(!doubt.is_finished());
    replica.restart().await;
    let mut standing = store.standing();
    soon(standing.wait_for(|now| *now == Standing::Up)).await.unwrap();
    soon(&mut doubt).await.unwrap().unwrap();
    assert_eq!(texts(&read_all(&store, A).await), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_primary_wrote_before_it_was_demoted_is_not_called_refused() {
    let (primary, mut replica, store) = replicated().await;
    append(&store, A, "1").await;
    replica.kill();
    let doubt = tokio::spawn(store.append(vec![entry(A, "2")]));
    let waiting = away(&store).await;
    // It has the entry, waits for a replica, and is none to ask for replicas any more.
    primary.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let mut standing = store.standing();
    let gone = |now: &Standing| matches!(now, Standing::Away(reason) if *reason != waiting);
    soon(standing.wait_for(gone)).await.unwrap();
    assert!(!doubt.is_finished(), "nobody knows yet");
    primary.command(&["REPLICAOF", "NO", "ONE"]).await;
    replica.restart().await;
    soon(doubt).await.unwrap().unwrap();
    assert_eq!(texts(&read_all(&store, A).await), ["1", "2"]);
}
