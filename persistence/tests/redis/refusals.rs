//! What is refused at the door, and in which words.

use impresario_persistence::{Keeping, RedisConfig, RedisStore, StoreError, TlsConfig};
use impresario_test_servers::{Fsync, RedisServer};

use crate::support::{append, config, open};

async fn refusal(config: RedisConfig) -> String {
    match RedisStore::open(config).await {
        Err(StoreError::Refused(words)) => words,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

fn with(server: &RedisServer, user: Option<&str>, password: Option<&str>) -> RedisConfig {
    let password = password.map(str::to_owned);
    RedisConfig { user: user.map(str::to_owned), password, ..config(&server.address()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_and_rights() {
    let server = RedisServer::builder()
        .password("right")
        .user("reader", "on >secret ~* &* +@read +info +role +time +@connection +config|get")
        .user("orchestrator", "on >secret ~{E* resetchannels +@read +@write +@scripting +@connection +info +role +time +wait +config|get")
        .start()
        .await;
    let words = refusal(with(&server, None, None)).await;
    assert!(words.contains("asks for a password"), "{words}");
    let words = refusal(with(&server, None, Some("wrong"))).await;
    assert!(words.contains("does not accept the password of the user 'default'"), "{words}");
    let words = refusal(with(&server, Some("nobody"), Some("secret"))).await;
    assert!(words.contains("'nobody'"), "{words}");
    let words = refusal(with(&server, Some("reader"), Some("secret"))).await;
    assert!(words.contains("too few rights"), "{words}");
    for right in [with(&server, None, Some("right")), with(&server, Some("orchestrator"), Some("secret"))] {
        append(&open(&right).await, crate::support::A, "1").await;
    }
    let open = RedisServer::start().await;
    let words = refusal(with(&open, None, Some("any"))).await;
    assert!(words.contains("does not accept"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_must_keep() {
    let weak = RedisServer::builder().appendonly(false).start().await;
    let wanted = RedisConfig { keeping: Keeping::EverySecond, ..config(&weak.address()) };
    let words = refusal(wanted).await;
    assert!(words.contains("found appendonly no"), "{words}");
    let second = RedisServer::builder().fsync(Fsync::EverySecond).start().await;
    let words = refusal(RedisConfig { keeping: Keeping::Fsync, ..config(&second.address()) }).await;
    assert!(words.contains("appendfsync always") && words.contains("everysec"), "{words}");
    let evicting = RedisServer::builder().memory("100mb", "allkeys-lru").start().await;
    let words = refusal(config(&evicting.address())).await;
    assert!(words.contains("noeviction") && words.contains("allkeys-lru"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn environments_that_are_not_ours() {
    let server = RedisServer::start().await;
    let made = config(&server.address());
    drop(open(&made).await);
    let words = refusal(RedisConfig { shards: 16, ..made.clone() }).await;
    assert!(words.contains("made with 4 shards, not 16"), "{words}");
    let key = format!("{{{}}}:environment", made.environment);
    server.command(&["HSET", &key, "format", "2", "made_by", "9.9"]).await;
    let before = server.command(&["HGETALL", &key]).await;
    let words = refusal(made).await;
    assert!(words.contains("format 2, made by version 9.9"), "{words}");
    assert_eq!(server.command(&["HGETALL", &key]).await, before, "nothing was touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_on_both_sides_or_on_none() {
    let server = RedisServer::builder().tls().start().await;
    let plain = config(&server.address());
    let files = server.certificates().unwrap();
    let tls = |ca: Option<&std::path::Path>| TlsConfig {
        ca: ca.map(Into::into),
        certificate: Some((files.client.clone(), files.client_key.clone())),
    };
    let good = RedisConfig { tls: Some(tls(Some(&files.authority))), ..plain.clone() };
    append(&open(&good).await, crate::support::A, "1").await;
    let words = refusal(RedisConfig { tls: Some(tls(None)), ..plain.clone() }).await;
    assert!(words.contains("TLS failed"), "a stranger signed it: {words}");
    let missing = std::path::Path::new("/nowhere/ca.pem");
    let words = refusal(RedisConfig { tls: Some(tls(Some(missing))), ..plain.clone() }).await;
    assert!(words.contains("/nowhere/ca.pem"), "{words}");
    // Neither side can tell why the other does not answer, so only a hint is given.
    let found = RedisStore::open(plain).await;
    assert!(matches!(&found, Err(StoreError::Away(words)) if words.contains("expects TLS")), "{found:?}");
    let open_server = RedisServer::start().await;
    let found = RedisStore::open(RedisConfig { tls: good.tls, ..config(&open_server.address()) }).await;
    assert!(matches!(&found, Err(StoreError::Away(words)) if words.contains("speak TLS")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_away() {
    let mut server = RedisServer::start().await;
    let config = config(&server.address());
    server.kill();
    let found = RedisStore::open(config).await;
    assert!(matches!(found, Err(StoreError::Away(_))), "{found:?}");
}
