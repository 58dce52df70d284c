//! One node's parts, put together: the store, the adapter hosts, the engine, the door.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::OptionFuture;
use impresario_actors::behaviour::BuiltinKinds;
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Flights, HostRunner, LogSink, Scope};
use impresario_actors::gate::Gate;
use impresario_actors::hosts::{HostSpec, Hosts};
use impresario_actors::inventory::SharedInventory;
use impresario_actors::post::Post;
use impresario_actors::secrets::Resolver;
use impresario_actors::shard::ShardSettings;
use impresario_config::Config;
use impresario_model::router::Window;
use impresario_persistence::{MemoryMembership, Owner, Store, monotonic_ms};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use uuid::Uuid;

use super::adapters::Adapters;
use super::cluster::{Cluster, News};
use super::deploy::{self, Deployment};
use super::local::{Local, LocalArguments};
use super::peers::Peers;
use super::raised::Raised;
use super::recent::Recent;
use super::webhooks::SharedWebhooks;
use super::{NodeError, arm::arm, declared, inventory, stores};
use crate::banner::Listeners;
use crate::cluster::presence::Identity;
use crate::cluster::{ClusterView, NodeView};
use crate::endpoint::Endpoint;
use crate::http::{Door, TokenKeeper};
use crate::metrics::{MeteredStore, NodeMetrics};
use crate::orchestrator::Orchestrator;
use crate::secrets::{self, Vault};
use crate::snmp::SnmpDoor;
use crate::syslog::{Now, SyslogDoor};
use crate::tcp::TcpDoor;
use crate::traces::{self, Exporter, Resource};

/// How often the shards look at their timers: a timer fires at most about so late.
const TICK: Duration = Duration::from_millis(10);
/// Requests to stop that are closer together than this are one.
const ONE_REQUEST: Duration = Duration::from_secs(1);

/// A node that is built and does not serve yet.
pub struct App {
    config: Config,
    engine: Engine,
    hosts: Hosts,
    local: Local,
    door: Door,
    tcp: Option<TcpDoor>,
    syslog: Option<SyslogDoor>,
    snmp: Option<SnmpDoor>,
    keeper: Arc<TokenKeeper>,
    deployment: Deployment,
    cluster: Option<Cluster>,
    stopping: Arc<AtomicBool>,
    /// Told when a client asks this node to leave.
    leave: mpsc::Receiver<()>,
    /// Sends the spans of traces on.
    exporter: Option<Exporter>,
    began: std::time::Instant,
    /// Ends with the node.
    _following: JoinSet<()>,
}

impl App {
    /// Opens the store, takes up the packs, starts the engine. The socket is bound first, so that a taken port is
    /// told before anything is claimed; it is served last.
    ///
    /// # Errors
    /// [`NodeError`]; nothing is left running.
    pub async fn build(config: Config, packs: &[PathBuf]) -> Result<App, NodeError> {
        let began = std::time::Instant::now();
        let data = config.data.clone();
        make_private(&data)?;
        let door = Door::bind(config.http.clone()).await?;
        let tcp = TcpDoor::bind(config.tcp.clone()).await?;
        let syslog = SyslogDoor::bind(config.syslog.clone()).await?;
        let snmp = SnmpDoor::bind(config.snmp.clone(), &data).await?;
        let identity =
            Identity { node: config.node.name.as_str().to_owned(), incarnation: Uuid::new_v4().to_string() };
        let (store, presence) = stores::open(&config, &identity, &door.url()).await?;
        let metrics = NodeMetrics::default();
        let resource = Resource {
            environment: config.environment.as_str().to_owned(),
            node: identity.node.clone(),
            incarnation: identity.incarnation.clone(),
        };
        let (spans, exporter) = traces::start(&config.traces, resource, &metrics.spans)?;
        let store: Arc<dyn Store> = Arc::new(MeteredStore::new(store, metrics.store.clone()));
        let keeper = Arc::new(open_token(data.clone()).await?);
        if presence.is_some() {
            // Without it this node could not call the others: better told now than at the first question.
            keeper.token()?;
        }
        let vault = Vault::open(Arc::clone(&store), secrets::key_file(&config)).await?;
        let definitions = Arc::new(Definitions::new(config.engine.task_limit));
        let inventory = SharedInventory::default();
        inventory::refresh(&store, &inventory).await?;
        deploy::load_packs(&store, (&definitions, &inventory), packs).await?;
        // What the packs brought is known by now, and is not compiled twice.
        deploy::load_stored(&store, &definitions).await?;
        let webhooks = SharedWebhooks::default();
        webhooks.refresh(&store).await?;
        let stopping = Arc::new(AtomicBool::new(false));
        let post = Post::new(Arc::clone(&store), config.engine.backlog_limit as u64).traced(spans.clone());
        let flights = Flights::default();
        let gate = presence.as_ref().map_or_else(Gate::default, |presence| {
            let presence = Arc::clone(presence);
            Gate::new(move || presence.may_start(monotonic_ms()))
        });
        let sink = Arc::new(LogSink::new(post.clone(), flights.clone(), Arc::clone(&stopping)));
        let (builtin, template) = host_specs(&config)?;
        let adapters =
            Adapters::new(&identity.node, Arc::clone(&store), Arc::clone(&definitions), builtin, template);
        let hosts = Hosts::start(adapters.specs().await?, sink, gate.clone(), None).await?;
        adapters.attach(hosts.clone());
        let window = Window {
            millis: u64::try_from(config.engine.dedup_window.as_millis()).unwrap_or(u64::MAX),
            count: config.engine.dedup_limit,
        };
        let raised = Raised::new(Arc::clone(&store), Arc::clone(&definitions));
        // Before anything is replayed: what is asked for must not be missed.
        raised.refresh().await?;
        let news = News::new(
            Arc::clone(&store),
            Arc::clone(&definitions),
            inventory.clone(),
            Arc::clone(&keeper),
            adapters.clone(),
        )
        .with_vault(vault.clone())
        .with_raised(raised.clone())
        .with_webhooks(webhooks.clone());
        let store_clock = store.clock();
        let arguments = EngineArguments {
            owner: Owner { node: identity.node.clone(), incarnation: identity.incarnation.clone() },
            scope: if presence.is_some() { Scope::OnDemand } else { Scope::All },
            post: post.clone(),
            kinds: Arc::new(
                BuiltinKinds::new(Arc::clone(&definitions), window)
                    .refreshed_by(news.refresh())
                    .telling(raised.asked())
                    .traced(spans),
            ),
            runner: Arc::new(
                HostRunner::new(hosts.clone(), flights.clone(), gate, Arc::clone(&stopping), post.clone())
                    .on(inventory.clone())
                    .as_users(Arc::new(vault.clone())),
            ),
            // Timers go by the clock that stamps the entries, whatever the clock of this machine does.
            clock: Clock::new(move || store_clock()),
            settings: shard_settings(&config),
            tick: TICK,
        };
        let engine = Engine::start(arguments, None).await?;
        let deployment = arm(&post, &definitions, &inventory).await?;
        inventory::announce_limits(&post, &inventory).await?;
        declared::announce(&post).await?;
        raised.announce(&post).await?;
        let cluster = match presence {
            None => None,
            Some(presence) => {
                keeper.share(Arc::clone(&store), &identity.node).await?;
                let hosts = Some(hosts.clone());
                let with = (engine.clone(), flights, hosts, news.refresh());
                Some(Cluster::join(&config, &identity, presence, with))
            }
        };
        let (drain, leave) = mpsc::channel(1);
        let alone = || NodeView {
            name: identity.node.clone(),
            incarnation: identity.incarnation.clone(),
            alive: true,
            record: stores::record(&config, &door.url()),
        };
        let view = match &cluster {
            Some(cluster) => cluster.registry.view(),
            None => watch::channel(ClusterView::alone(alone(), store.shards())).1,
        };
        let peers = Peers::new(keeper.token().unwrap_or_default())?;
        adapters.join(view.clone(), peers.clone());
        let following = inventory::follow_nodes(inventory.clone(), view.clone());
        let local = Local::new(LocalArguments {
            node: identity.node.clone(),
            engine: engine.clone(),
            hosts: hosts.clone(),
            definitions,
            vault: vault.clone(),
            inventory,
            view,
            peers,
            adapters,
            raised,
            membership: match &cluster {
                Some(cluster) => Arc::clone(&cluster.presence.membership),
                None => Arc::new(MemoryMembership::new(store.clock())),
            },
            drain,
            recent: Recent::new(
                config.engine.recent_events,
                usize::try_from(config.engine.recent_bytes.0).unwrap_or(usize::MAX),
            ),
            dedup: (config.engine.dedup_window, config.engine.dedup_limit),
            webhooks,
            lost: syslog.iter().map(SyslogDoor::lost).chain(snmp.iter().map(SnmpDoor::lost)).collect(),
            metrics,
        });
        Ok(App {
            config,
            engine,
            hosts,
            local,
            door,
            tcp,
            syslog,
            snmp,
            keeper,
            deployment,
            cluster,
            stopping,
            leave,
            exporter,
            began,
            _following: following,
        })
    }

    /// Serves until the process is asked to stop, or cannot go on.
    ///
    /// # Errors
    /// [`NodeError::Escalated`].
    pub async fn run(mut self) -> Result<(), NodeError> {
        let url = self.door.url();
        let endpoint = Endpoint {
            url: url.clone(),
            tcp: self.tcp.as_ref().map(TcpDoor::address),
            syslog: self.syslog.as_ref().and_then(SyslogDoor::address),
            snmp: self.snmp.as_ref().map(SnmpDoor::address),
            syslog_udp: self.syslog.as_ref().and_then(SyslogDoor::udp_address),
            pid: std::process::id(),
            node: self.config.node.name.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: std::time::SystemTime::now(),
        };
        let data = &self.config.data;
        endpoint.publish(data).map_err(|source| NodeError::Data { path: data.clone(), source })?;
        let shown = Listeners {
            tcp: self.tcp.as_ref().map(ToString::to_string),
            syslog: self.syslog.as_ref().map(ToString::to_string),
            snmp: self.snmp.as_ref().map(|door| door.address().to_string()),
        };
        let (close, closed) = watch::channel(false);
        let orchestrator: Arc<dyn Orchestrator> = Arc::new(self.local.clone());
        let http = self.door.serve(Arc::clone(&orchestrator), Arc::clone(&self.keeper), shut(closed.clone()));
        let patience = self.config.http.request_timeout;
        let tcp = self.tcp.map(|door| {
            door.serve(Arc::clone(&orchestrator), Arc::clone(&self.keeper), patience, shut(closed.clone()))
        });
        let clock: Now = self.engine.store().clock();
        let syslog = self
            .syslog
            .map(|door| door.serve(Arc::clone(&orchestrator), Arc::clone(&clock), shut(closed.clone())));
        let secrets: Arc<dyn Resolver> = Arc::new(self.local.vault());
        let snmp = self.snmp.map(|door| door.serve(orchestrator, secrets, clock, shut(closed)));
        let mut doors = tokio::spawn(async move {
            tokio::join!(http, OptionFuture::from(tcp), OptionFuture::from(syslog), OptionFuture::from(snmp));
        });
        let mut stop = std::pin::pin!(stop_signal());
        let mut ready = std::pin::pin!(crate::banner::when_ready(
            &self.engine,
            &self.config,
            &url,
            shown,
            &self.deployment,
            self.local.clone(),
            self.began
        ));
        let mut told = false;
        let escalated = loop {
            tokio::select! {
                _ = &mut doors => break None,
                () = &mut ready, if !told => told = true,
                Some(()) = self.leave.recv() => break None,
                result = &mut stop => match result {
                    Ok(()) => break None,
                    Err(error) => break Some(format!("signals cannot be received: {error}")),
                },
                reason = self.engine.ended() => break Some(reason),
                reason = replaced(self.cluster.as_ref()) => break Some(reason),
            }
        };
        if escalated.is_none() {
            tracing::info!(
                "stopping: work in flight is finished, nothing new is started; once more cuts it off"
            );
        }
        let leaving = async {
            self.stopping.store(true, Ordering::Release);
            if let Some(cluster) = &self.cluster {
                // The door stays open meanwhile: what comes in goes to whoever has the shard.
                cluster.give_away(self.config.shutdown_timeout).await;
            }
            endpoint.withdraw(data);
            drain(&self.engine, &self.hosts, close, doors).await;
            OptionFuture::from(self.exporter.map(Exporter::stop)).await;
            if let Some(cluster) = &self.cluster {
                cluster.leave().await;
            }
        };
        let limit = self.config.shutdown_timeout + Duration::from_secs(5);
        tokio::select! {
            result = tokio::time::timeout(limit, leaving) => match result {
                Ok(()) => tracing::info!("stopped"),
                Err(_) => tracing::warn!("stopped before everything was stored; the next start replays the rest"),
            },
            () = insisted() => tracing::warn!("cut off; the next start replays the rest"),
        }
        endpoint.withdraw(data);
        escalated.map_or(Ok(()), |reason| Err(NodeError::Escalated(reason)))
    }
}

/// Resolves once another node has this one's name, with the reason to end.
async fn replaced(cluster: Option<&Cluster>) -> String {
    match cluster {
        Some(cluster) => cluster.replaced().await,
        None => std::future::pending().await,
    }
}

/// Resolves when the doors are to close; a dropped sender closes them too.
async fn shut(mut closed: watch::Receiver<bool>) {
    let _ = closed.wait_for(|closed| *closed).await;
}

/// Friendly stop: the doors first, then what is in flight, then the shards.
async fn drain(engine: &Engine, hosts: &Hosts, close: watch::Sender<bool>, mut doors: JoinHandle<()>) {
    close.send_replace(true);
    hosts.stop().await;
    engine.stop().await;
    // Requests that still wait for an answer get none from a stopped engine; they do not keep the node.
    if tokio::time::timeout(Duration::from_secs(1), &mut doors).await.is_err() {
        doors.abort();
    }
}

/// Resolves at an interrupt from the keyboard or a request to terminate.
async fn stop_signal() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Resolves when somebody asks again. A wrapper may pass one request on twice, so what comes at once counts once.
async fn insisted() {
    let first = tokio::time::Instant::now();
    while stop_signal().await.is_ok() && first.elapsed() < ONE_REQUEST {}
}

/// The data folder holds a token and the inputs of processes: it is for its owner alone.
fn make_private(data: &Path) -> Result<(), NodeError> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |source| NodeError::Data { path: data.to_owned(), source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)
}

async fn open_token(data: PathBuf) -> Result<TokenKeeper, NodeError> {
    Ok(blocking(move || TokenKeeper::open(&data)).await??)
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NodeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| NodeError::System(format!("a part of the start failed: {error}")))
}

/// Each built-in adapter is served by this very program; any other program starts with what the second says.
fn host_specs(config: &Config) -> Result<(Vec<HostSpec>, HostSpec), NodeError> {
    let program = std::env::current_exe()
        .map_err(|error| NodeError::System(format!("this program cannot find itself: {error}")))?;
    // What the programs of activities may see of this process's surroundings, without the node's own settings.
    let environment: Vec<(String, String)> = impresario_config::process_variables()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("IMPRESARIO_"))
        .collect();
    let template = HostSpec {
        environment,
        concurrency: config.adapters.concurrency,
        queue: config.adapters.queue,
        stop_timeout: config.adapters.stop_timeout.min(config.shutdown_timeout),
        idle_timeout: Some(config.adapters.idle_timeout),
        memory_max: Some(config.adapters.memory_limit.0),
        ..HostSpec::new("", program)
    };
    let spec = |name: &&str| HostSpec {
        name: (*name).to_owned(),
        arguments: vec!["adapter-host".to_owned(), (*name).to_owned()],
        ..template.clone()
    };
    Ok((impresario_adapters::names().iter().map(spec).collect(), template))
}

fn shard_settings(config: &Config) -> ShardSettings {
    ShardSettings {
        checkpoint_entries: config.engine.checkpoint_entries as u64,
        checkpoint_interval: config.engine.checkpoint_interval,
        idle_after: config.engine.idle_after,
        live_actors: config.engine.live_actors,
        retention: config.engine.retention,
        ..ShardSettings::default()
    }
}
