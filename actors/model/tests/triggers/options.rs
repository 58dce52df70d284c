//! Thresholds, rates, hours and days, and how long sets wait.

use impresario_model::calendar::Calendars;
use impresario_model::event::CloudEvent;
use serde_json::{Value, json};

use crate::driver::{NOON, Watcher, event};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

fn any() -> Value {
    json!({ "any": [{ "with": { "type": "a" } }] })
}

/// An event of a host comes, so many milliseconds after noon: the ids that it starts an instance with.
fn at(watcher: &mut Watcher, after: u64, id: u64, host: &str) -> Vec<String> {
    watcher.now = NOON + after;
    watcher.ids([event("a", id, &json!({ "host": host }))]).remove(0)
}

#[test]
fn a_threshold_fires_when_so_many_came_within_so_long() {
    let options = json!({ "threshold": { "count": 3, "within": "PT10S" } });
    let mut watcher = Watcher::new(&any(), &options);
    assert!(at(&mut watcher, 0, 1, "x").is_empty());
    assert!(at(&mut watcher, 4_000, 2, "x").is_empty());
    // The first is ten seconds old by now and counts no more.
    assert!(at(&mut watcher, 10_000, 3, "x").is_empty());
    assert_eq!(at(&mut watcher, 13_999, 4, "x"), ["2+3+4"]);
    // What has fired is used up: three new ones are needed.
    assert!(at(&mut watcher, 14_000, 5, "x").is_empty());
    assert!(at(&mut watcher, 14_001, 6, "x").is_empty());
    assert_eq!(at(&mut watcher, 14_002, 7, "x"), ["5+6+7"]);
    assert_eq!((watcher.trigger.matched, watcher.trigger.fired), (7, 2));
}

#[test]
fn a_threshold_counts_apart_by_key() {
    let options = json!({ "threshold": { "count": 2, "within": "PT10S", "by": ".data.host" } });
    let mut watcher = Watcher::new(&any(), &options);
    let seen = [(1, "x"), (2, "y"), (3, "y"), (4, "x")];
    let started = seen.map(|(id, host)| at(&mut watcher, id, id, host));
    assert_eq!(started, [vec![], vec![], vec!["2+3"], vec!["1+4"]]);
    // One that has no such key is counted with nothing.
    assert_eq!(watcher.ids([event("a", 5, &json!({})), event("a", 6, &json!({}))]), [vec![""; 0], vec![]]);
    assert!(watcher.trigger.waiting.sets.is_empty());
}

#[test]
fn the_time_that_an_event_claims_decides_nothing() {
    let options = json!({ "threshold": { "count": 2, "within": "PT10S" } });
    let mut watcher = Watcher::new(&any(), &options);
    let claiming = |id: &str, time: &str| {
        CloudEvent::from_json(json!({
            "specversion": "1.0", "id": id, "source": "/s", "type": "a", "time": time,
        }))
        .unwrap()
    };
    assert!(watcher.ids([claiming("1", "1990-01-01T00:00:00Z")])[0].is_empty());
    assert_eq!(watcher.ids([claiming("2", "2090-01-01T00:00:00Z")]), [["1+2"]]);
    watcher.ids([claiming("3", "2026-01-01T12:00:00Z")]);
    watcher.now += 11 * SECOND;
    assert!(watcher.ids([claiming("4", "2026-01-01T12:00:00Z")])[0].is_empty(), "it came too late");
}

#[test]
fn a_rate_lets_so_many_through_in_any_such_time() {
    let mut watcher = Watcher::new(&any(), &json!({ "rate": { "max": 2, "per": "PT10S" } }));
    let fired: Vec<u64> = [0, 1, 2, 9_999, 10_000, 10_001, 10_002]
        .into_iter()
        .filter(|after| !at(&mut watcher, *after, *after, "x").is_empty())
        .collect();
    assert_eq!(fired, [0, 1, 10_000, 10_001]);
    assert_eq!((watcher.trigger.passed.limited, watcher.trigger.passed.suppressed()), (3, 3));
}

#[test]
fn events_count_at_certain_hours_of_certain_days() {
    let options = json!({
        "timezone": "Europe/Berlin",
        "active": { "from": "08:30", "to": "17:00", "days": ["mon", "tuesday", "wed", "thu", "fri"] },
    });
    let mut watcher = Watcher::new(&any(), &options);
    // Noon in UTC is 13:00 in Berlin, and the first day is a Thursday.
    const DAY: u64 = 24 * 60;
    let hours = |watcher: &mut Watcher, after: u64| {
        watcher.now = NOON + after * 60_000;
        !watcher.ids([event("a", after, &json!({}))]).remove(0).is_empty()
    };
    let minutes = [(DAY - 271, false), (DAY - 270, true), (DAY, true), (DAY + 239, true), (DAY + 240, false)];
    for (minute, expected) in minutes {
        assert_eq!(hours(&mut watcher, minute), expected, "{minute}");
    }
    assert!(!hours(&mut watcher, 2 * DAY), "Saturday");
    assert!(hours(&mut watcher, 4 * DAY), "Monday");
    assert_eq!(watcher.trigger.passed.inactive, 3);
}

#[test]
fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
    let options = json!({ "active": { "from": "22:00", "to": "06:00", "days": ["fri"] } });
    let mut watcher = Watcher::new(&any(), &options);
    let mut fires = |after: u64| !at(&mut watcher, after * HOUR, after, "x").is_empty();
    // Thursday 22:00, Friday 05:00 (of Thursday's night), Friday 22:00, Saturday 05:00 (of Friday's), 06:00, 22:00.
    let found = [10, 17, 34, 41, 42, 58].map(&mut fires);
    assert_eq!(found, [false, false, true, true, false, false]);
}

#[test]
fn a_calendar_says_on_which_days_events_count() {
    let spec = serde_json::from_value(json!({ "include": { "dates": ["2026-01-02"] } })).unwrap();
    let mut calendars = Calendars::default();
    calendars.put("shutdown", spec);
    let calendar = calendars.resolve("shutdown").unwrap();
    let schedule = json!({ "on": any() });
    let options = json!({ "calendar": "shutdown" });
    let mut watcher = Watcher::reading(&schedule, &options, Some(calendar));
    assert!(at(&mut watcher, 0, 1, "x").is_empty());
    assert_eq!(at(&mut watcher, 24 * HOUR, 2, "x"), ["2"]);
    // Without the calendar that it names it starts nothing, and says so.
    let mut watcher = Watcher::reading(&schedule, &options, None);
    assert!(at(&mut watcher, 24 * HOUR, 1, "x").is_empty());
    assert!(
        watcher.trigger.problem.as_ref().unwrap().contains("'shutdown'"),
        "{:?}",
        watcher.trigger.problem
    );
}

#[test]
fn sets_wait_as_long_and_as_many_as_is_said() {
    let on = json!({ "all": [
        { "with": { "type": "a" }, "correlate": { "k": { "from": ".data.k" } } },
        { "with": { "type": "b" }, "correlate": { "k": { "from": ".data.k" } } },
    ] });
    let mut watcher = Watcher::new(&on, &json!({ "sets": { "within": "PT1M", "max": 2 } }));
    let of = |kind: &str, id: u64, k: u64| event(kind, id, &json!({ "k": k }));
    watcher.ids([of("a", 1, 1)]);
    watcher.now += 59 * SECOND;
    watcher.ids([of("a", 2, 2)]);
    watcher.now += SECOND;
    assert!(watcher.ids([of("b", 3, 1)])[0].is_empty(), "the first has waited too long");
    assert_eq!(watcher.trigger.passed.expired, 1);
    // A third set pushes the oldest out.
    assert!(watcher.ids([of("a", 4, 4)])[0].is_empty());
    assert_eq!((watcher.trigger.waiting.sets.len(), watcher.trigger.passed.dropped), (2, 1));
    assert!(watcher.ids([of("b", 5, 2)])[0].is_empty());
    assert_eq!(watcher.ids([of("b", 6, 4)]), [["4+6"]]);
}

#[test]
fn another_definition_of_what_belongs_together_begins_anew() {
    let threshold = |count: u64| json!({ "threshold": { "count": count, "within": "PT1H" } });
    let mut watcher = Watcher::new(&any(), &threshold(3));
    at(&mut watcher, 0, 1, "x");
    watcher.deploy(&any(), &threshold(3));
    assert_eq!(watcher.trigger.waiting.sets.len(), 1, "the same again keeps what waits");
    watcher.deploy(&any(), &threshold(2));
    assert!(watcher.trigger.waiting.sets.is_empty());
    assert_eq!(watcher.trigger.passed.dropped, 1);
    at(&mut watcher, 1, 2, "x");
    assert_eq!(at(&mut watcher, 2, 3, "x"), ["2+3"]);
}
