//! `impresario adapter-test`: what it prints, and its exit codes. What it judges is tested beside the examiner.

use std::path::Path;

use impresario_tests::cli::{self, Ended};

fn test(arguments: &[&str]) -> Ended {
    let mut all = vec!["adapter-test"];
    all.extend(arguments);
    cli::run(Path::new(env!("CARGO_MANIFEST_DIR")), &all)
}

fn own() -> String {
    impresario_tests::binary::impresario().display().to_string()
}

#[test]
fn the_adapters_of_the_binary_itself_keep_to_the_protocol() {
    for adapter in ["command", "http", "file"] {
        let ended = test(&["--", &own(), "adapter-host", adapter]);
        let last = ended.stdout.lines().last().unwrap_or_default().to_owned();
        assert!(last.contains(" 0 failed"), "{}", ended.stdout);
        assert_eq!(ended.code, 0);
    }
}

#[test]
fn a_function_is_called_for_real_and_told_in_json() {
    let own = own();
    let call =
        ["--json", "--call", "echo", "--arguments", "{\"n\":1}", "--", &own, "adapter-host", "command"];
    let report = test(&call).done().json();
    assert_eq!((&report["adapter"], &report["failed"]), (&"command".into(), &0.into()));
    let checks = report["checks"].as_array().cloned().unwrap_or_default();
    let call = checks.iter().find(|check| check["check"] == "call").cloned().unwrap_or_default();
    assert_eq!((&call["outcome"], &call["found"]), (&"passed".into(), &"{\"n\":1}".into()));
}

#[test]
fn what_is_wrong_is_told_with_code_1() {
    let ended = test(&["--timeout", "2", "--", "echo", "starting up"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("FAILED") && ended.stdout.contains("starting up"), "{}", ended.stdout);
    test(&["--", "no-such-program-of-ours"]).failed(1, &["expected to start the program"]);
}

#[test]
fn bad_usage_is_code_64() {
    let own = own();
    for arguments in
        [vec![], vec!["--arguments", "{}", "--", "x"], vec!["--call", "f", "--arguments", "{", "--", &own]]
    {
        test(&arguments).failed(64, &[]);
    }
}

/// A server of the Model Context Protocol that hears nothing any more once its tool is called.
const DEAF: &str = r#"
import json, sys, time
own = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "deaf", "version": "1"}}
results = {"initialize": own, "tools/list": {"tools": [{"name": "hang", "inputSchema": {"type": "object"}}]}}
for message in map(json.loads, sys.stdin):
    if message["method"] == "tools/call":
        time.sleep(1000)
    if message["method"] in results:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}), flush=True)
"#;

#[test]
fn a_server_of_the_model_context_protocol_ends_with_its_host() {
    let own = own();
    let call =
        ["--call", "hang", "--long", "--", &own, "adapter-host", "mcp", "--", "/usr/bin/python3", "-c", DEAF];
    let ended = test(&call);
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    assert!(ended.stdout.contains("found: 1 gone with it"), "{}", ended.stdout);
}
