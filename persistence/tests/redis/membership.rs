//! Who is there, by keys with a time to live.

use std::time::Duration;

use impresario_persistence::{Member, Membership, RedisMembership, Store, StoreError};
use impresario_test_servers::eventually;

use crate::support::{config, durable, open};

const LONG: Duration = Duration::from_secs(600);

fn member(node: &str, incarnation: &str) -> Member {
    Member {
        node: node.into(),
        incarnation: incarnation.into(),
        record: format!("{node} {incarnation}").into(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_has_one_incarnation_at_a_time() {
    let server = durable().await;
    let config = config(&server.address());
    let (one, two) = (
        RedisMembership::connect(config.clone()).await.unwrap(),
        RedisMembership::connect(config).await.unwrap(),
    );
    assert!(one.census().await.unwrap().members.is_empty());
    one.renew(member("n", "1"), LONG).await.unwrap();
    one.renew(member("n", "1"), LONG).await.unwrap();
    let refused = two.renew(member("n", "2"), LONG).await;
    assert!(
        matches!(&refused, Err(StoreError::Refused(words)) if words.contains("'n' is taken")),
        "{refused:?}"
    );
    two.renew(member("m", "3"), LONG).await.unwrap();
    let census = two.census().await.unwrap();
    let seen: Vec<_> =
        census.members.iter().map(|seen| (&*seen.member.node, &*seen.member.record, seen.alive)).collect();
    assert_eq!(seen, [("m", b"m 3".as_slice(), true), ("n", b"n 1", true)], "by node");
    let refused = two.forget("n".into()).await;
    assert!(matches!(&refused, Err(StoreError::Refused(words)) if words.contains("is alive")), "{refused:?}");
    one.leave("1".into()).await.unwrap();
    assert_eq!(two.census().await.unwrap().members.len(), 1, "who left in good order is forgotten");
    two.renew(member("n", "2"), LONG).await.unwrap();
    assert_eq!(one.forget("nobody".into()).await, Ok(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_ends_in_time_among_many_other_keys() {
    let server = durable().await;
    // Keys that expire some day: they keep the server's own expiry busy, which must not matter.
    let fill = "for i = 1, 200000 do redis.call('SET', 'other:' .. i, 'x', 'PX', 3600000 + i) end";
    server.command(&["EVAL", fill, "0"]).await;
    let membership = RedisMembership::connect(config(&server.address())).await.unwrap();
    membership.renew(member("n", "1"), Duration::from_millis(300)).await.unwrap();
    let started = std::time::Instant::now();
    assert!(membership.census().await.unwrap().members[0].alive);
    let gone = async || (!membership.census().await.unwrap().members[0].alive).then_some(());
    eventually(Duration::from_secs(10), "the presence ends", gone).await;
    assert!(started.elapsed() < Duration::from_secs(2), "in time: {:?}", started.elapsed());
    membership.renew(member("n", "2"), LONG).await.unwrap();
    assert_eq!(
        membership.census().await.unwrap().members[0].member.incarnation,
        "2",
        "the name is free again"
    );
    membership.leave("1".into()).await.unwrap();
    assert!(membership.census().await.unwrap().members[0].alive, "the one before takes nothing with it");
    membership.renew(member("m", "3"), Duration::from_millis(1)).await.unwrap();
    let forgotten = async || (membership.forget("m".into()).await == Ok(true)).then_some(());
    eventually(Duration::from_secs(10), "the dead are forgotten", forgotten).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_census_tells_time_and_changes_of_settings() {
    let server = durable().await;
    let config = config(&server.address());
    let store = open(&config).await;
    let membership = RedisMembership::connect(config).await.unwrap();
    let before = membership.census().await.unwrap();
    assert!(before.now.abs_diff((store.clock())()) < 2000);
    assert_eq!(before.settings, 0);
    store.put_setting("a".into(), 0, "1".into()).await.unwrap();
    store.put_setting("a".into(), 0, "1".into()).await.unwrap_err();
    store.put_setting("b".into(), 0, "1".into()).await.unwrap();
    assert_eq!(membership.census().await.unwrap().settings, 2, "one for each change");
}

#[test]
fn it_works_in_a_runtime_of_its_own() {
    let main = tokio::runtime::Runtime::new().unwrap();
    let mut server = main.block_on(durable());
    let config = config(&server.address());
    let thread = std::thread::spawn(move || {
        let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        own.block_on(async {
            let membership = RedisMembership::connect(config).await.unwrap();
            membership.renew(member("n", "1"), LONG).await.unwrap();
            assert!(membership.census().await.unwrap().members[0].alive);
        });
    });
    thread.join().unwrap();
    server.kill();
}
