//! The API keeps to its own document: schemathesis reads it from a real node, and sends what it allows and what it does
//! not. No answer may be a mistake of the node, or one that the document does not name, or of another shape than it says.
//!
//! `IMPRESARIO_API_EXAMPLES` sets how many requests are made up for each operation: a few here, as this runs with every
//! change; some hundred for a whole look.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

/// How many requests are made up for each operation.
const EXAMPLES: &str = "5";
/// The requests are much the same each time; `IMPRESARIO_API_SEED` gives others.
const SEED: &str = "20260131";
/// How long one look may take, unless it is a whole one.
const LIMIT: Duration = Duration::from_secs(300);
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      response_headers_conformance,unsupported_method,allow_header_conformance,ignored_auth,negative_data_rejection";
/// What is left out: nodes are to stay, and an order about adapters runs programs of any name.
const LEFT_OUT: [&str; 3] = ["drainNode", "removeNode", "orderAdapter"];

const GREET: &str = "
document: { dsl: '1.0.3', namespace: test, name: greet, version: '1.0.0' }
schedule: { on: { one: { with: { type: greeted } } } }
do:
  - note: { call: 'echo:1.0.0@default', with: { said: hello } }
";
const FAIL: &str = "
document: { dsl: '1.0.3', namespace: test, name: fail, version: '1.0.0' }
schedule: { every: PT1H }
do:
  - give-up: { raise: { error: { type: 'https://example.com/broken', status: 418, title: Broken } } }
";
const LISTEN: &str = "
document: { dsl: '1.0.3', namespace: test, name: listen, version: '1.0.0' }
do:
  - hear: { listen: { to: { one: { with: { type: never } } } } }
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The program, which `tests/run` puts there.
fn schemathesis() -> PathBuf {
    let requirements = fs::read_to_string(root().join("tests/requirements.txt")).unwrap();
    let version = requirements.lines().find_map(|line| line.strip_prefix("schemathesis==")).unwrap();
    let home = || PathBuf::from(env::var_os("HOME").unwrap()).join(".cache");
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let program = cache.join(format!("impresario-tests/schemathesis-{version}/bin/schemathesis"));
    assert!(program.exists(), "expected {}, which tests/run makes: run it once", program.display());
    program
}

/// What whoever runs the tests has set.
fn variable(name: &str) -> Option<String> {
    impresario_config::process_variables()
        .into_iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

/// Has the node looked at, by a document of its API; `known` are parts of paths that name something that is there.
async fn look(place: &Place, node: &Node, document: &Value, known: &str, phases: &str) {
    let config = place.write("schemathesis.toml", known);
    let document = place.write("openapi.json", &document.to_string());
    let examples = variable("IMPRESARIO_API_EXAMPLES");
    let seed = variable("IMPRESARIO_API_SEED").unwrap_or_else(|| SEED.to_owned());
    let mut command = Command::new(schemathesis());
    command.arg("--config-file").arg(config).arg("run").arg(document);
    command.args(["--url", node.api.url()]);
    command.args(["--no-color", "--seed", &seed, "--phases", phases, "--checks", CHECKS]);
    command.args(["--max-examples", examples.as_deref().unwrap_or(EXAMPLES), "--workers", "1"]);
    command.args(["--generation-database", "none", "--warnings", "off"]);
    command.args(["--request-timeout", "60", "--suppress-health-check", "all"]);
    command.arg("--header").arg(format!("Authorization: Bearer {}", node.api.token()));
    for id in LEFT_OUT {
        command.args(["--exclude-operation-id", id]);
    }
    command.current_dir(place.path()).kill_on_drop(true);
    let limit = if examples.is_some() { LIMIT * 20 } else { LIMIT };
    let ended = tokio::time::timeout(limit, command.output()).await;
    let ended = ended.unwrap_or_else(|_| panic!("expected schemathesis to end within {limit:?}")).unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}\n{}", String::from_utf8_lossy(&ended.stderr));
    println!("{said}");
}

async fn put(node: &Node, path: &str, body: Value) {
    let answer = node.api.request(Method::PUT, path).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
}

/// The document without idempotency keys: the few that a tester thinks of are soon those of other requests, and then
/// nothing but that is looked at.
fn without_keys(mut document: Value) -> Value {
    let operations = document["paths"].as_object_mut().unwrap().values_mut();
    for operation in operations.flat_map(|methods| methods.as_object_mut().unwrap().values_mut()) {
        if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
            parameters.retain(|parameter| parameter["name"] != "Idempotency-Key");
        }
    }
    document
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_keeps_to_its_document() {
    let place = Place::new().define("greet", GREET).define("fail", FAIL).define("listen", LISTEN);
    let node = place.start().await;
    let greeted = node.api.start("test/greet", json!({}), Some("monday")).await.unwrap().id;
    node.api.start("test/listen", json!({}), None).await.unwrap();
    node.api.start("test/fail", json!({}), None).await.unwrap();
    place.run(&["send", "greeted"]).done();
    node.ended(&greeted).await;
    put(&node, "/api/v1/targets/web1", json!({ "type": "unix-server", "properties": { "host": "h" } })).await;
    put(&node, "/api/v1/groups/all", json!({ "members": ["web1"] })).await;
    put(&node, "/api/v1/calendars/weekdays", json!({ "include": { "weekdays": ["mon"] } })).await;
    put(&node, "/api/v1/sinks/out", json!({ "uri": "http://127.0.0.1:9/", "events": [{ "type": "never" }] }))
        .await;
    put(&node, "/api/v1/users/web", json!({ "fields": { "password": "geheim" } })).await;

    // First about what is there, so that whole replies are compared with what is said of them; then about anything.
    let trigger = place.json(&["triggers"])[0]["name"].as_str().unwrap().to_owned();
    let by_tag = [
        ("inventory", "web1"),
        ("sinks", "out"),
        ("users", "web"),
        ("triggers", &trigger),
        ("adapters", "command"),
    ];
    let mut known = format!("[parameters]\n\"path.id\" = \"{greeted}\"\n\"path.activity\" = 1\n");
    for (tag, name) in by_tag {
        known.push_str(&format!(
            "[[operations]]\ninclude-tag = \"{tag}\"\nparameters = {{ \"path.name\" = \"{name}\" }}\n"
        ));
    }
    let whole: Value = node.api.ask(node.api.request(Method::GET, "/openapi.json")).await.unwrap();
    look(&place, &node, &without_keys(whole.clone()), &known, "examples,fuzzing").await;
    look(&place, &node, &without_keys(whole.clone()), "", "coverage,fuzzing").await;
    look(&place, &node, &whole, "", "fuzzing").await;

    // And then it still works.
    let again = node.api.start("test/greet", json!({}), None).await.unwrap().id;
    let again = node.ended(&again).await;
    assert_eq!(again.summary.status, "completed");
    eventually(Duration::from_secs(30), "a node that is ready", async || {
        node.api.health().await.filter(|health| health.ready).map(|_| ())
    })
    .await;
    let log = place.log();
    assert!(!log.contains("panicked"), "{log}");
    node.stop().await;
}

/// A route that is made in any other way is not in the document.
#[test]
fn every_route_is_made_together_with_what_is_said_of_it() {
    let folder = root().join("runtime/src/http");
    let mut wrong = Vec::new();
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "routes.rs" || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        for (at, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let routes = line.contains(".route(") && !line.contains("self.route(");
            if routes || line.contains(".nest(") || line.contains(".route_service(") {
                wrong.push(format!("{name}:{}: {}", at + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "expected Routes::at, found:\n{}", wrong.join("\n"));
}
