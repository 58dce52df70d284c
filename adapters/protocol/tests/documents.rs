//! The documents of the protocol against the code: the schema takes every message that the crate can make and refuses
//! what is not one, and the lines on the page are messages of both.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::collections::BTreeSet;

use impresario_adapter::message::*;
use impresario_adapter::wire::{decode_host, decode_node, encode_host, encode_node};
use impresario_adapter::{Failure, RuntimeUser, Target};
use jsonschema::Validator;
use serde_json::{Map, Value, json};

const SCHEMA: &str = include_str!("../../../docs/adapter-protocol.schema.json");
const PAGE: &str = include_str!("../../../docs/adapters.md");

/// The schema of one direction.
fn schema(direction: &str) -> Validator {
    let mut schema: Map<String, Value> = serde_json::from_str(SCHEMA).unwrap();
    schema.remove("anyOf");
    schema.insert("$ref".to_owned(), format!("#/$defs/{direction}").into());
    jsonschema::draft202012::new(&schema.into()).unwrap()
}

fn value(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap()
}

fn target() -> Option<Target> {
    let properties = Map::from_iter([("host".to_owned(), json!("10.0.0.1"))]);
    Some(Target { name: "web1".into(), kind: "unix-server".into(), properties })
}

fn user() -> Option<RuntimeUser> {
    Some(RuntimeUser { name: "ops".into(), fields: [("password".to_owned(), "x".to_owned())].into() })
}

/// Each message with everything that may be in it, and with as little as there may be.
fn from_node() -> Vec<NodeMessage> {
    let call = Call {
        token: "t".into(),
        attempt: 1,
        key: "k".into(),
        function: "f".into(),
        arguments: json!({"a": [1]}),
        ..Call::default()
    };
    let full = Call {
        state: Some(json!(3)),
        target: target(),
        user: user(),
        attempt: 7,
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        ..call.clone()
    };
    let probe = Probe { function: "f".into(), key: "k".into(), ..Probe::default() };
    let full_probe = Probe { target: target(), user: user(), arguments: json!({"a": null}), ..probe.clone() };
    let watch = Watch { watch: "w".into(), function: "f".into(), ..Watch::default() };
    let full_watch = Watch {
        cursor: Some(json!({"at": 1})),
        arguments: json!([]),
        target: target(),
        user: user(),
        ..watch.clone()
    };
    let taken = |cursor| NodeMessage::Taken(Taken { watch: "w".into(), count: 256, cursor });
    vec![
        NodeMessage::Run(call),
        NodeMessage::Run(full),
        NodeMessage::Probe { id: "p".into(), probe },
        NodeMessage::Probe { id: "p".into(), probe: full_probe },
        NodeMessage::Watch(watch),
        NodeMessage::Watch(full_watch),
        NodeMessage::Ping { id: "1".into() },
        NodeMessage::Cancel(Cancel { token: "t".into() }),
        NodeMessage::Unwatch(Unwatch { watch: "w".into() }),
        taken(None),
        taken(Some(json!("c"))),
        NodeMessage::Shutdown,
    ]
}

fn failures() -> Vec<Failure> {
    let own = Failure::new("https://example.com/errors/no-such-person", 404, "no such person");
    let mut failures = vec![
        Failure::configuration("c"),
        Failure::validation("v"),
        Failure::timeout("t"),
        Failure::communication("c"),
        Failure::runtime("r").with_detail("why"),
        own,
    ];
    for kind in [Failure::EXPRESSION, Failure::AUTHENTICATION, Failure::AUTHORIZATION] {
        failures.push(Failure::new(kind, 401, "no"));
    }
    failures
}

fn from_host() -> Vec<HostMessage> {
    let function = Function { name: "f".into(), version: "1.0.0".into(), ..Function::default() };
    let full = Function {
        kind: FunctionKind::Monitor,
        restartable: true,
        probe: true,
        input: Some(json!({"type": "object"})),
        output: Some(json!(true)),
        ..function.clone()
    };
    let manifest = |functions| Manifest {
        adapter: "a".into(),
        version: "1.0.0".into(),
        protocol: PROTOCOL,
        functions,
        concurrency: 1,
    };
    let progress = |message, percent| HostMessage::Progress(Progress { token: "t".into(), message, percent });
    let event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": 1});
    let observed = |event, cursor| HostMessage::Event(Observed { watch: "w".into(), event, cursor });
    let probed =
        |outcome| Answer { id: Some("p".into()), outcome: Ok(serde_json::to_value(outcome).unwrap()) };
    let mut answers = vec![
        Answer::done("t", json!(null)),
        Answer::done("t", json!({"rows": []})),
        Answer { id: Some("1".into()), outcome: Ok(json!({})) },
        probed(ProbeOutcome::Done { output: json!(1) }),
        probed(ProbeOutcome::NotDone),
        probed(ProbeOutcome::Unknown),
    ];
    let failed = failures().into_iter().map(ErrorObject::failed);
    answers.extend(failed.map(|error| Answer::error(Some("t".into()), error)));
    for code in [ErrorObject::BUSY, ErrorObject::SHUTTING_DOWN, ErrorObject::CANCELLED] {
        answers.push(Answer::error(Some("t".into()), ErrorObject::refused(code, "not now")));
    }
    for code in [ErrorObject::PARSE_ERROR, ErrorObject::INVALID_REQUEST] {
        answers.push(Answer::error(None, ErrorObject::new(code, "what?")));
    }
    for code in [ErrorObject::METHOD_NOT_FOUND, ErrorObject::INVALID_PARAMS] {
        answers.push(Answer::error(Some("1".into()), ErrorObject::new(code, "what?")));
    }
    let mut messages = vec![
        HostMessage::Hello(manifest(vec![])),
        HostMessage::Hello(manifest(vec![function, full])),
        progress(None, None),
        progress(Some("half".into()), Some(50.0)),
        HostMessage::State(SavedState { token: "t".into(), state: json!(null) }),
        observed(Some(event.clone()), None),
        observed(Some(event), Some(json!(7))),
        observed(None, Some(json!(0))),
        HostMessage::Restart(RestartWish { reason: "leaking".into() }),
    ];
    messages.extend(answers.into_iter().map(HostMessage::Answer));
    messages
}

#[test]
fn the_schema_takes_every_message_of_a_node() {
    let (schema, other) = (schema("fromNode"), schema("fromHost"));
    let mut kinds = BTreeSet::new();
    for message in from_node() {
        // A new kind does not compile here, and is added to the list above.
        kinds.insert(match &message {
            NodeMessage::Run(_) => 0,
            NodeMessage::Probe { .. } => 1,
            NodeMessage::Watch(_) => 2,
            NodeMessage::Ping { .. } => 3,
            NodeMessage::Cancel(_) => 4,
            NodeMessage::Unwatch(_) => 5,
            NodeMessage::Taken(_) => 6,
            NodeMessage::Shutdown => 7,
        });
        let line = value(&encode_node(&message).unwrap());
        schema.validate(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(!other.is_valid(&line), "{line} is no message of a host");
    }
    assert_eq!(kinds.len(), 8);
}

#[test]
fn the_schema_takes_every_message_of_a_host() {
    let (schema, other) = (schema("fromHost"), schema("fromNode"));
    let mut kinds = BTreeSet::new();
    for message in from_host() {
        kinds.insert(match &message {
            HostMessage::Hello(_) => 0,
            HostMessage::Answer(_) => 1,
            HostMessage::Progress(_) => 2,
            HostMessage::State(_) => 3,
            HostMessage::Event(_) => 4,
            HostMessage::Restart(_) => 5,
        });
        let line = value(&encode_host(&message).unwrap());
        schema.validate(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(!other.is_valid(&line), "{line} is no message of a node");
    }
    assert_eq!(kinds.len(), 6);
}

/// Sets or removes (`null` stands for removal) a member by its path.
fn changed(message: &Value, path: &str, to: &Value) -> Value {
    let mut message = message.clone();
    let (parent, member) = path.rsplit_once('/').unwrap();
    let parent = message.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match to {
        Value::Null => drop(parent.remove(member).unwrap()),
        to => drop(parent.insert(member.to_owned(), to.clone())),
    }
    message
}

#[test]
fn the_schema_refuses_what_a_node_must_not_say() {
    let schema = schema("fromNode");
    let line = |method: &str| {
        let lines = from_node().into_iter().rev().map(|message| value(&encode_node(&message).unwrap()));
        lines.into_iter().find(|line| line["method"] == method).unwrap()
    };
    for (method, path, to) in [
        ("run", "/jsonrpc", json!("1.0")),
        ("run", "/id", json!(7)),
        ("run", "/id", json!(null)),
        ("run", "/params/token", json!(null)),
        ("run", "/params/attempt", json!(0)),
        ("run", "/params/key", json!(1)),
        ("run", "/params/function", json!("")),
        ("run", "/params/user/fields", json!({"password": 1})),
        ("run", "/params/target/type", json!(null)),
        ("probe", "/params/key", json!(null)),
        ("watch", "/params/watch", json!(null)),
        ("ping", "/id", json!(null)),
        ("ping", "/method", json!("dance")),
        ("cancel", "/params/token", json!(null)),
        ("cancel", "/id", json!("1")),
        ("unwatch", "/params/watch", json!([])),
        ("taken", "/params/count", json!(-1)),
        ("shutdown", "/params", json!(null)),
    ] {
        let wrong = changed(&line(method), path, &to);
        assert!(!schema.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn the_schema_refuses_what_a_host_must_not_say() {
    let schema = schema("fromHost");
    let lines: Vec<Value> = from_host().iter().map(|message| value(&encode_host(message).unwrap())).collect();
    let line = |method: &str| lines.iter().rfind(|line| line["method"] == method).unwrap();
    let answer = |member: &str| lines.iter().find(|line| line.get(member).is_some()).unwrap();
    for (line, path, to) in [
        (line("hello"), "/params/protocol", json!(2)),
        (line("hello"), "/params/concurrency", json!(0)),
        (line("hello"), "/params/functions", json!([{"name": "f", "version": "1"}])),
        (line("hello"), "/params/functions", json!([{"name": "", "version": "1", "restartable": true}])),
        (line("progress"), "/params/percent", json!(101)),
        (line("state"), "/params/token", json!(null)),
        (line("event"), "/params/watch", json!(null)),
        (line("event"), "/params/cursor", json!(null)),
        (line("event"), "/params/event", json!({"id": "1"})),
        (line("restart"), "/params/reason", json!(null)),
        (line("restart"), "/id", json!("1")),
        (answer("result"), "/id", json!(null)),
        (answer("result"), "/id", json!(1)),
        (answer("result"), "/result", json!("done")),
        (answer("result"), "/error", json!({"code": 1, "message": ""})),
        (answer("error"), "/error/data", json!(null)),
        (answer("error"), "/error/data/status", json!(1000)),
        (answer("error"), "/error/data/kind", json!("oops")),
        (answer("error"), "/error/code", json!("busy")),
    ] {
        let wrong = changed(line, path, &to);
        assert!(!schema.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn the_lines_on_the_page_are_messages() {
    let (node, host) = (schema("fromNode"), schema("fromHost"));
    let mut methods = BTreeSet::new();
    for line in PAGE.lines().filter(|line| line.starts_with("{\"jsonrpc\"")) {
        let message: Value = serde_json::from_str(line).unwrap();
        if node.is_valid(&message) {
            decode_node(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error:?}"));
        } else {
            host.validate(&message).unwrap_or_else(|error| panic!("{line}: {error}"));
            decode_host(line.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
        methods.insert(message["method"].as_str().unwrap_or("an answer").to_owned());
    }
    let expected = [
        "an answer",
        "cancel",
        "event",
        "hello",
        "ping",
        "probe",
        "progress",
        "restart",
        "run",
        "shutdown",
        "state",
        "taken",
        "unwatch",
        "watch",
    ];
    assert_eq!(methods, expected.map(str::to_owned).into());
    for number in [
        impresario_adapter::wire::MAX_LINE_BYTES as u64,
        EVENTS_AHEAD_MAX,
        CURSOR_BYTES_MAX as u64,
        impresario_adapter::host::QUEUE_LEN_MAX as u64,
        impresario_adapter::host::WATCHES_MAX as u64,
        impresario_adapter::host::CANCEL_GRACE.as_secs(),
    ] {
        assert!(PAGE.contains(&format!("| {number} ")), "the page's table of limits lacks {number}");
    }
}
