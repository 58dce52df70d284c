//! The levels of the logs of all nodes.

use futures_util::future::join_all;

use super::local::Local;
use super::members::find;
use crate::cluster::NodeView;
use crate::log_levels::{LogChange, NodeLog};
use crate::orchestrator::Refusal;
use crate::question::{Question, Reply};
use crate::telemetry;

impl Local {
    /// Tells the levels of this node, and puts others in force first, if they are given.
    pub(super) fn own_levels(&self, change: Option<&str>) -> Result<Option<String>, Refusal> {
        if let Some(levels) = change {
            telemetry::set_levels(levels).map_err(Refusal::Invalid)?;
        }
        Ok(telemetry::levels())
    }

    /// Tells the levels of all living nodes, or changes those of all or one first.
    pub(super) async fn levels(&self, change: Option<LogChange>) -> Result<Vec<NodeLog>, Refusal> {
        let view = self.view();
        let only = match change.as_ref().and_then(|change| change.node.as_deref()) {
            Some(name) => Some(find(&view, name)?.name.clone()),
            None => None,
        };
        let levels = change.map(|change| change.levels);
        // What is no filter is refused before any node has taken it.
        if only.as_deref().is_none_or(|name| name == &*self.node) {
            self.own_levels(levels.as_deref())?;
        }
        let alive = view.nodes.iter().filter(|node| node.alive);
        let asked = alive.filter(|node| only.as_ref().is_none_or(|name| node.name == *name));
        Ok(join_all(asked.map(|node| self.levels_of(node, levels.clone()))).await)
    }

    async fn levels_of(&self, node: &NodeView, change: Option<String>) -> NodeLog {
        let answer = match node.incarnation == self.view().me {
            true => self.own_levels(None).map(Reply::Levels),
            false => self.ask_node(node, &Question::Levels { change }).await,
        };
        let (levels, problem) = match answer {
            Ok(Reply::Levels(levels)) => (levels, None),
            Ok(_) => (None, Some("it did not understand; is it of another version?".to_owned())),
            Err(refusal) => (None, Some(refusal.to_string())),
        };
        NodeLog { node: node.name.clone(), levels, problem }
    }
}
