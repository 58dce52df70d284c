//! The levels of the logs of nodes: looked at and changed while they run.

use serde::{Deserialize, Serialize};

/// The levels of a node's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLog {
    /// The node.
    pub node: String,
    /// The levels in force, such as `info` or `warn,impresario_actors=debug`; absent if the node did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<String>,
    /// Why it is not known, or was not changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Other levels, until the node ends or somebody changes them again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogChange {
    /// Such as `debug` or `warn,impresario_actors=debug`.
    pub levels: String,
    /// Only of this node; of all nodes if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}
