//! The Redis store keeps every promise of the port, on a real server.
#![expect(clippy::unwrap_used, reason = "what cannot go on here shall stop here")]

mod redis_support;

use std::sync::Arc;

use impresario_persistence::conformance;
use redis_support::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_conforms() {
    let server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    conformance::run(async || Arc::new(server.store(conformance::SHARDS).await)).await;
}
