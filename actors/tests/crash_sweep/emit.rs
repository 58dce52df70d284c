//! Events that an instance raises, with a crash at every durable write: each arrives once, and starts one instance.

use impresario_actors::behaviour::Inspection;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, ProcessEvent, Route, RouterEvent, TriggerEvent};
use impresario_model::ids::{self, ActorId};
use impresario_model::instance::Status;
use impresario_model::language::{Catalog, compile};
use impresario_persistence::lossy::{CrashPoint, Side};
use serde_json::json;

use crate::node::{Node, Setup, kinds_of, on_paused_time};
use crate::support::outside::{ID, start_event};

const SHARDS: u16 = 3;
const TRIGGER: &str = "test/handle/on";

const RAISE: &str = "
document: { dsl: '1.0.3', namespace: test, name: raise, version: '1.0.0' }
do:
  - all:
      for: { in: '[1, 2, 3]' }
      do:
        - pause: { wait: PT1S }
        - tell: { emit: { event: { with: { type: raised, data: '${ $item }' } } } }
";

const HANDLE: &str = "
document: { dsl: '1.0.3', namespace: test, name: handle, version: '1.0.0' }
schedule: { on: { one: { with: { type: raised } } } }
do:
  - answer: { set: '${ .[0].data }' }
";

/// What is seen at the end: events that routers took, repetitions among them, starts, and outputs.
#[derive(Debug, PartialEq)]
struct End {
    events: u64,
    repeated: u64,
    fired: u64,
    outputs: Vec<serde_json::Value>,
}

fn setup(raise: &Definition, handle: &Definition) -> Vec<Entry> {
    let routes = vec![Route { trigger: TRIGGER.to_owned(), types: Some(vec!["raised".to_owned()]) }];
    let arm = TriggerEvent::Arm {
        definition: handle.id.clone(),
        runtime: "0".to_owned(),
        calendar: None,
        generation: 0,
    };
    let mut bodies = vec![(ActorId::trigger(TRIGGER), Body::Trigger(arm))];
    bodies.extend(
        (0..SHARDS).map(|shard| (ActorId::router(shard), Body::Router(RouterEvent::Routes(routes.clone())))),
    );
    let start = ProcessEvent::Start(Box::new(start_event(raise, json!({}))));
    bodies.push((ActorId::process(ID), Body::Process(start)));
    bodies.into_iter().map(|(to, body)| Entry { to, origin: None, body }).collect()
}

/// Runs to the end; also how many durable writes there were, and whether the node crashed.
fn run(point: Option<CrashPoint>) -> (End, u64, usize) {
    let (raise, handle) =
        (compile(RAISE, &Catalog::default()).unwrap(), compile(HANDLE, &Catalog::default()).unwrap());
    let entries = setup(&raise, &handle);
    let kinds = kinds_of(&[&raise, &handle]);
    on_paused_time(async {
        let mut node = Node::start(Setup { crash: point, ..Setup::new(SHARDS, kinds) }).await;
        entries.into_iter().for_each(|entry| node.send(entry));
        assert_eq!(node.run_to_end(ID).await.status, Status::Completed);
        let mut end = End { events: 0, repeated: 0, fired: 0, outputs: Vec::new() };
        for shard in 0..SHARDS {
            let inspection = node.inspect(&ActorId::router(shard)).await;
            let Inspection::Router(router, _) = inspection else { panic!("{inspection:?}") };
            end.events += router.events;
            end.repeated += router.repeated;
        }
        let inspection = node.inspect(&ActorId::trigger(TRIGGER)).await;
        let Inspection::Trigger(trigger) = inspection else { panic!("{inspection:?}") };
        end.fired = trigger.fired;
        // The tasks that begin: the loop, then a pause and an event in each round.
        for run in [3, 5, 7] {
            let event = ids::event_of_task(ID, "/do/0/all/do/1/tell", run);
            let instance = ids::instance_of_event(TRIGGER, "/test/raise/1.0.0", &event);
            let instance = node.instance(&instance).await.expect("every event starts an instance");
            end.outputs.push(instance.output.unwrap_or_default());
        }
        let writes = node.store.counts().total();
        node.engine.stop().await;
        (end, writes, node.crashes)
    })
}

#[test]
fn every_event_arrives_once() {
    let once = End { events: 3, repeated: 0, fired: 3, outputs: vec![json!(1), json!(2), json!(3)] };
    let (calm, writes, _) = run(None);
    assert_eq!(calm, once);
    for nth in 1..=writes {
        for side in [Side::Before, Side::After] {
            let point = CrashPoint { write: None, nth, side };
            let (end, _, crashes) = run(Some(point));
            assert_eq!(end, once, "{point:?}");
            assert!(crashes > 0, "{point:?} was not reached");
        }
    }
}
