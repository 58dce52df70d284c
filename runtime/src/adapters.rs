//! Adapters as an operator sees them and what he may ask of them: the bodies of `/api/v1/adapters`, and of the
//! questions about adapters that nodes ask each other.

use std::collections::BTreeMap;

use impresario_actors::hosts::Counters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One adapter at one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdapterSummary {
    /// The adapter.
    pub name: String,
    /// The node.
    pub node: String,
    /// `idle`, `starting`, `running`, `restarting`, `quarantined`, `stopped`, or `no answer` of the node.
    pub state: String,
    /// The version that its process told last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The program and its arguments, if it is not built in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Its functions, as definitions call them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
    /// The settings that differ from the node's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The number of the process that takes new work, on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// That process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// For how long it has been ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// What it has in memory with its children.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Older processes that finish what they have.
    pub retiring: usize,
    /// Activities at work.
    pub in_flight: usize,
    /// Activities that wait for a place.
    pub queued: usize,
    /// How many restarts operators have asked for in the environment, changes of settings among them …
    pub restarts_wanted: u64,
    /// … and how many of them this node has done.
    pub restarts_followed: u64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What happened since the node's start.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub counters: Counters,
}

/// What an operator may ask of an adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "order", rename_all = "camelCase", deny_unknown_fields)]
pub enum AdapterOrder {
    /// Take a program up as an adapter, or another one in its place. The node that is asked tries it out first.
    Add {
        /// The program and its arguments.
        command: Vec<String>,
        /// Variables beyond the few that every adapter gets.
        #[serde(default)]
        environment: BTreeMap<String, String>,
    },
    /// Forget a program that was added.
    Remove,
    /// Replace its processes by fresh ones, node after node; nothing that runs is cut off.
    Restart {
        /// Only at this node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
        /// Why, for the log.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// End its processes at all nodes; its work waits until it is started.
    Stop,
    /// Undo a stop.
    Start,
    /// Change its settings; its processes are replaced as by a restart. An empty value gives a setting back to the nodes.
    Set {
        /// By key.
        settings: BTreeMap<String, String>,
    },
    /// Give it another chance where it is quarantined.
    Release {
        /// Only at this node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
}

impl AdapterOrder {
    /// What becomes of the adapter by it.
    pub fn word(&self) -> &'static str {
        match self {
            AdapterOrder::Add { .. } => "added",
            AdapterOrder::Remove => "removed",
            AdapterOrder::Restart { .. } => "restarted",
            AdapterOrder::Stop => "stopped",
            AdapterOrder::Start => "started",
            AdapterOrder::Set { .. } => "changed",
            AdapterOrder::Release { .. } => "released",
        }
    }
}
