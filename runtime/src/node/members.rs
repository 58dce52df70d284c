//! The nodes of the cluster: listed, drained, removed.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use impresario_actors::post::ShardGauge;
use impresario_model::instance::rfc3339;
use impresario_persistence::StoreError;

use super::local::Local;
use super::refusal::refusal;
use super::tree;
use crate::cluster::{ClusterView, NodeView};
use crate::http::token;
use crate::orchestrator::{NodeSummary, Refusal, TreeNode};
use crate::question::{Question, Reply};

/// How much of an incarnation tells one start of a node from another.
const INCARNATION_SHOWN: usize = 8;

impl Local {
    /// The nodes, by name.
    pub(super) fn list_nodes(&self) -> Vec<NodeSummary> {
        let view = self.view();
        let mut nodes: Vec<_> = view.nodes.iter().map(|node| summary(&view, node)).collect();
        if let Some(me) = nodes.iter_mut().find(|node| node.me) {
            // What it has announced of itself is a moment old.
            let live = |gauge: &ShardGauge| gauge.live.load(Ordering::Relaxed) as u64;
            me.live = self.engine.post().gauges().iter().map(live).sum();
            me.running = self.hosts.status().iter().map(|host| host.in_flight as u64).sum();
        }
        nodes
    }

    /// Has this node leave.
    pub(super) fn drain_me(&self) -> Result<(), Refusal> {
        use tokio::sync::mpsc::error::TrySendError;
        match self.drain.try_send(()) {
            // Whoever asked before is being heard.
            Ok(()) | Err(TrySendError::Full(())) => Ok(()),
            Err(TrySendError::Closed(())) => Err(Refusal::later("the node is leaving already")),
        }
    }

    /// Has a node leave.
    pub(super) async fn drain_node(&self, name: &str) -> Result<(), Refusal> {
        if name == &*self.node {
            return self.drain_me();
        }
        let view = self.view();
        let node = find(&view, name)?;
        if !node.alive {
            return Err(Refusal::Conflict(format!(
                "node {name} is gone already; `impresario nodes remove {name}` forgets it"
            )));
        }
        match self.peers.ask(node, &Question::Drain).await? {
            Reply::Draining => Ok(()),
            _ => Err(Refusal::later(format!("node {name} did not understand; is it of another version?"))),
        }
    }

    /// Forgets a node that is gone, and its token with it.
    pub(super) async fn forget_node(&self, name: &str) -> Result<(), Refusal> {
        let view = self.view();
        if view.nodes.iter().any(|node| node.alive && node.name == name) {
            return Err(Refusal::Conflict(format!("node {name} is alive: drain it instead")));
        }
        let failed = |error: StoreError| match error {
            StoreError::Refused(reason) => Refusal::Conflict(reason),
            error => refusal(error.into()),
        };
        let forgotten = self.membership.forget(name.to_owned()).await.map_err(failed)?;
        // Also when it was forgotten before: whoever removed it may not have come this far.
        let withdrawn = token::withdraw(self.engine.store(), name).await?;
        if forgotten || withdrawn { Ok(()) } else { Err(unknown(&view, name)) }
    }

    /// The tree of this node if it is alone, else the trees of all nodes.
    pub(super) async fn whole_tree(&self) -> TreeNode {
        let view = self.view();
        if let [_] | [] = view.nodes.as_slice() {
            return self.own_tree().await;
        }
        let trees = view.nodes.iter().map(|node| async {
            if node.incarnation == view.me {
                return self.own_tree().await;
            }
            let silent = |state: &str, facts| TreeNode {
                name: format!("node {}", node.name),
                state: state.to_owned(),
                facts,
                ..TreeNode::default()
            };
            if !node.alive {
                return silent("gone", vec![]);
            }
            match self.ask_node(node, &Question::Tree).await {
                Ok(Reply::Tree(tree)) => tree,
                Ok(_) => silent("unknown", vec!["it did not understand the question".to_owned()]),
                Err(refusal) => silent("no answer", vec![refusal.to_string()]),
            }
        });
        TreeNode {
            name: "cluster".to_owned(),
            state: "running".to_owned(),
            children: join_all(trees).await,
            ..TreeNode::default()
        }
    }

    /// The tree of this node.
    pub(super) async fn own_tree(&self) -> TreeNode {
        tree::tree(self, self.own_facts("").await)
    }
}

fn summary(view: &ClusterView, node: &NodeView) -> NodeSummary {
    let record = &node.record;
    NodeSummary {
        name: node.name.clone(),
        incarnation: node.incarnation.chars().take(INCARNATION_SHOWN).collect(),
        state: state(node).to_owned(),
        me: node.incarnation == view.me,
        url: record.url.clone(),
        site: record.site.clone(),
        labels: record.labels.clone(),
        version: record.version.clone(),
        started: rfc3339(record.started),
        shards: shards_of(view, &node.incarnation),
        live: record.live,
        running: record.running,
    }
}

/// How many shards an incarnation owns; those of a node that is gone are its own until another claims them.
pub(super) fn shards_of(view: &ClusterView, incarnation: &str) -> usize {
    let owners = view.shards.iter().filter_map(|owned| owned.owner.as_ref());
    owners.filter(|owner| owner.incarnation == incarnation).count()
}

/// A word for how a node is.
fn state(node: &NodeView) -> &'static str {
    match (node.alive, node.record.draining) {
        (false, _) => "gone",
        (true, true) => "draining",
        (true, false) => "alive",
    }
}

/// The node of a name: the one that is alive, if a start of it before is still known.
pub(super) fn find<'v>(view: &'v ClusterView, name: &str) -> Result<&'v NodeView, Refusal> {
    let named = || view.nodes.iter().filter(|node| node.name == name);
    named().find(|node| node.alive).or_else(|| named().next()).ok_or_else(|| unknown(view, name))
}

fn unknown(view: &ClusterView, name: &str) -> Refusal {
    // The view may still have one that was forgotten a moment ago.
    let known = view.nodes.iter().map(|node| node.name.as_str()).filter(|known| *known != name);
    let known: Vec<&str> = known.collect();
    Refusal::NotFound(format!("expected a node of the cluster, found '{name}'; known: {}", known.join(", ")))
}
