//! Schedules: each nominal time starts the same instance once, whatever crashes between.

use impresario_actors::behaviour::Inspection;
use impresario_model::calendar::Calendar;
use impresario_model::definition::{Definition, Misfire};
use impresario_model::entry::{Body, Entry, TriggerEvent};
use impresario_model::ids::{ActorId, instance_of_fire};
use impresario_model::trigger::{Choice, PACE_MS, Trigger};
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
async fn run(
    definition: &Definition,
    calendar: Option<Calendar>,
    point: Option<CrashPoint>,
) -> (Vec<(String, String)>, u64, usize) {
    let setup = Setup { crash: point, ..Setup::new(2, kinds_of(&[definition])) };
    let mut node = Node::start(setup).await;
    let name = definition.triggers[0].name.clone();
    let to_trigger = |event| Entry { to: ActorId::trigger(&name), origin: None, body: Body::Trigger(event) };
    node.send(to_trigger(arm(definition, calendar)));
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
    ended(node).await
}

/// Lets everything end: the instances, the writes, the crashes.
async fn ended(mut node: Node) -> (Vec<(String, String)>, u64, usize) {
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

fn arm(definition: &Definition, calendar: Option<Calendar>) -> TriggerEvent {
    let (runtime, calendar) = ("0".to_owned(), calendar.map(Box::new));
    TriggerEvent::Arm { definition: definition.id.clone(), runtime, calendar, generation: 0 }
}

fn sweep(schedule: &Value, nominal: impl Fn(u64) -> u64) -> usize {
    sweep_with(&definition(schedule), None, nominal)
}

fn sweep_with(definition: &Definition, calendar: Option<Calendar>, nominal: impl Fn(u64) -> u64) -> usize {
    let schedule = &definition.triggers[0].name;
    let (calm, writes, _) = on_paused_time(run(definition, calendar.clone(), None));
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
            let (seen, _, crashes) = on_paused_time(run(definition, calendar.clone(), Some(point)));
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

/// Weekdays without a holiday; the clock starts on some day, and every rule has to find its way over days that do not count.
#[test]
fn a_schedule_with_a_calendar_fires_on_its_days() {
    let spec = json!({ "include": { "rules": [{ "repeat": "daily", "every": 2, "from": "2020-01-01" }] } });
    let calendar = Calendar::of("odd", serde_json::from_value(spec).unwrap());
    let mut definition = definition(&json!({ "every": { "hours": 8 } }));
    definition.ops.calendar = Some(calendar.name.clone());
    let mut nominal = (0..).map(|n| START_MS + n * 8 * 3_600_000).filter(|at| calendar.covers(*at, "UTC"));
    let wanted: Vec<u64> = nominal.by_ref().take(FIRES as usize).collect();
    assert!(wanted.last().unwrap() - wanted.first().unwrap() > 24 * 3_600_000, "they are on two days");
    let swept = sweep_with(&definition, Some(calendar), |n| wanted[usize::try_from(n).unwrap()]);
    println!("{swept} crash points");
}

/// The node is away for hours, crashes when it comes back at every write that there is, and an operator decides.
#[test]
fn missed_times_are_made_up_for_once_by_every_rule() {
    for (rule, fires) in [
        (Misfire::Skip, vec![0, 6]),
        (Misfire::FireOnce, vec![0, 5, 6]),
        (Misfire::FireAll, vec![0, 1, 2, 3, 4, 5, 6]),
        (Misfire::Plan, vec![0, 4, 5, 6]),
    ] {
        let mut definition = definition(&json!({ "every": { "hours": 1 } }));
        definition.ops.misfire = rule;
        let name = &definition.triggers[0].name;
        let id = |n: &u64| format!("process/{}", instance_of_fire(name, START_MS + n * 3_600_000));
        let mut wanted: Vec<String> = fires.iter().map(id).collect();
        wanted.sort();
        let (calm, writes) = on_paused_time(run_with_absence(&definition, None));
        assert_eq!(calm, wanted, "{rule:?}");
        for nth in 1..=writes {
            for side in [Side::Before, Side::After] {
                let point = CrashPoint { write: None, nth, side };
                let (seen, _) = on_paused_time(run_with_absence(&definition, Some(point)));
                assert_eq!(seen, wanted, "{rule:?} {point:?}");
            }
        }
    }
}

/// Fires, is away from half past noon to half past five, and fires once more: the instances, and the writes.
async fn run_with_absence(definition: &Definition, point: Option<CrashPoint>) -> (Vec<String>, u64) {
    let mut node = Node::start(Setup { crash: point, ..Setup::new(2, kinds_of(&[definition])) }).await;
    let name = definition.triggers[0].name.clone();
    let to_trigger = |event| Entry { to: ActorId::trigger(&name), origin: None, body: Body::Trigger(event) };
    node.send(to_trigger(arm(definition, None)));
    while trigger(&mut node, &name).await.fired < 1 {
        let due = node.next_due().await;
        node.advance(due).await;
    }
    node.clock.set(START_MS + 5 * 3_600_000 + 1_800_000);
    // It notices what it has missed, and makes up for what it is to make up for.
    loop {
        let state = trigger(&mut node, &name).await;
        if let Some(plan) = &state.plan {
            assert_eq!(plan.times.len(), 5);
            let choice = Choice::Times(plan.times[3..].iter().copied().collect());
            node.send(to_trigger(TriggerEvent::Approve { plan: plan.id, choice }));
        } else if state.next > Some(node.clock.now()) && state.owed.is_none() {
            break;
        }
        let due = node.next_due().await.filter(|due| *due <= node.clock.now() + PACE_MS);
        node.advance(due).await;
        node.settle().await;
    }
    let before = trigger(&mut node, &name).await.fired;
    while trigger(&mut node, &name).await.fired == before {
        let due = node.next_due().await;
        assert!(node.advance(due).await, "nothing will happen");
    }
    node.send(to_trigger(TriggerEvent::Disarm));
    node.settle().await;
    let (rows, writes, _) = ended(node).await;
    (rows.into_iter().map(|(actor, _)| actor).collect(), writes)
}

/// The node is away for longer than the grace of missed times: a schedule that counts from the end of its last
/// instance has missed nothing, and goes on.
#[test]
fn a_schedule_after_the_end_outlives_a_long_absence() {
    let mut schedule = definition(&json!({ "after": { "minutes": 1 } }));
    schedule.ops.misfire = Misfire::Skip;
    on_paused_time(async {
        let mut node = Node::start(Setup::new(1, kinds_of(&[&schedule]))).await;
        let name = schedule.triggers[0].name.clone();
        let arm = arm(&schedule, None);
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
