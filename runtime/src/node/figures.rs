//! The figures of this node.

use std::sync::atomic::Ordering;

use prometheus_client::registry::Registry;

use super::local::Local;
use crate::metrics::{NodeFigures, ShardFigures, monitored};
use crate::orchestrator::Orchestrator;

impl Local {
    /// Registers what was counted, and what is so at this moment.
    pub(super) fn register_figures(&self, registry: &mut Registry) {
        self.engine.post().metrics().register(registry);
        self.metrics.register(registry);
        registry.register_collector(Box::new(self.figures_now()));
    }

    fn figures_now(&self) -> NodeFigures {
        let gauges = self.engine.post().gauges();
        let shard = |number: u16| {
            let gauge = gauges.get(usize::from(number))?;
            Some(ShardFigures {
                shard: number,
                backlog: gauge.backlog(),
                waiting: gauge.waiting_runs.load(Ordering::Relaxed),
                live: gauge.live.load(Ordering::Relaxed),
                starts: gauge.starts.load(Ordering::Relaxed),
            })
        };
        NodeFigures {
            health: self.health(),
            adapters: self.adapters.list(),
            shards: self.engine.running().into_iter().filter_map(shard).collect(),
            monitored: monitored(self.definitions.newest().iter().map(AsRef::as_ref)),
            targets: self.inventory.now().targets().count(),
            audit: self.own_audit(),
            nodes: self.view().nodes.iter().filter(|node| node.alive).count(),
        }
    }
}
