//! Pause, resume, fire by hand, and what a trigger keeps of what it did.

use impresario_model::definition::Definition;
use impresario_model::entry::{Body, ProcessEvent, TriggerEvent};
use impresario_model::instance::Moment;
use impresario_model::language::{Catalog, compile};
use impresario_model::trigger::{HISTORY_MAX, Trigger};
use serde_json::json;

use crate::driver::{NOON, Watcher, document, event, inputs};

fn pause(reason: &str) -> TriggerEvent {
    TriggerEvent::Pause { reason: Some(reason.to_owned()) }
}

#[test]
fn a_paused_trigger_counts_what_it_passes_over_until_it_is_resumed() {
    let on = json!({ "one": { "with": { "type": "a" } } });
    let mut watcher = Watcher::new(&on, &json!({}));
    watcher.apply(&pause("upgrade"));
    assert_eq!(watcher.ids([event("a", 1, &json!({})), event("b", 2, &json!({}))]), [vec![""; 0], vec![]]);
    let paused = watcher.trigger.paused.clone().unwrap();
    assert_eq!((paused.since, paused.reason.as_deref()), (NOON, Some("upgrade")));
    // A new deployment, and one that has it no more, change nothing about that.
    watcher.deploy(&on, &json!({ "rate": { "max": 5, "per": "PT1S" } }));
    watcher.apply(&TriggerEvent::Disarm);
    watcher.arm(None);
    watcher.now += 1;
    watcher.apply(&pause("longer"));
    let paused = watcher.trigger.paused.clone().unwrap();
    assert_eq!((paused.since, paused.reason.as_deref()), (NOON, Some("longer")));
    assert!(watcher.ids([event("a", 3, &json!({}))])[0].is_empty());
    watcher.apply(&TriggerEvent::Resume);
    watcher.apply(&TriggerEvent::Resume);
    assert_eq!(watcher.ids([event("a", 4, &json!({}))]), [["4"]]);
}

/// A schedule that makes up for one of the times that it missed.
fn every_minute() -> Definition {
    let options = json!({ "misfire": "fireOnce" });
    compile(&document(&json!({ "every": "PT1M" }), &options), &Catalog::default()).unwrap()
}

#[test]
fn a_paused_schedule_is_not_woken_and_makes_up_for_what_it_missed() {
    let definition = every_minute();
    let mut trigger = Trigger::new(&definition.triggers[0].name);
    let mut count = 0;
    let mut apply = |trigger: &mut Trigger, event: &TriggerEvent, now: u64| {
        count += 1;
        trigger.apply(event, Some(&definition), Moment { offset: (now << 20) | count, now })
    };
    let arm = TriggerEvent::Arm {
        definition: definition.id.clone(),
        runtime: "0".to_owned(),
        calendar: None,
        generation: 0,
    };
    apply(&mut trigger, &arm, NOON);
    assert_eq!(apply(&mut trigger, &TriggerEvent::Timer, NOON).len(), 1);
    assert_eq!(trigger.due(), Some(NOON + 60_000));
    apply(&mut trigger, &pause("quiet"), NOON + 1);
    assert_eq!(trigger.due(), None);
    assert!(apply(&mut trigger, &TriggerEvent::Timer, NOON + 60_000).is_empty(), "one on its way");
    apply(&mut trigger, &TriggerEvent::Resume, NOON + 215_000);
    let due = trigger.due().unwrap();
    assert!(due <= NOON + 215_000, "it is behind: {due}");
    // Three times were missed, and once is made up for.
    assert_eq!(apply(&mut trigger, &TriggerEvent::Timer, NOON + 215_000).len(), 1);
    assert_eq!((trigger.fired, trigger.due()), (2, Some(NOON + 240_000)));
}

#[test]
fn a_fire_by_hand_heeds_neither_pause_nor_rate_and_says_so() {
    let on = json!({ "one": { "with": { "type": "a" } } });
    let mut watcher = Watcher::new(&on, &json!({ "rate": { "max": 1, "per": "PT1H" } }));
    watcher.apply(&pause("quiet"));
    let told = watcher.fire("i", json!({ "x": 1 }));
    let Body::Process(ProcessEvent::Start(start)) = &told[0].body else { panic!() };
    assert_eq!((told[0].to.as_str(), &start.input), ("process/i", &json!({ "x": 1 })));
    assert_eq!(start.started_by, "operator through trigger test/watch/on");
    assert_eq!(watcher.trigger.history[0].cause, "by hand");
    watcher.apply(&TriggerEvent::Resume);
    assert_eq!(watcher.ids([event("a", 1, &json!({}))]), [["1"]], "the order counts for no rate");
    assert!(watcher.ids([event("a", 2, &json!({}))])[0].is_empty());
    watcher.apply(&TriggerEvent::Disarm);
    assert!(watcher.fire("j", json!({})).is_empty(), "nothing is armed");
}

#[test]
fn the_newest_fires_are_kept_with_their_cause() {
    let on = json!({ "all": [{ "with": { "type": "a" } }, { "with": { "type": "b" } }] });
    let mut watcher = Watcher::new(&on, &json!({}));
    for id in 0..20 {
        let long = format!("{id}-{}", "x".repeat(1_000));
        watcher.see(event("a", id, &json!({})));
        let told = watcher.apply(&TriggerEvent::Event(Box::new(event("b", long, &json!({})))));
        assert_eq!(inputs(told).len(), 1);
    }
    let history = &watcher.trigger.history;
    assert_eq!(history.len(), HISTORY_MAX);
    let newest = history.back().unwrap();
    assert!(newest.cause.starts_with("2 events, the last 19-xxx"), "{}", newest.cause);
    assert!(newest.cause.len() < 300, "{}", newest.cause);
    assert_eq!(newest.at, NOON);
}
