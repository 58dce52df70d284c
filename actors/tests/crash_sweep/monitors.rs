//! A monitor, with a crash at every durable write: each thing that its adapter observes starts one instance, and the place
//! to go on from is never ahead of what was raised.

use impresario_actors::behaviour::Inspection;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, MonitorEvent, Route, RouterEvent, TriggerEvent};
use impresario_model::ids::{self, ActorId};
use impresario_model::language::{Catalog, compile};
use impresario_model::monitor::{Monitor, MonitorSpec};
use impresario_persistence::lossy::{CrashPoint, Side};
use serde_json::json;

use crate::node::{Node, Setup, THINGS, kinds_of, on_paused_time};

const SHARDS: u16 = 3;
const TRIGGER: &str = "test/handle/on";

const HANDLE: &str = "
document: { dsl: '1.0.3', namespace: test, name: handle, version: '1.0.0' }
schedule: { on: { one: { with: { type: seen } } } }
do:
  - answer: { set: '${ .[0].data }' }
";

fn setup(handle: &Definition) -> Vec<Entry> {
    let spec: MonitorSpec = serde_json::from_value(json!({ "function": "world/things" })).unwrap();
    let routes = vec![Route { trigger: TRIGGER.to_owned(), types: Some(vec!["seen".to_owned()]) }];
    let arm: TriggerEvent =
        serde_json::from_value(json!({ "Arm": { "definition": handle.id, "runtime": "0" } })).unwrap();
    let want = MonitorEvent::Want { spec: Some(Box::new(spec)), paused: false, version: 1 };
    let mut bodies = vec![(ActorId::trigger(TRIGGER), Body::Trigger(arm))];
    bodies.extend(
        (0..SHARDS).map(|shard| (ActorId::router(shard), Body::Router(RouterEvent::Routes(routes.clone())))),
    );
    bodies.push((ActorId::monitor("m"), Body::Monitor(want)));
    bodies.into_iter().map(|(to, body)| Entry { to, origin: None, body }).collect()
}

async fn monitor(node: &mut Node) -> Monitor {
    match node.inspect(&ActorId::monitor("m")).await {
        Inspection::Monitor(monitor) => *monitor,
        other => panic!("{other:?}"),
    }
}

struct End {
    /// How often the trigger fired, and what the instances gave.
    seen: (u64, Vec<serde_json::Value>),
    monitor: Monitor,
    writes: u64,
    crashes: usize,
}

fn run(points: [Option<CrashPoint>; 2]) -> End {
    let handle = compile(HANDLE, &Catalog::default()).unwrap();
    let kinds = kinds_of(&[&handle]);
    on_paused_time(async {
        let [crash, second_crash] = points;
        let mut node = Node::start(Setup { crash, second_crash, ..Setup::new(SHARDS, kinds) }).await;
        setup(&handle).into_iter().for_each(|entry| node.send(entry));
        node.answered().await;
        for _ in 0..50 {
            let now = monitor(&mut node).await;
            if now.cursor == Some(json!(THINGS)) {
                break;
            }
            node.advance(now.due()).await;
        }
        let mut outputs = Vec::new();
        for thing in 0..THINGS {
            let id = ids::instance_of_event(TRIGGER, "/monitors/m", &format!("thing {thing}"));
            // The last of them may not have ended when its place is known.
            node.settle().await;
            let instance = node.instance(&id).await.expect("everything starts an instance");
            outputs.push(instance.output.unwrap_or_default());
        }
        let inspection = node.inspect(&ActorId::trigger(TRIGGER)).await;
        let Inspection::Trigger(trigger) = inspection else { panic!("{inspection:?}") };
        let monitor = monitor(&mut node).await;
        let writes = node.store.counts().total();
        node.engine.stop().await;
        End { seen: (trigger.fired, outputs), monitor, writes, crashes: node.crashes }
    })
}

#[test]
fn everything_observed_counts_once_whatever_crashes() {
    let once = (THINGS, (0..THINGS).map(|thing| json!(thing)).collect::<Vec<_>>());
    let calm = run([None, None]);
    assert_eq!((&calm.seen, calm.crashes), (&once, 0));
    assert_eq!((calm.monitor.events, calm.monitor.begun), (THINGS, 3), "{:?}", calm.monitor);
    let mut repeated = 0;
    for nth in 1..=calm.writes {
        let at = |nth, side| Some(CrashPoint { write: None, nth, side });
        let again = at(1 + nth % 5, Side::After);
        for points in
            [[at(nth, Side::Before), None], [at(nth, Side::After), None], [at(nth, Side::After), again]]
        {
            let end = run(points);
            assert_eq!(end.seen, once, "{points:?}");
            assert!(end.crashes > 0, "{points:?} was not reached");
            assert_eq!(end.monitor.cursor, Some(json!(THINGS)), "{points:?}");
            repeated += end.monitor.events - THINGS;
        }
    }
    println!("{} crash points, {repeated} things observed again", calm.writes * 3);
}
