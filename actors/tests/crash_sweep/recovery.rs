//! What a node may and may not begin: the border between what it replays and what is new.

use std::time::Duration;

use impresario_actors::shard::ShardSettings;
use impresario_model::entry::ProcessEvent;
use impresario_model::instance::Status;
use serde_json::{Value, json};

use crate::node::{Node, Setup, kinds_of, on_paused_time, settings, to_process};
use crate::support::outside::start_event;
use crate::support::scenario::definition_of;

fn document(tasks: Value) -> Value {
    json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "border", "version": "1.0.0" },
        "do": tasks,
    })
}

/// A recovery settles what was in flight before it. What arrives while it is under way is not: it would be run
/// twice, although nothing happened to it.
#[test]
fn what_begins_during_a_recovery_begins_once() {
    let definition = definition_of(&document(json!([
        { "ask": { "call": "work:1.0.0@default", "with": { "job": "ask" } } },
        { "pause": { "wait": "PT1M" } },
    ])));
    on_paused_time(async {
        // Everything that there is to replay, and what comes after it, fits into one batch.
        let settings = ShardSettings {
            batch_entries: 512,
            checkpoint_entries: 1_000,
            idle_after: Duration::from_secs(3600),
            ..settings()
        };
        let setup = Setup { settings, ..Setup::new(1, kinds_of(&[&definition])) };
        let mut node = Node::start(setup).await;
        let start =
            |id: &str| to_process(id, ProcessEvent::Start(Box::new(start_event(&definition, json!({})))));
        node.send(start("before"));
        node.settle().await;
        node.restart().await;
        node.send(start("after"));
        for id in ["before", "after"] {
            let instance = node.run_to_end(id).await;
            assert_eq!(instance.status, Status::Completed);
            let attempts: Vec<u32> = instance.activities.kept.iter().map(|kept| kept.attempt).collect();
            assert_eq!(attempts, [1], "{id}");
        }
        assert_eq!(node.world.lock().unwrap().arrivals.len(), 2);
        node.engine.stop().await;
    });
}

/// A branch that wins at once gives up what the branches before it have just asked for: no host ever hears of it.
#[test]
fn what_is_given_up_in_the_turn_that_asked_for_it_never_begins() {
    let definition = definition_of(&document(json!([
        { "race": { "fork": { "compete": true, "branches": [
            { "ask": { "call": "work:1.0.0@default", "with": { "job": "ask" } } },
            { "win": { "set": { "won": true } } },
        ] } } },
    ])));
    on_paused_time(async {
        let mut node = Node::start(Setup::new(1, kinds_of(&[&definition]))).await;
        node.send(to_process("i", ProcessEvent::Start(Box::new(start_event(&definition, json!({}))))));
        assert_eq!(node.run_to_end("i").await.output, Some(json!({ "won": true })));
        let world = std::mem::take(&mut *node.world.lock().unwrap());
        assert!(world.arrivals.is_empty(), "{:?}", world.arrivals);
        assert_eq!(world.abandoned, ["i.1.1"]);
        node.engine.stop().await;
    });
}
