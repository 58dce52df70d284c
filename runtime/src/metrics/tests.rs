//! What the page of figures says.

use super::*;
use crate::adapters::AdapterSummary;
use crate::audit::AuditReport;
use crate::orchestrator::Health;

fn figures() -> NodeFigures {
    let mut adapter =
        AdapterSummary { name: "ssh".to_owned(), state: "running".to_owned(), ..Default::default() };
    adapter.in_flight = 3;
    adapter.pid = Some(4711);
    adapter.counters.memory_restarts = 2;
    adapter.counters.failed = 5;
    NodeFigures {
        health: Health {
            ready: true,
            node: "a \"b\"".to_owned(),
            version: "1.2.3".to_owned(),
            problems: Vec::new(),
            durability: "fsync".to_owned(),
            store: "up".to_owned(),
            shards: 1,
            alarms: vec!["lost".to_owned()],
        },
        adapters: vec![adapter],
        shards: vec![ShardFigures { shard: 7, backlog: 1, waiting: 2, live: 3, starts: 4 }],
        monitored: (5, 6),
        targets: 8,
        nodes: 3,
        audit: AuditReport { stuck: 9, proven_ms_ago: Some(4_200), checked: 17, ..AuditReport::default() },
    }
}

#[test]
fn what_a_node_knows_of_itself_is_a_page() {
    let mut registry = registry();
    registry.register_collector(Box::new(figures()));
    let page = text(&registry);
    for line in [
        r#"impresario_node{version="1.2.3",node="a \"b\"",durability="fsync"} 1"#,
        "impresario_ready 1",
        "impresario_stuck 9",
        "impresario_audit_checked 17",
        "impresario_audit_age_seconds 4",
        "impresario_store_up 1",
        "impresario_store_alarms 1",
        r#"impresario_shard_backlog{shard="7"} 1"#,
        r#"impresario_shard_waiting_activities{shard="7"} 2"#,
        r#"impresario_shard_live_actors{shard="7"} 3"#,
        r#"impresario_shard_starts_total{shard="7"} 4"#,
        r#"impresario_triggers_monitored{watches="schedule"} 5"#,
        r#"impresario_triggers_monitored{watches="events"} 6"#,
        r#"impresario_adapter_running_activities{adapter="ssh"} 3"#,
        r#"impresario_adapter_pid{adapter="ssh"} 4711"#,
        r#"impresario_adapter_restarts_total{adapter="ssh",cause="memory"} 2"#,
        r#"impresario_adapter_activities_ended_total{adapter="ssh",outcome="failed"} 5"#,
        "# TYPE impresario_adapter_restarts counter",
        "# EOF",
    ] {
        assert!(page.lines().any(|found| found == line), "expected '{line}' in:\n{page}");
    }
}

#[tokio::test]
async fn a_store_that_is_asked_counts_it() {
    use std::sync::Arc;

    use bytes::Bytes;
    use impresario_persistence::{Append, Epoch, MemoryStore, Owner, ShardId, Store};

    let metrics = StoreMetrics::default();
    let store = MeteredStore::new(Arc::new(MemoryStore::new(2)), metrics.clone());
    let entry = |bytes: &'static [u8]| Append { shard: ShardId(1), bytes: Bytes::from_static(bytes) };
    store.append(vec![entry(b"one"), entry(b"three")]).await.unwrap();
    let owner = Owner { node: "a".to_owned(), incarnation: "1".to_owned() };
    let claim = store.claim(ShardId(1), owner, Epoch(0)).await.unwrap();
    // Refused by a newer epoch: that is the order of things, and no error of the store.
    store
        .append_fenced(ShardId(1), Epoch(claim.epoch.0 + 1), vec![Bytes::from_static(b"x")])
        .await
        .unwrap_err();
    let mut registry = registry();
    metrics.register(&mut registry);
    let page = text(&registry);
    for line in [
        "impresario_store_appended_entries_total 2",
        "impresario_store_appended_bytes_total 8",
        r#"impresario_store_operation_seconds_count{operation="append"} 2"#,
        r#"impresario_store_operation_seconds_count{operation="claim"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "expected '{line}' in:\n{page}");
    }
    let errors = page.lines().filter(|line| line.starts_with("impresario_store_errors_total{"));
    assert!(errors.clone().count() > 0 && errors.into_iter().all(|line| line.ends_with(" 0")), "{page}");
}
