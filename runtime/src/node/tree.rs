//! The live actor tree, as people see it.

use std::sync::atomic::Ordering;

use impresario_actors::engine::{Engine, EngineError};
use impresario_actors::hosts::{HostState, HostStatus};
use impresario_actors::shard::ActorFacts;
use impresario_model::instance::rfc3339;

use super::local::Local;
use crate::orchestrator::TreeNode;

/// How many actors of one shard are listed.
const ACTORS_SHOWN: usize = 50;

/// The shards that have not caught up, by name.
pub fn lagging(engine: &Engine) -> Vec<String> {
    let gauges = engine.post().gauges().iter().enumerate();
    gauges
        .filter(|(_, gauge)| !gauge.ready.load(Ordering::Relaxed))
        .map(|(number, _)| format!("shard {number}"))
        .collect()
}

/// The whole tree of a node.
pub async fn tree(node: &Local) -> Result<TreeNode, EngineError> {
    let facts = node.engine.facts().await?;
    let shards = facts.into_iter().map(|(number, facts)| shard(&node.engine, number, facts)).collect();
    let hosts = node.hosts.status().iter().map(host).collect();
    Ok(TreeNode {
        name: format!("node {}", node.node),
        state: "running".to_owned(),
        children: vec![group("shards", shards), group("hosts", hosts)],
        ..TreeNode::default()
    })
}

fn group(name: &str, children: Vec<TreeNode>) -> TreeNode {
    TreeNode { name: name.to_owned(), state: "running".to_owned(), children, ..TreeNode::default() }
}

fn shard(engine: &Engine, number: u16, mut facts: Vec<ActorFacts>) -> TreeNode {
    let mut node = TreeNode { name: format!("shard {number}"), ..TreeNode::default() };
    if let Some(gauge) = engine.post().gauges().get(usize::from(number)) {
        let ready = gauge.ready.load(Ordering::Relaxed);
        node.state = if ready { "running" } else { "catching up" }.to_owned();
        let restarts = gauge.starts.load(Ordering::Relaxed).saturating_sub(1);
        node.facts = vec![
            format!("{} live", gauge.live.load(Ordering::Relaxed)),
            format!("lag {}", gauge.backlog()),
            format!("restarts {restarts}"),
        ];
        let waiting = gauge.waiting_runs.load(Ordering::Relaxed);
        if waiting > 0 {
            node.facts.push(format!("{waiting} activities wait for room"));
        }
    }
    // What an operator looks for comes first: set aside, then live; what has just ended is no actor any more.
    facts.retain(|fact| fact.live || fact.aside.is_some());
    facts.sort_by(|a, b| (a.aside.is_none(), &a.actor).cmp(&(b.aside.is_none(), &b.actor)));
    node.more = facts.len().saturating_sub(ACTORS_SHOWN);
    node.children = facts.iter().take(ACTORS_SHOWN).map(actor).collect();
    node
}

fn actor(fact: &ActorFacts) -> TreeNode {
    let mut facts = Vec::new();
    if !fact.index.group.is_empty() {
        facts.push(fact.index.group.clone());
    }
    facts.extend(fact.index.due.map(|due| format!("due {}", rfc3339(due))));
    facts.extend(fact.aside.clone());
    let state = if fact.aside.is_some() { "quarantined" } else { fact.index.status.as_str() };
    TreeNode { name: fact.actor.clone(), state: state.to_owned(), facts, ..TreeNode::default() }
}

fn host(status: &HostStatus) -> TreeNode {
    let mut facts = Vec::new();
    facts.extend(status.pid.map(|pid| format!("pid {pid}")));
    facts.extend(status.generation.map(|generation| format!("generation {generation}")));
    facts.push(format!("{} in flight", status.in_flight));
    facts.push(format!("{} queued", status.queued));
    facts.push(format!("restarts {}", status.counters.restarts));
    if let HostState::Quarantined { reason } = &status.state {
        facts.push(reason.clone());
    }
    facts.extend(status.last_error.as_ref().map(|error| format!("last error: {error}")));
    TreeNode {
        name: format!("adapter {}", status.name),
        state: host_state(&status.state).to_owned(),
        facts,
        ..TreeNode::default()
    }
}

fn host_state(state: &HostState) -> &'static str {
    match state {
        HostState::Idle => "idle",
        HostState::Starting => "starting",
        HostState::Running => "running",
        HostState::Restarting => "restarting",
        HostState::Quarantined { .. } => "quarantined",
        HostState::Stopped => "stopped",
    }
}
