//! Event filters, from the text to the event.

use impresario_model::definition::{Delay, Watch};
use impresario_model::event::CloudEvent;
use impresario_model::expression::{Fuel, Variables};
use serde_json::{Value, json};

use super::accept;

/// Whether the event of a full disk matches a filter.
fn matches(with: &str) -> bool {
    let definition = accept(&format!(
        "document: {{ dsl: '1.0.3', namespace: n, name: d, version: '1.0.0' }}\n\
         schedule: {{ on: {{ one: {{ with: {with} }} }} }}\n\
         do: [ {{ a: {{ wait: PT1S }} }} ]\n"
    ));
    let event = CloudEvent {
        id: "1".to_owned(),
        source: "/hosts/a".to_owned(),
        kind: "com.example.disk.full".to_owned(),
        subject: None,
        time: Some("2026-01-01T00:00:00Z".to_owned()),
        datacontenttype: None,
        dataschema: None,
        data: Some(json!({ "usedPct": 96, "path": "/var" })),
        data_base64: None,
        extensions: json!({ "severity": 3 }).as_object().unwrap().clone(),
    };
    let Watch::Event(consumption) = &definition.triggers[0].watch else { panic!() };
    // A predicate that fails does not match.
    consumption.filters[0].check(&event, &mut Fuel(Fuel::PER_EXPRESSION)).unwrap_or(false)
}

#[test]
fn every_attribute_must_match() {
    for (with, expected) in [
        ("{ type: com.example.disk.full }", true),
        ("{ type: com.example.disk }", false),
        ("{ type: com.example.disk.full, source: /hosts/b }", false),
        (r"{ type: '^com\.example\..*$' }", true),
        (r"{ type: '^com\.example\.disk$' }", false),
        ("{ source: '^/hosts/[a-c]$', specversion: '1.0', severity: 3 }", true),
        ("{ severity: '3' }", false),
        ("{ subject: x }", false),
        ("{ subject: '${ . == null }' }", true),
        ("{ data: '${ .usedPct >= 95 }' }", true),
        ("{ data: '${ .usedPct >= 97 }' }", false),
        ("{ data: '${ .usedPct }' }", false),
        ("{ data: '${ .usedPct | keys }' }", false),
        ("{ data: { path: /var, usedPct: 96 } }", true),
        ("{ data: { path: /var } }", false),
    ] {
        assert_eq!(matches(with), expected, "{with}");
    }
}

struct Nothing;

impl Variables for Nothing {
    fn get(&self, _: &str) -> Option<std::borrow::Cow<'_, Value>> {
        None
    }
}

#[test]
fn a_computed_duration_is_read_like_a_written_one() {
    let definition = accept(
        "document: { dsl: '1.0.3', namespace: n, name: d, version: '1.0.0' }\n\
         do: [ { a: { wait: '${ .pause }' } } ]\n",
    );
    let impresario_model::definition::TaskKind::Wait(delay) = &definition.tasks[0].kind else { panic!() };
    let millis = |pause: Value| {
        let mut fuel = Fuel(Fuel::PER_EXPRESSION);
        delay.millis(0, &json!({ "pause": pause }), &Nothing, &mut fuel).map_err(|error| error.to_string())
    };
    assert_eq!(millis(json!("PT1.5S")), Ok(1_500));
    assert_eq!(millis(json!({ "minutes": 2 })), Ok(120_000));
    assert_eq!(millis(json!("P1Y")), Ok(365 * 86_400_000));
    assert!(millis(json!("soon")).unwrap_err().contains("found 'soon'"));
    assert!(millis(json!(null)).unwrap_err().contains("found null"));
}

#[test]
fn a_month_is_as_long_as_it_is_where_it_begins() {
    let month = Delay::from_value(&json!("P1MT1H")).unwrap();
    let mut fuel = Fuel(Fuel::PER_EXPRESSION);
    let mut days = |now_ms| {
        let millis = month.millis(now_ms, &Value::Null, &Nothing, &mut fuel).unwrap();
        (millis - 3_600_000) / 86_400_000
    };
    // The first of January and the first of February of 1970.
    assert_eq!((days(0), days(31 * 86_400_000)), (31, 28));
}
