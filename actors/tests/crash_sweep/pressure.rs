//! A store that refuses for a while, and more actors than fit into memory.

use std::sync::atomic::Ordering;
use std::time::Duration;

use impresario_actors::shard::ShardSettings;
use impresario_model::entry::ProcessEvent;
use impresario_model::instance::Status;
use impresario_persistence::lossy::{CrashPoint, Side};
use serde_json::json;

use crate::node::{Node, Setup, kinds_of, on_paused_time, settings, to_process};
use crate::refusing::Refusals;
use crate::support::outside::start_event;
use crate::support::scenario::definition_of;

/// Refused writes are tried again at a tick, so ticks must come by themselves.
fn ticking() -> ShardSettings {
    ShardSettings { checkpoint_interval: Duration::from_millis(40), ..settings() }
}

#[test]
fn a_store_that_refuses_for_a_while_loses_nothing() {
    let definition = definition_of(&json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "steady", "version": "1.0.0" },
        "do": [
            { "loop": { "for": { "in": "[1, 2, 3]" }, "do": [
                { "work": { "call": "work:1.0.0@default", "with": { "job": "${ \"w\\($item)\" }" } } },
                { "once": { "call": "once:1.0.0@default", "with": { "job": "${ \"o\\($item)\" }" } } },
                { "pause": { "wait": "PT1S" } },
            ] } },
            { "spin": { "for": { "in": "[range(600)]" }, "do": [{ "add": { "set": { "n": "${ (.n // 0) + 1 }" } } }] } },
        ],
    }));
    let run = |refusals, crash: Option<CrashPoint>| {
        on_paused_time(async {
            let kinds = kinds_of(&[&definition]);
            let setup = Setup { settings: ticking(), refusals, crash, ..Setup::new(2, kinds) };
            let refusals = std::sync::Arc::clone(&setup.refusals);
            let mut node = Node::start(setup).await;
            node.send(to_process("i", ProcessEvent::Start(Box::new(start_event(&definition, json!({}))))));
            let instance = node.run_to_end("i").await;
            if crash.is_none() || instance.status != Status::Uncertain {
                assert_eq!(instance.status, Status::Completed, "{crash:?} {:?}", instance.fault);
                assert_eq!(instance.output, Some(json!({ "n": 600 })));
            }
            if crash.is_none() {
                let kept = &instance.activities.kept;
                assert!(kept.iter().all(|activity| activity.attempt == 1), "nothing was lost: {kept:?}");
                assert_eq!(node.world.lock().unwrap().arrivals.len(), 6);
            }
            assert!(node.crashes == 0 || crash.is_some());
            node.engine.stop().await;
            refusals.asked()
        })
    };
    let writes = run(Refusals::none(), None);
    let mut points = 0;
    for first in 1..=writes {
        for count in [1, 7] {
            run(Refusals::of(first, count), None);
            // Nothing but what is durable counts when the node then crashes: half done, half refused.
            for after in 1..4 {
                let crash = CrashPoint { write: None, nth: first + after, side: Side::Before };
                run(Refusals::of(first, count), Some(crash));
                points += 2;
            }
        }
    }
    println!("{points} points of refusal");
}

#[test]
fn idle_actors_leave_memory_and_come_back() {
    let definition = definition_of(&json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "sleeper", "version": "1.0.0" },
        "do": [
            { "pause": { "wait": "${ { \"minutes\": .minutes } }" } },
            { "ask": { "call": "work:1.0.0@default", "with": { "job": "j", "n": "${ .minutes }" } } },
        ],
    }));
    const SLEEPERS: u64 = 40;
    on_paused_time(async {
        let settings = ShardSettings { live_actors: 3, ..settings() };
        let setup = Setup { settings, ..Setup::new(1, kinds_of(&[&definition])) };
        let mut node = Node::start(setup).await;
        for n in 1..=SLEEPERS {
            let start = start_event(&definition, json!({ "minutes": n }));
            node.send(to_process(&n.to_string(), ProcessEvent::Start(Box::new(start))));
        }
        node.settle().await;
        let live = |node: &Node| node.engine.post().gauges()[0].live.load(Ordering::Relaxed);
        assert!(live(&node) <= 4, "{} actors are in memory", live(&node));
        for n in 1..=SLEEPERS {
            let shown = node.instance(&n.to_string()).await.unwrap();
            assert_eq!(shown.status, Status::Waiting, "it is shown from its row");
        }
        assert!(live(&node) <= 4, "looking at them does not bring them back");
        for n in 1..=SLEEPERS {
            if n == SLEEPERS / 2 {
                node.restart().await;
            }
            let instance = node.run_to_end(&n.to_string()).await;
            assert_eq!(instance.output.unwrap()["n"], json!(n));
        }
        assert!(live(&node) <= 4, "{} actors are in memory", live(&node));
        node.engine.stop().await;
    });
}
