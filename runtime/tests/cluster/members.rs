//! The nodes of a cluster: listed, drained, removed.

use std::time::Duration;

use crate::support::{Cluster, SHARDS, silent};
use impresario::orchestrator::{Orchestrator, Refusal};
use serde_json::json;

#[tokio::test]
async fn every_node_lists_all_of_them() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let mut gone = silent("c");
    gone.alive = false;
    let mut leaving = owner.seen();
    leaving.record.draining = true;
    leaving.record.live = 7;
    asked.sees(&[asked.seen(), leaving, gone], &[Some("b"), Some("b"), Some("b"), Some("c")]);
    let nodes = asked.get("/api/v1/nodes").await;
    let column =
        |name: &str| nodes.as_array().unwrap().iter().map(|node| node[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("name"), ["a", "b", "c"]);
    assert_eq!(column("state"), ["alive", "draining", "gone"]);
    assert_eq!(column("shards"), [json!(0), json!(3), json!(1)]);
    assert_eq!(column("me"), [json!(true), json!(false), json!(false)]);
    assert_eq!(column("incarnation")[0], "a-012345", "enough to tell one start from another");
    assert_eq!(column("live")[1], 7);
    assert_eq!(column("url")[0], json!(asked.url));
}

#[tokio::test]
async fn a_drain_reaches_the_node_that_is_meant() {
    let (_cluster, mut asked, mut owner) = Cluster::pair().await;
    asked.local.drain("b".to_owned()).await.unwrap();
    owner.asked_to_leave.try_recv().unwrap();
    asked.asked_to_leave.try_recv().unwrap_err();
    for _ in 0..3 {
        asked.local.drain("a".to_owned()).await.unwrap();
    }
    asked.asked_to_leave.try_recv().unwrap();
    asked.asked_to_leave.try_recv().unwrap_err();

    let unknown = asked.local.drain("x".to_owned()).await;
    let Err(Refusal::NotFound(text)) = unknown else { panic!("{unknown:?}") };
    assert_eq!(text, "expected a node of the cluster, found 'x'; known: a, b");
    let mut gone = owner.seen();
    gone.alive = false;
    asked.sees(&[asked.seen(), gone], &[None; SHARDS as usize]);
    let refused = asked.local.drain("b".to_owned()).await;
    assert!(
        matches!(&refused, Err(Refusal::Conflict(text)) if text.contains("nodes remove b")),
        "{refused:?}"
    );
    asked.sees(&[asked.seen(), owner.seen()], &[None; SHARDS as usize]);
    owner.close().await;
    let refused = asked.local.drain("b".to_owned()).await;
    assert!(
        matches!(&refused, Err(Refusal::Unavailable { reason, .. }) if reason.contains("node b")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_node_that_is_gone_is_removed_with_its_token() {
    let (cluster, asked, owner) = Cluster::pair().await;
    cluster.present("b", Duration::from_secs(3600)).await;
    let conflict = async || match asked.local.remove_node("b".to_owned()).await {
        Err(Refusal::Conflict(text)) => assert!(text.contains("is alive"), "{text}"),
        other => panic!("{other:?}"),
    };
    conflict().await;
    // The store knows best, and it may know before this node sees it.
    let mut gone = owner.seen();
    gone.alive = false;
    asked.sees(&[asked.seen(), gone], &[None; SHARDS as usize]);
    conflict().await;
    let token = || async { cluster.store.setting("token/b".to_owned()).await.unwrap().unwrap().bytes };
    assert!(!token().await.is_empty(), "it is let in as long as it lives");

    cluster.present("b", Duration::ZERO).await;
    asked.local.remove_node("b".to_owned()).await.unwrap();
    assert!(token().await.is_empty());
    asked.keeper.refresh().await.unwrap();
    let request = reqwest::Client::new().get(format!("{}/api/v1/nodes", asked.url)).bearer_auth(&owner.token);
    assert_eq!(request.send().await.unwrap().status(), 401);
    let again = asked.local.remove_node("b".to_owned()).await;
    assert!(matches!(again, Err(Refusal::NotFound(_))), "{again:?}");
    let itself = asked.local.remove_node("a".to_owned()).await;
    assert!(matches!(itself, Err(Refusal::Conflict(_))), "{itself:?}");

    // A removal that came only half way is finished by the next one.
    cluster.store.put_setting("token/half".to_owned(), 0, "hash".into()).await.unwrap();
    asked.local.remove_node("half".to_owned()).await.unwrap();
}
