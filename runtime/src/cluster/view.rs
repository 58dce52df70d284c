//! What a node knows of the cluster at a moment: who is there, and who owns what.

use std::collections::BTreeMap;
use std::sync::Arc;

use impresario_persistence::{Epoch, Owner, Ownership, ShardId};
use serde::{Deserialize, Serialize};

/// What a node tells of itself with its presence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Where its HTTP door is reached, such as `http://10.0.0.7:4747`.
    pub url: String,
    /// Where it stands, if that was said.
    #[serde(default)]
    pub site: Option<String>,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The program's version.
    pub version: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub started: u64,
    /// How much work it takes compared with the others.
    pub weight: u16,
    /// Whether it is leaving: it takes no shard.
    #[serde(default)]
    pub draining: bool,
    /// How many actors it has in memory.
    #[serde(default)]
    pub live: u64,
    /// How many activities it runs.
    #[serde(default)]
    pub running: u64,
}

/// One incarnation of a node as the others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// This start of it.
    pub incarnation: String,
    /// Whether its presence holds.
    pub alive: bool,
    /// What it tells of itself.
    pub record: NodeRecord,
}

/// The cluster at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterView {
    /// The incarnation of this node.
    pub me: String,
    /// Its nodes, by name; this one too.
    pub nodes: Vec<NodeView>,
    /// How each shard is owned, by shard.
    pub shards: Vec<Ownership>,
}

impl ClusterView {
    /// The node that owns a shard, if that node is known and alive.
    pub fn owner_of(&self, shard: u16) -> Option<&NodeView> {
        let owner = self.shards.get(usize::from(shard))?.owner.as_ref()?;
        self.nodes.iter().find(|node| node.alive && node.incarnation == owner.incarnation)
    }

    /// How a shard is owned.
    pub fn shard(&self, shard: ShardId) -> Option<&Ownership> {
        self.shards.get(usize::from(shard.0))
    }

    /// Whether an incarnation is alive, as far as is known. This node is, whatever the others hold of it.
    pub fn lives(&self, incarnation: &str) -> bool {
        let alive = |node: &NodeView| node.alive && node.incarnation == incarnation;
        incarnation == self.me || self.nodes.iter().any(alive)
    }

    /// Where a node stands, by its name: also one that is gone.
    pub fn site_of(&self, node: &str) -> Option<&str> {
        self.nodes.iter().find(|known| known.name == node)?.record.site.as_deref()
    }

    /// Whether this node owns a shard, as far as is known.
    pub fn is_mine(&self, shard: u16) -> bool {
        let owned = self.shards.get(usize::from(shard)).and_then(|owned| owned.owner.as_ref());
        owned.is_some_and(|owner| owner.incarnation == self.me)
    }

    /// A node without others, which owns everything: what a store that is not shared makes of it.
    pub fn alone(me: NodeView, shards: u16) -> Arc<Self> {
        let owner = Owner { node: me.name.clone(), incarnation: me.incarnation.clone() };
        let owned = |number| Ownership {
            shard: ShardId(number),
            epoch: Epoch(1),
            owner: Some(owner.clone()),
            offered: None,
        };
        Arc::new(ClusterView {
            me: me.incarnation.clone(),
            shards: (0..shards).map(owned).collect(),
            nodes: vec![me],
        })
    }
}
