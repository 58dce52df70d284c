//! The cluster: who is there, who owns which shard, and how shards move.

mod view;

pub use self::view::{ClusterView, NodeRecord, NodeView};
