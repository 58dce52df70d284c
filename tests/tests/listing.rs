//! Lists of instances: each filter finds what it says and nothing else, and pages have everything once, in order, while
//! instances come and go.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::time::Duration;

use impresario::instances::InstancePage;
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde_json::{Value, json};

const WAIT: Duration = Duration::from_secs(60);

const GREET: &str = "
document: { dsl: '1.0.3', namespace: test, name: greet, version: '1.0.0' }
schedule: { on: { one: { with: { type: greeted } } } }
do:
  - note: { set: { said: hello } }
";
const FAIL: &str = "
document: { dsl: '1.0.3', namespace: test, name: fail, version: '1.0.0' }
do:
  - give-up:
      raise: { error: { type: 'https://example.com/broken', status: 418, title: Broken, detail: '${ .why }' } }
";
const WAIT_LONG: &str = "
document: { dsl: '1.0.3', namespace: test, name: wait-long, version: '1.0.0' }
do:
  - wait-long: { wait: PT10M }
";
async fn page(node: &Node, query: &str) -> InstancePage {
    node.api.ask(node.api.request(Method::GET, &format!("/api/v1/instances?{query}"))).await.unwrap()
}

async fn ids(node: &Node, query: &str) -> BTreeSet<String> {
    let page = page(node, query).await;
    assert_eq!((&page.next, page.looked_at), (&None, None), "{query}");
    page.items.into_iter().map(|item| item.id).collect()
}

/// Goes through all pages of a query.
async fn walk(node: &Node, query: &str) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = page(node, &format!("{query}{cursor}")).await;
        seen.extend(page.items.into_iter().map(|item| (item.started_at, item.id)));
        let Some(next) = page.next else { return seen };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_finds_what_it_says() {
    let place = Place::new().define("greet", GREET).define("fail", FAIL).define("wait", WAIT_LONG);
    let node = place.start().await;
    let started = async |definition: &str, input: Value, key: Option<&str>| {
        node.api.start(definition, input, key).await.unwrap().id
    };
    let greeted = started("test/greet", json!({}), Some("monday")).await;
    let disk = started("test/fail", json!({ "why": "the Disk is full" }), None).await;
    let net = started("test/fail", json!({ "why": "the net is down" }), Some("tuesday")).await;
    node.ended(&greeted).await;
    node.ended(&disk).await;
    let middle = node.ended(&net).await.summary.started_at;
    place.run(&["send", "greeted"]).done();
    let waits = started("test/wait-long", json!({}), None).await;
    let by_event = eventually(WAIT, "the instance that the event starts", async || {
        let found = ids(&node, "started_by=trigger&status=completed").await;
        found.into_iter().next()
    })
    .await;
    eventually(WAIT, "an instance that waits", async || {
        (ids(&node, "status=waiting").await.len() == 1).then_some(())
    })
    .await;

    let who = node.api.instance(&by_event).await.unwrap().started_by;
    assert!(who.starts_with("trigger test/greet"), "{who}");
    let all = [&greeted, &disk, &net, &by_event, &waits];
    let table: Vec<(String, Vec<&String>)> = vec![
        (String::new(), all.to_vec()),
        ("status=faulted".to_owned(), vec![&disk, &net]),
        ("status=faulted,waiting".to_owned(), vec![&disk, &net, &waits]),
        ("status=quarantined,cancelled".to_owned(), vec![]),
        ("definition=test/greet".to_owned(), vec![&greeted, &by_event]),
        ("definition=test/greet:1.0.0&started_by=api".to_owned(), vec![&greeted]),
        ("key=monday".to_owned(), vec![&greeted]),
        ("key=tuesday&status=faulted".to_owned(), vec![&net]),
        ("key=tuesday&status=completed".to_owned(), vec![]),
        ("started_by=api".to_owned(), vec![&greeted, &disk, &net, &waits]),
        ("started_by=trigger".to_owned(), vec![&by_event]),
        (format!("started_by={}", who.replace(' ', "%20")), vec![&by_event]),
        ("started_by=trig".to_owned(), vec![]),
        ("error=disk%20is".to_owned(), vec![&disk]),
        ("error=example.com/broken".to_owned(), vec![&disk, &net]),
        (format!("id={}", &net[9..]), vec![&net]),
        (format!("id={}", net.to_uppercase()), vec![&net]),
        ("target=web1".to_owned(), vec![]),
        (format!("started_after={middle}&status=completed,waiting"), vec![&by_event, &waits]),
        (format!("started_before={middle}"), vec![&greeted, &disk]),
        ("started_after=2999-01-01T00:00:00Z".to_owned(), vec![]),
        ("started_before=2000-01-01T00:00:00%2B02:00".to_owned(), vec![]),
    ];
    for (query, expected) in table {
        let expected: BTreeSet<String> = expected.into_iter().cloned().collect();
        assert_eq!(ids(&node, &query).await, expected, "{query}");
    }
    for (query, words) in [
        ("status=done", "found 'done'"),
        ("status=faulted,", "found ''"),
        ("started_after=yesterday", "found 'yesterday'"),
        ("cursor=99999999999999999999.x", "'next' of a page"),
        ("cursor=18446744073709551615.x", "'next' of a page"),
        ("sort=id", "sort"),
    ] {
        let answer =
            node.api.request(Method::GET, &format!("/api/v1/instances?{query}")).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{query}");
        let detail = answer.json::<Value>().await.unwrap()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{query}: {detail}");
    }
    // The command line asks for the same.
    let listed = |arguments: &[&str]| -> BTreeSet<String> {
        let page = place.json(&[&["ps"], arguments].concat());
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&["--error", "DISK", "--after", "1h"]), BTreeSet::from([disk.clone()]));
    assert_eq!(
        listed(&["--started-by", "trigger", "--status", "completed,faulted"]),
        BTreeSet::from([by_event])
    );
    assert_eq!(listed(&["--key", "monday", "--id", &greeted[..9]]), BTreeSet::from([greeted]));
    assert_eq!(listed(&["--before", "1h"]), BTreeSet::new());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_have_everything_once_while_instances_come_and_go() {
    let place = Place::new().define("greet", GREET).define("fail", FAIL).define("wait", WAIT_LONG);
    let node = place.start().await;
    let mut there = BTreeSet::new();
    for number in 0..60 {
        let definition = ["test/greet", "test/fail", "test/wait-long"][number % 3];
        let input = json!({ "why": format!("reason {}", number % 2) });
        there.insert(node.api.start(definition, input, None).await.unwrap().id);
    }
    // Half way through, more come, and some end.
    let mut seen = Vec::new();
    let first = page(&node, "limit=25").await;
    seen.extend(first.items.into_iter().map(|item| (item.started_at, item.id)));
    for _ in 0..20 {
        node.api.start("test/wait-long", json!({}), None).await.unwrap();
    }
    let waiting = page(&node, "definition=test/wait-long&status=waiting,running&limit=60").await;
    for item in waiting.items.iter().rev().take(10) {
        place.run(&["cancel", &item.id]).done();
    }
    let rest = format!("limit=7&cursor={}", first.next.unwrap());
    let mut cursor = String::new();
    loop {
        let query = if cursor.is_empty() { rest.clone() } else { format!("limit=7&cursor={cursor}") };
        let page = page(&node, &query).await;
        // Each page but the last is full.
        assert!(page.items.len() == 7 || page.next.is_none(), "{}", page.items.len());
        seen.extend(page.items.into_iter().map(|item| (item.started_at, item.id)));
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    let once: BTreeSet<String> = seen.iter().map(|(_, id)| id.clone()).collect();
    assert_eq!((once.len(), &once), (seen.len(), &there), "everything once, and nothing that came later");
    assert!(seen.windows(2).all(|pair| pair[0].0 >= pair[1].0), "newest first");

    // A filter that looks into instances fills its pages, too.
    for id in &there {
        if node.api.instance(id).await.unwrap().summary.definition == "test/fail:1.0.0" {
            node.ended(id).await;
        }
    }
    let full = page(&node, "error=reason%201&limit=4").await;
    assert_eq!((full.items.len(), full.looked_at), (4, None));
    let found = walk(&node, "error=reason%201&limit=4").await;
    let once: BTreeSet<&String> = found.iter().map(|(_, id)| id).collect();
    assert_eq!((found.len(), once.len()), (10, 10));
    let filled = walk(&node, "started_by=api&status=faulted&limit=3").await;
    assert_eq!(filled.len(), 20);
    node.stop().await;
}
