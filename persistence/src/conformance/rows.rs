//! What the port promises of rows: checkpoints, and every way to find them.

use std::sync::Arc;

use bytes::Bytes;

use super::{A, B, actors, append, claim, hostile_ids, ok, put, row};
use crate::port::{Checkpoint, ListQuery, Row, RowIndex, Store};

pub(super) async fn run<S: Store + ?Sized>(make: &impl AsyncFn() -> Arc<S>) {
    a_row_comes_back_as_it_was_put(&*make().await).await;
    hostile_ids_are_ordinary(&*make().await).await;
    a_checkpoint_puts_and_removes(&*make().await).await;
    a_checkpoint_that_was_overtaken_changes_nothing(&*make().await).await;
    due_answers_the_earliest_first(&*make().await).await;
    attention_pages_by_actor(&*make().await).await;
    scan_pages_by_prefix(&*make().await).await;
    list_filters_and_pages(&*make().await).await;
    groom_removes_what_ended(&*make().await).await;
}

fn full(actor: &str, started: u64, status: &str, group: &str) -> Row {
    let mut row = row(actor, "snapshot");
    row.index = RowIndex { status: status.into(), group: group.into(), started, ..RowIndex::default() };
    row
}

async fn a_row_comes_back_as_it_was_put<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "n").await.epoch;
    let row = Row {
        actor: "process/1".into(),
        snapshot: Bytes::from(vec![0, 255, 10, 0]),
        index: RowIndex {
            due: Some(3),
            attention: true,
            status: "running".into(),
            group: "ops/backup:1".into(),
            started: 1,
            ended: Some(9),
        },
    };
    let bare = super::row("process/2", "");
    put(store, A, epoch, vec![row.clone(), bare.clone()]).await;
    assert_eq!(ok(store.row(A, row.actor.clone()).await, "row"), Some(row.clone()));
    assert_eq!(ok(store.row(A, bare.actor.clone()).await, "row"), Some(bare));
    assert_eq!(ok(store.row(B, row.actor.clone()).await, "row"), None, "rows are per shard");
    let big = Row { snapshot: Bytes::from(vec![9; 3_000_000]), ..row };
    put(store, A, epoch, vec![big.clone()]).await;
    assert_eq!(ok(store.row(A, big.actor.clone()).await, "row"), Some(big), "replaced");
}

async fn hostile_ids_are_ordinary<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "n").await.epoch;
    let mut ids = hostile_ids();
    put(store, A, epoch, ids.iter().map(|id| row(id, id)).collect()).await;
    for id in &ids {
        assert_eq!(ok(store.row(A, id.clone()).await, "row"), Some(row(id, id)), "{id:?}");
        let under = ok(store.scan(A, id.clone(), None, 1000).await, "scan");
        let expected = ids.iter().filter(|other| other.starts_with(id.as_str())).count();
        assert_eq!(under.len(), expected, "the prefix {id:?} means itself");
    }
    ids.sort();
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = ok(store.scan(A, String::new(), after.clone(), 3).await, "scan");
        let Some(last) = page.last() else { break };
        after = Some(last.actor.clone());
        paged.extend(page.into_iter().map(|row| row.actor));
    }
    assert_eq!(paged, ids, "in the order of their bytes, each once");
    let gone = Checkpoint { remove: ids.clone(), ..Checkpoint::default() };
    ok(store.checkpoint(A, epoch, gone).await, "checkpoint");
    assert!(ok(store.scan(A, String::new(), None, 1000).await, "scan").is_empty());
}

async fn a_checkpoint_puts_and_removes<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "n").await.epoch;
    put(store, A, epoch, vec![row("a", "1"), row("b", "1"), row("b", "2")]).await;
    assert_eq!(ok(store.row(A, "b".into()).await, "row"), Some(row("b", "2")), "the last wins");
    let checkpoint = Checkpoint {
        put: vec![row("b", "3"), row("c", "1")],
        remove: vec!["a".into(), "unknown".into()],
        ..Checkpoint::default()
    };
    ok(store.checkpoint(A, epoch, checkpoint).await, "checkpoint");
    let rows = ok(store.scan(A, String::new(), None, 10).await, "scan");
    assert_eq!(rows, [row("b", "3"), row("c", "1")]);
}

async fn due_answers_the_earliest_first<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "n").await.epoch;
    let at = |actor: &str, due| {
        let mut row = row(actor, "");
        row.index.due = due;
        row
    };
    let rows =
        vec![at("d", Some(30)), at("a", Some(20)), at("c", Some(10)), at("b", Some(20)), at("e", None)];
    put(store, A, epoch, rows).await;
    let due = async |before, limit| ok(store.due(A, before, limit).await, "due");
    let expected = [(10, "c"), (20, "a"), (20, "b")].map(|(at, actor)| (at, actor.to_owned()));
    assert_eq!(due(30, 10).await, expected, "before, not at");
    assert_eq!(due(100, 2).await, expected[..2], "limited");
    assert!(due(10, 10).await.is_empty());
    assert!(ok(store.due(B, 100, 10).await, "due").is_empty(), "per shard");
    put(store, A, epoch, vec![at("c", Some(50)), at("a", None)]).await;
    let expected = [(20, "b"), (30, "d"), (50, "c")].map(|(at, actor)| (at, actor.to_owned()));
    assert_eq!(due(100, 10).await, expected, "timers move and go");
}

async fn attention_pages_by_actor<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "n").await.epoch;
    let with = |actor: &str, attention| {
        let mut row = row(actor, "s");
        row.index.attention = attention;
        row
    };
    let rows = ["c", "a", "d", "b"].map(|actor| with(actor, actor != "b"));
    put(store, A, epoch, rows.into()).await;
    let page = ok(store.attention(A, None, 2).await, "attention");
    assert_eq!(page, [with("a", true), with("c", true)], "whole rows, by actor");
    let page = ok(store.attention(A, Some("c".into()), 2).await, "attention");
    assert_eq!(actors(&page), ["d"]);
    put(store, A, epoch, vec![with("a", false)]).await;
    let page = ok(store.attention(A, None, 10).await, "attention");
    assert_eq!(actors(&page), ["c", "d"], "attention ends");
}

async fn scan_pages_by_prefix<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "n").await.epoch;
    let ids = ["process/1", "process/2", "process/3", "trigger/1", "proces", "process0"];
    put(store, A, epoch, ids.map(|id| row(id, "s")).into()).await;
    let scan = async |prefix: &str, after: Option<&str>, limit| {
        let after = after.map(str::to_owned);
        let rows = ok(store.scan(A, prefix.to_owned(), after, limit).await, "scan");
        rows.into_iter().map(|row| row.actor).collect::<Vec<_>>()
    };
    assert_eq!(scan("process/", None, 2).await, ["process/1", "process/2"]);
    assert_eq!(scan("process/", Some("process/2"), 2).await, ["process/3"]);
    assert_eq!(scan("process/", Some("a"), 1).await, ["process/1"], "after what is before it");
    assert!(scan("process/", Some("z"), 2).await.is_empty());
    assert_eq!(scan("", None, 100).await.len(), 6);
}

async fn list_filters_and_pages<S: Store + ?Sized>(store: &S) {
    let a = claim(store, A, "n").await.epoch;
    let b = claim(store, B, "n").await.epoch;
    put(
        store,
        A,
        a,
        vec![
            full("process/1", 10, "running", "ops/backup:1"),
            full("process/3", 30, "faulted", "ops/backup:2"),
            full("trigger/1", 50, "running", ""),
        ],
    )
    .await;
    put(
        store,
        B,
        b,
        vec![
            full("process/2", 20, "running", "ops/backup-all:1"),
            full("process/4", 30, "running", "ops/backup:1"),
        ],
    )
    .await;
    let list = async |query: ListQuery| ok(store.list(query).await, "list");
    let all = ListQuery { limit: 100, ..ListQuery::default() };
    let rows = list(all.clone()).await;
    let newest = ["trigger/1", "process/4", "process/3", "process/2", "process/1"];
    assert_eq!(actors(&rows), newest, "of all shards, newest first");
    assert!(rows.iter().all(|row| row.snapshot.is_empty()), "without snapshots");
    assert_eq!(rows[4].index, full("process/1", 10, "running", "ops/backup:1").index);
    let processes = ListQuery { prefix: "process/".into(), ..all.clone() };
    assert_eq!(actors(&list(processes.clone()).await), &newest[1..]);
    let query = ListQuery { status: Some("faulted".into()), ..processes.clone() };
    assert_eq!(actors(&list(query).await), ["process/3"]);
    let query = ListQuery { group: Some("ops/backup:1".into()), ..all.clone() };
    assert_eq!(actors(&list(query).await), ["process/4", "process/1"]);
    let query = ListQuery { group: Some("ops/backup:".into()), ..all.clone() };
    assert_eq!(actors(&list(query).await), ["process/4", "process/3", "process/1"], "any version");
    let query = ListQuery { group: Some("ops/backup".into()), ..all.clone() };
    assert!(list(query).await.is_empty(), "a group is its whole name");
    let query = ListQuery {
        status: Some("running".into()),
        group: Some("ops/backup:".into()),
        limit: 1,
        ..processes.clone()
    };
    assert_eq!(actors(&list(query).await), ["process/4"], "all filters at once");
    let mut paged: Vec<String> = Vec::new();
    let mut query = ListQuery { limit: 2, ..all };
    loop {
        let page = list(query.clone()).await;
        let Some(last) = page.last() else { break };
        query.after = Some((last.index.started, last.actor.clone()));
        paged.extend(page.into_iter().map(|row| row.actor));
    }
    assert_eq!(paged, newest, "each once over all pages");
}

async fn groom_removes_what_ended<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "n").await.epoch;
    let ended = |actor: &str, ended| {
        let mut row = row(actor, "s");
        row.index.ended = ended;
        row
    };
    let rows = vec![ended("a", Some(30)), ended("b", Some(10)), ended("c", Some(20)), ended("d", None)];
    put(store, A, epoch, rows).await;
    assert_eq!(store.groom(A, epoch, 10, 10).await, Ok(0), "before, not at");
    assert_eq!(store.groom(A, epoch, 100, 2).await, Ok(2), "at most so many");
    let rows = ok(store.scan(A, String::new(), None, 10).await, "scan");
    assert_eq!(actors(&rows), ["a", "d"], "the oldest ends first");
    assert_eq!(store.groom(A, epoch, 100, 10).await, Ok(1));
    assert_eq!(store.groom(A, epoch, 100, 10).await, Ok(0), "what has not ended stays");
}

async fn a_checkpoint_that_was_overtaken_changes_nothing<S: Store + ?Sized>(store: &S) {
    let epoch = claim(store, A, "one").await.epoch;
    let first = append(store, A, "1").await;
    let second = append(store, A, "2").await;
    let at = |mark, text| Checkpoint { mark, put: vec![row("actor", text)], remove: Vec::new() };
    ok(store.checkpoint(A, epoch, at(second, "after both")).await, "checkpoint");
    let late = Checkpoint { remove: vec!["actor".to_owned()], ..at(first, "after one") };
    ok(store.checkpoint(A, epoch, late).await, "a checkpoint that comes late");
    assert_eq!(ok(store.row(A, "actor".to_owned()).await, "row"), Some(row("actor", "after both")));
    // One at the same place is no older: it may hold what changed besides the log.
    ok(store.checkpoint(A, epoch, at(second, "again")).await, "checkpoint");
    assert_eq!(ok(store.row(A, "actor".to_owned()).await, "row"), Some(row("actor", "again")));
}
