//! What is counted at the store and the doors of a node.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::StoreMetrics;
use crate::traces::SpanCounters;

/// The counters of a node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeMetrics {
    /// What is asked of the store.
    pub store: StoreMetrics,
    /// What became of spans.
    pub spans: SpanCounters,
    events: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Default for NodeMetrics {
    fn default() -> Self {
        let metrics = NodeMetrics {
            store: StoreMetrics::default(),
            spans: SpanCounters::default(),
            events: Family::default(),
        };
        // A counter that only appears with the first thing that it counts hides that thing from whoever looks at rates.
        metrics.events(0, true);
        metrics.events(0, false);
        metrics
    }
}

impl NodeMetrics {
    /// Makes them known to whoever asks for figures.
    pub fn register(&self, registry: &mut Registry) {
        self.store.register(registry);
        registry.register(
            "spans_exported",
            "Spans of traces that the collector has taken",
            self.spans.exported.clone(),
        );
        registry.register(
            "spans_lost",
            "Spans of traces that found no room, or were not taken",
            self.spans.lost.clone(),
        );
        registry.register(
            "events",
            "Events that came in at the doors: accepted, which is durable, or refused",
            self.events.clone(),
        );
    }

    /// So many events came in together.
    pub fn events(&self, count: usize, accepted: bool) {
        let outcome = if accepted { "accepted" } else { "refused" };
        self.events.get_or_create(&[("outcome", outcome)]).inc_by(count as u64);
    }
}
