//! `nodes` and `drain`.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use reqwest::Method;
use serde_json::json;

use super::args::{Drain, Global};
use super::client::Client;
use super::error::CliError;
use super::page;
use super::style::{ACTIVE, FAINT, GOOD, PAUSED, of_status};
use super::table::{Cell, table};
use crate::orchestrator::NodeSummary;

const PATH: &str = "/api/v1/nodes";
/// The pause between two looks at a node that is draining.
const POLL: Duration = Duration::from_millis(250);

pub(super) async fn list(global: &Global, client: &Client) -> Result<ExitCode, CliError> {
    let nodes: Vec<NodeSummary> = client.get(PATH).await?;
    page::print(global, &nodes, |nodes| render_nodes(nodes, SystemTime::now()))
}

/// The page of `nodes`.
pub fn render_nodes(nodes: &[NodeSummary], now: SystemTime) -> String {
    let headings = [
        "NODE",
        "STATE",
        "SHARDS",
        "LIVE",
        "RUNNING",
        "UP",
        "SITE",
        "LABELS",
        "VERSION",
        "URL",
        "INCARNATION",
    ];
    let rows = nodes.iter().map(|node| {
        let labels: Vec<String> = node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let gone = node.state == "gone";
        // What a node that is gone had in memory is nowhere now, but its shards wait for an owner.
        let now_only = |value: String| Cell::new(if gone { String::new() } else { value });
        let waiting = if gone && node.shards > 0 { PAUSED } else { anstyle::Style::new() };
        [
            Cell::new(if node.me { format!("{} (asked)", node.name) } else { node.name.clone() }),
            Cell::styled(&node.state, of_status(&node.state)),
            Cell::styled(node.shards.to_string(), waiting),
            now_only(node.live.to_string()),
            now_only(node.running.to_string()),
            now_only(page::age(&node.started, now)),
            Cell::new(node.site.clone().unwrap_or_default()),
            Cell::new(labels.join(",")),
            Cell::new(&node.version),
            Cell::new(&node.url),
            Cell::styled(&node.incarnation, FAINT),
        ]
    });
    table(headings, rows)
}

pub(super) async fn remove(global: &Global, client: &Client, name: &str) -> Result<ExitCode, CliError> {
    client.order(Method::DELETE, &["api", "v1", "nodes", name]).await?;
    page::print(global, &json!({"node": name, "removed": true}), |_| {
        format!("{GOOD}removed{GOOD:#} {name}: its token is good nowhere any more\n")
    })
}

pub(super) async fn drain(global: &Global, client: &Client, drain: Drain) -> Result<ExitCode, CliError> {
    let nodes: Vec<NodeSummary> = client.get(PATH).await?;
    let wanted = |node: &&NodeSummary| match &drain.node {
        Some(name) => node.name == *name && node.state != "gone",
        None => node.me,
    };
    // One that is not known, or is gone, the node refuses in its own words.
    let node = nodes.iter().find(wanted);
    let name = node.map(|node| node.name.clone()).or(drain.node).unwrap_or_default();
    client.order(Method::POST, &["api", "v1", "nodes", &name, "drain"]).await?;
    let left = match node {
        Some(node) if !drain.no_wait => {
            wait(client, node, |line| {
                if !global.json {
                    anstream::eprintln!("{line}");
                }
            })
            .await?;
            true
        }
        _ => false,
    };
    page::print(global, &json!({"node": name, "draining": true, "left": left}), |_| match left {
        true => format!("{GOOD}left{GOOD:#} {name}\n"),
        false => format!("{ACTIVE}draining{ACTIVE:#} {name}: `impresario nodes` tells when it has left\n"),
    })
}

/// Waits until this start of a node has left, telling how far it is.
async fn wait(client: &Client, node: &NodeSummary, mut tell: impl FnMut(String)) -> Result<(), CliError> {
    let mut told = String::new();
    loop {
        let seen: Vec<NodeSummary> = match client.get(PATH).await {
            Ok(nodes) => nodes,
            // The node that is asked is the one that leaves, and it closes its door on the way.
            Err(_) if node.me && client.is_gone().await => return Ok(()),
            Err(_) if node.me => vec![node.clone()],
            Err(error) => return Err(error),
        };
        let same = |one: &&NodeSummary| one.name == node.name && one.incarnation == node.incarnation;
        let Some(now) = seen.iter().find(same).filter(|now| now.state != "gone") else { return Ok(()) };
        let line =
            format!("{}: {} shards to hand over, {} activities running", now.name, now.shards, now.running);
        if line != told {
            tell(format!("{FAINT}{line}{FAINT:#}"));
            told = line;
        }
        tokio::time::sleep(POLL).await;
    }
}
