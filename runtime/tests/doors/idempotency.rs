//! Writes with an `Idempotency-Key`, in front of an engine that counts what it is asked for.

use impresario::orchestrator::Refusal;
use serde_json::{Value, json};

use crate::support::TestDoor;

fn keyed(door: &TestDoor, method: &str, path: &str, key: &str) -> reqwest::RequestBuilder {
    door.request(method, path).header("idempotency-key", key)
}

fn orders(door: &TestDoor) -> usize {
    door.mock.orders.lock().unwrap().len()
}

#[tokio::test]
async fn a_repetition_is_answered_as_the_first_was_and_not_carried_out() {
    let door = TestDoor::open(|_| ()).await;
    let put = || keyed(&door, "PUT", "/api/v1/targets/web1", "k1").json(&json!({ "type": "unix-server" }));
    let first = put().send().await.unwrap();
    assert!(first.status() == 200 && !first.headers().contains_key("idempotent-replayed"));
    let first: Value = first.json().await.unwrap();
    let again = put().send().await.unwrap();
    assert_eq!(again.status(), 200);
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.headers()["content-type"], "application/json");
    assert_eq!((again.json::<Value>().await.unwrap(), orders(&door)), (first, 1));

    // One without a body, and one that answers without one.
    let remove = || keyed(&door, "DELETE", "/api/v1/targets/web1", "k2").send();
    for _ in 0..2 {
        assert_eq!(remove().await.unwrap().status(), 204);
    }
    let drain = || keyed(&door, "POST", "/api/v1/nodes/b/drain", "k3").send();
    for _ in 0..2 {
        assert_eq!(drain().await.unwrap().status(), 202);
    }
    assert_eq!(orders(&door), 3);
    // Without a key it is carried out each time.
    for _ in 0..2 {
        door.request("POST", "/api/v1/nodes/b/drain").send().await.unwrap();
    }
    assert_eq!(orders(&door), 5);
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let door = TestDoor::open(|_| ()).await;
    let put = |path: &str, body: Value| keyed(&door, "PUT", path, "k").json(&body).send();
    assert_eq!(put("/api/v1/targets/web1", json!({ "type": "a" })).await.unwrap().status(), 200);
    let others = [
        put("/api/v1/targets/web1", json!({ "type": "b" })).await.unwrap(),
        put("/api/v1/targets/web2", json!({ "type": "a" })).await.unwrap(),
        put("/api/v1/groups/web1", json!({ "type": "a" })).await.unwrap(),
        keyed(&door, "DELETE", "/api/v1/targets/web1", "k").send().await.unwrap(),
    ];
    for other in others {
        assert_eq!(other.status(), 409);
        assert_eq!(other.headers()["content-type"], "application/problem+json");
        let detail = other.json::<Value>().await.unwrap()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("'k'") && detail.contains("use another key"), "{detail}");
    }
    assert_eq!(orders(&door), 1);
    for key in ["", &"x".repeat(257)] {
        let answer = keyed(&door, "DELETE", "/api/v1/targets/web1", key).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{key}");
    }
}

#[tokio::test]
async fn what_was_refused_may_be_tried_again() {
    let door = TestDoor::open(|_| ()).await;
    let pause = |reason: &str| {
        keyed(&door, "POST", "/api/v1/triggers/t/pause", "k").json(&json!({ "reason": reason })).send()
    };
    for refusal in [Refusal::later("the store is away"), Refusal::NotFound("no such trigger".to_owned())] {
        *door.mock.refusal.lock().unwrap() = Some(refusal);
        assert!(pause("upgrade").await.unwrap().status().as_u16() >= 404);
    }
    *door.mock.refusal.lock().unwrap() = None;
    // Even with another content: the key has stood for nothing yet.
    let carried_out = pause("patch").await.unwrap();
    assert!(carried_out.status() == 200 && !carried_out.headers().contains_key("idempotent-replayed"));
    assert_eq!(pause("patch").await.unwrap().headers()["idempotent-replayed"], "true");
    assert_eq!(pause("upgrade").await.unwrap().status(), 409);
}

#[tokio::test]
async fn what_begins_something_is_named_by_its_key() {
    let door = TestDoor::open(|_| ()).await;
    let start =
        || keyed(&door, "POST", "/api/v1/instances", "k").json(&json!({ "definition": "ops/clean" })).send();
    assert_eq!(
        (start().await.unwrap().status().as_u16(), start().await.unwrap().status().as_u16()),
        (201, 200)
    );
    // The engine is asked each time: it knows at any node.
    assert_eq!(door.mock.starts.lock().unwrap().len(), 2);
    let path = "/api/v1/instances/a/activities/3/resolve";
    for _ in 0..2 {
        let resolve = keyed(&door, "POST", path, "k").json(&json!({ "decision": "skip" }));
        assert_eq!(resolve.send().await.unwrap().status(), 200);
    }
    assert_eq!(door.mock.decisions.lock().unwrap().len(), 2);
    let two = keyed(&door, "POST", path, "k").json(&json!({ "decision": "skip", "key": "l" }));
    assert_eq!(two.send().await.unwrap().status(), 400);
}
