//! What a node says once it is up: what runs, where, and what to type next.

use std::time::{Duration, Instant};

use impresario_actors::engine::Engine;
use impresario_config::{Config, StoreKind};

use crate::node::{Deployment, Local};
use crate::orchestrator::Orchestrator;

/// How often to look whether the shards have caught up.
const LOOK: Duration = Duration::from_millis(20);

/// Where the node listens besides its HTTP door, in words.
#[derive(Default)]
pub struct Listeners {
    /// The TCP door.
    pub tcp: Option<String>,
    /// The syslog listener.
    pub syslog: Option<String>,
    /// The listener for SNMP notifications.
    pub snmp: Option<String>,
}

/// Waits until the node has caught up, then prints the banner to standard output.
pub async fn when_ready(
    engine: &Engine,
    config: &Config,
    url: &str,
    shown: Listeners,
    deployment: &Deployment,
    local: Local,
    began: Instant,
) {
    while !engine.ready() {
        tokio::time::sleep(LOOK).await;
    }
    let triggers = local.some_triggers().await.unwrap_or_default();
    let mut lines = vec![format!(
        "impresario {} is running: node {}, environment {}, ready after {} ms",
        env!("CARGO_PKG_VERSION"),
        config.node.name.as_str(),
        config.environment.as_str(),
        began.elapsed().as_millis(),
    )];
    let store = match config.store.kind {
        StoreKind::Embedded => {
            format!("  store    embedded in {}, every acknowledged event fsynced", config.data.display())
        }
        StoreKind::Redis => {
            let servers = config.redis.servers.0.iter().map(|(host, port)| format!("{host}:{port}"));
            let tier = local.health().durability;
            format!("  store    redis at {} ({tier})", servers.collect::<Vec<_>>().join(", "))
        }
        StoreKind::Memory => "  store    memory: everything is forgotten at exit".to_owned(),
    };
    lines.push(store);
    lines.push(format!("  door     {url} (token in {})", crate::http::token_file(&config.data).display()));
    lines.extend(shown.tcp.map(|tcp| format!("  tcp      {tcp} (one event a line, the same token)")));
    lines.extend(shown.syslog.map(|syslog| format!("  syslog   {syslog}")));
    lines.extend(shown.snmp.map(|snmp| format!("  snmp     udp {snmp}")));
    if deployment.packs.is_empty() {
        lines.push("  packs    none: give a pack to serve, such as packs/quickstart".to_owned());
    } else {
        let packs = deployment.packs.join(", ");
        lines.push(format!("  packs    {packs}: {} definitions", deployment.definitions));
    }
    for trigger in triggers.iter().take(3) {
        lines.push(format!("  watches  {} ({})", trigger.name, trigger.watches));
    }
    if deployment.triggers.len() > 3 {
        lines.push(format!("  watches  and {} more: impresario triggers", deployment.triggers.len() - 3));
    }
    lines.extend(crate::hints::next_steps(config, &triggers));
    println!("{}", lines.join("\n"));
}
