//! Stores that a node must not work on: it ends with words that help, and has touched nothing.

use std::fs;

use impresario_test_servers::{Certificates, RedisServer};
use impresario_tests::node::Place;

/// A node on this server, with the settings of a careful operator.
fn on(server: &RedisServer) -> Place {
    Place::new()
        .set("node.name", "careful")
        .set("store.kind", "redis")
        .set("store.shards", "4")
        .set("redis.servers", &server.address())
}

/// Expects that it is refused with these words, and that the server holds what it held.
async fn refused(place: &Place, server: &RedisServer, words: &[&str]) {
    let before = server.command(&["DBSIZE"]).await;
    let (status, said) = place.spawn().ready_or_ended().await.expect_err("a store that is refused");
    assert_eq!(status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "expected '{word}' in:\n{said}");
    }
    assert_eq!(server.command(&["DBSIZE"]).await, before, "nothing is written");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let server = RedisServer::builder().password("right").start().await;
    refused(&on(&server), &server, &["password"]).await;
    let place = on(&server);
    let file = place.write("password", "wrong\n");
    let place = place.set("redis.password_file", file.to_str().unwrap());
    refused(&place, &server, &["password"]).await;
    assert!(!place.log().contains("wrong\n"), "the password itself is told to nobody");
}

#[tokio::test]
async fn the_right_password_and_user_let_it_in() {
    let server = RedisServer::builder().user("ops", "on >right ~* &* +@all").start().await;
    let place = on(&server);
    let file = place.write("password", "right\n");
    let place = place.set("redis.user", "ops").set("redis.password_file", file.to_str().unwrap());
    let place = place.set("redis.keeping", "everysec");
    place.start().await.stop().await;
}

#[tokio::test]
async fn a_server_that_speaks_tls_differently_is_refused() {
    let plain = RedisServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let others = Certificates::make(folder.path());
    let authority = others.authority.to_str().unwrap();
    let place = on(&plain).set("redis.tls", "true").set("redis.tls_ca", authority);
    refused(&place, &plain, &["TLS"]).await;
    let secret = RedisServer::builder().tls().start().await;
    refused(&on(&secret), &secret, &[&secret.address()]).await;
    let place = on(&secret).set("redis.tls", "true").set("redis.tls_ca", authority);
    refused(&place, &secret, &["certificate"]).await;
    let own = secret.certificates().unwrap().authority.to_str().unwrap();
    let place = on(&secret).set("redis.tls", "true").set("redis.tls_ca", own);
    place.start().await.stop().await;
}

#[tokio::test]
async fn a_server_that_may_evict_is_refused() {
    let server = RedisServer::builder().memory("64mb", "allkeys-lru").start().await;
    refused(&on(&server), &server, &["allkeys-lru", "noeviction"]).await;
}

#[tokio::test]
async fn a_server_that_keeps_less_than_was_asked_for_is_refused() {
    let server = RedisServer::builder().appendonly(false).start().await;
    refused(&on(&server), &server, &["append"]).await;
    let server = RedisServer::start().await;
    refused(&on(&server).set("redis.keeping", "fsync"), &server, &["appendfsync"]).await;
}

#[tokio::test]
async fn another_number_of_shards_is_refused() {
    let server = RedisServer::start().await;
    let place = on(&server);
    place.start().await.stop().await;
    let other = on(&server).set("store.shards", "8");
    refused(&other, &server, &["4", "8", "shards"]).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_and_named() {
    let mut server = RedisServer::start().await;
    server.stop().await;
    let place = on(&server);
    let node = place.spawn();
    let address = server.address();
    impresario_tests::poll::eventually(
        std::time::Duration::from_secs(30),
        "words about the server",
        async || fs::read_to_string(place.path().join("stderr")).ok()?.contains(&address).then_some(()),
    )
    .await;
    drop(node);
}
