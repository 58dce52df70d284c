//! The cluster: who is there, who owns which shard, and how shards move.

pub mod guard;
pub mod lease;
pub mod placement;
mod shares;
mod view;

pub use self::view::{ClusterView, NodeRecord, NodeView};
