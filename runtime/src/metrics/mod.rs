//! The figures of a node for Prometheus, in the text format of OpenMetrics.
//!
//! What is counted where it happens (entries, the store, requests) is kept by a registry; what somebody knows anyway
//! (shards, adapters, health) is asked when the figures are.

mod declared;
mod events;
mod node;
mod requests;
mod store;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use self::declared::{DeclaredFigures, MonitorFigures, SinkFigures};
pub use self::events::NodeMetrics;
pub use self::node::{NodeFigures, ShardFigures, monitored};
pub use self::requests::RequestMetrics;
pub use self::store::{MeteredStore, StoreMetrics};

/// What every name begins with.
const PREFIX: &str = "impresario";

/// The media type of the format.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry whose names begin as all of ours do.
pub fn registry() -> Registry {
    Registry::with_prefix(PREFIX)
}

/// What a registry knows, as a document.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => text,
        // A string takes whatever is written to it, so a collector failed; half a document would pass for a whole one.
        Err(_) => {
            tracing::error!("the figures cannot be written");
            String::new()
        }
    }
}

#[cfg(test)]
mod tests;
