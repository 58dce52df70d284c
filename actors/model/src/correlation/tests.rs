//! Which events come where, and which share a way.

use std::collections::HashMap;

use super::*;
use crate::language::{Catalog, compile};

fn definition(name: &str, version: &str, listen: &str) -> Definition {
    let text = format!(
        "document: {{ dsl: '1.0.3', namespace: t, name: {name}, version: '{version}' }}\ndo: [ {{ hear: {listen} }} ]\n"
    );
    compile(&text, &Catalog::default()).unwrap_or_else(|found| panic!("{found:?}"))
}

fn event(kind: &str, data: Value) -> CloudEvent {
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/t", "type": kind, "data": data });
    CloudEvent::from_json(event).unwrap()
}

/// A router's view of some definitions.
struct View {
    listeners: Listeners,
    definitions: HashMap<DefinitionId, Arc<Definition>>,
}

impl View {
    fn new(definitions: Vec<Definition>) -> Self {
        let listeners = Listeners::new(&routes(&definitions));
        let definitions = definitions.into_iter().map(|one| (one.id.clone(), Arc::new(one))).collect();
        View { listeners, definitions }
    }

    fn of(&self, event: &CloudEvent) -> Vec<String> {
        let found = self.listeners.of(event, &|id| self.definitions.get(id).cloned()).unwrap();
        found.into_iter().map(|(key, _)| key).collect()
    }
}

#[test]
fn an_event_comes_to_the_subscription_of_its_value() {
    let by_host = "{ listen: { to: { one: { with: { type: full }, correlate: { host: { from: .data.host, expect: '${ .h }' } } } } } }";
    let view = View::new(vec![definition("a", "1.0.0", by_host)]);
    let a = view.of(&event("full", json!({ "host": "a" })));
    assert_eq!(a.len(), 1);
    assert_eq!(a, view.of(&event("full", json!({ "host": "a", "more": true }))));
    assert_ne!(a, view.of(&event("full", json!({ "host": "b" }))));
    assert_eq!(view.of(&event("full", json!({}))), [""; 0], "without the value it belongs to nothing");
    assert_eq!(view.of(&event("full", json!({ "host": null }))), [""; 0]);
    assert_eq!(view.of(&event("other", json!({ "host": "a" }))), [""; 0]);
    let one = view.of(&event("full", json!({ "host": 1 })));
    assert_eq!(one, view.of(&event("full", json!({ "host": 1.0 }))), "the same number");
    assert_ne!(one, view.of(&event("full", json!({ "host": "1" }))));
    let huge = view.of(&event("full", json!({ "host": "x".repeat(1 << 20) })));
    assert!(huge[0].len() < 100, "the name of an actor is short");
}

#[test]
fn versions_and_definitions_that_ask_for_the_same_share_a_listener() {
    let plain = "{ listen: { to: { one: { with: { type: full, data: '${ .used > 90 }' } } } } }";
    let longer = "{ listen: { to: { any: [ { with: { data: '${ .used > 90 }', type: full } } ], until: false } }, metadata: \
                  { ops: { lookback: PT1H } } }";
    let other = "{ listen: { to: { one: { with: { type: full, data: '${ .used > 91 }' } } } } }";
    let definitions = [
        definition("a", "1.0.0", plain),
        definition("a", "1.1.0", longer),
        definition("b", "1.0.0", plain),
        definition("c", "1.0.0", other),
    ];
    let routes = routes(&definitions);
    assert_eq!(routes.len(), 2);
    let kept: Vec<u64> = routes.iter().map(|route| route.keep_ms).collect();
    assert!(kept.contains(&3_600_000), "as long as any of them wants it: {kept:?}");
    let view = View::new(definitions.to_vec());
    assert_eq!(view.of(&event("full", json!({ "used": 91 }))).len(), 1);
    assert_eq!(view.of(&event("full", json!({ "used": 95 }))).len(), 2);
}

#[test]
fn what_an_instance_alone_can_tell_is_left_to_it() {
    let seen = "{ listen: { to: { one: { with: { type: full, data: '${ .host == $input.host }' } } } } }";
    let view = View::new(vec![definition("a", "1.0.0", seen)]);
    assert_eq!(view.of(&event("full", json!({ "host": "a" }))).len(), 1);
    assert_eq!(
        view.of(&event("full", json!({ "host": "a" }))),
        view.of(&event("full", json!({ "host": "b" })))
    );
}

#[test]
fn a_key_without_expectation_has_a_way_for_before_and_after_it_is_known() {
    let shared = "{ listen: { to: { all: [ { with: { type: a }, correlate: { h: { from: .data.h }, \
                  site: { from: .data.s, expect: x } } }, { with: { type: b }, correlate: { h: { from: .data.h } } } ] } } }";
    let view = View::new(vec![definition("a", "1.0.0", shared)]);
    let of = |kind: &str, h: &str, s: &str| view.of(&event(kind, json!({ "h": h, "s": s })));
    assert_eq!((of("a", "1", "x").len(), of("b", "1", "x").len()), (2, 2));
    let common: Vec<String> =
        of("a", "1", "x").into_iter().filter(|key| of("a", "2", "x").contains(key)).collect();
    assert_eq!(common.len(), 1, "by the site alone");
    assert!(!of("a", "1", "y").contains(&common[0]));
}

#[test]
fn expressions_that_fail_or_never_end_match_nothing() {
    for from in
        ["error(\"no\")", ".data.host.name", "[range(1e9)] | length", "[limit(200000; repeat(1))] | length"]
    {
        let text = format!(
            "{{ listen: {{ to: {{ one: {{ with: {{ type: full }}, correlate: {{ h: {{ from: '{from}', expect: a }} }} }} }} }} }}"
        );
        let view = View::new(vec![definition("a", "1.0.0", &text)]);
        assert_eq!(view.of(&event("full", json!({ "host": "a" }))), [""; 0], "{from}");
    }
    let text = "{ listen: { to: { one: { with: { type: full, data: '${ .host.name == 1 }' } } } } }";
    let view = View::new(vec![definition("a", "1.0.0", text)]);
    assert_eq!(view.of(&event("full", json!({ "host": "a" }))), [""; 0]);
}

#[test]
fn any_of_nothing_takes_everything_and_an_unknown_definition_is_named() {
    let mut view = View::new(vec![definition("a", "1.0.0", "{ listen: { to: { any: [] } } }")]);
    assert_eq!(view.of(&event("whatever", json!(1))).len(), 1);
    view.definitions.clear();
    let unknown = view.listeners.of(&event("whatever", json!(1)), &|id| view.definitions.get(id).cloned());
    assert_eq!(unknown.unwrap_err().to_string(), "t/a:1.0.0");
}

#[test]
fn routes_of_several_nodes_come_to_the_same_in_every_order() {
    let one = |kind: &str, name: &str, lookback: &str| {
        let listen = format!(
            "{{ listen: {{ to: {{ one: {{ with: {{ type: {kind} }} }} }} }}, metadata: {{ ops: {{ lookback: {lookback} }} }} }}"
        );
        routes([&definition(name, "1.0.0", &listen)])
    };
    let parts = [one("a", "x", "PT1H"), one("a", "y", "PT2H"), one("b", "z", "PT1M")];
    let merged = |order: [usize; 4]| {
        let mut known = Vec::new();
        order.iter().for_each(|at| merge(&mut known, &parts[*at]));
        known
    };
    let expected = merged([0, 1, 2, 2]);
    assert_eq!(expected.len(), 2);
    assert!(expected.iter().any(|route| route.keep_ms == 7_200_000 && route.definition.name == "x"));
    for order in [[2, 1, 0, 1], [1, 0, 2, 0], [2, 0, 1, 2], [0, 2, 1, 0]] {
        assert_eq!(merged(order), expected);
    }
}
