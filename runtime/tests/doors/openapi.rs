//! The document of the API: whole, consistent, and open to everybody.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::TestDoor;

const WRITES: [&str; 3] = ["post", "put", "delete"];
/// Writes that keep nothing, or have an id of their own.
const WITHOUT_KEY: [&str; 5] = ["ask", "sendEvents", "deliver", "testTrigger", "testWebhook"];

/// Every operation: its path, its method, and what is said of it.
fn operations(document: &Value) -> Vec<(&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let of_path = paths.map(|(path, methods)| (path, methods.as_object().unwrap()));
    of_path
        .flat_map(|(path, methods)| methods.iter().map(move |(method, said)| (path, method, said)))
        .collect()
}

/// Every `$ref` below.
fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_operation_is_described() {
    let document = impresario::http::openapi();
    assert_eq!(document["openapi"], "3.1.0");
    let tags: BTreeSet<&str> =
        document["tags"].as_array().unwrap().iter().filter_map(|tag| tag["name"].as_str()).collect();
    let mut ids = BTreeSet::new();
    for (path, method, said) in operations(&document) {
        let id = said["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        assert!(tags.contains(said["tags"][0].as_str().unwrap()), "{id}: a tag that is not described");
        let responses = said["responses"].as_object().unwrap();
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{id}: no reply that is none of the problems"
        );
        let parameters = said["parameters"].as_array().cloned().unwrap_or_default();
        for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let known = parameters.iter().find(|parameter| parameter["name"] == part);
            let says = known.and_then(|known| known["description"].as_str()).unwrap_or_default();
            assert!(!says.is_empty(), "{method} {path}: the part {part} is not described");
        }
        let keyed = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
        let expected = WRITES.contains(&method.as_str()) && !WITHOUT_KEY.contains(&id);
        assert_eq!(keyed, expected, "{method} {path}: whether it takes an Idempotency-Key");
    }
    assert!(ids.len() >= 55, "{}", ids.len());
}

#[test]
fn every_reference_leads_somewhere() {
    let document = impresario::http::openapi();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 300);
    for reference in found {
        let at = document.pointer(reference.trim_start_matches('#'));
        assert!(at.is_some(), "{reference} leads nowhere");
    }
    assert!(!document.to_string().contains("[`"), "a link of the code's documentation is left");
}

#[test]
fn what_is_read_and_written_is_described_as_it_is() {
    let document = impresario::http::openapi();
    let schema = |name: &str| document["components"]["schemas"][name].clone();
    let start = schema("StartRequest");
    assert_eq!((&start["required"], &start["additionalProperties"]), (&json!(["definition"]), &json!(false)));
    let instance = schema("InstanceDetail");
    assert!(instance["properties"]["status"].is_object(), "what the list shows is part of it: {instance}");
    let list = document["paths"]["/api/v1/instances"]["get"]["parameters"].as_array().unwrap();
    let names: BTreeSet<&str> = list.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    let expected = [
        "cursor",
        "definition",
        "error",
        "id",
        "key",
        "limit",
        "started_after",
        "started_before",
        "started_by",
        "status",
        "target",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), expected);
    let limit = list.iter().find(|parameter| parameter["name"] == "limit").unwrap();
    assert_eq!((&limit["schema"]["type"], &limit["schema"]["maximum"]), (&json!("integer"), &json!(1000)));
    assert!(limit["description"].as_str().unwrap().starts_with("At most so many"));
}

#[tokio::test]
async fn the_document_and_its_page_need_no_token() {
    let door = TestDoor::open(|_| ()).await;
    let without = |path: &str| door.client.get(format!("{}{path}", door.url));
    let document = without("/openapi.json").send().await.unwrap();
    assert_eq!(document.headers()["content-type"], "application/json");
    assert_eq!(document.json::<Value>().await.unwrap(), impresario::http::openapi());
    let page = without("/docs").send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let page = page.text().await.unwrap();
    assert!(page.contains("fetch('/openapi.json')"));
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "the page needs something from elsewhere"
    );
    // All else behind them still does.
    assert_eq!(without("/docs/x").send().await.unwrap().status(), 401);
    assert_eq!(without("/openapi.json?x=1").send().await.unwrap().status(), 200);
}
