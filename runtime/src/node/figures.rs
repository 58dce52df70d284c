//! The figures of this node.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::time::timeout;

use super::local::Local;
use crate::metrics::{NodeFigures, ShardFigures, monitored, registry};
use crate::orchestrator::Orchestrator;

/// How long monitors and sinks are waited for. Those that do not answer are left out: whoever looks for trouble must see
/// the rest.
const PATIENCE: Duration = Duration::from_secs(1);

impl Local {
    /// What was counted, and what is so at this moment.
    pub(super) async fn figures_page(&self) -> Registry {
        let mut registry = registry();
        self.engine.post().metrics().register(&mut registry);
        self.metrics.register(&mut registry);
        registry.register_collector(Box::new(self.figures_now()));
        let mut declared = timeout(PATIENCE, self.declared_figures()).await.unwrap_or_default();
        declared.lost = self.lost.iter().map(|lost| (lost.listener(), lost.count())).collect();
        registry.register_collector(Box::new(declared));
        registry
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
