//! What can be described, and what is selected of it.

use serde_json::{Value, json};

use super::*;

fn spec<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Three servers, one of them disabled, an endpoint, two nodes, and groups of all kinds.
fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    let server = |host: &str, role: &str, enabled: bool| {
        spec(json!({
            "type": "unix-server", "properties": { "host": host }, "labels": { "role": role },
            "enabled": enabled, "runtimeUser": "ops",
        }))
    };
    for (name, role, enabled) in [("db1", "db", true), ("web1", "web", true), ("web2", "web", false)] {
        let target: TargetSpec = server(&format!("{name}.example"), role, enabled);
        inventory.check_target(name, &target).unwrap();
        inventory.put_target(name, target, 1);
    }
    let api = json!({ "type": "http-endpoint", "properties": { "uri": "https://api.example/" } });
    inventory.put_target("api", spec(api), 1);
    for (name, group) in [
        ("web", json!({ "criteria": ".labels.role == \"web\"" })),
        ("named", json!({ "members": ["api", "db1"] })),
        ("all", json!({ "groups": ["web", "named"] })),
        ("everything", json!({ "groups": ["all", "nodes"] })),
    ] {
        let group: GroupSpec = spec(group);
        inventory.check_group(name, &group).unwrap();
        inventory.put_group(name, group);
    }
    let node = json!({ "type": "node", "properties": { "url": "http://here", "version": "1" } });
    inventory.set_nodes([("n1".to_owned(), spec(node.clone())), ("n2".to_owned(), spec(node))]);
    inventory
}

fn select(selection: Value) -> Result<Vec<String>, String> {
    let selected = inventory().select(&spec(selection), 7).map_err(|error| error.to_string())?;
    Ok(selected.into_iter().map(|target| target.name).collect())
}

#[test]
fn a_group_has_the_named_those_that_meet_its_criteria_and_those_of_its_groups() {
    let inventory = inventory();
    assert_eq!(inventory.members("web").unwrap(), ["web1", "web2"]);
    assert_eq!(inventory.members("all").unwrap(), ["api", "db1", "web1", "web2"]);
    assert_eq!(inventory.members("nodes").unwrap(), ["node:n1", "node:n2"]);
    assert_eq!(inventory.members("everything").unwrap().len(), 6);
    assert_eq!(inventory.members("none"), Err(SelectError::NoSuchGroup("none".to_owned())));
}

#[test]
fn a_selection_takes_what_is_enabled_and_matches() {
    let table = [
        (json!({}), vec!["api", "db1", "web1"]),
        (json!({ "group": "all" }), vec!["api", "db1", "web1"]),
        (json!({ "group": "nodes" }), vec!["node:n1", "node:n2"]),
        (json!({ "group": "all", "where": ".type == \"unix-server\"" }), vec!["db1", "web1"]),
        (
            json!({ "where": ".labels.role == $role", "variables": { "role": "db" }, "take": "one" }),
            vec!["db1"],
        ),
        (json!({ "group": "all", "name": "api" }), vec!["api"]),
        // 7 modulo 3.
        (json!({ "group": "all", "take": "any" }), vec!["db1"]),
        (json!({ "where": "false", "allowEmpty": true, "take": "any" }), vec![]),
    ];
    for (selection, expected) in table {
        assert_eq!(select(selection.clone()).unwrap(), expected, "{selection}");
    }
}

#[test]
fn a_selection_that_takes_nothing_says_why() {
    let table = [
        (
            json!({ "group": "web", "name": "web2" }),
            "expected at least one target, found none that is enabled and has the name 'web2' in group 'web'",
        ),
        (json!({ "where": ".labels.role == 1" }), "found none that is enabled where .labels.role == 1"),
        (json!({ "group": "wbe" }), "expected the name of a group, found 'wbe', which names none"),
        (json!({ "group": "all", "take": "one" }), "expected exactly one target, found 3: api, db1, web1"),
        (json!({ "where": ".labels ==" }), "where: "),
        (json!({ "where": ".type | tonumber" }), "where, at target 'api': "),
        (json!({ "where": "[range(1e9)]" }), "where, at target 'api': the expression"),
    ];
    for (selection, expected) in table {
        let found = select(selection.clone()).unwrap_err();
        assert!(found.contains(expected), "{selection}: {found}");
    }
}

#[test]
fn a_target_can_be_used_if_it_is_there_and_enabled() {
    let inventory = inventory();
    let web = inventory.usable("web1").unwrap();
    assert_eq!((web.kind.as_str(), &web.properties["host"]), ("unix-server", &json!("web1.example")));
    assert_eq!(inventory.runtime_user_of("web1"), Some("ops"));
    let missing = inventory.usable("web3").unwrap_err().to_string();
    assert_eq!(
        missing,
        "expected the name of a target, found 'web3', which names none; did you mean 'web1'?"
    );
    assert_eq!(inventory.usable("web2"), Err(Unusable::Disabled("web2".to_owned())));
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    let inventory = inventory();
    let refused = |name: &str, value: Value| inventory.check_target(name, &spec(value)).unwrap_err();
    let table = [
        ("x", json!({ "type": "unix-sever" }), "(one of unix-server, http-endpoint), found 'unix-sever'"),
        ("x", json!({ "type": "unix-server" }), "\"host\" is a required property"),
        (
            "x",
            json!({ "type": "unix-server", "properties": { "host": "h", "port": 0 } }),
            "0 is less than the minimum of 1 at '/port'",
        ),
        ("x", json!({ "type": "node" }), "the nodes are targets by themselves"),
        ("node:n1", json!({ "type": "unix-server" }), "found 'node:n1'"),
        (
            "x",
            json!({ "type": "unix-server", "properties": { "host": "h" }, "limit": 0 }),
            "to stop all work on it, disable it",
        ),
    ];
    for (name, value, expected) in table {
        let found = refused(name, value.clone()).to_string();
        assert!(found.contains(expected), "{value}: {found}");
    }
    let group = |name: &str, value: Value| inventory.check_group(name, &spec(value)).unwrap_err().to_string();
    let table = [
        ("g", json!({ "members": ["dbb1"] }), "found 'dbb1', which names none; did you mean 'db1'?"),
        ("g", json!({ "groups": ["none"] }), "found 'none', which names none"),
        ("g", json!({ "criteria": ".labels ==" }), "expected a jq expression as criteria"),
        ("web", json!({ "groups": ["everything"] }), "found web → everything → all → web"),
        ("web", json!({ "groups": ["web"] }), "found web → web"),
        ("nodes", json!({}), "group 'nodes' is built in"),
    ];
    for (name, value, expected) in table {
        let found = group(name, value.clone());
        assert!(found.contains(expected), "{value}: {found}");
    }
}

#[test]
fn a_type_is_a_schema_that_its_targets_fit() {
    let mut inventory = inventory();
    let kind = |schema: Value| TargetType { description: None, schema };
    let database = kind(json!({ "type": "object", "required": ["dsn"] }));
    inventory.check_type("database", &database).unwrap();
    inventory.put_type("database", database);
    let target: TargetSpec = spec(json!({ "type": "database", "properties": { "dsn": "x" } }));
    inventory.check_target("orders", &target).unwrap();
    inventory.put_target("orders", target, 1);
    let found = inventory.check_type("database", &kind(json!({ "required": ["url"] }))).unwrap_err();
    assert!(matches!(&found, InventoryError::Conflict(text) if text.contains("target 'orders'")), "{found}");
    let found = inventory.check_type("database", &kind(json!({ "type": 7 }))).unwrap_err();
    assert!(matches!(found, InventoryError::Invalid(_)), "{found}");
    let found = inventory.check_type("unix-server", &kind(json!({}))).unwrap_err();
    assert!(matches!(found, InventoryError::Conflict(_)), "{found}");
    assert!(matches!(inventory.check_type_removal("database"), Err(InventoryError::Conflict(_))));
}

#[test]
fn what_others_name_is_not_removed() {
    let inventory = inventory();
    assert_eq!(inventory.check_target_removal("web1"), Ok(()));
    assert!(matches!(inventory.check_target_removal("db1"), Err(InventoryError::Conflict(_))));
    assert!(matches!(inventory.check_target_removal("db9"), Err(InventoryError::NotFound(_))));
    assert!(matches!(inventory.check_target_removal("node:n1"), Err(InventoryError::Conflict(_))));
    assert_eq!(inventory.check_group_removal("everything"), Ok(()));
    assert!(matches!(inventory.check_group_removal("all"), Err(InventoryError::Conflict(_))));
    assert!(matches!(inventory.check_group_removal("nodes"), Err(InventoryError::Conflict(_))));
}

#[test]
fn a_large_environment_is_selected_from_within_one_budget() {
    let mut inventory = Inventory::default();
    for number in 0..ENTRIES_MAX {
        let target = json!({ "type": "unix-server", "labels": { "rack": (number % 100).to_string() } });
        inventory.put_target(&format!("host{number:05}"), spec(target), 1);
    }
    let selection = json!({ "where": ".labels.rack == $rack and .type == \"unix-server\"", "variables": { "rack": "7" } });
    assert_eq!(inventory.select(&spec(selection), 0).unwrap().len(), 100);
}
