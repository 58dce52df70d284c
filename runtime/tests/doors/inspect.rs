//! Actors, logs, traces and the quarantine at the doors: what the API and the command line ask of the engine, and what they
//! show.

use std::time::SystemTime;

use futures_util::FutureExt;
use impresario::cli::render::{
    render_actor, render_entries, render_quarantine, render_quarantined, render_trace,
};
use impresario::inspect::{
    ActorDetail, EntryPage, EntryQuery, EntryView, Inspector, QuarantineOrder, QuarantinedActor, Trace,
    TraceQuery, TraceStep,
};
use impresario::orchestrator::{Answer, Refusal};
use serde_json::{Value, json};

use crate::cli_commands::run;
use crate::support::{Handle, TestDoor};

const ACTOR: &str = "process/01900000-0000-7000-8000-000000000001";

fn entry() -> EntryView {
    EntryView {
        shard: 3,
        offset: "1795276490770-2".to_owned(),
        at: "2026-01-31T08:30:00Z".to_owned(),
        actor: ACTOR.to_owned(),
        kind: "process.cancel".to_owned(),
        origin: None,
        summary: "it is to stop: poison".to_owned(),
        body: json!({ "Process": { "Cancel": { "reason": "poison" } } }),
    }
}

fn aside() -> QuarantinedActor {
    QuarantinedActor {
        actor: ACTOR.to_owned(),
        shard: 3,
        node: "n".to_owned(),
        reason: "the actor panicked".to_owned(),
        since: "2026-01-31T08:30:00Z".to_owned(),
        entry: Some(entry()),
        held: 2,
        dropped: 0,
    }
}

fn actor() -> ActorDetail {
    ActorDetail {
        actor: ACTOR.to_owned(),
        kind: "process".to_owned(),
        shard: 3,
        node: "n".to_owned(),
        epoch: 7,
        offset: "1795276490771-0".to_owned(),
        lag: 4,
        live: false,
        status: "quarantined".to_owned(),
        due: Some("2026-01-31T09:30:00Z".to_owned()),
        quarantined: Some(aside()),
        waits_for: vec!["an operator".to_owned()],
        state: json!({ "id": "01900000" }),
        entries: vec![entry()],
    }
}

fn step(depth: usize, what: &str, status: Option<&str>, took_ms: Option<u64>) -> TraceStep {
    TraceStep {
        depth,
        at: "2026-01-31T08:30:00Z".to_owned(),
        actor: "router/1".to_owned(),
        what: what.to_owned(),
        status: status.map(str::to_owned),
        took_ms,
    }
}

fn trace() -> Trace {
    Trace {
        subject: "event 1 of /disks".to_owned(),
        steps: vec![
            step(0, "came in", None, None),
            step(1, "started", Some("completed"), Some(84)),
            step(2, "did", Some("failed"), None),
            step(1, "told", None, None),
        ],
        gaps: vec!["behind a checkpoint".to_owned()],
    }
}

impl Handle {
    fn noted<T: Send + 'static>(&self, words: String, value: T) -> Answer<T> {
        self.0.orders.lock().unwrap().push(words);
        let refusal = self.0.refusal.lock().unwrap().clone();
        std::future::ready(refusal.map_or(Ok(value), Err)).boxed()
    }
}

impl Inspector for Handle {
    fn actor(&self, name: String) -> Answer<ActorDetail> {
        self.noted(format!("actor {name}"), actor())
    }
    fn log(&self, query: EntryQuery) -> Answer<EntryPage> {
        let words = format!("log {}", serde_json::to_string(&query).unwrap());
        self.noted(words, EntryPage { items: vec![entry()], next: "on".to_owned() })
    }
    fn trace(&self, query: TraceQuery) -> Answer<Trace> {
        self.noted(format!("trace {}", serde_json::to_string(&query).unwrap()), trace())
    }
    fn quarantined(&self) -> Answer<Vec<QuarantinedActor>> {
        self.noted("quarantined".to_owned(), vec![aside()])
    }
    fn take_back(&self, actor: String, entry: Option<String>, order: QuarantineOrder) -> Answer<()> {
        self.noted(format!("{actor} {entry:?} {order:?}"), ())
    }
}

fn asked(door: &TestDoor) -> Vec<String> {
    std::mem::take(&mut door.mock.orders.lock().unwrap())
}

fn plain(page: &str) -> String {
    anstream::adapter::strip_str(page).to_string()
}

#[tokio::test]
async fn actors_and_logs_are_shown_over_http() {
    let door = TestDoor::open(|_| ()).await;
    let get = async |path: &str| door.request("GET", path).send().await.unwrap();
    let shown: Value = get(&format!("/api/v1/actors/{ACTOR}")).await.json().await.unwrap();
    assert_eq!((&shown["epoch"], &shown["state"]["id"]), (&json!(7), &json!("01900000")));
    assert_eq!(
        get("/api/v1/actors/trigger/ops/disk%20full/0").await.status(),
        200,
        "with slashes and spaces"
    );
    let page: Value = get("/api/v1/entries?actor=process/a&shard=3&kind=process&text=x&limit=5")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!((&page["items"][0]["kind"], &page["next"]), (&json!("process.cancel"), &json!("on")));
    assert_eq!(get("/api/v1/entries?after=on&wait=5s").await.status(), 200);
    assert_eq!(get("/api/v1/trace?event=1&source=/disks").await.status(), 200);
    for wrong in ["entries?limit=many", "entries?nonsense=1", "trace?id=1", "quarantine?x"] {
        let status = get(&format!("/api/v1/{wrong}")).await.status();
        assert_eq!(status, if wrong.starts_with('q') { 200 } else { 400 }, "{wrong}");
    }
    assert_eq!(get(&format!("/api/v1/actors/{}", "x".repeat(601))).await.status(), 400);
    let expected = [
        format!("actor {ACTOR}"),
        "actor trigger/ops/disk full/0".to_owned(),
        r#"log {"actor":"process/a","shard":3,"kind":"process","text":"x","limit":5}"#.to_owned(),
        r#"log {"after":"on","wait":"5s"}"#.to_owned(),
        r#"trace {"event":"1","source":"/disks"}"#.to_owned(),
        "quarantined".to_owned(),
    ];
    assert_eq!(asked(&door), expected);
}

#[tokio::test]
async fn orders_about_the_quarantine_reach_the_engine_whole() {
    let door = TestDoor::open(|_| ()).await;
    let path = format!("/api/v1/quarantine/{ACTOR}");
    let post = async |query: &str, body: Value| {
        door.request("POST", &format!("{path}{query}")).json(&body).send().await.unwrap().status()
    };
    assert_eq!(post("?entry=5-1", json!({ "order": "retry" })).await, 204);
    assert_eq!(post("", json!({ "order": "edit", "body": { "Process": "Timer" } })).await, 204);
    let expected = [
        format!(r#"{ACTOR} Some("5-1") Retry"#),
        format!(r#"{ACTOR} None Edit {{ body: Object {{"Process": String("Timer")}} }}"#),
    ];
    assert_eq!(asked(&door), expected);
    for wrong in [
        json!({ "order": "forget" }),
        json!({}),
        json!({ "order": "edit" }),
        json!(["skip"]),
        json!({ "order": "skip", "body": 1 }),
    ] {
        assert_eq!(post("", wrong.clone()).await, 400, "{wrong}");
    }
    assert_eq!(post("?entri=1", json!({ "order": "skip" })).await, 400);
    *door.mock.refusal.lock().unwrap() = Some(Refusal::Conflict("another entry".to_owned()));
    assert_eq!(post("", json!({ "order": "skip" })).await, 409);
}

#[tokio::test]
async fn the_command_line_shows_and_orders() {
    let door = TestDoor::open(|_| ()).await;
    let listed = run(&door, &["quarantine"], "").await;
    assert!(listed.out.contains("the actor panicked"), "{listed:?}");
    let shown = run(&door, &["quarantine", "show", "01900000"], "").await;
    assert!(shown.out.contains(r#""reason": "poison""#), "{shown:?}");
    asked(&door);
    assert_eq!(run(&door, &["quarantine", "skip", ACTOR], "").await.code, 0);
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body.json");
    std::fs::write(&body, r#"{ "Process": "Timer" }"#).unwrap();
    let edited = run(&door, &["quarantine", "edit", ACTOR, "--body", body.to_str().unwrap()], "").await;
    assert_eq!(edited.code, 0, "{edited:?}");
    let expected = [
        "quarantined".to_owned(),
        format!(r#"{ACTOR} Some("1795276490770-2") Skip"#),
        "quarantined".to_owned(),
        format!(r#"{ACTOR} Some("1795276490770-2") Edit {{ body: Object {{"Process": String("Timer")}} }}"#),
    ];
    assert_eq!(asked(&door), expected);
    let unknown = run(&door, &["quarantine", "retry", "process/x"], "").await;
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.err.contains("expected an actor in quarantine, found 'process/x'"), "{unknown:?}");
    asked(&door);

    let inspected = run(&door, &["inspect", "01900000"], "").await;
    assert!(inspected.out.contains("epoch 7"), "{inspected:?}");
    let tailed = run(&door, &["--json", "tail", "--kind", "process", "-n", "3"], "").await;
    let items: Value = serde_json::from_str(&tailed.out).unwrap();
    assert_eq!(items[0]["offset"], "1795276490770-2");
    assert_eq!(run(&door, &["trace", "e1", "--source", "/s"], "").await.code, 0);
    assert_eq!(run(&door, &["trace", ACTOR], "").await.code, 0);
    let expected = [
        "actor 01900000".to_owned(),
        r#"log {"kind":"process","limit":3}"#.to_owned(),
        r#"trace {"event":"e1","source":"/s"}"#.to_owned(),
        format!(r#"trace {{"actor":"{ACTOR}"}}"#),
    ];
    assert_eq!(asked(&door), expected);
}

#[test]
fn pages_say_what_is_needed() {
    let now = SystemTime::UNIX_EPOCH;
    let page = plain(&render_actor(&actor()));
    for words in ["quarantined", "shard 3 at n, epoch 7", "lag 4, stored", "waits for  an operator", "poison"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert_eq!(
        plain(&render_entries(&[entry()])),
        format!("2026-01-31T08:30:00Z-2   3  {ACTOR}  process.cancel  it is to stop: poison\n")
    );
    assert_eq!(plain(&render_quarantine(&[], now)), "nothing is in quarantine\n");
    let page = plain(&render_quarantined(&QuarantinedActor { dropped: 9, ..aside() }, now));
    assert!(page.contains("2 entries that came later, and 9 were dropped"), "{page}");
    let unloaded = plain(&render_quarantined(&QuarantinedActor { entry: None, ..aside() }, now));
    assert!(unloaded.contains("none: it cannot be loaded"), "{unloaded}");
    let at = "2026-01-31T08:30:00Z  router/1";
    let expected = format!(
        "event 1 of /disks
└─ {at}  came in
   ├─ {at}  started  completed  84ms
   │  └─ {at}  did  failed
   └─ {at}  told
gap: behind a checkpoint
"
    );
    assert_eq!(plain(&render_trace(&trace())), expected);
}
