//! Triggers that gather events, with a crash at every durable write: each set starts one instance, with the events that it
//! would have had, and orders hold.

use std::collections::BTreeMap;

use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, FireOrder, Route, RouterEvent, TriggerEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, event_shard};
use impresario_persistence::lossy::{CrashPoint, Side};
use impresario_persistence::{ListQuery, Store};
use serde_json::{Value, json};

use crate::node::{Node, Setup, kinds_of, on_paused_time};
use crate::support::scenario::definition_of;

const SHARDS: u16 = 4;
/// The trigger that is paused for a while.
const PAUSED: &str = "test/each/on";

fn definition(name: &str, on: &Value, triggers: &Value) -> Definition {
    definition_of(&json!({
        "document": {
            "dsl": "1.0.3", "namespace": "test", "name": name, "version": "1.0.0",
            "metadata": { "ops": { "triggers": triggers } },
        },
        "schedule": { "on": on },
        "do": [{ "note": { "set": { "ids": "${ map(.id) | join(\"+\") }" } } }],
    }))
}

fn definitions() -> Vec<Definition> {
    let of =
        |kind: &str| json!({ "with": { "type": kind }, "correlate": { "host": { "from": ".data.host" } } });
    let threshold = json!({ "threshold": { "count": 3, "within": "PT1M", "by": ".data.host" } });
    vec![
        definition("all", &json!({ "all": [of("full"), of("failed")] }), &json!({})),
        definition("until", &json!({ "any": [of("full")], "until": { "one": of("end") } }), &json!({})),
        definition("often", &json!({ "one": { "with": { "type": "full" } } }), &threshold),
        definition("each", &json!({ "one": { "with": { "type": "end" } } }), &json!({})),
    ]
}

fn event(id: usize, kind: &str, host: &str) -> Entry {
    let event = CloudEvent::from_json(json!({
        "specversion": "1.0", "id": id.to_string(), "source": "/s", "type": kind, "data": { "host": host },
    }))
    .unwrap();
    let to = ActorId::router(event_shard(&event.source, &event.id, SHARDS));
    Entry { to, origin: None, body: Body::Router(RouterEvent::Event(Box::new(event))) }
}

fn order(trigger: &str, event: TriggerEvent) -> Entry {
    Entry { to: ActorId::trigger(trigger), origin: None, body: Body::Trigger(event) }
}

/// What comes from outside, in order.
fn script() -> Vec<Entry> {
    let fire = FireOrder { instance: "by-hand".to_owned(), input: json!([{ "id": "hand" }]) };
    vec![
        event(1, "full", "x"),
        event(2, "full", "y"),
        order(PAUSED, TriggerEvent::Pause { reason: None }),
        event(3, "failed", "y"),
        event(4, "end", "y"),
        event(5, "full", "x"),
        order(PAUSED, TriggerEvent::Resume),
        order(PAUSED, TriggerEvent::Fire(Box::new(fire))),
        event(6, "full", "x"),
        event(7, "end", "x"),
        event(8, "failed", "x"),
    ]
}

/// By definition, the ids of the events of each instance; how often the node crashed, and how often it wrote.
async fn run(crash: [Option<CrashPoint>; 2]) -> (BTreeMap<String, Vec<String>>, usize, u64) {
    let definitions = definitions();
    let known: Vec<&Definition> = definitions.iter().collect();
    let [first, second] = crash;
    let setup = Setup { crash: first, second_crash: second, ..Setup::new(SHARDS, kinds_of(&known)) };
    let mut node = Node::start(setup).await;
    let mut routes = Vec::new();
    for definition in &definitions {
        let trigger = &definition.triggers[0].name;
        let arm = TriggerEvent::Arm {
            definition: definition.id.clone(),
            runtime: "0".to_owned(),
            calendar: None,
            generation: 0,
        };
        node.send(order(trigger, arm));
        routes.push(Route { trigger: trigger.clone(), types: None });
    }
    for shard in 0..SHARDS {
        let body = Body::Router(RouterEvent::Routes(routes.clone()));
        node.send(Entry { to: ActorId::router(shard), origin: None, body });
    }
    node.answered().await;
    for entry in script() {
        // Each comes twice, as from a sender that does not know whether it arrived.
        node.send(entry.clone());
        node.send(entry);
        node.answered().await;
    }
    let (writes, crashes) = (node.store.counts().total(), node.crashes);
    // A friendly stop stores everything, unless it crashes in that: then the log has what is missing.
    node.engine.stop().await;
    node.restart().await;
    node.settle().await;
    node.engine.stop().await;
    let query = ListQuery { prefix: "process/".to_owned(), limit: 1_000, ..ListQuery::default() };
    let rows = node.store.list(query).await.unwrap();
    node.restart().await;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in rows {
        let instance = node.instance(row.actor.strip_prefix("process/").unwrap()).await.unwrap();
        let ids = instance.output.clone().unwrap_or(Value::Null)["ids"].take();
        found.entry(instance.definition.name).or_default().push(ids.as_str().unwrap_or("?").to_owned());
    }
    found.values_mut().for_each(|ids| ids.sort());
    node.engine.stop().await;
    (found, crashes, writes)
}

#[test]
fn each_set_of_events_starts_one_instance_whatever_crashes() {
    let (calm, crashes, writes) = on_paused_time(run([None, None]));
    let expected = json!({
        "all": ["1+8", "2+3"],
        "until": ["1+5+6", "2"],
        "often": ["1+5+6"],
        // The end of `y` came while it was paused.
        "each": ["7", "hand"],
    });
    assert_eq!((json!(calm), crashes), (expected, 0));
    let mut points = 0;
    for nth in 1..=writes {
        for side in [Side::Before, Side::After] {
            let first = Some(CrashPoint { write: None, nth, side });
            let again = Some(CrashPoint { write: None, nth: 1 + nth % 11, side });
            let (end, crashes, _) = on_paused_time(run([first, again]));
            assert!(crashes > 0);
            assert_eq!(end, calm, "{first:?}, then {again:?}");
            points += 1;
        }
    }
    println!("{points} crash points");
}
