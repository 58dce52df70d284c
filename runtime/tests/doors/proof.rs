//! `explain` and `audit` through the door and on the command line.

use futures_util::FutureExt;
use impresario::audit::{AuditReport, Violation};
use impresario::explain::Explanation;
use impresario::orchestrator::{Answer, Refusal};
use impresario::proof::Proof;
use impresario::system_events::{Severity, SystemEvent, SystemEventPage, SystemEventQuery};
use serde_json::Value;

use crate::support::{Handle, TestDoor};

fn explanation(id: &str) -> Explanation {
    Explanation {
        subject: id.to_owned(),
        state: "waiting".to_owned(),
        text: "It waits for a place at target web1, which instance 0f2c holds.".to_owned(),
        since: Some("2026-01-31T08:30:00Z".to_owned()),
        wakes: Some("an activity that leaves web1".to_owned()),
        evidence: vec!["target/web1 has a limit of 1".to_owned()],
        can_do: vec!["impresario explain 0f2c".to_owned()],
    }
}

impl Proof for Handle {
    fn explain(&self, id: String) -> Answer<Explanation> {
        self.0.orders.lock().unwrap().push(format!("explain {id}"));
        let answer = match id.as_str() {
            "nobody" => Err(Refusal::NotFound("expected an actor, found 'nobody'".to_owned())),
            _ => Ok(explanation(&id)),
        };
        std::future::ready(answer).boxed()
    }

    fn system_events(&self, query: SystemEventQuery) -> Answer<SystemEventPage> {
        self.0.orders.lock().unwrap().push(format!("{query:?}"));
        let event = SystemEvent {
            id: "1769848200000-0000-a".to_owned(),
            time: "2026-01-31T08:30:00Z".to_owned(),
            severity: Severity::Critical,
            kind: "node.down".to_owned(),
            node: "a".to_owned(),
            subject: "b".to_owned(),
            message: "node b is gone without leave, with 4 shards".to_owned(),
        };
        let page = SystemEventPage { items: vec![event], next: Some("1769848200000-0000-a".to_owned()) };
        std::future::ready(Ok(page)).boxed()
    }

    fn audit(&self) -> Answer<AuditReport> {
        let violation = Violation {
            subject: "process/0f2c".to_owned(),
            what: "its timer is in no index".to_owned(),
            since: "2026-01-31T08:30:00Z".to_owned(),
            repaired: Some("its timer was put back".to_owned()),
        };
        let report = AuditReport {
            stuck: 1,
            proven_at: Some("2026-01-31T08:30:00Z".to_owned()),
            proven_ms_ago: Some(4_200),
            checked: 17,
            unheard: vec!["node c".to_owned()],
            violations: vec![violation],
        };
        std::future::ready(Ok(report)).boxed()
    }
}

#[tokio::test]
async fn ids_with_slashes_and_numbers_of_activities_are_explained() {
    let door = TestDoor::open(|_| {}).await;
    for (path, id) in [
        ("0f2c", "0f2c"),
        ("process/0f2c", "process/0f2c"),
        ("0f2c%233", "0f2c#3"),
        ("ops/clean/on", "ops/clean/on"),
        ("target/web%201", "target/web 1"),
    ] {
        let answer = door.request("GET", &format!("/api/v1/explain/{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.json::<Explanation>().await.unwrap(), explanation(id));
    }
    let answer = door.request("GET", "/api/v1/explain/nobody").send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let long = "x".repeat(300);
    let answer = door.request("GET", &format!("/api/v1/explain/{long}")).send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn the_audit_is_told_as_it_is() {
    let door = TestDoor::open(|_| {}).await;
    let answer = door.request("GET", "/api/v1/audit").send().await.unwrap();
    let told: Value = answer.json().await.unwrap();
    assert_eq!((&told["stuck"], &told["proven_ms_ago"]), (&1.into(), &4_200.into()));
    assert_eq!(told["violations"][0]["subject"], "process/0f2c");
}

#[tokio::test]
async fn what_happened_is_asked_for_by_severity_and_kind() {
    let door = TestDoor::open(|_| {}).await;
    let path = "/api/v1/system-events?severity=warning&kind=node&limit=3";
    let answer = door.request("GET", path).send().await.unwrap();
    let told: Value = answer.json().await.unwrap();
    assert_eq!(
        (&told["items"][0]["severity"], &told["next"]),
        (&"critical".into(), &"1769848200000-0000-a".into())
    );
    let asked = door.mock.orders.lock().unwrap().pop().unwrap();
    assert!(
        asked.contains("Some(Warning)") && asked.contains("Some(\"node\")") && asked.contains("Some(3)"),
        "{asked}"
    );
    let answer = door.request("GET", "/api/v1/system-events?severity=bad").send().await.unwrap();
    assert_eq!(answer.status(), 400);
}

#[test]
fn the_pages_name_what_a_person_would_look_for() {
    let now = humantime::parse_rfc3339("2026-01-31T08:31:00Z").unwrap();
    let page = impresario::cli::render::render_explanation(&explanation("0f2c#3"), now);
    let page = anstream::adapter::strip_str(&page).to_string();
    for part in
        ["0f2c#3  waiting", "which instance 0f2c holds", "(1m ago)", "wakes    an activity that leaves web1"]
    {
        assert!(page.contains(part), "{part} in:\n{page}");
    }
}
