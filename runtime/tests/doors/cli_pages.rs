//! What the pages of the command line look like, without colours; and that colours are there.

use std::time::{Duration, SystemTime};

use impresario::cli::render::{render_instance, render_list, render_nodes, render_tree};
use impresario::orchestrator::{
    ActivityDetail, InstanceDetail, InstancePage, InstanceSummary, NodeSummary, TreeNode,
};
use serde_json::json;

fn plain(page: &str) -> String {
    anstream::adapter::strip_str(page).to_string()
}

fn at(time: &str) -> SystemTime {
    humantime::parse_rfc3339(time).unwrap()
}

fn summary(id: &str, status: &str, ended_at: Option<&str>) -> InstanceSummary {
    InstanceSummary {
        id: id.to_owned(),
        definition: "ops/clean:1.0.0".to_owned(),
        status: status.to_owned(),
        started_at: "2026-01-31T08:30:00Z".to_owned(),
        ended_at: ended_at.map(str::to_owned),
    }
}

#[test]
fn a_list_is_aligned_and_has_ages() {
    let items = vec![
        summary("1", "running", None),
        summary("22", "faulted", Some("2026-01-31T08:31:05.250Z")),
        summary("333", "completed", Some("2026-01-31T08:30:00.040Z")),
    ];
    let page = render_list(
        &InstancePage { items, next: Some("c7".to_owned()), unheard: vec![3, 12], looked_at: None },
        at("2026-01-31T10:32:03Z"),
    );
    let expected = "\
INSTANCE  DEFINITION       STATUS     AGE    TOOK
1         ops/clean:1.0.0  running    2h 2m  
22        ops/clean:1.0.0  faulted    2h 2m  1m 5s
333       ops/clean:1.0.0  completed  2h 2m  40ms
shards 3, 12 did not answer: what is new there is missing
more: --cursor c7
";
    assert_eq!(plain(&page), expected);
    assert!(page.contains("\u{1b}[31m") && page.contains("\u{1b}[32m"), "faulted is red, completed is green");
    assert_eq!(render_list(&InstancePage::default(), SystemTime::now()), "no instances\n");
}

#[test]
fn a_clock_that_is_behind_makes_no_negative_age() {
    let items = vec![summary("1", "running", None)];
    let now = at("2026-01-31T08:30:00Z") - Duration::from_secs(5);
    assert!(
        plain(&render_list(&InstancePage { items, ..InstancePage::default() }, now)).contains("running  0s")
    );
}

#[test]
fn an_instance_is_a_page_with_its_activities() {
    let activity = ActivityDetail {
        number: 7,
        task: "checkDisk".to_owned(),
        pointer: "/do/0/checkDisk".to_owned(),
        function: "command/shell".to_owned(),
        target: None,
        status: "failed".to_owned(),
        key: "k".to_owned(),
        attempts: 2,
        restartable: true,
        input: json!({"command": "x".repeat(300)}),
        progress: None,
        saved: false,
        resolved: None,
        output: None,
        error: Some(json!({"type": "https://host/errors/timeout", "status": 408, "title": "no answer"})),
        started_at: "2026-01-31T08:30:00Z".to_owned(),
        ended_at: Some("2026-01-31T08:30:05Z".to_owned()),
    };
    let detail = InstanceDetail {
        summary: summary("0190", "waiting", None),
        started_by: "trigger ops/clean/on".to_owned(),
        key: None,
        input: json!({"host": "web-1"}),
        output: None,
        error: None,
        waits_for: vec!["activity 8 cleanUp (command/shell), attempt 1".to_owned()],
        rerun_of: None,
        began_at: None,
        turn_of: None,
        start_points: vec![],
        listeners: vec![],
        activities: vec![activity],
        activities_dropped: 6,
    };
    let page = plain(&render_instance(&detail, at("2026-01-31T08:33:20Z")));
    let expected = [
        "0190  waiting",
        "  definition  ops/clean:1.0.0",
        "  started by  trigger ops/clean/on",
        "  started     2026-01-31T08:30:00Z (3m 20s ago)",
        "  input       {\"host\":\"web-1\"}",
        "  waits for   activity 8 cleanUp (command/shell), attempt 1",
        "",
        "activities",
        "  6 older ones are no longer kept",
        "    7 checkDisk (command/shell)  failed in 5s, 2 attempts",
    ];
    let lines: Vec<&str> = page.lines().collect();
    assert_eq!(lines[..expected.len()], expected);
    assert!(
        lines[10].starts_with("      input  {\"command\":\"xxx") && lines[10].ends_with("xxx…"),
        "{}",
        lines[10]
    );
    assert_eq!(lines[11], "      error  timeout · 408 · no answer");
    assert_eq!(lines.len(), 12);
}

#[test]
fn a_tree_has_branches() {
    let leaf = |name: &str, state: &str| TreeNode {
        name: name.to_owned(),
        state: state.to_owned(),
        ..TreeNode::default()
    };
    let tree = TreeNode {
        children: vec![
            TreeNode {
                facts: vec!["lag 0".to_owned(), "restarts 1".to_owned()],
                children: vec![leaf("process/1", "waiting")],
                more: 41,
                ..leaf("shard 3", "running")
            },
            TreeNode { children: vec![leaf("adapter http", "quarantined")], ..leaf("hosts", "running") },
        ],
        ..leaf("node", "running")
    };
    let expected = "\
node  running
├─ shard 3  running  lag 0 · restarts 1
│  ├─ process/1  waiting
│  └─ … 41 more
└─ hosts  running
   └─ adapter http  quarantined
";
    assert_eq!(plain(&render_tree(&tree)), expected);
}

#[test]
fn nodes_are_a_table() {
    let node = |name: &str, state: &str| NodeSummary {
        name: name.to_owned(),
        incarnation: "0190aaaa".to_owned(),
        state: state.to_owned(),
        url: format!("http://{name}:4747"),
        version: "0.1.0".to_owned(),
        started: "2026-01-31T08:30:00Z".to_owned(),
        shards: 8,
        live: 5,
        running: 2,
        ..NodeSummary::default()
    };
    let labels = [("rack".to_owned(), "7".to_owned()), ("zone".to_owned(), "x".to_owned())];
    let nodes = [
        NodeSummary { me: true, site: Some("north".to_owned()), labels: labels.into(), ..node("a", "alive") },
        node("b", "draining"),
        node("c", "gone"),
    ];
    let page = render_nodes(&nodes, at("2026-01-31T10:32:03Z"));
    let expected = "\
NODE       STATE     SHARDS  LIVE  RUNNING  UP     SITE   LABELS         VERSION  URL            INCARNATION
a (asked)  alive     8       5     2        2h 2m  north  rack=7,zone=x  0.1.0    http://a:4747  0190aaaa
b          draining  8       5     2        2h 2m                        0.1.0    http://b:4747  0190aaaa
c          gone      8                                                   0.1.0    http://c:4747  0190aaaa
";
    assert_eq!(plain(&page), expected);
    for (state, colour) in
        [("alive", "\u{1b}[32m"), ("draining", "\u{1b}[33m"), ("gone", "\u{1b}[1m\u{1b}[31m")]
    {
        assert!(page.contains(&format!("{colour}{state}")), "{page:?}");
    }
}
