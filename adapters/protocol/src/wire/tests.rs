//! Every message there and back, and what is not one.

use serde_json::json;

use super::*;
use crate::failure::Failure;
use crate::message::{
    Cancel, Function, FunctionKind, Manifest, Observed, PROTOCOL, Probe, ProbeOutcome, Progress, RestartWish,
    RunAnswer, SavedState, Taken, Unwatch,
};
use crate::whom::{RuntimeUser, Target};

fn call() -> Call {
    Call {
        token: "t-1".into(),
        attempt: 2,
        key: "k".into(),
        function: "echo".into(),
        arguments: json!({"text": "line\nfeed", "n": 1.5}),
        state: Some(json!({"at": 3})),
        target: Some(Target {
            name: "web1".into(),
            kind: "unix-server".into(),
            properties: serde_json::Map::from_iter([("host".to_owned(), json!("10.0.0.1"))]),
        }),
        user: Some(RuntimeUser {
            name: "ops".into(),
            fields: [("password".to_owned(), "x".to_owned())].into(),
        }),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    }
}

fn watch() -> Watch {
    let Call { target, user, arguments, .. } = call();
    let (watch, function, cursor) = ("w".into(), "look".into(), Some(json!({"inode": 7})));
    Watch { watch, function, arguments, cursor, target, user }
}

#[test]
fn what_a_node_says_survives_the_wire() {
    let probe =
        Probe { function: "echo".into(), key: "k".into(), arguments: json!(null), ..Probe::default() };
    for message in [
        NodeMessage::Run(call()),
        NodeMessage::Run(Call { state: None, ..call() }),
        NodeMessage::Probe { id: "p".into(), probe },
        NodeMessage::Watch(watch()),
        NodeMessage::Watch(Watch { cursor: None, ..watch() }),
        NodeMessage::Unwatch(Unwatch { watch: "w".into() }),
        NodeMessage::Taken(Taken { watch: "w".into(), count: 3, cursor: Some(json!(7)) }),
        NodeMessage::Taken(Taken { watch: "w".into(), count: 3, cursor: None }),
        NodeMessage::Ping { id: "1".into() },
        NodeMessage::Cancel(Cancel { token: "t-1".into() }),
        NodeMessage::Shutdown,
    ] {
        let line = encode_node(&message).unwrap();
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
        assert_eq!(decode_node(&line), Ok(message));
    }
}

#[test]
fn what_a_host_says_survives_the_wire() {
    let function = Function {
        name: "echo".into(),
        version: "1.0.0".into(),
        restartable: true,
        input: Some(json!({"type": "object"})),
        ..Function::default()
    };
    let monitor = Function { name: "look".into(), kind: FunctionKind::Monitor, ..function.clone() };
    let manifest = Manifest {
        adapter: "test".into(),
        version: "1.0.0".into(),
        protocol: PROTOCOL,
        functions: vec![function, monitor],
        concurrency: 4,
    };
    let failure = Failure::communication("unreachable").with_detail("no route");
    for message in [
        HostMessage::Hello(manifest),
        HostMessage::Answer(Answer::done("t", json!(null))),
        HostMessage::Answer(Answer::error(Some("t".into()), ErrorObject::failed(failure))),
        HostMessage::Answer(Answer::error(None, ErrorObject::new(ErrorObject::PARSE_ERROR, "what?"))),
        HostMessage::Answer(Answer { id: Some("p".into()), outcome: Ok(json!({})) }),
        HostMessage::Progress(Progress {
            token: "t".into(),
            message: Some("half".into()),
            percent: Some(50.0),
        }),
        HostMessage::State(SavedState { token: "t".into(), state: json!([1]) }),
        HostMessage::Event(Observed {
            watch: "w".into(),
            event: Some(json!({"id": "e"})),
            cursor: Some(json!(7)),
        }),
        HostMessage::Event(Observed { watch: "w".into(), event: None, cursor: Some(json!(7)) }),
        HostMessage::Restart(RestartWish { reason: "leaking".into() }),
    ] {
        let line = encode_host(&message).unwrap();
        assert_eq!(decode_host(&line).unwrap(), message);
    }
}

#[test]
fn the_lines_are_the_documented_ones() {
    let line = encode_node(&NodeMessage::Cancel(Cancel { token: "t".into() })).unwrap();
    assert_eq!(line, b"{\"jsonrpc\":\"2.0\",\"method\":\"cancel\",\"params\":{\"token\":\"t\"}}\n");
    let line = encode_host(&HostMessage::Answer(Answer::done("t", json!(null)))).unwrap();
    assert_eq!(line, b"{\"jsonrpc\":\"2.0\",\"id\":\"t\",\"result\":{\"output\":null}}\n");
    let outcome = serde_json::to_value(ProbeOutcome::NotDone).unwrap();
    assert_eq!(outcome, json!({"outcome": "notDone"}));
}

#[test]
fn fields_of_a_newer_protocol_are_ignored() {
    let line = br#"{"jsonrpc":"2.0","method":"cancel","params":{"token":"t","why":"x"},"trace":1}"#;
    assert_eq!(decode_node(line), Ok(NodeMessage::Cancel(Cancel { token: "t".into() })));
    let line = br#"{"jsonrpc":"2.0","method":"restart","params":{"reason":"r","when":"now"}}"#;
    assert_eq!(decode_host(line).unwrap(), HostMessage::Restart(RestartWish { reason: "r".into() }));
}

#[test]
fn what_a_node_should_not_say_is_answered_with_the_reason() {
    for (line, code, answered) in [
        ("garbage", ErrorObject::PARSE_ERROR, true),
        (r#"{"method":"ping","id":"1"}"#, ErrorObject::INVALID_REQUEST, true),
        (r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#, ErrorObject::INVALID_REQUEST, true),
        (r#"{"jsonrpc":"2.0","method":"run","params":{}}"#, ErrorObject::INVALID_REQUEST, true),
        (r#"{"jsonrpc":"2.0","id":"1","method":"dance"}"#, ErrorObject::METHOD_NOT_FOUND, true),
        (r#"{"jsonrpc":"2.0","method":"dance"}"#, ErrorObject::METHOD_NOT_FOUND, false),
        (
            r#"{"jsonrpc":"2.0","id":"1","method":"run","params":{"token":"1"}}"#,
            ErrorObject::INVALID_PARAMS,
            true,
        ),
    ] {
        let unreadable = decode_node(line.as_bytes()).unwrap_err();
        assert_eq!((unreadable.code, unreadable.answer), (code, answered), "{line}");
    }
}

#[test]
fn the_id_of_a_run_is_its_token() {
    let line = r#"{"jsonrpc":"2.0","id":"a","method":"run","params":{"token":"b","attempt":1,"key":"","function":"f"}}"#;
    assert_eq!(decode_node(line.as_bytes()).unwrap_err().code, ErrorObject::INVALID_PARAMS);
    let line = r#"{"jsonrpc":"2.0","id":"a","method":"watch","params":{"watch":"b","function":"f"}}"#;
    assert_eq!(decode_node(line.as_bytes()).unwrap_err().code, ErrorObject::INVALID_PARAMS);
}

#[test]
fn a_function_of_an_older_host_is_an_activity() {
    let function: Function =
        serde_json::from_value(json!({"name": "f", "version": "1", "restartable": true})).unwrap();
    assert_eq!(function.kind, FunctionKind::Activity);
}

#[test]
fn a_host_that_prints_is_malformed_and_one_that_is_newer_is_not() {
    assert!(matches!(decode_host(b"Starting up ..."), Err(WireError::Malformed(_))));
    assert!(matches!(decode_host(b"{}"), Err(WireError::Malformed(_))));
    let newer = br#"{"jsonrpc":"2.0","method":"metrics","params":{}}"#;
    assert!(matches!(decode_host(newer), Err(WireError::UnknownMethod(method)) if method == "metrics"));
}

#[test]
fn a_message_that_is_too_long_is_refused_by_its_sender() {
    let message = NodeMessage::Run(Call { arguments: "x".repeat(MAX_LINE_BYTES).into(), ..call() });
    assert!(matches!(encode_node(&message), Err(WireError::TooLong)));
}

#[test]
fn a_refusal_is_told_from_a_failure() {
    let busy = Answer::error(Some("t".into()), ErrorObject::refused(ErrorObject::BUSY, "busy"));
    assert_eq!(busy.into_run(), RunAnswer::Refused("busy".into()));
    let failed = Answer::error(Some("t".into()), ErrorObject::new(-1, "boom"));
    let RunAnswer::Failed(failure) = failed.into_run() else { panic!("a code of its own is a failure") };
    assert_eq!((failure.kind.as_str(), failure.status, failure.title.as_str()), ("runtime", 500, "boom"));
}
