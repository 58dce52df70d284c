//! The cluster: who is there, who owns which shard, and how shards move.

pub mod guard;
pub mod lease;
pub mod placement;
pub mod presence;
pub mod registry;
mod shares;
mod view;

pub use self::view::{ClusterView, NodeRecord, NodeView};
