//! Adapters that keep to the protocol pass, and those that break one rule fail for that very reason.
//!
//! The test program is the host of those in Rust: it starts itself again, for the test [`host`] alone, with a variable
//! that tells which. The harness prints to standard output, so a shell keeps that apart.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so by panicking")]

#[path = "../../protocol/examples/desk.rs"]
#[expect(dead_code, reason = "its `main` is for those who run it")]
mod desk;

use std::ffi::OsString;
use std::time::Duration;

use impresario_adapter::Adapter;
use impresario_adapter::host::serve;
use impresario_adapter_check::{Outcome, Report, Subject, Trial, check};
use serde_json::{Value, json};

const IS_HOST: &str = "IMPRESARIO_TEST_ADAPTER";
/// Starting an interpreter on a busy machine takes its time.
const LIMIT: Duration = Duration::from_secs(20);
/// For what must not come.
const SHORT: Duration = Duration::from_secs(2);

#[test]
fn host() {
    let Some(name) = std::env::var_os(IS_HOST) else { return };
    let adapter: Box<dyn Adapter> = match name.to_str().unwrap() {
        "desk" => Box::new(desk::Desk),
        builtin => impresario_adapters::builtin(builtin).unwrap(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let output = tokio::fs::OpenOptions::new().write(true).open("/dev/fd/3").await.unwrap();
        serve(adapter, tokio::io::stdin(), output).await
    });
    std::process::exit(0);
}

/// The adapter of that name, in Rust.
fn rust(name: &str) -> Subject {
    let script = r#"exec env "$1=$2" "$3" --exact host --nocapture 3>&1 >/dev/null"#;
    let words = ["-c", script, "sh", IS_HOST, name].map(OsString::from);
    let own = std::env::current_exe().unwrap().into_os_string();
    Subject {
        program: "sh".into(),
        arguments: words.into_iter().chain([own]).collect(),
        limit: LIMIT,
        call: None,
    }
}

fn python(script: &str, arguments: &[&str]) -> Subject {
    let script = format!("{}/{script}", env!("CARGO_MANIFEST_DIR"));
    // Without `-I`, which would hide the module beside the script.
    let words = ["-S", script.as_str()].into_iter().chain(arguments.iter().copied());
    Subject {
        program: "/usr/bin/python3".into(),
        arguments: words.map(OsString::from).collect(),
        limit: LIMIT,
        call: None,
    }
}

fn calling(subject: Subject, function: &str, arguments: Value, long: bool) -> Subject {
    Subject { call: Some(Trial { function: function.to_owned(), arguments, long }), ..subject }
}

async fn passes(subject: Subject) -> Report {
    let report = check(&subject).await.unwrap();
    let failed: Vec<_> = report.failed().collect();
    assert!(failed.is_empty(), "{subject:?}: {failed:#?}");
    assert!(report.checks.iter().filter(|check| check.outcome == Outcome::Passed).count() > 15);
    report
}

fn found<'a>(report: &'a Report, name: &str) -> &'a str {
    let check = report.checks.iter().find(|check| check.check == name).unwrap();
    assert_eq!(check.outcome, Outcome::Passed);
    &check.found
}

#[tokio::test]
async fn the_built_in_adapters_pass() {
    for name in impresario_adapters::names() {
        let report = passes(rust(name)).await;
        assert_eq!(report.adapter.as_deref(), Some(*name));
    }
}

#[tokio::test]
async fn a_command_that_is_cut_off_leaves_nothing_behind() {
    let sleeping = json!({"command": "sleep 1000 & wait"});
    let report = passes(calling(rust("command"), "shell", sleeping, true)).await;
    assert!(found(&report, "cancel").contains("cancelled"), "{report:?}");
    let children = found(&report, "children");
    assert!(!children.starts_with('0'), "{children}");
}

async fn the_desk_passes(desk: impl Fn() -> Subject) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let opened =
        passes(calling(desk(), "open-ticket", json!({"folder": path, "title": "disk full"}), false)).await;
    assert_eq!(found(&opened, "call"), "{\"number\":1}");
    assert!(folder.path().join("1.ticket").exists() && !folder.path().join("2.ticket").exists());
    let slow = json!({"folder": path, "pause": 1000});
    passes(calling(desk(), "count-lines", slow, true)).await;
    let watched = passes(calling(desk(), "tickets", json!({"folder": path, "interval": 0.01}), false)).await;
    assert_eq!(found(&watched, "call"), "1 messages");
}

#[tokio::test]
async fn the_example_in_rust_passes() {
    the_desk_passes(|| rust("desk")).await;
}

#[tokio::test]
async fn the_example_in_python_passes() {
    the_desk_passes(|| python("../examples/python/desk.py", &[])).await;
}

/// The adapter with this fault fails this check alone, for a reason with these words.
async fn fails(fault: &str, name: &str, words: &str, call: Option<Trial>, limit: Duration) {
    let subject = Subject { call, limit, ..python("tests/broken.py", &[fault]) };
    let report = check(&subject).await.unwrap();
    let Some(failed) = report.failed().find(|check| check.check == name) else {
        panic!("`{fault}` passes `{name}`: {report:#?}");
    };
    assert!(failed.found.contains(words), "`{fault}`: {failed:#?}");
    assert!(!failed.expected.is_empty());
}

#[tokio::test]
async fn what_a_host_says_of_itself_is_judged() {
    fails("silent", "hello", "nothing within", None, SHORT).await;
    for (fault, name, words) in [
        ("protocol", "hello", "1 was expected"),
        ("no concurrency", "hello", "minimum of 1"),
        ("banner", "hello", "starting up"),
        ("same name", "names", "`f` twice"),
        ("no version", "versions", "of today"),
        ("schema", "schemas", "the input of `count-lines`"),
        ("far schema", "schemas", "the input of `count-lines`"),
        ("another hello", "hello again", "another one"),
        ("two hellos", "one hello", "more"),
    ] {
        fails(fault, name, words, None, LIMIT).await;
    }
}

#[tokio::test]
async fn what_a_host_answers_is_judged() {
    for (fault, name, words) in [
        ("chatter", "lines", "pinged"),
        ("strict", "members", "what is `trace`?"),
        ("willing", "methods", "the result {}"),
        ("talkative", "notifications", "dance"),
        ("brittle", "garbage", "exit status: 7"),
        ("short", "long line", "exit status: 8"),
        ("any function", "function", "validation"),
        ("any arguments", "arguments", "`open-ticket`"),
        ("twice", "answers", "two answers"),
        ("hasty", "probe", "that it was done"),
    ] {
        fails(fault, name, words, None, LIMIT).await;
    }
}

#[tokio::test]
async fn silence_is_judged() {
    for (fault, name) in [("no ping", "ping"), ("any call", "parameters"), ("one at a time", "together")] {
        fails(fault, name, "no answer within", None, SHORT).await;
    }
    fails("no data", "lines", "\"data\" is a required property", None, SHORT).await;
}

#[tokio::test]
async fn ends_are_judged() {
    fails("exit code", "shutdown", "exit status: 3", None, LIMIT).await;
    fails("orphan", "children", "still there", None, LIMIT).await;
    fails("no shutdown", "shutdown", "it still runs", None, SHORT).await;
    fails("deaf", "end of input", "it still runs", None, SHORT).await;
}

#[tokio::test]
async fn real_calls_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let trial =
        |function: &str, arguments, long| Some(Trial { function: function.to_owned(), arguments, long });
    let watch = || trial("tickets", json!({"folder": path}), false);
    fails("far ahead", "call", "more than 256", watch(), LIMIT).await;
    fails("long cursor", "call", "a cursor of 300002 bytes", watch(), LIMIT).await;
    fails("never stops", "unwatch", "no answer within", watch(), SHORT).await;
    fails("late words", "unwatch", "an event after the answer", watch(), SHORT).await;
    let open = trial("open-ticket", json!({"folder": path, "title": "t"}), false);
    fails("wrong output", "call", "is not of type \"string\"", open, LIMIT).await;
    let count = || trial("count-lines", json!({"folder": path}), true);
    fails("stubborn", "cancel", "no answer within", count(), SHORT).await;
    fails("schema", "schemas", "ticket", trial("dance", json!({}), false), LIMIT).await;
}
