//! The HTTP door over a real socket, in front of a mock engine.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{TestDoor, summary};
use impresario::http::problem::ProblemDocument;
use impresario::http::token::{self, TokenKeeper, token_file};
use impresario::orchestrator::{InstanceQuery, NodeSummary, Refusal};
use impresario::question::{self, Question, Reply};
use impresario_config::ByteSize;
use impresario_model::encoding;
use impresario_persistence::{MemoryStore, Store};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"/disk","type":"full","data":{"used":95}}"#;

/// Sends, and expects a problem of this status and kind whose detail holds these words.
async fn problem(
    request: reqwest::RequestBuilder,
    status: u16,
    kind: &str,
    words: &str,
) -> reqwest::header::HeaderMap {
    let response = request.send().await.unwrap();
    let (found, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    assert_eq!(found, status, "{text}");
    assert_eq!(headers["content-type"], "application/problem+json");
    let document: ProblemDocument = serde_json::from_str(&text).unwrap();
    assert_eq!((document.status, document.kind), (status, format!("urn:impresario:problem:{kind}")));
    assert!(document.detail.contains(words), "{}", document.detail);
    headers
}

#[tokio::test]
async fn events_come_in_structured_batched_and_binary() {
    let door = TestDoor::open(|_| ()).await;
    let structured = door.event(EVENT).send().await.unwrap();
    assert_eq!(structured.status(), 202);
    assert_eq!(structured.json::<Value>().await.unwrap(), json!({"accepted": 1, "durability": "memory"}));

    let batch = door
        .request("POST", "/events")
        .header("content-type", "Application/CloudEvents-Batch+JSON; charset=utf-8")
        .body(format!("[{EVENT},{EVENT}]"));
    assert_eq!(batch.send().await.unwrap().json::<Value>().await.unwrap()["accepted"], 2);

    let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/disk"), ("ce-type", "full")]
        .iter()
        .fold(door.request("POST", "/events"), |request, (name, value)| request.header(*name, *value))
        .header("content-type", "application/json")
        .body(r#"{"used":95}"#);
    assert_eq!(binary.send().await.unwrap().status(), 202);

    let events = door.mock.events.lock().unwrap();
    assert_eq!(events.len(), 4);
    assert!(events.iter().all(|event| event.kind == "full" && event.data == Some(json!({"used": 95}))));
}

#[tokio::test]
async fn bad_events_are_told_what_is_wrong() {
    let door = TestDoor::open(|_| ()).await;
    problem(door.event("{\"id\":\n  nonsense}"), 400, "invalid", "line 2 column 4").await;
    problem(door.event("{}"), 400, "invalid", "'specversion': expected '1.0', found nothing").await;
    problem(door.event("["), 400, "invalid", "EOF").await;
    let batch = door.request("POST", "/events").header("content-type", "application/cloudevents-batch+json");
    problem(batch.body(format!("[{EVENT},{{}}]")), 400, "invalid", "event 1 of the batch").await;
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    problem(door.event(deep), 400, "invalid", "recursion limit").await;
    let plain = door.request("POST", "/events").header("content-type", "application/json").body("{}");
    problem(plain, 415, "unsupported-media-type", "found 'application/json'").await;
    let avro =
        door.request("POST", "/events").header("content-type", "application/cloudevents+avro").body("");
    problem(avro, 415, "unsupported-media-type", "found 'application/cloudevents+avro'").await;
    problem(door.request("POST", "/events"), 415, "unsupported-media-type", "found none").await;
    assert!(door.mock.events.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_of_the_engine_has_its_status() {
    let door = TestDoor::open(|_| ()).await;
    let table = [
        (Refusal::Invalid("i".to_owned()), 400, "invalid", None),
        (Refusal::NotFound("n".to_owned()), 404, "not-found", None),
        (Refusal::Conflict("c".to_owned()), 409, "conflict", None),
        (Refusal::Busy { reason: "b".to_owned(), retry_after_ms: 1_001 }, 429, "busy", Some("2")),
        (Refusal::Busy { reason: "b".to_owned(), retry_after_ms: 0 }, 429, "busy", Some("1")),
        (
            Refusal::Unavailable { reason: "u".to_owned(), retry_after_ms: 4_001 },
            503,
            "unavailable",
            Some("5"),
        ),
        (Refusal::later("l"), 503, "unavailable", Some("1")),
        (Refusal::NotMine, 421, "not-mine", None),
    ];
    for (refusal, status, kind, retry_after) in table {
        *door.mock.refusal.lock().unwrap() = Some(refusal.clone());
        let headers = problem(door.event(EVENT), status, kind, &refusal.to_string()).await;
        assert_eq!(headers.get("retry-after").map(|value| value.to_str().unwrap()), retry_after);
    }
}

#[tokio::test]
async fn starts_are_created_once_for_a_key() {
    let door = TestDoor::open(|_| ()).await;
    let start = |body: Value| door.request("POST", "/api/v1/instances").json(&body);
    let created =
        start(json!({"definition": "ops/clean"})).header("idempotency-key", "k").send().await.unwrap();
    assert_eq!(created.status(), 201);
    assert_eq!(created.json::<Value>().await.unwrap()["id"], summary().id);
    let existed = start(json!({"definition": "ops/clean", "key": "k"})).send().await.unwrap();
    assert_eq!(existed.status(), 200);
    assert_eq!(door.mock.starts.lock().unwrap()[0].key.as_deref(), Some("k"));

    let two = start(json!({"definition": "d", "key": "a"})).header("idempotency-key", "b");
    problem(two, 400, "invalid", "expected one key").await;
    problem(start(json!({"definition": "d", "key": ""})), 400, "invalid", "1 to 256 bytes, found 0").await;
    problem(start(json!({"definition": "d", "inptu": 1})), 400, "invalid", "unknown field `inptu`").await;
    problem(start(json!({})), 400, "invalid", "missing field `definition`").await;
    problem(start(json!(["ops/clean", {}, "k"])), 400, "invalid", "a JSON object, found a list").await;
    problem(start(json!(null)), 400, "invalid", "a JSON object, found null").await;
    let form = door.request("POST", "/api/v1/instances").body("a=b");
    problem(form, 415, "unsupported-media-type", "expected Content-Type application/json, found none").await;
}

#[tokio::test]
async fn instances_are_listed_shown_and_cancelled() {
    let door = TestDoor::open(|_| ()).await;
    let list = door.request("GET", "/api/v1/instances?status=faulted&limit=10").send().await.unwrap();
    assert_eq!(list.json::<Value>().await.unwrap()["items"][0]["id"], summary().id);
    let query =
        InstanceQuery { status: Some("faulted".to_owned()), limit: Some(10), ..InstanceQuery::default() };
    assert_eq!(*door.mock.queries.lock().unwrap(), [query]);
    for (parameters, words) in [("limit=0", "1 to 1000, found 0"), ("limit=x", "limit"), ("sort=id", "sort")]
    {
        let path = format!("/api/v1/instances?{parameters}");
        problem(door.request("GET", &path), 400, "invalid", words).await;
    }

    let shown = door.request("GET", "/api/v1/instances/01900000").send().await.unwrap();
    assert_eq!(shown.json::<Value>().await.unwrap()["activities"][0]["task"], "checkDisk");
    problem(door.request("GET", "/api/v1/instances/0000"), 404, "not-found", "no instance 0000").await;
    problem(door.request("GET", "/api/v1/instances/%ff"), 400, "invalid", "expected an instance id").await;

    let cancel = |id: &str| door.request("POST", &format!("/api/v1/instances/{id}/cancel"));
    assert_eq!(cancel("a").send().await.unwrap().status(), 202);
    assert_eq!(cancel("b").json(&json!({"reason": "wrong host"})).send().await.unwrap().status(), 202);
    problem(cancel("c").body("{\"why\":1}"), 400, "invalid", "unknown field `why`").await;
    let expected = [("a".to_owned(), None), ("b".to_owned(), Some("wrong host".to_owned()))];
    assert_eq!(*door.mock.cancels.lock().unwrap(), expected);
}

#[tokio::test]
async fn decisions_and_reruns_are_ordered() {
    let door = TestDoor::open(|_| ()).await;
    let resolve = |path: &str, body: Value| {
        door.request("POST", &format!("/api/v1/instances/a/activities/{path}/resolve")).json(&body)
    };
    let answer = resolve("3", json!({"decision": "accept", "output": null})).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["activity"], 3);
    let wrong = [
        ("3", json!({"decision": "accept"}), "found none: give null"),
        ("3", json!({"decision": "retry", "output": 1}), "an output with 'accept' only"),
        ("3", json!({"decision": "skip", "reason": "x"}), "a reason with 'fail' only"),
        ("3", json!({"decision": "fail", "reason": "x".repeat(2000)}), "at most 1024 bytes, found 2000"),
        ("3", json!({"decision": "forget"}), "unknown variant `forget`"),
        ("x", json!({"decision": "skip"}), "the number of an activity"),
    ];
    for (path, body, words) in wrong {
        problem(resolve(path, body), 400, "invalid", words).await;
    }
    let rerun = || door.request("POST", "/api/v1/instances/a/rerun");
    assert_eq!(rerun().send().await.unwrap().status(), 201);
    let keyed = rerun().header("idempotency-key", "k").json(&json!({"from": "here"}));
    assert_eq!(keyed.send().await.unwrap().status(), 201);
    problem(rerun().json(&json!({"to": "x"})), 400, "invalid", "unknown field `to`").await;
    let expected =
        ["a 3 1 Accept(Null)", "a None None None", r#"a Some("here") None Some("k")"#].map(str::to_owned);
    assert_eq!(*door.mock.decisions.lock().unwrap(), expected);
}

#[tokio::test]
async fn everything_but_health_asks_for_the_token() {
    let door = TestDoor::open(|_| ()).await;
    let without = |path: &str| door.client.get(format!("{}{path}", door.url));
    let file = token_file(&door.data.path().canonicalize().unwrap()).display().to_string();
    for path in ["/api/v1/instances", "/api/v1/tree", "/events", "/no/such/path"] {
        let headers = problem(without(path), 401, "unauthorized", &file).await;
        assert_eq!(headers["www-authenticate"], "Bearer realm=\"impresario\"");
    }
    problem(without("/events").bearer_auth("wrong"), 401, "unauthorized", "found another token").await;
    problem(without("/events").basic_auth("a", Some("b")), 401, "unauthorized", "of another scheme").await;
    assert_eq!(without("/health/live").send().await.unwrap().status(), 200);
    assert_eq!(without("/health/ready").send().await.unwrap().status(), 200);

    *door.mock.unready.lock().unwrap() = true;
    let ready = without("/health/ready").send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(ready.json::<Value>().await.unwrap()["problems"][0], "shard 3 makes no progress");
}

#[tokio::test]
async fn unknown_tokens_are_verified_one_at_a_time() {
    let door = TestDoor::open(|_| ()).await;
    let tries = (0..20).map(|number| {
        let request =
            door.client.get(format!("{}/api/v1/triggers", door.url)).bearer_auth(format!("guess {number}"));
        async move { request.send().await.unwrap().status().as_u16() }
    });
    let statuses = futures_util::future::join_all(tries).await;
    assert!(statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    assert!(statuses.contains(&429), "nobody was sent away: {statuses:?}");
    assert_eq!(door.request("GET", "/api/v1/triggers").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_token_verifies_without_its_file() {
    let data = tempfile::tempdir().unwrap();
    let file = TokenKeeper::open(data.path()).unwrap().file().to_owned();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "only the owner reads the token");
    let token = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    std::fs::remove_file(&file).unwrap();

    let keeper = Arc::new(TokenKeeper::open(data.path()).unwrap());
    assert!(!file.exists(), "no second token is made");
    let settings = impresario_config::load(&impresario_config::Sources::default()).unwrap().config.http;
    let settings = impresario_config::Http { listen: "127.0.0.1:0".parse().unwrap(), ..settings };
    let door = TestDoor::with_keeper(settings, data, keeper, token).await;
    assert_eq!(door.request("GET", "/api/v1/triggers").send().await.unwrap().status(), 200);
}

#[test]
fn token_files_that_do_not_belong_together_are_told() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(token_file(data.path()), "chosen by the operator\n").unwrap();
    let file = TokenKeeper::open(data.path()).unwrap().file().to_owned();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "chosen by the operator\n");
    std::fs::write(&file, "changed\n").unwrap();
    let error = TokenKeeper::open(data.path()).err().unwrap().to_string();
    assert!(error.contains("to set a new token, delete token.hash"), "{error}");

    let costly =
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21l$uMcmEIlyrjWqyFHyMcGAtK4XkJDNuBZhfrhSCWhqYJc";
    for hash in ["", "nonsense", costly] {
        std::fs::write(file.with_extension("hash"), hash).unwrap();
        let error = TokenKeeper::open(data.path()).err().unwrap().to_string();
        assert!(error.contains("expected an argon2id hash"), "{error}");
    }
}

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let door = TestDoor::open(|_| ()).await;
    problem(door.request("GET", "/api/v1/nothing"), 404, "not-found", "found /api/v1/nothing").await;
    let headers = problem(door.request("GET", "/events"), 405, "method-not-allowed", "found GET").await;
    assert_eq!(headers["allow"], "POST");
    problem(door.request("DELETE", "/api/v1/instances"), 405, "method-not-allowed", "found DELETE").await;
}

#[tokio::test]
async fn a_panic_answers_one_request_and_hurts_no_other() {
    let door = TestDoor::open(|_| ()).await;
    problem(door.request("GET", "/api/v1/definitions"), 500, "internal", "log says more").await;
    assert_eq!(door.request("GET", "/api/v1/triggers").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn bodies_are_limited_with_and_without_a_length() {
    let door = TestDoor::open(|settings| settings.body_limit = ByteSize(1024)).await;
    let words = "at most 1024 bytes";
    problem(door.event(vec![b' '; 1025]), 413, "body-too-large", words).await;
    let chunks = futures_util::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(vec![b' '; 512])));
    problem(door.event(reqwest::Body::wrap_stream(chunks)), 413, "body-too-large", words).await;
    let padded = format!("{EVENT}{}", " ".repeat(1024 - EVENT.len()));
    assert_eq!(door.event(padded).send().await.unwrap().status(), 202);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let door = TestDoor::open(|settings| settings.request_timeout = Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(door.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/cloudevents+json\r\nContent-Length: 10\r\n\r\nonly",
        door.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    assert!(reply.contains("body-timeout"), "{reply}");
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_told_apart() {
    let door = TestDoor::open(|settings| settings.request_timeout = Duration::from_millis(200)).await;
    problem(door.request("GET", "/api/v1/tree"), 504, "engine-timeout", "no answer within 200ms").await;
}

#[tokio::test]
async fn requests_at_work_are_limited_but_probes_get_through() {
    let door = TestDoor::open(|settings| settings.concurrency = 1).await;
    let first = tokio::spawn(door.request("GET", "/api/v1/tree").send());
    door.mock.tree_asked.notified().await;
    let headers =
        problem(door.request("GET", "/api/v1/triggers"), 503, "unavailable", "http.concurrency").await;
    assert_eq!(headers["retry-after"], "1");
    let probe = door.client.get(format!("{}/health/ready", door.url)).send().await.unwrap();
    assert_eq!(probe.status(), 200);
    door.mock.tree_released.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_shutdown_answers_what_is_at_work_and_takes_no_more() {
    let door = TestDoor::open(|_| ()).await;
    let mock = Arc::clone(&door.mock);
    let url = format!("{}/health/live", door.url);
    let first = tokio::spawn(door.request("GET", "/api/v1/tree").send());
    mock.tree_asked.notified().await;
    let (serving, client) = door.close();
    // The door is closed once a new connection is refused.
    while client.get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
    mock.tree_released.notify_one();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    serving.await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_told() {
    let door = TestDoor::open(|_| ()).await;
    let taken = door.url.trim_start_matches("http://").parse().unwrap();
    let settings = impresario_config::load(&impresario_config::Sources::default()).unwrap().config.http;
    let settings = impresario_config::Http { listen: taken, ..settings };
    let error = impresario::http::Door::bind(settings).await.err().unwrap().to_string();
    assert!(error.contains("(setting http.listen)") && error.contains("another node or program"), "{error}");
}

#[tokio::test]
async fn nodes_are_listed_drained_and_removed() {
    let door = TestDoor::open(|_| ()).await;
    let node = NodeSummary { name: "b".to_owned(), state: "alive".to_owned(), ..NodeSummary::default() };
    door.mock.nodes.lock().unwrap().push(node.clone());
    let listed = door.request("GET", "/api/v1/nodes").send().await.unwrap();
    assert_eq!(listed.json::<Vec<NodeSummary>>().await.unwrap(), [node]);
    assert_eq!(door.request("POST", "/api/v1/nodes/b/drain").send().await.unwrap().status(), 202);
    assert_eq!(door.request("DELETE", "/api/v1/nodes/a%20b%2F").send().await.unwrap().status(), 204);
    assert_eq!(*door.mock.orders.lock().unwrap(), ["drain b", "remove a b/"]);
    let long = format!("/api/v1/nodes/{}", "n".repeat(257));
    problem(door.request("DELETE", &long), 400, "invalid", "more than 256 bytes").await;
    *door.mock.refusal.lock().unwrap() = Some(Refusal::Conflict("it is alive".to_owned()));
    problem(door.request("DELETE", "/api/v1/nodes/b"), 409, "conflict", "it is alive").await;
}

#[tokio::test]
async fn targets_are_listed_shown_put_and_removed() {
    let door = TestDoor::open(|_| ()).await;
    for plural in ["targets", "target-types", "groups"] {
        let path = format!("/api/v1/{plural}");
        let listed: Value = door.request("GET", &path).send().await.unwrap().json().await.unwrap();
        assert_eq!(listed[0]["name"], "web1", "{plural}");
        let one = format!("{path}/a%2Fb");
        let shown: Value = door.request("GET", &one).send().await.unwrap().json().await.unwrap();
        assert_eq!(
            (&shown["name"], &shown["limit"], &shown["by"]),
            (&json!("a/b"), &json!(2), &json!("operator"))
        );
        assert_eq!(door.request("PUT", &one).json(&json!({ "x": 1 })).send().await.unwrap().status(), 200);
        assert_eq!(door.request("DELETE", &one).send().await.unwrap().status(), 204);
    }
    let expected = ["target", "target type", "group"]
        .map(|kind| [format!("put {kind} a/b {{\"x\":1}}"), format!("remove {kind} a/b")])
        .concat();
    assert_eq!(*door.mock.orders.lock().unwrap(), expected);
    let body = door.request("PUT", "/api/v1/targets/a").header("content-type", "text/plain").body("{}");
    problem(body, 415, "unsupported-media-type", "application/json").await;
    let long = format!("/api/v1/groups/{}", "n".repeat(257));
    problem(door.request("GET", &long), 400, "invalid", "more than 256 bytes").await;
    *door.mock.refusal.lock().unwrap() = Some(Refusal::NotFound("none of that name".to_owned()));
    problem(door.request("GET", "/api/v1/targets/a"), 404, "not-found", "none of that name").await;
}

#[tokio::test]
async fn questions_of_nodes_need_the_token_and_their_own_form() {
    let door = TestDoor::open(|_| ()).await;
    let body = || encoding::encode(&Question::Facts { prefix: "process/".to_owned() }).unwrap();
    let ask = |body: Vec<u8>| {
        door.request("POST", question::PATH).header("content-type", question::MEDIA_TYPE).body(body)
    };
    let answer = ask(body()).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &question::MEDIA_TYPE.parse().unwrap())
    );
    let reply: Reply = encoding::decode(&answer.bytes().await.unwrap()).unwrap();
    assert!(matches!(reply, Reply::Draining), "{reply:?}");
    assert_eq!(*door.mock.orders.lock().unwrap(), ["Facts { prefix: \"process/\" }"]);

    let without = door.client.post(format!("{}{}", door.url, question::PATH)).body(body());
    problem(without, 401, "unauthorized", "found no Authorization header").await;
    problem(ask(b"\x01nonsense".to_vec()), 400, "invalid", "not readable").await;
    let newer = [&[9], &body()[1..]].concat();
    problem(ask(newer), 400, "invalid", "newer version").await;
    problem(door.request("POST", question::PATH).json(&1), 415, "unsupported-media-type", "msgpack").await;
    *door.mock.refusal.lock().unwrap() = Some(Refusal::NotMine);
    problem(ask(body()), 421, "not-mine", "not with this node").await;
}

#[tokio::test]
async fn nodes_of_a_store_take_each_others_tokens() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1));
    let a = TestDoor::open(|_| ()).await;
    let b = TestDoor::open(|_| ()).await;
    let status = async |door: &TestDoor, token: &str| {
        let request = door.client.get(format!("{}/api/v1/triggers", door.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status(&a, &b.token).await, 401, "nothing is shared yet");
    a.keeper.share(Arc::clone(&store), "a").await.unwrap();
    b.keeper.share(Arc::clone(&store), "b").await.unwrap();
    a.keeper.refresh().await.unwrap();
    for door in [&a, &b] {
        for token in [&a.token, &b.token] {
            assert_eq!(status(door, token).await, 200);
        }
        assert_eq!(status(door, "another").await, 401);
    }
    for (key, setting) in store.settings(String::new()).await.unwrap() {
        let text = String::from_utf8(setting.bytes.to_vec()).unwrap();
        assert!(text.starts_with("$argon2id$"), "no token lies in the store: {key} {text}");
        assert!(!text.contains(&a.token) && !text.contains(&b.token));
    }

    // Nothing is written when nothing has changed: every write has all nodes read.
    let version = || async { store.setting("token/b".to_owned()).await.unwrap().unwrap().version };
    b.keeper.share(Arc::clone(&store), "b").await.unwrap();
    assert_eq!(version().await, 1);

    assert!(token::withdraw(&store, "b").await.unwrap());
    assert!(!token::withdraw(&store, "b").await.unwrap(), "it has none by now");
    a.keeper.refresh().await.unwrap();
    assert_eq!(status(&a, &b.token).await, 401, "a node that was removed is let in nowhere");
    assert_eq!(status(&a, &a.token).await, 200);
    assert_eq!(status(&b, &b.token).await, 200, "its own token is always its own");
}

#[tokio::test]
async fn the_token_of_a_node_that_came_later_is_looked_up() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1));
    let (a, b) = (TestDoor::open(|_| ()).await, TestDoor::open(|_| ()).await);
    let status = async || {
        let request = a.client.get(format!("{}/api/v1/triggers", a.url)).bearer_auth(&b.token);
        request.send().await.unwrap().status().as_u16()
    };
    a.keeper.share(Arc::clone(&store), "a").await.unwrap();
    assert_eq!(status().await, 401);
    b.keeper.share(Arc::clone(&store), "b").await.unwrap();
    // Nobody says that a setting has changed, and a wrong token has them read at most once a second.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
    assert_eq!(status().await, 200);
}

#[tokio::test]
async fn hashes_of_others_that_cost_too_much_do_not_count() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(1));
    let costly =
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21l$uMcmEIlyrjWqyFHyMcGAtK4XkJDNuBZhfrhSCWhqYJc";
    for (node, hash) in [("costly", costly), ("broken", "nonsense")] {
        store.put_setting(format!("token/{node}"), 0, hash.into()).await.unwrap();
    }
    let door = TestDoor::open(|_| ()).await;
    door.keeper.share(store, "a").await.unwrap();
    assert_eq!(door.request("GET", "/api/v1/triggers").send().await.unwrap().status(), 200);
    let guess = door.client.get(format!("{}/api/v1/triggers", door.url)).bearer_auth("guess");
    assert_eq!(guess.send().await.unwrap().status(), 401);
}
