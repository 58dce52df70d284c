//! Events and filters that mean harm, or are more than there is room for.

use impresario_model::event::CloudEvent;
use impresario_model::trigger::{SET_EVENTS_MAX, SETS_BYTES_MAX};
use serde_json::{Value, json};

use crate::driver::{Watcher, event};

#[test]
fn a_filter_that_fails_is_counted_with_its_reason_and_the_next_one_is_asked() {
    let on = json!({ "any": [
        { "with": { "type": "a", "data": "${ .used > (.limit | tonumber) }" } },
        { "with": { "type": "a", "data": "${ .size == 1 }" } },
    ] });
    let mut watcher = Watcher::new(&on, &json!({}));
    assert!(watcher.ids([event("a", 1, &json!({ "used": 5, "limit": "x", "size": 2 }))])[0].is_empty());
    assert_eq!(watcher.ids([event("a", 2, &json!({ "limit": {}, "size": 1 }))]), [["2"]]);
    assert!(watcher.ids([event("a", 3, &json!([1]))])[0].is_empty());
    let passed = &watcher.trigger.passed;
    assert_eq!(passed.failed, 4, "both filters fail on a list");
    assert!(passed.failure.as_ref().unwrap().starts_with("its filter failed: data: "), "{passed:?}");
}

#[test]
fn expressions_that_would_run_for_ever_fail_in_time() {
    let slow = "${ [range(1000000)] | length == 5 }";
    let on = json!({ "any": (0..50).map(|_| json!({ "with": { "data": slow } })).collect::<Vec<_>>() });
    let mut watcher = Watcher::new(&on, &json!({}));
    watcher.see(event("a", 1, &json!({})));
    // All filters of a trigger share what one event may cost.
    assert_eq!(watcher.trigger.passed.failed, 50);
    assert!(watcher.trigger.passed.failure.as_ref().unwrap().contains("fuel"));
    let correlate = json!({ "k": { "from": "error(\"x\" * 100000)" } });
    let on = json!({ "all": [{ "with": { "type": "a" }, "correlate": correlate }] });
    let mut watcher = Watcher::new(&on, &json!({}));
    watcher.see(event("a", 1, &json!({})));
    let failure = watcher.trigger.passed.failure.clone().unwrap();
    assert!(failure.contains("correlate.k.from") && failure.len() < 500, "{failure}");
}

#[test]
fn an_until_and_a_by_that_fail_are_told() {
    let on = json!({ "any": [{ "with": { "type": "a" } }], "until": "map(.data.n) | add > 10 | not | keys" });
    let mut watcher = Watcher::new(&on, &json!({}));
    watcher.see(event("a", 1, &json!({ "n": 1 })));
    assert!(watcher.trigger.passed.failure.as_ref().unwrap().starts_with("its until failed: "));
    let options = json!({ "threshold": { "count": 2, "within": "PT1M", "by": ".data | keys | error" } });
    let mut watcher = Watcher::new(&json!({ "any": [] }), &options);
    watcher.see(event("a", 1, &json!({ "n": 1 })));
    assert!(watcher.trigger.passed.failure.as_ref().unwrap().starts_with("its threshold.by failed: "));
}

fn keyed(id: usize, key: &Value) -> CloudEvent {
    event("a", id, &json!({ "k": key }))
}

#[test]
fn a_storm_of_keys_keeps_the_newest_sets() {
    let on = json!({ "all": [
        { "with": { "type": "a" }, "correlate": { "k": { "from": ".data.k" } } },
        { "with": { "type": "b" }, "correlate": { "k": { "from": ".data.k" } } },
    ] });
    let mut watcher = Watcher::new(&on, &json!({ "sets": { "max": 50 } }));
    for id in 0..300 {
        watcher.see(keyed(id, &json!(id)));
    }
    assert_eq!((watcher.trigger.waiting.sets.len(), watcher.trigger.passed.dropped), (50, 250));
    assert_eq!(watcher.ids([event("b", 301, &json!({ "k": 299 }))]), [["299+301"]]);
    // Keys of any length and form are kept apart, in little room.
    let huge = |c: &str| json!({ "deep": [c.repeat(10_000)] });
    watcher.see(keyed(302, &huge("x")));
    watcher.see(keyed(303, &huge("y")));
    let kept: Vec<usize> = watcher
        .trigger
        .waiting
        .sets
        .iter()
        .map(|set| set.keys["k"].len())
        .filter(|length| *length > 50)
        .collect();
    assert_eq!(kept, [71, 71]);
    assert_eq!(watcher.ids([event("b", 304, &json!({ "k": huge("x") }))]), [["302+304"]]);
}

#[test]
fn a_set_is_bounded_by_count_and_all_sets_by_size() {
    let on = json!({ "any": [{ "with": { "type": "a" } }], "until": "false" });
    let mut watcher = Watcher::new(&on, &json!({}));
    for id in 0..SET_EVENTS_MAX + 10 {
        watcher.see(event("a", id, &json!(1)));
    }
    let set = &watcher.trigger.waiting.sets[0];
    assert_eq!((set.events.len(), set.events[0].id.as_str()), (SET_EVENTS_MAX, "10"));
    assert_eq!(watcher.trigger.passed.dropped, 10);
    let large = json!("x".repeat(SETS_BYTES_MAX / 8));
    for id in 0..20 {
        watcher.see(event("a", format!("large-{id}"), &large));
    }
    let set = &watcher.trigger.waiting.sets[0];
    let bytes: usize = set.events.iter().map(|event| event.bytes).sum();
    assert!(bytes <= SETS_BYTES_MAX && set.events.back().unwrap().id == "large-19", "{bytes}");
    // Where others wait as well, the oldest set gives way.
    let on = json!({ "any": [{ "with": { "type": "a" }, "correlate": { "k": { "from": ".data.k" } } }], "until": "false" });
    let mut watcher = Watcher::new(&on, &json!({}));
    for id in 0..20 {
        watcher.see(event("a", id, &json!({ "k": id, "x": large })));
    }
    let sets = &watcher.trigger.waiting.sets;
    assert!(sets.len() < 9 && sets.back().unwrap().keys["k"] == "19", "{}", sets.len());
}

#[test]
fn a_storm_on_a_limited_trigger_leaves_a_bounded_state() {
    let mut watcher = Watcher::new(&json!({ "any": [] }), &json!({ "rate": { "max": 10, "per": "PT1M" } }));
    for id in 0..5_000 {
        watcher.see(event("a", id, &json!({})));
    }
    assert_eq!((watcher.trigger.fired, watcher.trigger.passed.limited), (10, 4_990));
    let stored = impresario_model::encoding::encode(&watcher.trigger).unwrap();
    assert!(stored.len() < 4_000, "{} bytes", stored.len());
}

#[test]
fn a_trigger_that_an_older_version_stored_is_read() {
    // What version 0.1 wrote: none of the newer fields.
    let old = json!({
        "name": "test/watch/on", "definition": "test/watch:1.0.0", "runtime": "0", "watches": "event a",
        "fired": 3, "last": 5, "skipped": 0, "applied": 7,
    });
    let bytes = impresario_model::encoding::encode(&old).unwrap();
    let trigger: impresario_model::trigger::Trigger = impresario_model::encoding::decode(&bytes).unwrap();
    assert_eq!((trigger.fired, trigger.paused, trigger.waiting.sets.len()), (3, None, 0));
}
