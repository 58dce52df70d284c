//! A storm of events of one type: a trigger with a rate starts so many and counts the rest, and the events of others wait
//! only for what came before them.

use std::collections::BTreeMap;

use impresario_actors::behaviour::Inspection;
use impresario_actors::shard::ShardSettings;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, Route, RouterEvent, TriggerEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, instance_of_event};
use serde_json::{Value, json};

use crate::node::{Node, Setup, kinds_of, on_paused_time, settings};
use crate::support::scenario::definition_of;

/// After so many events of the storm there is one of another type.
const EACH: usize = 50;
const OTHERS: usize = 10;
/// How many entries a shard takes at once, as in the product's default.
const BATCH: usize = 512;

fn definition(name: &str, triggers: &Value) -> Definition {
    definition_of(&json!({
        "document": {
            "dsl": "1.0.3", "namespace": "test", "name": name, "version": "1.0.0",
            "metadata": { "ops": { "triggers": triggers } },
        },
        "schedule": { "on": { "one": { "with": { "type": name } } } },
        "do": [{ "note": { "set": { "ok": true } } }],
    }))
}

fn event(kind: &str, id: usize) -> Entry {
    let event =
        json!({ "specversion": "1.0", "id": id.to_string(), "source": format!("/{kind}"), "type": kind });
    let event = Box::new(CloudEvent::from_json(event).unwrap());
    Entry { to: ActorId::router(0), origin: None, body: Body::Router(RouterEvent::Event(event)) }
}

/// The fires and suppressed fires of the storm's trigger, and when each instance began: by source, then id.
async fn storm(options: Value) -> (u64, u64, BTreeMap<(&'static str, usize), u64>) {
    let definitions = [definition("storm", &options), definition("other", &json!({}))];
    let settings = ShardSettings { batch_entries: BATCH, checkpoint_entries: 10_000, ..settings() };
    let kinds = kinds_of(&[&definitions[0], &definitions[1]]);
    let mut node = Node::start(Setup { settings, ..Setup::new(1, kinds) }).await;
    let mut routes = Vec::new();
    for definition in &definitions {
        let trigger = definition.triggers[0].name.clone();
        let arm = TriggerEvent::Arm {
            definition: definition.id.clone(),
            runtime: "0".to_owned(),
            calendar: None,
            generation: 0,
        };
        node.send(Entry { to: ActorId::trigger(&trigger), origin: None, body: Body::Trigger(arm) });
        routes.push(Route { trigger, types: Some(vec![definition.id.name.clone()]) });
    }
    node.send(Entry {
        to: ActorId::router(0),
        origin: None,
        body: Body::Router(RouterEvent::Routes(routes)),
    });
    node.answered().await;
    for other in 0..OTHERS {
        for id in other * EACH..(other + 1) * EACH {
            node.send(event("storm", id));
        }
        node.send(event("other", other));
    }
    node.answered().await;
    let mut began = BTreeMap::new();
    for (kind, count) in [("storm", OTHERS * EACH), ("other", OTHERS)] {
        for id in 0..count {
            let trigger = format!("test/{kind}/on");
            let instance = instance_of_event(&trigger, &format!("/{kind}"), &id.to_string());
            if let Some(instance) = node.instance(&instance).await {
                began.insert((kind, id), instance.applied);
            }
        }
    }
    let Inspection::Trigger(trigger) = node.inspect(&ActorId::trigger("test/storm/on")).await else {
        panic!()
    };
    node.engine.stop().await;
    (trigger.fired, trigger.passed.limited, began)
}

#[test]
fn others_wait_only_for_what_came_before_them() {
    let (fired, limited, began) = on_paused_time(storm(json!({})));
    assert_eq!((fired, limited), ((OTHERS * EACH) as u64, 0));
    for other in 0..OTHERS {
        let mine = began[&("other", other)];
        let later = |(of, _): &(&(&str, usize), &u64)| of.0 == "storm" && of.1 >= (other + 1) * EACH;
        let overtaking = began.iter().filter(later).filter(|(_, began)| **began < mine).count();
        assert_eq!(overtaking, 0, "event {other} was overtaken by the storm behind it");
    }
}

#[test]
fn a_rate_counts_what_is_above_and_leaves_the_others_alone() {
    let (fired, limited, began) = on_paused_time(storm(json!({ "rate": { "max": 7, "per": "PT1H" } })));
    assert_eq!((fired, limited), (7, (OTHERS * EACH) as u64 - 7));
    let of = |kind: &str| began.keys().filter(|of| of.0 == kind).count();
    assert_eq!((of("storm"), of("other")), (7, OTHERS));
}
