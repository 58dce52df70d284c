//! `impresario adapters`, word by word.

use impresario::adapters::AdapterOrder;
use impresario_tests::node::Place;
use serde_json::json;

use super::{adapter, calls, order, program, run, until, with, works};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_word_of_the_command_does_what_it_says() {
    let (place, node) = with(&["pid", "slow"]).await;
    let before = works(&node).await;
    let listed = place.run(&["adapters"]).done();
    for word in ["misfortune", "command", "http", "1.2.3", "running", "MEMORY"] {
        assert!(listed.stdout.contains(word), "{}", listed.stdout);
    }
    let json = place.run(&["--json", "adapters", "show", "misfortune"]).done().json();
    assert_eq!(json[0]["pid"], before, "{json}");
    place.run(&["adapters", "stop", "misfortune"]).done();
    until(&node.api, "misfortune", "no process", |now| now.state == "stopped" && now.pid.is_none()).await;
    let waits = node.api.start("test/pid", json!({}), None).await.expect("a start");
    until(&node.api, "misfortune", "work that waits", |now| now.queued == 1).await;
    place.run(&["adapters", "start", "misfortune"]).done();
    assert_eq!(node.ended(&waits.id).await.summary.status, "completed");
    place.run(&["adapters", "set", "misfortune", "concurrency=3", "idle_timeout=1h"]).done();
    let now = until(&node.api, "misfortune", "a new process", |now| {
        now.counters.settings_restarts == 1 && now.restarts_followed == now.restarts_wanted
    })
    .await;
    assert_eq!(now.settings["concurrency"], "3");
    place.run(&["adapters", "restart", "misfortune", "--reason", "a try"]).done();
    until(&node.api, "misfortune", "a restart", |now| now.counters.operator_restarts == 1).await;
    assert!(place.log().contains("a try"));
    let shown = place.run(&["adapters", "show", "misfortune"]).done();
    assert!(shown.stdout.contains("restarts by operators  1"), "{}", shown.stdout);
    node.stop().await;
    // What is wanted is durable.
    let node = place.start().await;
    assert_eq!(adapter(&node.api, "misfortune").await.settings["concurrency"], "3");
    works(&node).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_orders_are_refused_in_clear_words() {
    let (place, node) = with(&["pid"]).await;
    let add = |name: &str, program: &[String]| {
        let mut words = vec!["adapters", "add", name, "--"];
        words.extend(program.iter().map(String::as_str));
        place.run(&words)
    };
    add("absent", &["/no/such/program".to_owned()]).failed(2, &["/no/such/program", "expected a program"]);
    add("newer", &program("newer")).failed(2, &["expected protocol 1, found 99"]);
    add("bad", &program("bad-schema")).failed(2, &["expected a JSON Schema"]);
    add("silent", &["/bin/true".to_owned()]).failed(2, &["ended without a word"]);
    add("another", &program("")).failed(2, &["of adapter 'misfortune' too"]);
    add("http", &program("")).failed(2, &["built in"]);
    add("Bad Name", &program("")).failed(2, &["found 'Bad Name'"]);
    place.run(&["adapters", "remove", "misfortune"]).failed(2, &["definition test/pid", "calls 'pid'"]);
    place.run(&["adapters", "remove", "http"]).failed(2, &["built in"]);
    place.run(&["adapters", "stop", "nothing"]).failed(2, &["found 'nothing'", "misfortune"]);
    place.run(&["adapters", "set", "http", "memory_limit=much"]).failed(2, &["expected a size"]);
    place.run(&["adapters", "set", "http", "speed=7"]).failed(2, &["found 'speed'"]);
    place.run(&["adapters", "release", "http"]).failed(2, &["not quarantined"]);
    place.run(&["adapters", "restart", "http", "--node", "nowhere"]).failed(2, &["found 'nowhere'"]);
    works(&node).await;
    node.stop().await;
}

#[tokio::test]
async fn an_adapter_that_nothing_calls_can_go_and_come_back() {
    let mut place = Place::new();
    let node = place.start().await;
    super::add(&node.api).await;
    order(&node.api, "misfortune", &AdapterOrder::Remove).await.expect("a removal");
    let gone = impresario_tests::poll::eventually(
        std::time::Duration::from_secs(30),
        "no adapter of that name",
        async || {
            super::adapters(&node.api).await.iter().all(|adapter| adapter.name != "misfortune").then_some(())
        },
    );
    gone.await;
    super::add(&node.api).await;
    node.stop().await;
    place.deploy("pid", &calls("pid"));
    let node = place.start().await;
    assert_eq!(run(&node, "pid", json!({})).await.summary.status, "completed");
    node.stop().await;
}
