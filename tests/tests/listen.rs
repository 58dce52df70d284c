//! Listening with the real binary: what came early is found, whatever was killed in between, and people see what an
//! instance waits for.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::time::Duration;

use impresario::orchestrator::InstanceDetail;
use impresario_tests::api::event;
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// Works until a file is there, then listens for what may have come meanwhile, and then for what comes later.
fn hears(folder: &Path) -> String {
    let go = folder.join("go").display().to_string();
    format!(
        "
document: {{ dsl: '1.0.3', namespace: test, name: hears, version: '1.0.0' }}
do:
  - work:
      run: {{ shell: {{ command: 'while ! test -e {go}; do sleep 0.02; done' }} }}
      metadata: {{ ops: {{ restartWhenInterrupted: true }} }}
      output: {{ as: $input }}
  - early:
      listen: {{ to: {{ one: {{ with: {{ type: early }}, correlate: {{ host: {{ from: .data.host, expect: '${{ .host }}' }} }} }} }} }}
      output: {{ as: '$input + {{ early: .[0].n }}' }}
  - later:
      listen:
        to: {{ any: [ {{ with: {{ type: later }}, correlate: {{ host: {{ from: .data.host, expect: '${{ .host }}' }} }} }} ], until: length >= 2 }}
      output: {{ as: '$input + {{ later: map(.n) }}' }}
"
    )
}

async fn send(node: &Node, kind: &str, id: &str, data: Value) {
    // Each kind has ids of its own: the same source and id would be the same event.
    let id = format!("{kind}-{id}");
    node.api.send(&event("/test", &id, kind, data)).await.unwrap();
}

/// An instance once its tasks listen, and all its subscriptions hold.
async fn listening(node: &Node, id: &str, task: &str, consumed: usize) -> InstanceDetail {
    eventually(LIMIT, "a listener", async || {
        let detail = node.api.instance(id).await.ok()?;
        let listens = |listener: &impresario::orchestrator::ListenerDetail| {
            listener.task == task && listener.subscribed && listener.consumed == consumed
        };
        detail.listeners.iter().any(listens).then_some(detail)
    })
    .await
}

#[tokio::test]
async fn what_came_early_is_found_after_a_kill_and_what_waits_goes_on_waiting() {
    let place = Place::new();
    let source = hears(place.path());
    let place = place.define("hears", &source);
    let node = place.start().await;
    let mut ids = Vec::new();
    for host in ["a", "b"] {
        ids.push(node.api.start("test/hears", json!({ "host": host }), None).await.unwrap().id);
    }
    // Before anybody listens, one of them twice.
    for (host, n) in [("b", 1), ("a", 2), ("none", 3), ("a", 2)] {
        send(&node, "early", &format!("{host}-{n}"), json!({ "host": host, "n": n })).await;
    }
    node.kill().await;

    let node = place.start().await;
    place.write("go", "");
    for (id, early) in ids.iter().zip([2, 1]) {
        let detail = listening(&node, id, "later", 0).await;
        assert_eq!(detail.summary.status, "waiting");
        let listener = &detail.listeners[0];
        let host = if early == 2 { "a" } else { "b" };
        assert_eq!(listener.waits_for, format!("later (host = \"{host}\")"));
        assert_eq!(detail.waits_for.len(), 1);
        assert!(
            detail.waits_for[0].starts_with("task 'later' hears later (host = "),
            "{:?}",
            detail.waits_for
        );
    }
    send(&node, "later", "a-1", json!({ "host": "a", "n": 1 })).await;
    listening(&node, &ids[0], "later", 1).await;
    node.kill().await;

    let node = place.start().await;
    // The first of them once more, which counts once.
    for (host, n) in [("a", 1), ("b", 5), ("a", 2)] {
        send(&node, "later", &format!("{host}-{n}"), json!({ "host": host, "n": n })).await;
    }
    listening(&node, &ids[1], "later", 1).await;
    send(&node, "later", "b-6", json!({ "host": "b", "n": 6 })).await;
    for (id, (host, early, later)) in ids.iter().zip([("a", 2, [1, 2]), ("b", 1, [5, 6])]) {
        let ended = node.ended(id).await;
        assert_eq!(ended.output, Some(json!({ "host": host, "early": early, "later": later })), "{host}");
        assert!(ended.listeners.is_empty());
    }
    node.stop().await;
}

#[tokio::test]
async fn the_pack_of_incidents_does_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let place = Place::new().pack(&root.join("packs/incidents"));
    let node = place.start().await;
    // The second symptom of the shop comes first, and the node is killed between the two.
    send(&node, "incidents.customer.called", "1", json!({ "service": "shop" })).await;
    send(&node, "incidents.errors.rising", "2", json!({ "service": "mail" })).await;
    node.kill().await;

    let node = place.start().await;
    send(&node, "incidents.probe.failed", "3", json!({ "service": "shop" })).await;
    let id = eventually(LIMIT, "an instance", async || {
        let page = node.api.page("definition=incidents/confirm-outage").await.ok()?;
        page.items.first().map(|summary| summary.id.clone())
    })
    .await;
    let confirmed = json!({ "service": "shop", "confirmed": true, "by": "incidents.customer.called" });
    assert_eq!(node.ended(&id).await.output, Some(confirmed));

    let orders = node.api.start("incidents/collect-orders", json!({}), None).await.unwrap().id;
    let other = node.api.start("incidents/collect-orders", json!({}), None).await.unwrap().id;
    let addressed = |n: usize, kind: &str, to: &str| {
        let mut event = event("/test", &format!("order-{n}"), kind, json!({ "what": n }));
        event["workflowid"] = json!(to);
        event
    };
    for (n, (to, consumed)) in [(&orders, 1), (&other, 1), (&orders, 2)].into_iter().enumerate() {
        node.api.send(&addressed(n, "incidents.order", to)).await.unwrap();
        listening(&node, to, "orders", consumed).await;
    }
    for (n, to) in [(3, &orders), (4, &other)] {
        node.api.send(&addressed(n, "incidents.stop", to)).await.unwrap();
    }
    assert_eq!(node.ended(&orders).await.output, Some(json!([0, 2])));
    assert_eq!(node.ended(&other).await.output, Some(json!([1])));
    node.stop().await;
}
