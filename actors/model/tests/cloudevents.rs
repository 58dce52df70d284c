//! CloudEvents in and out: tables of good and bad events in all three modes.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use impresario_model::event::{CloudEvent, limits};
use serde_json::{Value, json};

/// The smallest event, with members over it.
fn event(over: Value) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "1", "source": "/disk", "type": "full"});
    for (name, value) in over.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn error(value: Value) -> String {
    CloudEvent::from_json(value.clone())
        .map_or_else(|error| error.to_string(), |_| format!("accepted: {value}"))
}

#[test]
fn good_events_come_back_as_they_were() {
    let table = [
        json!({}),
        json!({"subject": "host-1", "time": "2026-01-31T08:30:00Z"}),
        json!({"time": "2026-01-31t08:30:00.123456789012+05:30"}),
        json!({"time": "2016-12-31T23:59:60Z"}),
        json!({"datacontenttype": "application/json", "data": {"used": 95}}),
        json!({"datacontenttype": "application/vnd.disk+json; charset=\"u;t\\\"f\"", "data": [1, 2]}),
        json!({"datacontenttype": "text/plain;charset=utf-8", "data": "full"}),
        json!({"data": "a JSON string"}),
        json!({"data": false}),
        json!({"data_base64": "AAEC/w=="}),
        json!({"datacontenttype": "image/png", "data_base64": ""}),
        json!({"dataschema": "https://example.com/disk.json"}),
        json!({"dataschema": "urn:x:y", "traceparent": "00-0a-0b-01", "urgent": true, "level": -2147483648}),
        json!({"source": "urn:uuid:0c5f1d4e-52b1-4c0b-9f55-1d8f4ac2ad1a", "id": "ids may be anything: ü/ %"}),
        json!({"note": ""}),
    ];
    for over in table {
        let value = event(over);
        let read =
            CloudEvent::from_json(value.clone()).unwrap_or_else(|error| unreachable!("{value}: {error}"));
        assert_eq!(read.envelope(), value);
        assert_eq!(CloudEvent::from_json(read.into_envelope()).unwrap().envelope(), value);
    }
}

#[test]
fn null_counts_as_absent() {
    let read = CloudEvent::from_json(event(
        json!({"subject": null, "mine": null, "data": null, "data_base64": "AA=="}),
    ));
    assert_eq!(read.unwrap().envelope(), event(json!({"data_base64": "AA=="})));
    assert_eq!(error(event(json!({"id": null}))), "'id': expected a non-empty string, found nothing");
}

#[test]
fn bad_events_are_refused_with_attribute_expected_and_found() {
    let media = "expected a media type such as application/json, found";
    let time = "'time': expected an RFC 3339 time such as 2026-01-31T08:30:00Z, found";
    let table = [
        (json!([]), "the event: expected a JSON object, found an array".to_owned()),
        (json!({}), "'specversion': expected '1.0', found nothing".to_owned()),
        (event(json!({"specversion": "0.3"})), "'specversion': expected '1.0', found '0.3'".to_owned()),
        (event(json!({"specversion": 1.0})), "'specversion': expected a non-empty string, found the number 1.0".to_owned()),
        (event(json!({"id": ""})), "'id': expected a non-empty string, found an empty one".to_owned()),
        (event(json!({"id": 7})), "'id': expected a non-empty string, found the number 7".to_owned()),
        (event(json!({"id": "a\nb"})), "'id': expected no control characters, found U+000A".to_owned()),
        (event(json!({"type": {}})), "'type': expected a non-empty string, found an object".to_owned()),
        (event(json!({"source": "a b"})), "'source': expected a URI reference, found 'a b'".to_owned()),
        (event(json!({"subject": ""})), "'subject': expected a non-empty string, found an empty one".to_owned()),
        (event(json!({"dataschema": "disk.json"})), "'dataschema': expected an absolute URI, found 'disk.json'".to_owned()),
        (event(json!({"time": "yesterday"})), format!("{time} 'yesterday'")),
        (event(json!({"time": "2026-01-31"})), format!("{time} '2026-01-31'")),
        (event(json!({"time": "2026-01-31 08:30:00Z"})), format!("{time} '2026-01-31 08:30:00Z'")),
        (event(json!({"time": "2026-02-30T08:30:00Z"})), format!("{time} '2026-02-30T08:30:00Z'")),
        (event(json!({"time": "2026-01-31T08:30:00"})), format!("{time} '2026-01-31T08:30:00'")),
        (event(json!({"time": "2026-01-31T08:30:00.Z"})), format!("{time} '2026-01-31T08:30:00.Z'")),
        (event(json!({"time": "2026-01-31T08:30:00+05"})), format!("{time} '2026-01-31T08:30:00+05'")),
        (event(json!({"datacontenttype": "json"})), format!("'datacontenttype': {media} 'json'")),
        (event(json!({"datacontenttype": "a/b;"})), format!("'datacontenttype': {media} 'a/b;'")),
        (event(json!({"datacontenttype": "a/b; c"})), format!("'datacontenttype': {media} 'a/b; c'")),
        (event(json!({"datacontenttype": "a/b; c=\"d"})), format!("'datacontenttype': {media} 'a/b; c=\"d'")),
        (event(json!({"data": 1, "data_base64": "AA=="})), "'data': expected either data or data_base64, found both".to_owned()),
        (
            event(json!({"datacontenttype": "text/xml", "data": {}})),
            "'data': expected a string, as datacontenttype is 'text/xml', found an object".to_owned(),
        ),
        (
            event(json!({"data_base64": 7})),
            "'data_base64': expected a string of base64 with padding, found the number 7".to_owned(),
        ),
        (event(json!({"Upper": 1})), "'Upper': expected an attribute name of lower-case letters and digits only, found 'Upper'".to_owned()),
        (event(json!({"under_score": 1})), "'under_score': expected an attribute name of lower-case letters and digits only, found 'under_score'".to_owned()),
        (event(json!({"": 1})), "the event: expected an attribute name of lower-case letters and digits only, found ''".to_owned()),
        (event(json!({"mine": {}})), "'mine': expected a string, a boolean or a 32-bit integer, found an object".to_owned()),
        (event(json!({"mine": [1]})), "'mine': expected a string, a boolean or a 32-bit integer, found an array".to_owned()),
        (event(json!({"mine": 1.5})), "'mine': expected a string, a boolean or a 32-bit integer, found the number 1.5".to_owned()),
        (event(json!({"mine": 2147483648_u64})), "'mine': expected a string, a boolean or a 32-bit integer, found the number 2147483648".to_owned()),
    ];
    for (value, expected) in table {
        assert_eq!(error(value), expected);
    }
    for text in ["A", "AA", "AA=", "AA==A", "A!==", "AA_-"] {
        let found = error(event(json!({"data_base64": text})));
        assert!(found.starts_with("'data_base64': expected a string of base64 with padding"), "{found}");
    }
}

#[test]
fn sizes_are_limited() {
    let mut many = event(json!({}));
    for number in 0..limits::ATTRIBUTES {
        many[format!("x{number}")] = json!(number);
    }
    assert_eq!(error(many), "the event: expected at most 64 attributes, found 65 or more");
    let long = event(json!({"subject": "x".repeat(limits::ATTRIBUTE_BYTES)}));
    assert!(error(long).starts_with("the event: expected at most 65536 bytes of attributes"));
    let name = "x".repeat(limits::NAME_BYTES + 1);
    assert!(error(event(json!({name: 1}))).contains("at most 64 characters, found 65"));
    let batch = Value::Array(vec![Value::Null; limits::BATCH + 1]);
    assert!(CloudEvent::batch_from_json(batch).unwrap_err().to_string().contains("at most 10000 events"));
}

#[test]
fn a_batch_is_all_or_nothing() {
    assert_eq!(CloudEvent::batch_from_json(json!([])).unwrap(), vec![]);
    let batch = CloudEvent::batch_from_json(json!([event(json!({})), event(json!({"id": "2"}))])).unwrap();
    assert_eq!(batch.iter().map(|event| event.id.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    let error = CloudEvent::batch_from_json(json!([event(json!({})), event(json!({"id": ""}))])).unwrap_err();
    assert_eq!(error.index, Some(1));
    assert_eq!(
        error.to_string(),
        "event 1 of the batch: 'id': expected a non-empty string, found an empty one"
    );
    let error = CloudEvent::batch_from_json(event(json!({}))).unwrap_err();
    assert_eq!(error.to_string(), "the event: expected a JSON array of events, found an object");
}

const REQUIRED: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/disk"), ("ce-type", "full")];

type Headers<'a> = &'a [(&'a str, &'a str)];

/// Reads binary mode with the required headers and these.
fn binary(headers: Headers<'_>, body: &[u8]) -> Result<Value, String> {
    let all = REQUIRED.iter().chain(headers).map(|(name, value)| (*name, value.as_bytes()));
    CloudEvent::from_http(all, body).map(CloudEvent::into_envelope).map_err(|error| error.to_string())
}

#[test]
fn binary_mode_reads_headers_and_body() {
    let json_type = ("content-type", "application/json");
    let table: [(Headers<'_>, &[u8], Value); 9] = [
        (&[], b"", json!({})),
        (&[("host", "x"), ("cookie", "x")], b"", json!({})),
        (&[], b"{\"a\":1}", json!({"data": {"a": 1}})),
        (&[json_type], b"[1]", json!({"datacontenttype": "application/json", "data": [1]})),
        (&[json_type], b"", json!({"datacontenttype": "application/json"})),
        (
            &[("content-type", "text/plain")],
            b"full",
            json!({"datacontenttype": "text/plain", "data": "full"}),
        ),
        (
            &[("content-type", "application/octet-stream")],
            b"\xff\x00",
            json!({"datacontenttype": "application/octet-stream", "data_base64": "/wA="}),
        ),
        (&[("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80")], b"", json!({"subject": "Euro € 😀"})),
        (&[("ce-mine", "\"a \\\"b\\\" %25\"")], b"", json!({"mine": "a \"b\" %"})),
    ];
    for (headers, body, over) in table {
        assert_eq!(binary(headers, body).unwrap(), event(over));
    }
}

#[test]
fn binary_mode_refuses_what_it_cannot_read() {
    let table: [(Headers<'_>, &[u8], &str); 8] = [
        (&[("ce-id", "2")], b"", "'id': expected one header, found several"),
        (&[("ce-mine", "%zz")], b"", "'mine': expected percent-encoding, found '%' without two"),
        (
            &[("ce-mine", "%e2%82")],
            b"",
            "'mine': expected UTF-8 in the header, found something else at byte 0",
        ),
        (&[("ce-data", "x")], b"", "'data': expected the data in the body, found a ce-data header"),
        (
            &[("ce-datacontenttype", "text/plain")],
            b"",
            "'datacontenttype': expected the media type in the Content-Type",
        ),
        (&[("ce-my-own", "x")], b"", "'my-own': expected an attribute name of lower-case letters"),
        (
            &[("content-type", "application/json")],
            b"{",
            "'data': expected JSON in the body, as the Content-Type is 'application/json', found EOF",
        ),
        (
            &[],
            b"x=y",
            "'data': expected JSON in the body, as the Content-Type is none, which means JSON, found",
        ),
    ];
    for (headers, body, expected) in table {
        let found = binary(headers, body).unwrap_err();
        assert!(found.starts_with(expected), "{found}");
    }
    let without =
        CloudEvent::from_http(REQUIRED[..3].iter().map(|(name, value)| (*name, value.as_bytes())), b"");
    assert_eq!(without.unwrap_err().to_string(), "'type': expected a non-empty string, found nothing");
}
