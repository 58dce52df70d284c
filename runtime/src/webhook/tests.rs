//! Mappings and verification, on requests as well-known systems send them.

use proptest::prelude::*;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::verify::Secrets;
use super::{Delivery, Webhook, WebhookSpec};

/// 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045_000;

fn webhook(text: &str) -> Webhook {
    WebhookSpec::parse(text)
        .and_then(|spec| spec.compile("h"))
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn delivery(headers: &[(&str, &str)], query: &[(&str, &str)], body: &str) -> Delivery {
    let texts = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Delivery { headers: texts(headers), query: texts(query), body: body.to_owned().into(), now: NOW }
}

/// What a webhook makes of a request, in JSON.
fn mapped(webhook: &Webhook, delivery: &Delivery) -> Result<Vec<Value>, String> {
    Ok(webhook.map(delivery)?.events.into_iter().map(|event| event.into_envelope()).collect())
}

const PLAIN: &str = "verify: none\nevent: { type: t }\n";

#[test]
fn a_request_of_github_becomes_an_event() {
    let webhook = webhook(
        r#"
verify: { hmac: { header: X-Hub-Signature-256, prefix: "sha256=", secret: { user: github, field: secret } } }
when: '${ .headers["x-github-event"] == "push" }'
event:
  type: '${ "com.github." + .headers["x-github-event"] }'
  source: '${ "https://github.com/" + .body.repository.full_name }'
  subject: '${ .body.ref }'
  branch: main
  data: { by: '${ .body.pusher.name }', commits: '${ [.body.commits[].id] }' }
"#,
    );
    let body = r#"{"ref":"refs/heads/main","repository":{"full_name":"a/b"},"pusher":{"name":"ada"},"commits":[{"id":"1"}]}"#;
    let headers =
        [("content-type", "application/json"), ("x-github-event", "push"), ("x-github-delivery", "d-1")];
    let expected = json!({
        "specversion": "1.0", "id": "d-1", "source": "https://github.com/a/b", "type": "com.github.push",
        "subject": "refs/heads/main", "branch": "main", "data": { "by": "ada", "commits": ["1"] },
    });
    assert_eq!(mapped(&webhook, &delivery(&headers, &[], body)), Ok(vec![expected]));
    let ping = [("content-type", "application/json"), ("x-github-event", "ping")];
    assert_eq!(mapped(&webhook, &delivery(&ping, &[], body)), Ok(vec![]), "passed over");
}

#[test]
fn each_alert_of_a_list_becomes_an_event() {
    let webhook = webhook(
        r#"
verify: none
each: '${ .body.alerts }'
event:
  type: '${ "alert." + $item.status }'
  subject: '${ $item.labels.alertname }'
  id: '${ "\($item.fingerprint)-\($item.startsAt)-\($item.status)" }'
  time: '${ $item.startsAt }'
  data: '${ $item }'
"#,
    );
    let body = r#"{"alerts":[{"status":"firing","labels":{"alertname":"Disk"},"fingerprint":"f","startsAt":"2026-01-02T00:00:00Z"},
        {"status":"resolved","labels":{"alertname":"Load"},"fingerprint":"g","startsAt":"2026-01-02T00:00:01Z"}]}"#;
    let events = mapped(&webhook, &delivery(&[("content-type", "application/json")], &[], body)).unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&json!("alert.firing"), &json!("alert.resolved")));
    assert_eq!(events[0]["id"], "f-2026-01-02T00:00:00Z-firing");
    assert_eq!(events[1]["source"], "/hooks/h");
}

#[test]
fn what_is_not_said_has_a_default() {
    let webhook = webhook(PLAIN);
    let of = |headers: &[(&str, &str)], query: &[(&str, &str)], body: &str| {
        mapped(&webhook, &delivery(headers, query, body)).unwrap().remove(0)
    };
    assert_eq!(of(&[], &[], "{\"a\":1}")["data"], json!({ "a": 1 }), "JSON, as nobody says otherwise");
    assert_eq!(of(&[], &[], "plain")["data"], "plain");
    assert_eq!(of(&[("content-type", "text/plain")], &[], "{\"a\":1}")["data"], "{\"a\":1}");
    let form = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
    assert_eq!(of(&form, &[], "a=1&b=x+y&a=%C3%BC")["data"], json!({ "a": ["1", "ü"], "b": "x y" }));
    let id = |query: &[(&str, &str)], body: &str| of(&[], query, body)["id"].clone();
    assert_eq!(id(&[], "{}"), id(&[], "{}"), "the same delivery again");
    assert_ne!(id(&[], "{}"), id(&[], "[]"));
    assert_ne!(id(&[("a", "1")], "{}"), id(&[], "{}"));
    assert_eq!(of(&[("webhook-id", "msg_1")], &[], "{}")["id"], "msg_1");
}

#[test]
fn no_expression_sees_what_verifies() {
    let webhook = webhook(
        "verify: { token: { query: key, secret: { user: u, field: f } } }\nevent: { type: t, data: '${ . }' }\n",
    );
    let headers = [("authorization", "Bearer x"), ("cookie", "c"), ("x-one", "1"), ("x-one", "2")];
    let seen =
        mapped(&webhook, &delivery(&headers, &[("key", "secret"), ("a", "b")], "1")).unwrap().remove(0);
    assert_eq!(
        seen["data"],
        json!({ "hook": "h", "headers": { "x-one": "1, 2" }, "query": { "a": "b" }, "body": 1 })
    );
}

#[test]
fn mistakes_of_a_file_are_told_with_their_place() {
    for (text, place) in [
        ("event: { type: t }", "verify"),
        ("verify: none\nevent: {}", "event.type: expected the type"),
        ("verify: none\nevent: { type: '${ .body. }' }", "event.type: "),
        ("verify: none\nevent: { type: t, data: { a: ['${ $nobody }'] } }", "event.data.a[0]: "),
        ("verify: none\nwhen: '${ nope(1) }'\nevent: { type: t }", "when: "),
        ("verify: none\nevents: { type: t }", "events"),
        (
            "verify: { hmac: { header: 'a b', secret: { user: u, field: f } } }\nevent: { type: t }",
            "verify.hmac.header",
        ),
        (
            "verify: { hmac: { header: h, signed: 'x', secret: { user: u, field: f } } }\nevent: { type: t }",
            "{body}",
        ),
        (
            "verify: { hmac: { header: h, signed: '{timestamp}{body}', secret: { user: u, field: f } } }\nevent: { type: t }",
            "'timestamp'",
        ),
        (
            "verify: { token: { secret: { user: u, field: f } } }\nevent: { type: t }",
            "either 'header' or 'query'",
        ),
        (
            "verify: { hmac: { header: h, algorithm: md5, secret: { user: u, field: f } } }\nevent: { type: t }",
            "md5",
        ),
        ("verify: maybe\nevent: { type: t }", "maybe"),
    ] {
        let found = WebhookSpec::parse(text).and_then(|spec| spec.compile("h").map(drop)).unwrap_err();
        assert!(found.contains(place), "expected {place} for {text}, found {found}");
    }
    assert!(WebhookSpec::parse(PLAIN).unwrap().compile("a/b").unwrap_err().contains("a/b"));
}

#[test]
fn what_expressions_give_is_checked_at_each_request() {
    for (text, found) in [
        ("verify: none\nevent: { type: '${ .headers.none }' }", "'type': expected a non-empty string"),
        ("verify: none\nevent: { type: t, time: yesterday }", "RFC 3339"),
        ("verify: none\nwhen: '${ 1 }'\nevent: { type: t }", "when: expected true or false, found 1"),
        ("verify: none\neach: '${ {} }'\nevent: { type: t }", "each: expected a list"),
        ("verify: none\neach: '${ [range(501)] }'\nevent: { type: t }", "at most 500 items"),
        ("verify: none\nevent: { type: '${ [range(1e9)] | length }' }", "event.type: "),
        ("verify: none\nbody: json\nevent: { type: t }", "expected a body of JSON"),
    ] {
        let error = mapped(&webhook(text), &delivery(&[], &[], "no JSON")).unwrap_err();
        assert!(error.contains(found), "expected {found}, found {error}");
    }
}

const SECRETS: &Secrets<'_> = &|secret| match secret.user.as_str() {
    "nobody" => Err("there is no such user".to_owned()),
    _ => Ok(Zeroizing::new(secret.field.clone())),
};

fn verified(text: &str, delivery: &Delivery) -> Result<(), String> {
    webhook(&format!("verify: {text}\nevent: {{ type: t }}\n")).verifier().verify(delivery, SECRETS)
}

#[test]
fn signatures_are_those_that_others_make() {
    // The example of GitHub's documentation.
    let github = "{ hmac: { header: X-Hub-Signature-256, prefix: 'sha256=', secret: { user: u, field: \"It's a Secret to Everybody\" } } }";
    let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let of = |signature: &str, body: &str| {
        verified(github, &delivery(&[("x-hub-signature-256", signature)], &[], body))
    };
    assert_eq!(of(right, "Hello, World!"), Ok(()));
    assert_eq!(of(&format!("sha256=00 {right}"), "Hello, World!"), Ok(()), "one of several");
    for wrong in ["", "sha256=", "sha256=zz", "757107", &right[..right.len() - 2], &right.replace('7', "8")] {
        assert!(of(wrong, "Hello, World!").is_err(), "{wrong}");
    }
    assert!(of(right, "Hello, World?").is_err());
    let twice = [("x-hub-signature-256", right), ("x-hub-signature-256", "sha256=00")];
    assert!(verified(github, &delivery(&twice, &[], "Hello, World!")).is_err(), "which of them?");
    // RFC 4231, test case 2, and its base64; RFC 2202, test case 2.
    let sha512 = "{ hmac: { header: s, algorithm: sha512, secret: { user: u, field: Jefe } } }";
    let signature = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
        caeab1a34d4a6b4b636e070a38bce737";
    let body = "what do ya want for nothing?";
    assert_eq!(verified(sha512, &delivery(&[("s", signature)], &[], body)), Ok(()));
    let sha1 = "{ hmac: { header: s, algorithm: sha1, secret: { user: u, field: Jefe } } }";
    assert_eq!(
        verified(sha1, &delivery(&[("s", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")], &[], body)),
        Ok(())
    );
    let base64 =
        "{ hmac: { header: s, encoding: base64, secret: { user: u, field: SmVmZQ==, encoding: base64 } } }";
    let signature = "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
    assert_eq!(verified(base64, &delivery(&[("s", signature)], &[], body)), Ok(()));
}

#[test]
fn a_signed_time_has_to_be_near() {
    let slack = "{ hmac: { header: X-Slack-Signature, prefix: 'v0=', signed: 'v0:{timestamp}:{body}', \
        timestamp: { header: X-Slack-Request-Timestamp, tolerance: 5m }, secret: { user: u, field: s } } }";
    let sign = |time: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s");
        let tag = ring::hmac::sign(&key, format!("v0:{time}:body").as_bytes());
        format!("v0={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    let of = |time: &str, signed: &str| {
        let headers = [("x-slack-signature", sign(signed)), ("x-slack-request-timestamp", time.to_owned())];
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        verified(slack, &delivery(&headers, &[], "body"))
    };
    let now = (NOW / 1000).to_string();
    assert_eq!(of(&now, &now), Ok(()));
    for seconds in [NOW / 1000 - 299, NOW / 1000 + 299] {
        assert_eq!(of(&seconds.to_string(), &seconds.to_string()), Ok(()));
    }
    for time in [NOW / 1000 - 301, NOW / 1000 + 301, u64::MAX] {
        assert!(of(&time.to_string(), &time.to_string()).unwrap_err().contains("at most 5m"));
    }
    assert!(of(&(NOW / 1000 - 1).to_string(), &now).is_err(), "another time than was signed");
    assert!(of("soon", "soon").is_err());
}

#[test]
fn tokens_are_compared_whole() {
    let header = "{ token: { header: Authorization, prefix: 'Bearer ', secret: { user: u, field: abc } } }";
    let of = |value: &str| verified(header, &delivery(&[("authorization", value)], &[], ""));
    assert_eq!(of("Bearer abc"), Ok(()));
    for wrong in ["abc", "Bearer ab", "Bearer abcd", "Bearer ", "bearer abc"] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
    let query = "{ token: { query: key, secret: { user: u, field: abc } } }";
    assert_eq!(verified(query, &delivery(&[], &[("key", "abc")], "")), Ok(()));
    assert!(verified(query, &delivery(&[], &[("key", "abc"), ("key", "abc")], "")).is_err());
    assert!(verified(query, &delivery(&[("key", "abc")], &[], "")).is_err());
    let missing = "{ token: { query: key, secret: { user: nobody, field: abc } } }";
    let error = verified(missing, &delivery(&[], &[("key", "abc")], "")).unwrap_err();
    assert!(error.contains("no such user") && !error.contains("abc"), "{error}");
}

proptest! {
    #[test]
    fn no_request_is_too_odd(
        headers in prop::collection::vec(("[a-z-]{1,12}", ".{0,20}"), 0..6),
        body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let webhook = webhook("verify: none\nevent: { type: t, subject: '${ .headers.a }', data: '${ .body.x? }' }");
        let delivery = Delivery { headers, query: vec![], body: body.into(), now: NOW };
        for event in mapped(&webhook, &delivery).unwrap_or_default() {
            prop_assert!(impresario_model::event::CloudEvent::from_json(event).is_ok());
        }
    }
}
