//! The Redis store: one environment shared by many nodes, on Redis 7 alone, under Sentinel, or in a Redis Cluster.
//!
//! Nodes meet in the store only. Whatever has to be one step is one function that the server carries out
//! (`library/*.lua`). The keys of a shard share a hash tag, and shards are spread over a few *groups*, so that a Redis
//! Cluster can spread them over its servers. A *lane* is one server to talk to: its link, its writer and its reader.
//! Alone and under Sentinel one lane serves everything; in a Redis Cluster each group has its own, and the environment
//! too. That is all the difference there is.
//!
//! Connections: two for each lane (one for commands and appends, one for reads that wait), and one more for
//! [`RedisMembership`]: three for each node alone or under Sentinel, up to nineteen in a Redis Cluster.

mod behind;
mod clock;
mod config;
mod environment;
mod find;
mod fleet;
mod held;
mod keys;
mod lane;
mod library;
mod link;
mod live;
mod membership;
mod reader;
mod reply;
mod rows;
mod server;
mod settings;
mod store;
mod writer;

pub use config::{RedisConfig, TlsConfig, Topology};
pub use membership::RedisMembership;
pub use store::RedisStore;
