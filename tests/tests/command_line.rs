//! The command line against a running node: what it prints for people and for programs, and how it fails.
use std::time::Duration;

use impresario_tests::cli::{self, Ended};
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use serde_json::{Value, json};

const GREET: &str = "
document: { dsl: '1.0.3', namespace: test, name: greet, version: '1.0.0', title: Says hello }
schedule: { on: { one: { with: { type: greeted } } } }
input: { from: 'if type == \"array\" then .[0].data else . end' }
do:
  - note: { call: 'echo:1.0.0@default', with: { said: '${ .name }' } }
  - answer: { set: { hello: '${ .said }' } }
";
const PARK: &str = "
document: { dsl: '1.0.3', namespace: test, name: park, version: '1.0.0' }
do:
  - hold: { wait: P1D }
";
const FAIL: &str = "
document: { dsl: '1.0.3', namespace: test, name: fail, version: '1.0.0' }
do:
  - give-up: { raise: { error: { type: 'https://example.com/broken', status: 418, title: Broken } } }
";

struct Session {
    place: Place,
    node: Node,
}

impl Session {
    async fn start() -> Self {
        let place = Place::new().define("greet", GREET).define("park", PARK).define("fail", FAIL);
        let node = place.start().await;
        Session { place, node }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.place.run(arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.place.json(arguments)
    }
}

/// Expects these words in what a command printed.
fn says(ended: &Ended, words: &[&str]) {
    for word in words {
        assert!(ended.stdout.contains(word), "expected '{word}' in:\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains('\x1b'), "colours without a terminal:\n{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_starts_are_followed_from_the_command_line() {
    let session = Session::start().await;
    says(
        &session.run(&["send", "greeted", "--data", r#"{"name":"Ada"}"#]).done(),
        &["accepted 1 event", "fsync"],
    );
    let sent = session.json(&["send", "greeted", "--data", r#"{"name":"Bob"}"#, "--count", "3"]);
    assert_eq!(sent, json!({ "accepted": 3, "durability": "fsync" }));
    // The same id again is taken, and starts nothing again.
    for _ in 0..2 {
        session.json(&["send", "greeted", "--data", r#"{"name":"Cy"}"#, "--id", "same"]);
    }
    let file = session.place.write(
        "event.json",
        r#"{"specversion":"1.0","id":"e","source":"/f","type":"greeted","data":{"name":"Di"}}"#,
    );
    session.json(&["send", "--event", file.to_str().unwrap()]);
    eventually(Duration::from_secs(30), "six instances that completed", async || {
        let page = session.json(&["ps", "--status", "completed", "--definition", "test/greet"]);
        (page["items"].as_array().unwrap().len() == 6).then_some(())
    })
    .await;

    let output = session.run(&["start", "test/greet", "--input", r#"{"name":"Eve"}"#, "--wait"]).done();
    assert_eq!(output.json(), json!({ "hello": "Eve" }));
    let whole = session.json(&["start", "test/greet:1.0.0", "--input", r#"{"name":"Flo"}"#, "--wait"]);
    assert_eq!((&whole["status"], &whole["output"]), (&json!("completed"), &json!({ "hello": "Flo" })));
    let failed = session.run(&["start", "test/fail", "--wait"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    says(&failed, &["faulted", "418", "Broken", "/do/0/give-up"]);

    let first = session.json(&["start", "test/greet", "--key", "k", "--input", r#"{"name":"Guy"}"#]);
    let again = session.json(&["start", "test/greet", "--key", "k", "--input", r#"{"name":"Guy"}"#]);
    assert_eq!(
        (&first["id"], &first["created"], &again["created"]),
        (&again["id"], &json!(true), &json!(false))
    );
    let other = session.run(&["start", "test/greet", "--key", "k", "--input", r#"{"name":"Hal"}"#]);
    other.failed(2, &["another input"]);

    let page = session.json(&["ps", "--limit", "2"]);
    let next = page["next"].as_str().unwrap();
    let after = session.json(&["ps", "--limit", "1", "--cursor", next]);
    let ids = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["id"].to_string()).collect()
    };
    assert!(!ids(&page).contains(&ids(&after)[0]));
    says(&session.run(&["ps"]).done(), &["INSTANCE", "STATUS", "test/greet:1.0.0", "completed", "faulted"]);

    let id = first["id"].as_str().unwrap();
    says(
        &session.run(&["show", &id[..13]]).done(),
        &[id, "completed", "note (command/echo)", r#"{"hello":"Guy"}"#],
    );
    assert_eq!(session.json(&["show", id])["activities"][0]["attempts"], 1);
    session.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_instance_ends() {
    let session = Session::start().await;
    let id = session.json(&["start", "test/park"])["id"].as_str().unwrap().to_owned();
    says(&session.run(&["show", &id]).done(), &["waiting", "waits for", "'hold' until"]);
    says(&session.run(&["cancel", &id, "--reason", "enough"]).done(), &["cancelling", &id]);
    let detail = session.node.ended(&id).await;
    assert_eq!(detail.summary.status, "cancelled");
    session.run(&["cancel", &id]).failed(2, &["has ended already", "cancelled"]);
    session.run(&["cancel", "01900000-0000-7000-8000-000000000000"]).failed(2, &["01900000"]);
    session.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_shows_what_it_has() {
    let session = Session::start().await;
    let definitions = session.json(&["definitions"]);
    let ids: Vec<&str> =
        definitions.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["test/fail:1.0.0", "test/greet:1.0.0", "test/park:1.0.0"]);
    says(&session.run(&["definitions"]).done(), &["test/greet:1.0.0", "Says hello", "event greeted"]);
    let triggers = session.json(&["triggers"]);
    assert_eq!((&triggers[0]["name"], &triggers[0]["fired"]), (&json!("test/greet/on"), &json!(0)));
    says(&session.run(&["triggers"]).done(), &["test/greet/on", "event greeted"]);
    session.json(&["start", "test/park"]);
    let tree = session.json(&["tree"]);
    let groups: Vec<&str> =
        tree["children"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(groups, ["shards", "hosts"]);
    says(&session.run(&["tree"]).done(), &["shard 0", "running", "adapter command", "└─", "process/"]);
    session.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_shown_with_where_they_came_from() {
    let place = Place::new();
    place.write("impresario.toml", "environment = 'TEST'\n[engine]\nretention = '2days'\n");
    let variables = [("IMPRESARIO_STORE_SHARDS", "8")];
    let ended =
        cli::run_with(place.path(), &["--set", "log.level=warn", "--json", "config"], &variables).done();
    let all = ended.json();
    let find = |key: &str| all.as_array().unwrap().iter().find(|one| one["key"] == key).unwrap().clone();
    let origin = |key: &str| find(key)["origin"].as_str().unwrap().to_owned();
    assert_eq!(
        (find("environment")["value"].clone(), origin("environment")),
        (json!("TEST"), "impresario.toml:1:15".into())
    );
    assert_eq!(
        (find("engine.retention")["value"].clone(), origin("engine.retention")),
        (json!("2days"), "impresario.toml:3:13".into())
    );
    assert_eq!(origin("store.shards"), "env IMPRESARIO_STORE_SHARDS");
    assert_eq!(origin("log.level"), "flag --set");
    assert_eq!(origin("http.listen"), "default");
    let page = cli::run(place.path(), &["config"]).done();
    says(&page, &["http.listen", "127.0.0.1:4747", "default", "impresario.toml:3"]);
    says(
        &cli::run(place.path(), &["config", "--reference"]).done(),
        &["# Configuration", "IMPRESARIO_HTTP_LISTEN"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_are_checked_without_a_node() {
    let place = Place::new();
    let file = place.write("greet.yaml", GREET);
    says(&cli::run(place.path(), &["check", file.to_str().unwrap()]).done(), &["ok test/greet:1.0.0"]);
    let checked = cli::run(place.path(), &["--json", "check", file.to_str().unwrap()]).done().json();
    assert_eq!(
        (&checked["ok"], &checked["definitions"][0]["id"]),
        (&json!(true), &json!("test/greet:1.0.0"))
    );
    // Everything that is wrong is told at once.
    let file = place.write("wrong.yaml", &GREET.replace("'1.0.0'", "one").replace("set:", "sett:"));
    let checked = cli::run(place.path(), &["check", file.to_str().unwrap()]);
    assert_eq!(checked.code, 1);
    says(&checked, &["wrong.yaml:2:", "wrong.yaml:7:", "sett", "set"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_the_command_line_says_what_to_do() {
    let place = Place::new();
    for command in [&["ps"][..], &["tree"], &["send", "x"], &["show", "01900000"], &["start", "test/greet"]] {
        cli::run(place.path(), command).failed(1, &["impresario serve", "--data"]);
    }
    // A node that was killed leaves its address behind.
    let session = Session::start().await;
    let pid = format!("process {}", session.node.process.pid());
    let Session { place, node } = session;
    node.kill().await;
    let data = place.data().to_str().unwrap().to_owned();
    cli::run(place.path(), &["--data", &data, "ps"])
        .failed(1, &["no node answers", &pid, "impresario serve"]);
    // One that was stopped takes it away.
    place.start().await.stop().await;
    assert!(!place.data().join("node.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_told_before_anything_is_done() {
    let session = Session::start().await;
    let url = session.node.api.url().to_owned();
    let wrong = cli::run_with(session.place.path(), &["--url", &url, "ps"], &[("IMPRESARIO_TOKEN", "wrong")]);
    wrong.failed(2, &["refuses the token", "IMPRESARIO_TOKEN"]);
    let right = cli::run_with(
        session.place.path(),
        &["ps"],
        &[("IMPRESARIO_TOKEN", session.node.api.token()), ("IMPRESARIO_URL", &url)],
    );
    says(&right.done(), &["no instances"]);
    session.run(&["ps", "--status", "sleepy"]).failed(2, &["sleepy", "running"]);
    session.run(&["start", "test/greeet"]).failed(2, &["test/greeet", "test/greet:1.0.0"]);
    session.run(&["start", "test/greet", "--input", "{name:1}"]).failed(64, &["--input", "JSON"]);
    session.run(&["send"]).failed(64, &["TYPE"]);
    session.run(&["send", ""]).failed(2, &["type"]);
    session.run(&["pss"]).failed(64, &["pss", "ps"]);
    session.run(&["show", "0190"]).failed(2, &["0190"]);
    session.run(&["--set", "listen", "ps"]).failed(64, &["KEY=VALUE"]);
    session.run(&["adapter-host", "htp"]).failed(64, &["htp", "http"]);
    session.node.stop().await;
}
