//! Events, through routers and triggers to instances and on to other instances: each starts exactly one, whatever
//! crashes and whatever is sent twice.

use std::collections::BTreeMap;
use std::time::Duration;

use impresario_actors::behaviour::Inspection;
use impresario_actors::shard::ShardSettings;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, Route, RouterEvent, TriggerEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, event_shard};
use impresario_persistence::lossy::{CrashPoint, Side};
use impresario_persistence::{ListQuery, Store};
use serde_json::{Value, json};

use crate::node::{Node, Setup, kinds_of, on_paused_time, settings};
use crate::refusing::Refusals;
use crate::support::scenario::definition_of;

/// What a run is made with.
#[derive(Clone)]
struct Plan {
    shards: u16,
    settings: ShardSettings,
    /// How many different events come from outside, each of them twice.
    events: usize,
    /// Whether they come all at once.
    at_once: bool,
    crashes: [Option<CrashPoint>; 2],
    /// Which writes the store refuses: so many from one on.
    refused: (u64, u64),
}

impl Plan {
    fn new(settings: ShardSettings) -> Self {
        Plan { shards: 4, settings, events: 3, at_once: false, crashes: [None, None], refused: (0, 0) }
    }
}

/// Each `disk.full` starts `first`, which does some work and emits `disk.cleaned`, which starts `second`.
fn definitions() -> [Definition; 2] {
    let first = json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "first", "version": "1.0.0" },
        "schedule": { "on": { "one": { "with": { "type": "disk.full", "data": "${ .used > 90 }" } } } },
        "do": [
            { "clean": { "call": "work:1.0.0@default", "with": { "job": "clean", "host": "${ .[0].data.host }" } } },
            { "tell": { "emit": { "event": { "with": { "type": "disk.cleaned", "data": { "host": "${ .host }" } } } } } },
        ],
    });
    let second = json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "second", "version": "1.0.0" },
        "schedule": { "on": { "one": { "with": { "type": "disk.cleaned" } } } },
        "do": [{ "note": { "set": { "host": "${ .[0].data.host }" } } }],
    });
    [definition_of(&first), definition_of(&second)]
}

/// How it ended: the status and output of each instance by its definition, and what the monitors counted.
#[derive(Debug, PartialEq)]
struct End {
    instances: BTreeMap<String, Vec<(String, Value)>>,
    fired: Vec<u64>,
    routed: u64,
}

fn event(number: usize) -> CloudEvent {
    CloudEvent::from_json(json!({
        "specversion": "1.0", "id": number.to_string(), "source": "/disks", "type": "disk.full",
        "data": { "host": format!("host-{number}"), "used": 95 },
    }))
    .unwrap()
}

async fn run(plan: Plan) -> (End, usize, u64) {
    let shards = plan.shards;
    let definitions = definitions();
    let kinds = kinds_of(&[&definitions[0], &definitions[1]]);
    let mut node = Node::start(Setup {
        settings: plan.settings,
        crash: plan.crashes[0],
        second_crash: plan.crashes[1],
        refusals: Refusals::of(plan.refused.0, plan.refused.1),
        ..Setup::new(shards, kinds)
    })
    .await;
    let outside = |to: ActorId, body: Body| Entry { to, origin: None, body };
    let mut routes = Vec::new();
    for definition in &definitions {
        let trigger = &definition.triggers[0].name;
        let arm = TriggerEvent::Arm {
            definition: definition.id.clone(),
            runtime: "0".to_owned(),
            calendar: None,
            generation: 0,
        };
        node.send(outside(ActorId::trigger(trigger), Body::Trigger(arm)));
        let kind = if definition.id.name == "first" { "disk.full" } else { "disk.cleaned" };
        routes.push(Route { trigger: trigger.clone(), types: Some(vec![kind.to_owned()]) });
    }
    for shard in 0..shards {
        node.send(outside(ActorId::router(shard), Body::Router(RouterEvent::Routes(routes.clone()))));
    }
    node.settle().await;
    // Each event comes twice.
    for event in (0..plan.events).chain(0..plan.events).map(event) {
        let to = ActorId::router(event_shard(&event.source, &event.id, shards));
        node.send(outside(to, Body::Router(RouterEvent::Event(Box::new(event)))));
        if !plan.at_once {
            node.settle().await;
        }
    }
    node.answered().await;
    let (writes, crashes) = (node.store.counts().total(), node.crashes);
    let end = end(&mut node, &definitions, shards).await;
    node.engine.stop().await;
    (end, crashes, writes)
}

async fn end(node: &mut Node, definitions: &[Definition], shards: u16) -> End {
    let mut fired = Vec::new();
    for definition in definitions {
        match node.inspect(&ActorId::trigger(&definition.triggers[0].name)).await {
            Inspection::Trigger(trigger) => fired.push(trigger.fired),
            other => panic!("{other:?}"),
        }
    }
    let mut routed = 0;
    for shard in 0..shards {
        match node.inspect(&ActorId::router(shard)).await {
            // A client that got no answer sends again, so only what was no repetition is counted.
            Inspection::Router(state, _) => routed += state.events - state.repeated,
            other => panic!("{other:?}"),
        }
    }
    // A friendly stop stores everything, so that the list of the store is whole: unless it crashes in that, or is
    // refused, and the log still has what is missing.
    node.engine.stop().await;
    node.restart().await;
    node.settle().await;
    node.engine.stop().await;
    assert!(!*node.store.crashed().borrow());
    let query = ListQuery { prefix: "process/".to_owned(), limit: 1_000, ..ListQuery::default() };
    let rows = node.store.list(query).await.unwrap();
    node.restart().await;
    let mut instances: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for row in rows {
        let id = row.actor.strip_prefix("process/").unwrap();
        let instance = node.instance(id).await.unwrap();
        let seen = (
            instance.status.word().to_owned(),
            instance.output.clone().unwrap_or(Value::Null)["host"].take(),
        );
        instances.entry(instance.definition.name.clone()).or_default().push(seen);
    }
    instances
        .values_mut()
        .for_each(|seen| seen.sort_by_key(|(status, host)| (status.clone(), host.to_string())));
    End { instances, fired, routed }
}

/// Two settings: checkpoints all the time, and hardly one, so that a restart sends everything again.
fn both_settings() -> [ShardSettings; 2] {
    [settings(), ShardSettings { batch_entries: 512, checkpoint_entries: 100_000, ..settings() }]
}

#[test]
fn each_event_starts_one_instance_whatever_crashes() {
    let mut swept = 0;
    for settings in both_settings() {
        let plan = Plan::new(settings);
        let events = plan.events;
        let (calm, _, writes) = on_paused_time(run(plan.clone()));
        let hosts: Vec<(String, Value)> =
            (0..events).map(|n| ("completed".to_owned(), json!(format!("host-{n}")))).collect();
        assert_eq!(calm.instances["second"], hosts);
        assert_eq!(calm.instances["first"].len(), events);
        assert_eq!((calm.fired.as_slice(), calm.routed), ([events as u64; 2].as_slice(), 2 * events as u64));
        for nth in 1..=writes {
            for side in [Side::Before, Side::After] {
                let first = CrashPoint { write: None, nth, side };
                let again = CrashPoint { write: None, nth: 1 + nth % 11, side };
                let plan = Plan { crashes: [Some(first), Some(again)], ..plan.clone() };
                let (end, crashes, _) = on_paused_time(run(plan));
                swept += 1;
                assert!(crashes > 0);
                assert_eq!(end, calm, "{first:?}, then {again:?}");
            }
        }
    }
    println!("{swept} crash points");
}

/// Many events at once fill many batches of one shard, whose messages the store refuses in the middle, and then it
/// crashes: nothing may be stored as done whose messages are not.
#[test]
fn events_survive_a_store_that_refuses_and_then_crashes() {
    let ticking = ShardSettings { checkpoint_interval: Duration::from_millis(40), ..settings() };
    let plan = Plan { shards: 1, events: 9, at_once: true, ..Plan::new(ticking) };
    let (calm, _, writes) = on_paused_time(run(plan.clone()));
    assert_eq!((calm.fired.as_slice(), calm.routed), ([9, 9].as_slice(), 18));
    let mut points = 0;
    for first in 1..=writes {
        // The claim counts only where crashes are counted, so the write that was refused is number `first + 1` there;
        // or a checkpoint is, and the message that was refused comes after it.
        for (count, nth) in [(1, first + 1), (1, first + 2), (2, first + 1), (2, first + 2)] {
            let crash = CrashPoint { write: None, nth, side: Side::Before };
            let plan = Plan { crashes: [Some(crash), None], refused: (first, count), ..plan.clone() };
            let (end, _, _) = on_paused_time(run(plan));
            assert_eq!(end, calm, "{count} refused from {first}, {crash:?}");
            points += 1;
        }
    }
    println!("{points} points");
}
