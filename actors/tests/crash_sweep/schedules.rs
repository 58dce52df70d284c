//! Schedules: each nominal time starts the same instance once, whatever crashes between.

use impresario_actors::behaviour::Inspection;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, TriggerEvent};
use impresario_model::ids::{ActorId, instance_of_fire};
use impresario_model::trigger::Trigger;
use impresario_persistence::lossy::{CrashPoint, Side};
use impresario_persistence::{ListQuery, Store};
use serde_json::{Value, json};

use crate::node::{Node, Setup, kinds_of, on_paused_time};
use crate::support::outside::START_MS;
use crate::support::scenario::definition_of;

const FIRES: u64 = 4;

fn definition(schedule: &Value) -> Definition {
    definition_of(&json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "tick", "version": "1.0.0" },
        "schedule": schedule,
        "do": [{ "pause": { "wait": "PT10S" } }, { "done": { "set": { "ok": true } } }],
    }))
}

async fn trigger(node: &mut Node, name: &str) -> Trigger {
    match node.inspect(&ActorId::trigger(name)).await {
        Inspection::Trigger(trigger) => *trigger,
        other => panic!("{other:?}"),
    }
}

/// Runs a schedule until it fired so often and all instances ended: the instances, the writes, the crashes.
async fn run(definition: &Definition, point: Option<CrashPoint>) -> (Vec<(String, String)>, u64, usize) {
    let setup = Setup { crash: point, ..Setup::new(2, kinds_of(&[definition])) };
    let mut node = Node::start(setup).await;
    let name = definition.triggers[0].name.clone();
    let arm = TriggerEvent::Arm {
        definition: definition.id.clone(),
        runtime: "0".to_owned(),
        calendar: None,
        generation: 0,
    };
    let to_trigger = |event| Entry { to: ActorId::trigger(&name), origin: None, body: Body::Trigger(event) };
    node.send(to_trigger(arm));
    loop {
        let state = trigger(&mut node, &name).await;
        if state.fired >= FIRES {
            break;
        }
        // What waits: the schedule, and the instances that it started.
        let due = node.next_due().await;
        assert!(node.advance(due).await, "nothing will happen: {state:?}");
    }
    assert_eq!(trigger(&mut node, &name).await.fired, FIRES, "it fired for something twice");
    node.send(to_trigger(TriggerEvent::Disarm));
    node.settle().await;
    while let Some(due) = node.next_due().await {
        node.advance(Some(due)).await;
        node.settle().await;
    }
    let (writes, crashes) = (node.store.counts().total(), node.crashes);
    node.engine.stop().await;
    let query = ListQuery { prefix: "process/".to_owned(), limit: 1_000, ..ListQuery::default() };
    let rows = node.store.list(query).await.unwrap();
    let mut seen: Vec<(String, String)> = rows.into_iter().map(|row| (row.actor, row.index.status)).collect();
    seen.sort();
    (seen, writes, crashes)
}

fn sweep(schedule: &Value, nominal: impl Fn(u64) -> u64) -> usize {
    let definition = definition(schedule);
    let (calm, writes, _) = on_paused_time(run(&definition, None));
    let name = &definition.triggers[0].name;
    let mut wanted: Vec<(String, String)> = (0..FIRES)
        .map(|n| (format!("process/{}", instance_of_fire(name, nominal(n))), "completed".to_owned()))
        .collect();
    wanted.sort();
    assert_eq!(calm, wanted, "{schedule}");
    let mut swept = 0;
    for nth in 1..=writes {
        for side in [Side::Before, Side::After] {
            let point = CrashPoint { write: None, nth, side };
            let (seen, _, crashes) = on_paused_time(run(&definition, Some(point)));
            assert!(crashes > 0, "{point:?}");
            assert_eq!(seen, calm, "{schedule} {point:?}");
            swept += 1;
        }
    }
    swept
}

#[test]
fn an_interval_fires_for_each_of_its_times() {
    let swept = sweep(&json!({ "every": { "minutes": 5 } }), |n| START_MS + n * 300_000);
    println!("{swept} crash points");
}

#[test]
fn a_cron_expression_fires_at_its_times() {
    // The clock starts on a full hour, which is not after itself.
    let swept = sweep(&json!({ "cron": "*/15 * * * *" }), |n| START_MS + (n + 1) * 900_000);
    println!("{swept} crash points");
}

#[test]
fn a_schedule_after_the_end_waits_for_the_end() {
    let swept = sweep(&json!({ "after": { "minutes": 1 } }), |n| START_MS + n * 70_000);
    println!("{swept} crash points");
}

/// The node is away for longer than the grace of missed times: a schedule that counts from the end of its last
/// instance has missed nothing, and goes on.
#[test]
fn a_schedule_after_the_end_outlives_a_long_absence() {
    let mut schedule = definition(&json!({ "after": { "minutes": 1 } }));
    schedule.ops.misfire = impresario_model::definition::Misfire::Skip;
    on_paused_time(async {
        let mut node = Node::start(Setup::new(1, kinds_of(&[&schedule]))).await;
        let name = schedule.triggers[0].name.clone();
        let arm = TriggerEvent::Arm {
            definition: schedule.id.clone(),
            runtime: "0".to_owned(),
            calendar: None,
            generation: 0,
        };
        node.send(Entry { to: ActorId::trigger(&name), origin: None, body: Body::Trigger(arm) });
        for fired in 1..=3 {
            while trigger(&mut node, &name).await.fired < fired {
                let due = node.next_due().await.expect("it will fire again");
                node.clock.set(due + 24 * 3_600_000);
                node.settle().await;
            }
        }
        node.engine.stop().await;
    });
}
