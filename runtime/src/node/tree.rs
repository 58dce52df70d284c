//! The live actor tree, as people see it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use impresario_actors::engine::Engine;
use impresario_actors::hosts::{HostState, HostStatus};
use impresario_actors::shard::ActorFacts;
use impresario_model::instance::rfc3339;

use super::local::Local;
use crate::orchestrator::{Orchestrator, TreeNode};

/// How many actors of one shard are listed.
const ACTORS_SHOWN: usize = 50;

/// Those of some shards that have not caught up, by name.
pub fn lagging(engine: &Engine, shards: &[u16]) -> Vec<String> {
    let gauges = engine.post().gauges();
    let lags = |number: &&u16| {
        gauges.get(usize::from(**number)).is_some_and(|gauge| !gauge.ready.load(Ordering::Relaxed))
    };
    shards.iter().filter(lags).map(|number| format!("shard {number}")).collect()
}

/// The whole tree of a node, with what its shards have said.
pub fn tree(node: &Local, mut facts: BTreeMap<u16, Vec<ActorFacts>>) -> TreeNode {
    let mine = node.mine().into_iter();
    let shards = mine.map(|number| shard(&node.engine, number, facts.remove(&number))).collect();
    let hosts = node.hosts.status().iter().map(host).collect();
    let health = node.health();
    TreeNode {
        name: format!("node {}", node.node),
        state: if health.ready { "running" } else { "not ready" }.to_owned(),
        facts: health.problems,
        children: vec![group("shards", shards), group("hosts", hosts)],
        ..TreeNode::default()
    }
}

fn group(name: &str, children: Vec<TreeNode>) -> TreeNode {
    TreeNode { name: name.to_owned(), state: "running".to_owned(), children, ..TreeNode::default() }
}

fn shard(engine: &Engine, number: u16, facts: Option<Vec<ActorFacts>>) -> TreeNode {
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
    let Some(mut facts) = facts else {
        node.state = "no answer".to_owned();
        return node;
    };
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

pub(super) fn host_state(state: &HostState) -> &'static str {
    match state {
        HostState::Idle => "idle",
        HostState::Starting => "starting",
        HostState::Running => "running",
        HostState::Restarting => "restarting",
        HostState::Quarantined { .. } => "quarantined",
        HostState::Paused | HostState::Stopped => "stopped",
    }
}
