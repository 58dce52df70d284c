//! Any node answers for what another one owns.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::{Cluster, SHARDS, silent, wrong_owner};
use impresario::orchestrator::{InstanceQuery, Orchestrator, Refusal};
use impresario::question::{Question, Reply};
use impresario_actors::engine::Flights;
use impresario_model::ids::{self, ActorId};
use impresario_persistence::ShardId;

/// A shard that is between two owners is waited for about so long.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_node_without_shards_starts_shows_lists_and_cancels() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    // Its own writes are read at once, though another node applies them.
    let id = asked.start(None).await.id;
    let shown = asked.local.instance(id.clone()).await.unwrap();
    assert_eq!((shown.summary.id.as_str(), shown.input["host"].as_str()), (id.as_str(), Some("web-1")));
    assert_eq!(asked.local.instance(id[..18].to_owned()).await.unwrap(), shown, "by the start of its id");
    assert_eq!(owner.local.instance(id.clone()).await.unwrap(), shown);
    let other = owner.start(None).await.id;
    let mut both = vec![id.clone(), other];
    both.sort();
    for node in [&asked, &owner] {
        let (mut listed, unheard) = node.listed().await;
        listed.sort();
        assert_eq!((&listed, unheard.len()), (&both, 0), "at {}", node.name);
    }
    asked.local.cancel(id.clone(), Some("wrong host".to_owned())).await.unwrap();
    for node in [&asked, &owner] {
        assert_eq!(node.local.instance(id.clone()).await.unwrap().summary.status, "cancelled");
        let again = node.local.cancel(id.clone(), None).await;
        assert!(matches!(again, Err(Refusal::Conflict(_))), "{again:?}");
    }
}

#[tokio::test]
async fn what_two_nodes_own_is_one_list_at_both() {
    let (_cluster, a, b) = Cluster::of(&[Some("a"), Some("b"), Some("a"), Some("b")]).await;
    let mut ids = Vec::new();
    for (node, key) in [&a, &b].into_iter().cycle().zip(0..12) {
        ids.push(node.start(Some(&key.to_string())).await.id);
    }
    ids.sort();
    let shards: BTreeSet<u16> = ids.iter().map(|id| ActorId::process(id).shard(SHARDS)).collect();
    assert_eq!(shards.len(), usize::from(SHARDS), "each owns some of them");
    for node in [&a, &b] {
        for id in &ids {
            assert_eq!(node.local.instance(id.clone()).await.unwrap().summary.status, "waiting");
        }
        let (mut listed, unheard) = node.listed().await;
        listed.sort();
        assert_eq!((&listed, unheard.len()), (&ids, 0), "at {}", node.name);
    }
}

#[tokio::test]
async fn a_shard_that_moves_is_found_again_by_who_did_not_notice() {
    let (cluster, a, b) = Cluster::pair().await;
    let id = a.start(None).await.id;
    let shard = ActorId::process(&id).shard(SHARDS);
    a.local.instance(id.clone()).await.unwrap();
    let nothing = Flights::default();
    assert!(b.engine.hand_over(ShardId(shard), None, &nothing, PATIENCE).await.unwrap());
    let epoch = cluster.store.owners().await.unwrap()[usize::from(shard)].epoch;
    a.engine.claim(ShardId(shard), epoch).await.unwrap();
    // Neither has seen it yet: the one that had it says that it is not there, and is asked again.
    let asked = tokio::spawn({
        let (local, id) = (a.local.clone(), id.clone());
        async move { local.instance(id).await }
    });
    let mut owners = [Some("b"); SHARDS as usize];
    owners[usize::from(shard)] = Some("a");
    tokio::task::yield_now().await;
    for node in [&b, &a] {
        node.sees(&[a.seen(), b.seen()], &owners);
    }
    assert_eq!(asked.await.unwrap().unwrap().summary.id, id);
    assert_eq!(b.local.instance(id.clone()).await.unwrap().summary.id, id, "and now the other asks");
    assert_eq!((a.local.health().shards, b.local.health().shards), (1, usize::from(SHARDS) - 1));
}

#[tokio::test]
async fn a_key_starts_one_instance_wherever_it_is_sent() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let first = asked.start(Some("monday")).await;
    assert!(first.created);
    for node in [&asked, &owner] {
        let again = node.start(Some("monday")).await;
        assert_eq!((again.created, &again.id), (false, &first.id));
    }
    assert_eq!(asked.listed().await.0, [first.id]);
}

#[tokio::test]
async fn the_tree_has_all_nodes_and_each_its_shards() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let id = asked.start(None).await.id;
    // Once it is shown, it is applied.
    asked.local.instance(id.clone()).await.unwrap();
    let mut gone = silent("d");
    gone.alive = false;
    asked.sees(
        &[asked.seen(), owner.seen(), silent("c"), gone],
        &[Some("b"), Some("b"), Some("b"), Some("b")],
    );
    let tree = asked.local.tree().await.unwrap();
    let nodes: Vec<_> = tree.children.iter().map(|node| (node.name.as_str(), node.state.as_str())).collect();
    let expected =
        [("node a", "running"), ("node b", "running"), ("node c", "no answer"), ("node d", "gone")];
    assert_eq!((tree.name.as_str(), nodes), ("cluster", expected.to_vec()));
    let shards = |node: usize| &tree.children[node].children[0].children;
    assert_eq!((shards(0).len(), shards(1).len()), (0, usize::from(SHARDS)));
    let actors: Vec<_> = shards(1).iter().flat_map(|shard| &shard.children).collect();
    assert!(actors.iter().any(|actor| actor.name == format!("process/{id}")), "{actors:?}");
}

#[tokio::test]
async fn what_a_silent_node_knows_is_told_to_be_missing() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let ids: Vec<String> =
        futures_util::future::join_all((0..8).map(|_| async { asked.start(None).await.id })).await;
    let nodes = [asked.seen(), owner.seen(), silent("c")];
    let owners = [Some("c"), Some("b"), None, Some("b")];
    asked.sees(&nodes, &owners);
    // The owner knows it: nothing is stored yet, so what it does not say is not there.
    owner.sees(&nodes, &owners);
    let (mut listed, unheard) = asked.listed().await;
    listed.sort();
    let shard = |id: &String| ActorId::process(id).shard(SHARDS);
    let mut heard: Vec<String> = ids.iter().filter(|id| shard(id) % 2 == 1).cloned().collect();
    heard.sort();
    assert_eq!((listed, unheard), (heard, vec![0, 2]));
    // That nothing was found is not known to be true.
    let missing = asked.local.instance("ffffffff".to_owned()).await;
    assert!(matches!(missing, Err(Refusal::Unavailable { .. })), "{missing:?}");
}

#[tokio::test]
async fn a_list_does_not_wait_for_a_node_that_is_seen_to_be_gone() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stuck = silent("c");
    stuck.record.url = format!("http://{}", hanging.local_addr().unwrap());
    let owners = [Some("b"), Some("c"), Some("b"), Some("b")];
    for node in [&asked, &owner] {
        node.sees(&[asked.seen(), owner.seen(), stuck.clone()], &owners);
    }
    let local = asked.local.clone();
    let listed = tokio::spawn(async move { local.instances(InstanceQuery::default()).await });
    let connection = hanging.accept().await.unwrap();
    let began = Instant::now();
    stuck.alive = false;
    asked.sees(&[asked.seen(), owner.seen(), stuck], &owners);
    assert_eq!(listed.await.unwrap().unwrap().unheard, [1]);
    assert!(began.elapsed() < PATIENCE);
    drop(connection);
}

#[tokio::test]
async fn a_wrong_owner_says_so_and_the_right_one_is_asked() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let id = owner.start(None).await.id;
    let (wrong, mut times) = wrong_owner("c").await;
    let nodes = [asked.seen(), owner.seen(), wrong];
    asked.sees(&nodes, &[Some("c"); SHARDS as usize]);
    let local = asked.local.clone();
    let wanted = id.clone();
    let shown = tokio::spawn(async move { local.instance(wanted).await });
    // It is told so, and asks again as long as it knows no better.
    times.wait_for(|times| *times >= 2).await.unwrap();
    asked.sees(&nodes, &[Some("b"); SHARDS as usize]);
    assert_eq!(shown.await.unwrap().unwrap().summary.id, id);
}

#[tokio::test]
async fn an_owner_sees_first_what_the_asking_node_has_appended() {
    let (cluster, asked, owner) = Cluster::pair().await;
    let key = "monday";
    let id = ids::instance_of_key("ops/hold", key);
    let head = *cluster.store.head(ShardId(ActorId::process(&id).shard(SHARDS))).borrow();
    let ask = |after| owner.local.answer(Question::Instance { id: id.clone(), after });
    assert_eq!(ask(head.0).await, Ok(Reply::Instance(None)));
    let (later, _) = tokio::join!(ask(head.0 + 1), asked.start(Some(key)));
    assert!(matches!(&later, Ok(Reply::Instance(Some(instance))) if instance.summary.id == id), "{later:?}");
}

#[tokio::test]
async fn a_shard_without_an_owner_is_waited_for_and_then_told() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let id = owner.start(None).await.id;
    let nodes = [asked.seen(), owner.seen()];
    asked.sees(&nodes, &[None; SHARDS as usize]);
    let began = Instant::now();
    let refused = asked.local.instance(id.clone()).await;
    let Err(Refusal::Unavailable { reason, retry_after_ms }) = refused else { panic!("{refused:?}") };
    let shard = ActorId::process(&id).shard(SHARDS);
    assert!(reason.contains(&format!("shard {shard} does not answer")), "{reason}");
    assert!(reason.contains("another node: nobody has it"), "{reason}");
    assert!(retry_after_ms > 0 && began.elapsed() >= PATIENCE && began.elapsed() < 2 * PATIENCE);

    // One that finds an owner meanwhile is answered.
    let local = asked.local.clone();
    let wanted = id.clone();
    let shown = tokio::spawn(async move { local.instance(wanted).await });
    tokio::task::yield_now().await;
    asked.sees(&nodes, &[Some("b"); SHARDS as usize]);
    assert_eq!(shown.await.unwrap().unwrap().summary.id, id);
}

#[tokio::test]
async fn an_owner_that_hangs_is_not_waited_for_once_another_has_its_place() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let id = owner.start(None).await.id;
    // It takes connections, and never answers.
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stuck = silent("c");
    stuck.record.url = format!("http://{}", hanging.local_addr().unwrap());
    let nodes = [asked.seen(), owner.seen(), stuck];
    asked.sees(&nodes, &[Some("c"); SHARDS as usize]);
    let local = asked.local.clone();
    let wanted = id.clone();
    let shown = tokio::spawn(async move { local.instance(wanted).await });
    let connection = hanging.accept().await.unwrap();
    let began = Instant::now();
    asked.sees(&nodes, &[Some("b"); SHARDS as usize]);
    assert_eq!(shown.await.unwrap().unwrap().summary.id, id);
    assert!(began.elapsed() < PATIENCE);
    drop(connection);
}

#[tokio::test]
async fn a_question_of_a_node_is_never_passed_on() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let id = owner.start(None).await.id;
    let actor = ActorId::process(&id).to_string();
    let trigger = Question::Trigger { name: "ops/hold/on".to_owned() };
    for question in [Question::Instance { id, after: 0 }, Question::Aside { actor }, trigger] {
        assert_eq!(asked.local.answer(question.clone()).await.err(), Some(Refusal::NotMine), "{question:?}");
        assert!(owner.local.answer(question).await.is_ok());
    }
    let facts = asked.local.answer(Question::Facts { prefix: String::new() }).await.unwrap();
    assert!(matches!(&facts, Reply::Facts(facts) if facts.is_empty()), "{facts:?}");
    let tree = asked.local.answer(Question::Tree).await.unwrap();
    assert!(matches!(&tree, Reply::Tree(tree) if tree.name == "node a"), "{tree:?}");
    assert!(owner.local.instance(" ".repeat(40)).await.is_err(), "any text is answered");
    let nonsense = owner.local.answer(Question::Aside { actor: "no such kind".to_owned() }).await;
    assert!(matches!(nonsense, Err(Refusal::Invalid(_))), "{nonsense:?}");
}

#[tokio::test]
async fn an_idle_node_is_ready_and_one_that_lags_is_not() {
    let (_cluster, asked, owner) = Cluster::pair().await;
    let health = asked.local.health();
    assert!(health.ready && health.shards == 0 && health.store == "up", "{health:?}");
    assert_eq!(owner.local.health().shards, usize::from(SHARDS));
    // Its shards have stopped, so as their owner it would make no progress.
    asked.sees(&[asked.seen()], &[Some("a"), None, None, None]);
    let health = asked.local.health();
    assert_eq!(
        (health.ready, health.problems.as_slice()),
        (false, &["not caught up yet: shard 0".to_owned()][..])
    );
    let mut leaving = asked.seen();
    leaving.record.draining = true;
    asked.sees(&[leaving], &[None; SHARDS as usize]);
    assert!(!asked.local.health().ready, "nothing new is sent to a node that leaves");
}
