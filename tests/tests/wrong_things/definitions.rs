//! Definitions that are wrong, and definitions that are right and do wrong.

use std::time::{Duration, Instant};

use impresario_tests::cli;
use impresario_tests::node::Place;
use serde_json::json;

use super::{GREET, works};

const UNKNOWN_TASK: &str = "document: { dsl: '1.0.3', namespace: test, name: unknown, version: '1.0.0' }
do:
  - greet:
      wiat: PT1S
";

#[tokio::test]
async fn an_unknown_task_is_named_with_its_place_by_check_and_by_serve() {
    let place = Place::new().define("unknown", UNKNOWN_TASK);
    let file = place.path().join("unknown.yaml");
    let file = file.to_str().unwrap();
    let checked = cli::run(place.path(), &["check", file]);
    assert_eq!(checked.code, 1, "{checked:?}");
    for words in ["unknown.yaml:4:7", "wiat", "wait", "^"] {
        assert!(checked.stdout.contains(words), "expected '{words}' in:\n{}", checked.stdout);
    }
    let checked = cli::run(place.path(), &["--json", "check", file]);
    assert_eq!((checked.code, checked.json()["ok"].clone()), (1, json!(false)));
    let diagnostic = &checked.json()["diagnostics"][0];
    assert_eq!(
        (diagnostic["line"].clone(), diagnostic["column"].clone()),
        (json!(4), json!(7)),
        "{diagnostic}"
    );

    let mut process = place.spawn();
    assert_eq!(process.ended().await.code(), Some(1));
    for words in ["unknown.yaml:4:7", "wiat", "wait"] {
        assert!(place.log().contains(words), "expected '{words}' in:\n{}", place.log());
    }
    let checked = cli::run(place.path(), &["check", "nothing.yaml"]);
    checked.failed(1, &["nothing.yaml", "No such file"]);
}

/// Each tries to keep the node busy for ever, or to take all of its memory.
const HOSTILE: [(&str, &str); 6] = [
    ("until", "last(until(false; .))"),
    ("repeat", "last(repeat(1))"),
    ("range", "[range(1e12)] | length"),
    ("recursion", "def f: 1 + f; f"),
    ("text", "\"a\" * 100000000000"),
    ("cross", "[range(1e6) as $a | range(1e6) | $a] | length"),
];

#[tokio::test]
async fn expressions_that_never_end_fault_their_instance_and_not_the_node() {
    let mut place = Place::new().define("greet", GREET);
    let mut names = Vec::new();
    for (name, expression) in HOSTILE {
        let source = format!(
            "document: {{ dsl: '1.0.3', namespace: hostile, name: {name}, version: '1.0.0' }}
do:
  - think: {{ set: {{ x: '${{ {expression} }}' }} }}
"
        );
        // Some are refused before anything runs, which is as good.
        let file = place.write(&format!("{name}.yaml"), &source);
        let checked = cli::run(place.path(), &["check", file.to_str().unwrap()]);
        if checked.code == 0 {
            place = place.define(name, &source);
            names.push(name);
        } else {
            assert!(checked.stdout.contains(&format!("{name}.yaml:3:")), "{}", checked.stdout);
        }
    }
    assert!(names.len() >= 3, "most are legal: {names:?}");
    let node = place.start().await;
    let mut started = Vec::new();
    for round in 0..4 {
        for name in &names {
            let key = format!("{name}-{round}");
            started.push(node.api.start(&format!("hostile/{name}"), json!({}), Some(&key)).await.unwrap().id);
        }
    }
    // While they are at it, the door answers.
    let began = Instant::now();
    assert!(node.api.health().await.is_some());
    assert!(began.elapsed() < Duration::from_secs(5), "the node was not responsive: {:?}", began.elapsed());
    for id in started {
        let detail = node.ended(&id).await;
        let error = detail.error.unwrap_or_default();
        assert_eq!(detail.summary.status, "faulted", "{}: {error}", detail.summary.definition);
        assert!(error["type"].as_str().unwrap().ends_with("/expression"), "{error}");
    }
    works(&node, "hostile").await;
    node.stop().await;
}

#[tokio::test]
async fn a_loop_of_tasks_ends_at_the_task_limit() {
    let source = "
document: { dsl: '1.0.3', namespace: test, name: loop, version: '1.0.0' }
do:
  - again: { set: { n: 1 }, then: again }
";
    let place = Place::new().define("greet", GREET).define("loop", source).set("engine.task_limit", "5000");
    let node = place.start().await;
    let started = node.api.start("test/loop", json!({}), None).await.unwrap();
    let detail = node.ended(&started.id).await;
    assert_eq!(detail.summary.status, "faulted");
    let error = detail.error.unwrap().to_string();
    assert!(error.contains("5000"), "{error}");
    works(&node, "loop").await;
    node.stop().await;
}

#[tokio::test]
async fn a_changed_definition_needs_a_new_version() {
    let place = Place::new().define("greet", GREET);
    place.start().await.stop().await;
    place.write("greet.yaml", &GREET.replace("hello:", "goodbye:"));
    let mut process = place.spawn();
    assert_eq!(process.ended().await.code(), Some(1));
    for words in ["test/greet:1.0.0", "document.version"] {
        assert!(place.log().contains(words), "expected '{words}' in:\n{}", place.log());
    }
    place.write("greet.yaml", &GREET.replace("hello:", "goodbye:").replace("'1.0.0'", "'1.1.0'"));
    let node = place.start().await;
    let started = node.api.start("test/greet", json!({ "name": "new" }), None).await.unwrap();
    assert_eq!(started.definition, "test/greet:1.1.0");
    assert_eq!(node.ended(&started.id).await.output, Some(json!({ "goodbye": "new" })));
    node.stop().await;
}
