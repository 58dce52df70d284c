//! Monitors, entry by entry.

use serde_json::json;

use super::*;

fn spec(change: Value) -> Box<MonitorSpec> {
    let mut spec = json!({ "function": "file/file-watch", "arguments": { "path": "/a" } });
    spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    Box::new(serde_json::from_value(spec).unwrap())
}

fn want(change: Value, version: u64) -> MonitorEvent {
    MonitorEvent::Want { spec: Some(spec(change)), paused: false, version }
}

fn saw(version: u64, id: &str, cursor: Value) -> MonitorEvent {
    let event = make("m", None, json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "t" }), None);
    MonitorEvent::Observed {
        version,
        event: Some(Box::new(event.unwrap())),
        cursor: Some(cursor),
        invalid: None,
    }
}

fn ended(version: u64, lasting: Option<&str>) -> MonitorEvent {
    MonitorEvent::Ended { version, problem: "closed".to_owned(), lasting: lasting.map(str::to_owned) }
}

/// Entries with offsets that grow, a second apart.
struct Log(Monitor, u64);

impl Log {
    fn new() -> Self {
        Log(Monitor::new("m"), 0)
    }

    fn at(&mut self, now: u64, event: &MonitorEvent) -> Vec<Effect> {
        self.1 += 1;
        self.0.apply(event, Moment { offset: self.1, now })
    }
}

fn order(effects: &[Effect]) -> &WatchOrder {
    match effects {
        [Effect::Watch(order)] => order,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_observed_is_raised_and_its_place_is_kept_with_it() {
    let mut log = Log::new();
    assert_eq!(order(&log.at(0, &want(json!({}), 1))).cursor, None);
    assert!(matches!(log.at(5, &saw(1, "a", json!(7))).as_slice(), [Effect::Emit(event)] if event.id == "a"));
    let invalid = MonitorEvent::Observed {
        version: 1,
        event: None,
        cursor: Some(json!(8)),
        invalid: Some("no".into()),
    };
    assert_eq!(log.at(6, &invalid), []);
    assert_eq!((log.0.events, log.0.invalid, log.0.cursor.clone()), (1, 1, Some(json!(8))));
    let again = log.0.apply(&saw(1, "a", json!(7)), Moment { offset: 2, now: 5 });
    assert_eq!((again, log.0.events), (vec![], 1), "an entry applied before");
}

#[test]
fn an_older_wish_changes_nothing_and_a_newer_one_begins_anew_where_it_has_to() {
    let mut log = Log::new();
    log.at(0, &want(json!({}), 4));
    log.at(0, &saw(4, "a", json!(7)));
    assert_eq!(log.at(0, &want(json!({ "enabled": false }), 3)), []);
    let same = log.at(0, &want(json!({ "description": "other words" }), 5));
    assert_eq!(order(&same).cursor, Some(json!(7)));
    let kept = log.at(0, &want(json!({ "arguments": { "path": "/b" }, "keepCursor": true }), 6));
    assert_eq!(order(&kept).cursor, Some(json!(7)));
    let other = log.at(0, &want(json!({ "arguments": { "path": "/c" } }), 7));
    assert_eq!(order(&other).cursor, None);
    // A late word about what was observed before: the event counts, the place in the other source does not.
    assert_eq!(log.at(0, &saw(6, "late", json!(8))).len(), 1);
    assert_eq!(log.0.cursor, None);
}

#[test]
fn a_pause_ends_the_watching_and_its_place_stays() {
    let mut log = Log::new();
    log.at(0, &want(json!({}), 1));
    log.at(0, &saw(1, "a", json!(7)));
    let paused = MonitorEvent::Want { spec: Some(spec(json!({}))), paused: true, version: 2 };
    assert_eq!(log.at(0, &paused), [Effect::Unwatch]);
    assert_eq!((log.0.word(), log.0.order()), ("paused", None));
    assert_eq!(log.at(0, &ended(1, None)), [], "the answer to the end is no failure");
    assert_eq!(order(&log.at(0, &want(json!({}), 3))).cursor, Some(json!(7)));
    assert_eq!(log.at(9, &MonitorEvent::Want { spec: None, paused: false, version: 4 }), [Effect::Unwatch]);
    assert_eq!((log.0.word(), log.0.removed, &log.0.cursor), ("removed", Some(9), &None));
}

#[test]
fn a_failure_is_waited_for_longer_each_time_and_forgotten_after_a_while_of_work() {
    let mut log = Log::new();
    log.at(0, &want(json!({}), 1));
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..12 {
        assert_eq!(log.at(now, &ended(1, None)), []);
        let until = log.0.due().unwrap();
        assert_eq!(log.at(until - 1, &MonitorEvent::Timer), [], "too early");
        waits.push(until - now);
        order(&log.at(until, &MonitorEvent::Timer));
        now = until;
    }
    assert!(
        waits[0] <= 1_000 && waits[5] > waits[1] && waits.iter().all(|wait| *wait <= 300_000),
        "{waits:?}"
    );
    log.at(now + WORKED_MS, &ended(1, None));
    assert_eq!((log.0.failures, log.0.word()), (1, "failing"));
    order(&log.at(now + WORKED_MS, &MonitorEvent::Again));
}

#[test]
fn what_would_fail_again_waits_for_another_version_or_a_change() {
    let mut log = Log::new();
    log.at(0, &want(json!({}), 1));
    let waits = log.at(0, &ended(1, Some("1.0.0")));
    assert_eq!(order(&waits).not_with.as_deref(), Some("1.0.0"));
    assert_eq!((log.0.word(), log.0.due()), ("stuck", None));
    assert_eq!(log.0.order().as_ref(), Some(order(&waits)), "the next owner waits too");
    assert_eq!(order(&log.at(0, &MonitorEvent::Again)).not_with, None);
    log.at(0, &ended(1, Some("1.1.0")));
    assert_eq!(order(&log.at(0, &want(json!({ "arguments": {} }), 2))).not_with, None);
}

#[test]
fn events_are_made_of_data_alone_and_the_same_observation_makes_the_same() {
    let making: EventMaking = serde_json::from_value(json!({ "type": "t", "subject": "s" })).unwrap();
    let made = |cursor: u64| make("m", Some(&making), json!({ "full": true }), Some(&json!(cursor))).unwrap();
    assert_eq!(
        (made(1).kind.as_str(), made(1).source.as_str(), made(1).subject.as_deref()),
        ("t", "/monitors/m", Some("s"))
    );
    assert_eq!(made(1), made(1));
    assert_ne!(made(1).id, made(2).id);
    let error = make("m", None, json!({ "specversion": "1.0", "id": "" }), None).unwrap_err();
    assert!(error.contains("id"), "{error}");
    let large = make("m", None, json!("x".repeat(EVENT_BYTES_MAX)), None).unwrap_err();
    assert!(large.contains("at most"), "{large}");
}

#[test]
fn a_spec_that_makes_no_sense_is_told() {
    for (change, words) in [
        (json!({ "function": "file" }), "ADAPTER/FUNCTION"),
        (json!({ "event": { "type": "" } }), "event: "),
        (json!({ "arguments": { "a": "x".repeat(ARGUMENTS_BYTES_MAX) } }), "at most"),
        (json!({ "arguments": { "a": ["${ $secrets.db.password | length }"] } }), "as the whole of /a/0"),
    ] {
        let error = spec(change).check().unwrap_err();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(spec(json!({})).check(), Ok(()));
}

#[test]
fn arguments_name_secrets_by_their_place() {
    let arguments =
        json!({ "a/b": ["x", "${ $secrets.db.password }"], "key": "${ $secrets.key }", "cost": "$5" });
    let spec = spec(json!({ "arguments": arguments }));
    assert_eq!(spec.check(), Ok(()));
    let secret = |name: &str, field: Option<&str>| SecretField {
        name: name.to_owned(),
        field: field.map(str::to_owned),
    };
    let expected =
        [("/a~1b/1".to_owned(), secret("db", Some("password"))), ("/key".to_owned(), secret("key", None))];
    assert_eq!(spec.secrets(), BTreeMap::from(expected));
}
