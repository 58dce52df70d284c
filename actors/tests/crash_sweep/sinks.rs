//! A sink and lifecycle events, with a crash at every durable write: what an instance raises is delivered outside at least
//! once, in order, and what becomes of the instance starts another one exactly once.

use std::collections::BTreeMap;
use std::sync::Arc;

use impresario_actors::behaviour::{Asked, BuiltinKinds, Inspection};
use impresario_actors::definitions::Definitions;
use impresario_model::definition::Definition;
use impresario_model::entry::{
    ActivityOutcome, Body, Entry, ProcessEvent, RaisedRoute, RouterEvent, SinkEvent, TriggerEvent,
};
use impresario_model::ids::{self, ActorId};
use impresario_model::instance::Status;
use impresario_model::language::{Catalog, compile};
use impresario_model::router::Window;
use impresario_model::sink::{Sink, SinkSpec};
use impresario_persistence::lossy::{CrashPoint, Side};
use serde_json::json;

use crate::node::{Node, Setup, on_paused_time};
use crate::support::outside::{ID, start_event};
use crate::support::world::World;

const SHARDS: u16 = 3;
const TRIGGER: &str = "test/after/on";
const ENDED: &str = "io.serverlessworkflow.workflow.completed.v1";
const URI: &str = "http://outside.example/in";

const RAISE: &str = "
document: { dsl: '1.0.3', namespace: test, name: raise, version: '1.0.0' }
do:
  - all:
      for: { in: '[1, 2]' }
      do:
        - pause: { wait: PT1S }
        - tell: { emit: { event: { with: { type: raised, data: '${ $item }' } } } }
";

const AFTER: &str = "
document: { dsl: '1.0.3', namespace: test, name: after, version: '1.0.0' }
schedule: { on: { one: { with: { type: io.serverlessworkflow.workflow.completed.v1, source: /test/raise/1.0.0 } } } }
do:
  - answer: { set: '${ .[0].subject }' }
";

fn setup(raise: &Definition, after: &Definition) -> Vec<Entry> {
    let spec = json!({ "uri": URI, "events": [{ "type": "raised" }, { "type": ENDED, "subject": ID }] });
    let spec: SinkSpec = serde_json::from_value(spec).unwrap();
    let route = |to, types| RaisedRoute { to, types, lifecycle: vec![ENDED.to_owned()] };
    let routes = vec![route(ActorId::sink("s"), None), route(ActorId::trigger(TRIGGER), Some(Vec::new()))];
    let arm: TriggerEvent =
        serde_json::from_value(json!({ "Arm": { "definition": after.id, "runtime": "0" } })).unwrap();
    let want = SinkEvent::Want { spec: Some(Box::new(spec)), paused: false, version: 1 };
    let mut bodies =
        vec![(ActorId::trigger(TRIGGER), Body::Trigger(arm)), (ActorId::sink("s"), Body::Sink(want))];
    let routes = RouterEvent::RaisedRoutes { routes, version: 1 };
    bodies.extend((0..SHARDS).map(|shard| (ActorId::router(shard), Body::Router(routes.clone()))));
    let start = ProcessEvent::Start(Box::new(start_event(raise, json!({}))));
    bodies.push((ActorId::process(ID), Body::Process(start)));
    bodies.into_iter().map(|(to, body)| Entry { to, origin: None, body }).collect()
}

async fn sink(node: &mut Node) -> Sink {
    match node.inspect(&ActorId::sink("s")).await {
        Inspection::Sink(sink) => *sink,
        other => panic!("{other:?}"),
    }
}

struct End {
    sink: Sink,
    /// What the endpoint has taken, in the order in which it did so first.
    taken: Vec<String>,
    fired: u64,
    after: Option<serde_json::Value>,
    writes: u64,
    crashes: usize,
}

fn run(points: [Option<CrashPoint>; 2]) -> End {
    let compile = |text| compile(text, &Catalog::default()).unwrap();
    let (raise, after) = (compile(RAISE), compile(AFTER));
    let known = Arc::new(Definitions::default());
    for definition in [&raise, &after] {
        known.add(definition.clone());
    }
    let asked = Asked::default();
    asked.set([ENDED.to_owned()].into());
    let kinds = BuiltinKinds::new(known, Window { millis: 3_600_000, count: 1_000 }).telling(asked);
    let tries =
        json!([{ "output": { "statusCode": 503 } }, { "output": { "statusCode": 202 }, "after": 50 }]);
    let answers = BTreeMap::from([(URI.to_owned(), vec![tries])]);
    on_paused_time(async {
        let [crash, second_crash] = points;
        let world = World::new(&answers);
        let setup_of = Setup::new(SHARDS, Arc::new(kinds));
        let mut node = Node::start(Setup { crash, second_crash, world, ..setup_of }).await;
        setup(&raise, &after).into_iter().for_each(|entry| node.send(entry));
        assert_eq!(node.run_to_end(ID).await.status, Status::Completed);
        for _ in 0..50 {
            let now = sink(&mut node).await;
            if now.delivered == 3 && now.queue.is_empty() {
                break;
            }
            node.advance(now.due()).await;
        }
        let event = ids::event_of_lifecycle(ID, ENDED);
        let instance = ids::instance_of_event(TRIGGER, "/test/raise/1.0.0", &event);
        let after = node.instance(&instance).await.and_then(|instance| instance.output);
        let inspection = node.inspect(&ActorId::trigger(TRIGGER)).await;
        let Inspection::Trigger(trigger) = inspection else { panic!("{inspection:?}") };
        let sink = sink(&mut node).await;
        let taken = {
            let world = node.world.lock().unwrap();
            let good = world.arrivals.iter().zip(&world.replies).filter(|(_, reply)| {
                matches!(&reply.outcome, Some(ActivityOutcome::Completed(answer)) if answer["statusCode"] == 202)
            });
            let mut taken: Vec<String> = Vec::new();
            for (arrival, _) in good {
                let event = &arrival.arguments["event"];
                let told = format!("{} {}", event["type"].as_str().unwrap(), event["id"].as_str().unwrap());
                if !taken.contains(&told) {
                    taken.push(told);
                }
            }
            taken
        };
        let writes = node.store.counts().total();
        node.engine.stop().await;
        End { sink, taken, fired: trigger.fired, after, writes, crashes: node.crashes }
    })
}

#[test]
fn what_is_raised_goes_out_and_an_end_starts_one_instance_whatever_crashes() {
    let check = |end: &End, what: &str| {
        assert_eq!((end.fired, end.after.clone()), (1, Some(json!(ID))), "{what}");
        assert_eq!((end.sink.delivered, end.sink.queue.len(), end.sink.dead.len()), (3, 0, 0), "{what}");
        assert_eq!(end.taken.len(), 3, "{what}: {:?}", end.taken);
    };
    let calm = run([None, None]);
    check(&calm, "no crash");
    assert_eq!((calm.crashes, calm.sink.failed), (0, 3), "each was refused once");
    for nth in 1..=calm.writes {
        let at = |nth, side| Some(CrashPoint { write: None, nth, side });
        let again = at(1 + nth % 5, Side::After);
        for points in
            [[at(nth, Side::Before), None], [at(nth, Side::After), None], [at(nth, Side::After), again]]
        {
            let end = run(points);
            check(&end, &format!("{points:?}"));
            assert_eq!(end.taken, calm.taken, "{points:?}: the order, and the ids");
            assert!(end.crashes > 0, "{points:?} was not reached");
        }
    }
    println!("{} crash points", calm.writes * 3);
}
