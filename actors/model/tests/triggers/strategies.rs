//! one, any, all, until, correlation, and the forms in which events are given on.

use impresario_model::event::CloudEvent;
use impresario_model::language::{Catalog, compile};
use serde_json::{Value, json};

use crate::driver::{Watcher, document, event};

fn with(kind: &str) -> Value {
    json!({ "with": { "type": kind } })
}

/// A filter that ties its events to others of the same host.
fn of_host(kind: &str) -> Value {
    json!({ "with": { "type": kind }, "correlate": { "host": { "from": ".data.host" } } })
}

fn on_host(kind: &str, id: &str, host: &str) -> CloudEvent {
    event(kind, id, &json!({ "host": host }))
}

#[test]
fn one_any_and_everything() {
    let mut one = Watcher::new(&json!({ "one": with("a") }), &json!({}));
    let none = json!({});
    assert_eq!(one.ids([event("a", 1, &none), event("b", 2, &none)]), [vec!["1"], vec![]]);
    let mut any = Watcher::new(&json!({ "any": [with("a"), with("b")] }), &json!({}));
    let events = ["b", "c", "a"].map(|kind| event(kind, kind, &none));
    assert_eq!(any.ids(events), [vec!["b"], vec![], vec!["a"]]);
    let mut everything = Watcher::new(&json!({ "any": [] }), &json!({}));
    assert_eq!(everything.ids([event("x", 1, &none)]), [["1"]]);
    assert_eq!((everything.trigger.matched, everything.trigger.fired), (1, 1));
}

#[test]
fn all_waits_for_one_event_of_each_filter_in_any_order() {
    let mut all = Watcher::new(&json!({ "all": [with("a"), with("b"), with("c")] }), &json!({}));
    let none = json!({});
    let events =
        [("c", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("c", 6)].map(|(k, id)| event(k, id, &none));
    let started = all.ids(events);
    // The second `a` begins a set of its own, which is complete later: nothing is used twice, and nothing is lost.
    assert_eq!(started, [vec![], vec![], vec![], vec!["1+2+4"], vec![], vec!["3+5+6"]]);
    assert!(all.trigger.waiting.sets.is_empty());
}

#[test]
fn an_event_that_matches_several_filters_counts_for_the_first_that_lacks_one() {
    let any = json!({ "with": { "source": "/s" } });
    let mut all = Watcher::new(&json!({ "all": [with("a"), any] }), &json!({}));
    let events = [("a", 1), ("a", 2), ("b", 3), ("a", 4)].map(|(kind, id)| event(kind, id, &json!({})));
    assert_eq!(all.ids(events), [vec![], vec!["1+2"], vec![], vec!["3+4"]]);
}

#[test]
fn all_with_correlation_has_one_set_for_each_value() {
    let mut all = Watcher::new(&json!({ "all": [of_host("full"), of_host("failed")] }), &json!({}));
    let events = [
        on_host("full", "1", "x"),
        on_host("failed", "2", "y"),
        on_host("full", "3", "y"),
        event("full", "4", &json!({})),
        on_host("failed", "5", "x"),
    ];
    // One without a host belongs to nothing.
    assert_eq!(all.ids(events), [vec![], vec![], vec!["2+3"], vec![], vec!["1+5"]]);
    assert_eq!(all.trigger.matched, 4);
}

#[test]
fn filters_with_other_keys_fit_what_they_do_not_contradict() {
    let both = json!({ "with": { "type": "c" }, "correlate": {
        "host": { "from": ".data.host" }, "disk": { "from": ".data.disk" } } });
    let disk = json!({ "with": { "type": "b" }, "correlate": { "disk": { "from": ".data.disk" } } });
    let mut all = Watcher::new(&json!({ "all": [of_host("a"), disk, both] }), &json!({}));
    let events = [
        event("a", 1, &json!({ "host": "x" })),
        event("b", 2, &json!({ "disk": 7 })),
        event("c", 3, &json!({ "host": "x", "disk": 8 })),
        event("c", 4, &json!({ "host": "x", "disk": 7 })),
    ];
    assert_eq!(all.ids(events), [vec![], vec![], vec![], vec!["1+2+4"]]);
}

#[test]
fn an_expectation_is_what_the_value_must_be() {
    let filter = json!({ "with": { "type": "a" }, "correlate": {
        "site": { "from": ".data.site", "expect": "berlin" },
        "size": { "from": ".data.size", "expect": "${ 2 * 3 }" } } });
    let mut one = Watcher::new(&json!({ "one": filter }), &json!({}));
    let events = [
        json!({ "site": "berlin", "size": 6 }),
        json!({ "site": "rome", "size": 6 }),
        json!({ "site": "berlin" }),
    ];
    let events = events.iter().enumerate().map(|(id, data)| event("a", id, data)).collect::<Vec<_>>();
    assert_eq!(one.ids(events), [vec!["0"], vec![], vec![]]);
}

#[test]
fn until_collects_as_long_as_its_condition_does_not_hold() {
    let on = json!({ "any": [of_host("a")], "until": "map(.data.n) | add >= 5" });
    let mut until = Watcher::new(&on, &json!({}));
    let events = [("1", "x", 2), ("2", "y", 4), ("3", "x", 2), ("4", "y", 4), ("5", "x", 2)]
        .map(|(id, host, n)| event("a", id, &json!({ "host": host, "n": n })));
    assert_eq!(until.ids(events), [vec![], vec![], vec![], vec!["2+4"], vec!["1+3+5"]]);
}

#[test]
fn until_ends_by_events_that_are_not_given_on() {
    let on = json!({ "any": [of_host("a")], "until": { "one": of_host("end") } });
    let mut until = Watcher::new(&on, &json!({}));
    let events = [
        on_host("end", "0", "x"),
        on_host("a", "1", "x"),
        on_host("a", "2", "y"),
        on_host("a", "3", "x"),
        on_host("end", "4", "x"),
        on_host("end", "5", "x"),
        on_host("end", "6", "y"),
    ];
    let none: Vec<&str> = vec![];
    let expected = [none.clone(), none.clone(), none.clone(), none.clone(), vec!["1+3"], none, vec!["2"]];
    assert_eq!(until.ids(events), expected);
    // An ending without a key ends whatever waits, each for itself.
    let on = json!({ "any": [of_host("a")], "until": { "all": [with("end"), with("stop")] } });
    let mut until = Watcher::new(&on, &json!({}));
    let events =
        [on_host("a", "1", "x"), on_host("a", "2", "y"), on_host("end", "3", "z"), on_host("stop", "4", "z")];
    assert_eq!(until.ids(events), [vec![], vec![], vec![], vec!["1", "2"]]);
}

#[test]
fn events_are_read_as_the_schedule_says() {
    let inputs = |read: Option<&str>, event: Value| {
        let mut schedule = json!({ "on": { "any": [] } });
        if let Some(read) = read {
            schedule["read"] = json!(read);
        }
        let mut watcher = Watcher::reading(&schedule, &json!({}), None);
        watcher.see(CloudEvent::from_json(event).unwrap()).remove(0)
    };
    let json =
        |data: Value| json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": data });
    assert_eq!(inputs(Some("data"), json(json!({ "a": 1 }))), json!([{ "a": 1 }]));
    assert_eq!(inputs(Some("envelope"), json(json!(1))), json!([json(json!(1))]));
    // Where nothing is said, it is the envelope.
    assert_eq!(inputs(None, json(json!(1))), json!([json(json!(1))]));
    assert_eq!(inputs(Some("raw"), json(json!({ "a": 1 }))), json!(["eyJhIjoxfQ=="]));
    assert_eq!(inputs(Some("raw"), json(json!("ab"))), json!(["ImFiIg=="]), "text that is JSON has quotes");
    let mut text = json(json!("ab"));
    text["datacontenttype"] = json!("text/plain");
    assert_eq!(inputs(Some("raw"), text), json!(["YWI="]));
    let binary =
        json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data_base64": "AAEC" });
    assert_eq!(inputs(Some("raw"), binary.clone()), json!(["AAEC"]));
    assert_eq!(inputs(Some("data"), binary), json!(["AAEC"]));
    let empty = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" });
    assert_eq!(inputs(Some("raw"), empty.clone()), json!([null]));
    assert_eq!(inputs(Some("data"), empty), json!([null]));
}

#[test]
fn a_trigger_sees_the_types_that_it_consumes_and_those_that_end_it() {
    let types = |on: Value| {
        let watcher = Watcher::new(&on, &json!({}));
        let impresario_model::definition::Watch::Event(watched) = &watcher.definition.triggers[0].watch
        else {
            panic!()
        };
        watched.types()
    };
    let named = |types: &[&str]| Some(types.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>());
    assert_eq!(types(json!({ "all": [with("b"), with("a"), with("b")] })), named(&["a", "b"]));
    let ended = json!({ "any": [with("a")], "until": { "any": [with("end"), with("stop")] } });
    assert_eq!(types(ended), named(&["a", "end", "stop"]));
    assert_eq!(
        types(json!({ "any": [with("a")], "until": { "one": { "with": { "source": "/s" } } } })),
        None
    );
    assert_eq!(types(json!({ "any": [with("a"), with("^a.*$")] })), None);
    assert_eq!(types(json!({ "any": [] })), None);
}

#[test]
fn the_same_events_always_start_the_same_instance() {
    let started = || {
        let mut all = Watcher::new(&json!({ "all": [with("a"), with("b")] }), &json!({}));
        all.see(event("a", 1, &json!({})));
        let told =
            all.apply(&impresario_model::entry::TriggerEvent::Event(Box::new(event("b", 2, &json!({})))));
        told[0].to.to_string()
    };
    assert_eq!(started(), started());
}

/// What is refused, with its place.
fn refused(on: Value, options: Value) -> String {
    let found = compile(&document(&json!({ "on": on }), &options), &Catalog::default()).unwrap_err();
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_could_never_work_is_refused_with_its_place() {
    for (on, options, expected) in [
        (json!({ "one": { "with": { "data": "${ .a[ }" } } }), json!({}), "/schedule/on/one/with/data: "),
        (json!({ "one": { "with": { "data": "${ $input.a }" } } }), json!({}), "'$input'"),
        (json!({ "any": [], "until": "map(" }), json!({}), "/schedule/on/until: "),
        (json!({ "any": [], "until": false }), json!({}), "nothing would ever start"),
        (json!({ "all": [] }), json!({}), "at least one event filter"),
        (json!({ "any": [], "until": { "any": [], "until": ".a" } }), json!({}), "no 'until' of an 'until'"),
        (
            json!({ "one": { "with": { "type": "a" }, "correlate": { "k": { "from": "nope(" } } } }),
            json!({}),
            "/schedule/on/one/correlate/k/from: ",
        ),
        (
            json!({ "all": [with("a")] }),
            json!({ "threshold": { "count": 2, "within": "PT1M" } }),
            "beside 'one'",
        ),
        (
            json!({ "one": with("a") }),
            json!({ "threshold": { "count": 1, "within": "PT1M" } }),
            "from 2 to 1000",
        ),
        (json!({ "one": with("a") }), json!({ "threshold": { "count": 2 } }), "a member 'within'"),
        (json!({ "one": with("a") }), json!({ "threshold": { "count": 2, "within": "P1M" } }), "write days"),
        (json!({ "one": with("a") }), json!({ "rate": { "max": 0, "per": "PT1M" } }), "from 1 to 1000"),
        (json!({ "one": with("a") }), json!({ "rat": { "max": 1 } }), "did you mean 'rate'?"),
        (json!({ "one": with("a") }), json!({ "sets": { "max": 5 } }), "which have sets"),
        (
            json!({ "one": with("a") }),
            json!({ "active": { "from": "8:00" } }),
            "'00:00' to '24:00', found '8:00'",
        ),
        (json!({ "one": with("a") }), json!({ "active": { "to": "24:01" } }), "found '24:01'"),
        (json!({ "one": with("a") }), json!({ "active": { "days": ["monady"] } }), "did you mean 'monday'?"),
        (json!({ "one": with("a") }), json!({ "active": {} }), "one of from, to, days"),
    ] {
        let found = refused(on, options);
        assert!(found.contains(expected), "expected {expected}, found: {found}");
    }
    let every = document(&json!({ "every": "PT1M" }), &json!({ "rate": { "max": 1, "per": "PT1M" } }));
    let found = compile(&every, &Catalog::default()).unwrap_err();
    assert!(found[0].message.contains("expected a 'schedule.on'"), "{found:?}");
}
