//! The node behind the doors: what is done here, and what it knows of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use impresario_actors::definitions::Definitions;
use impresario_actors::engine::Engine;
use impresario_actors::hosts::Hosts;
use impresario_actors::inventory::SharedInventory;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, RouterEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{self, ActorId};
use impresario_model::trigger::describe;
use impresario_persistence::{Membership, Standing};
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::adapters::Adapters;
use super::fairness::Shares;
use super::peers::Peers;
use super::raised::Raised;
use super::recent::Recent;
use super::refusal::refusal;
use super::webhooks::SharedWebhooks;
use super::write_check::WriteCheck;
use super::{tree, views};
use crate::adapters::{AdapterOrder, AdapterSummary};
use crate::ask::AskReply;
use crate::cluster::ClusterView;
use crate::declared::{Declared, DeclaredKind, DeclaredRequest};
use crate::intake::Lost;
use crate::inventory::{EntryKind, InventoryEntry};
use crate::log_levels::{LogChange, NodeLog};
use crate::metrics::NodeMetrics;
use crate::orchestrator::{
    Accepted, Answer, DefinitionSummary, Health, InstanceDetail, InstancePage, InstanceQuery, NodeSummary,
    Orchestrator, Refusal, StartRequest, Started, TreeNode, TriggerSummary,
};
use crate::orders::{RerunRequest, ResolveReply, ResolveRequest};
use crate::question::{Question, Reply};
use crate::secrets::{UserChange, UserSummary, Vault};
use crate::triggers::{
    EventsSummary, FireRequest, RecentPage, RecentQuery, TestReply, TestRequest, TriggerDetail, TriggerOrder,
};
use crate::webhook::{Delivery, WebhookFindings, WebhookOutcome, WebhookSummary, WebhookTrial};

/// How long a door waits for the store to confirm a write.
const DURABLE: Duration = Duration::from_secs(5);
/// When a sender of a type of which there is too much should try again, in milliseconds.
const STORM_RETRY_AFTER_MS: u64 = 500;

/// What a node's doors work with.
pub struct LocalArguments {
    /// The node's name.
    pub node: String,
    /// Its shards.
    pub engine: Engine,
    /// Its adapter hosts.
    pub hosts: Hosts,
    /// The definitions that it knows.
    pub definitions: Arc<Definitions>,
    /// The targets, as far as it knows them.
    pub inventory: SharedInventory,
    /// The runtime users, and the key that their secrets are sealed under.
    pub vault: Vault,
    /// Who is there and who owns what, kept up to date.
    pub view: watch::Receiver<Arc<ClusterView>>,
    /// Asks the other nodes.
    pub peers: Peers,
    /// What its hosts follow.
    pub adapters: Adapters,
    /// Who wants to see what is raised.
    pub raised: Raised,
    /// Forgets nodes that are gone.
    pub membership: Arc<dyn Membership>,
    /// Told when this node is to finish what it does and leave; has room for one message.
    pub drain: mpsc::Sender<()>,
    /// The events that came through its doors last.
    pub recent: Recent,
    /// For how long, and for how many events of a shard, repetitions are recognised.
    pub dedup: (Duration, usize),
    /// The webhooks, as far as it knows them.
    pub webhooks: SharedWebhooks,
    /// What its listeners for datagrams have lost.
    pub lost: Vec<Arc<Lost>>,
    /// What is counted at its store and its doors.
    pub metrics: NodeMetrics,
}

/// The node behind the doors. Cheap to clone.
#[derive(Clone)]
pub struct Local {
    pub(super) node: Arc<str>,
    pub(super) engine: Engine,
    pub(super) hosts: Hosts,
    pub(super) definitions: Arc<Definitions>,
    pub(super) inventory: SharedInventory,
    pub(super) vault: Vault,
    pub(super) view: watch::Receiver<Arc<ClusterView>>,
    pub(super) peers: Peers,
    pub(super) adapters: Adapters,
    pub(super) raised: Raised,
    pub(super) membership: Arc<dyn Membership>,
    pub(super) drain: mpsc::Sender<()>,
    pub(super) recent: Recent,
    pub(super) dedup: (Duration, usize),
    pub(super) webhooks: SharedWebhooks,
    lost: Arc<[Arc<Lost>]>,
    shares: Arc<Shares>,
    /// The last offset that was appended here, by shard.
    appended: Arc<[AtomicU64]>,
    writes: WriteCheck,
    pub(super) metrics: NodeMetrics,
}

impl Local {
    /// A node behind its doors.
    pub fn new(arguments: LocalArguments) -> Self {
        let LocalArguments {
            node,
            engine,
            hosts,
            definitions,
            inventory,
            vault,
            view,
            peers,
            adapters,
            raised,
            membership,
            drain,
            recent,
            dedup,
            webhooks,
            lost,
            metrics,
        } = arguments;
        let appended = (0..engine.store().shards()).map(|_| AtomicU64::new(0)).collect();
        let writes = WriteCheck::new(engine.post().clone());
        Local {
            node: node.into(),
            engine,
            hosts,
            definitions,
            inventory,
            vault,
            view,
            peers,
            adapters,
            raised,
            membership,
            drain,
            recent,
            dedup,
            webhooks,
            lost: lost.into(),
            shares: Arc::default(),
            appended,
            writes,
            metrics,
        }
    }

    /// The runtime users.
    pub(super) fn vault(&self) -> Vault {
        self.vault.clone()
    }

    pub(super) fn tier(&self) -> String {
        self.engine.store().tier().to_string()
    }

    pub(super) fn shards(&self) -> u16 {
        self.engine.store().shards()
    }

    /// What is known of the cluster now.
    pub(super) fn view(&self) -> Arc<ClusterView> {
        Arc::clone(&self.view.borrow())
    }

    /// The shards that this node owns, as far as is known.
    pub(super) fn mine(&self) -> Vec<u16> {
        let view = self.view();
        (0..self.shards()).filter(|shard| view.is_mine(*shard)).collect()
    }

    /// The last offset of a shard that was appended through these doors.
    pub(super) fn appended(&self, shard: u16) -> u64 {
        self.appended.get(usize::from(shard)).map_or(0, |offset| offset.load(Ordering::Relaxed))
    }

    /// Makes entries durable.
    pub(super) async fn post(&self, entries: &[Entry]) -> Result<(), Refusal> {
        let Ok(result) = timeout(DURABLE, self.engine.post().accept(entries)).await else {
            return Err(Refusal::later(format!(
                "the store has not confirmed it within {}, and may still do so: send it again with the same event id \
                 or idempotency key, which changes nothing if it was taken",
                humantime::format_duration(DURABLE)
            )));
        };
        self.writes.note(&result);
        for (entry, offset) in entries.iter().zip(result.map_err(refusal)?) {
            if let Some(last) = self.appended.get(usize::from(entry.to.shard(self.shards()))) {
                last.fetch_max(offset.0, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Refuses events of a type that makes up most of what comes where they would take the room of all others.
    fn leave_room(&self, events: &[CloudEvent]) -> Result<(), Refusal> {
        // Whatever their own shards are: all of them go on to the shard of their trigger, and from there to any.
        let crowded = (0..self.shards()).find(|shard| self.engine.post().is_crowded(*shard));
        for event in events {
            if let (true, Some(shard)) = (self.shares.note(&event.kind), crowded) {
                return Err(Refusal::Busy {
                    reason: format!(
                        "most of what comes is of the type '{}', and shard {shard} is half full with what waits: the rest is for others",
                        event.kind
                    ),
                    retry_after_ms: STORM_RETRY_AFTER_MS,
                });
            }
        }
        Ok(())
    }

    fn state(&self) -> Health {
        let store = self.engine.store();
        let mut problems = Vec::new();
        let standing = match &*store.standing().borrow() {
            Standing::Up => "up".to_owned(),
            Standing::Away(reason) => {
                problems.push(format!("the store does not answer: {reason}"));
                format!("away: {reason}")
            }
        };
        let mine = self.mine();
        let lagging: Vec<String> = tree::lagging(&self.engine, &mine);
        if !lagging.is_empty() {
            problems.push(format!("not caught up yet: {}", lagging.join(", ")));
        }
        problems.extend(self.writes.problem());
        let view = self.view();
        if view.nodes.iter().any(|node| node.incarnation == view.me && node.record.draining) {
            problems.push("draining: it hands its work over and leaves".to_owned());
        }
        Health {
            ready: problems.is_empty(),
            node: self.node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            problems,
            durability: self.tier(),
            store: standing,
            shards: mine.len(),
            alarms: store
                .alarms()
                .into_iter()
                .chain(self.lost.iter().filter_map(|lost| lost.alarm()))
                .collect(),
        }
    }
}

impl Orchestrator for Local {
    fn accept(&self, mut events: Vec<CloudEvent>) -> Answer<Accepted> {
        let node = self.clone();
        Box::pin(async move {
            let shards = node.engine.store().shards();
            let accepted = events.len();
            if let Err(refusal) = node.leave_room(&events) {
                node.metrics.events(accepted, false);
                return Err(refusal);
            }
            let opened = node.open_spans(&mut events);
            let entries = events.into_iter().map(|event| Entry {
                to: ActorId::router(ids::event_shard(&event.source, &event.id, shards)),
                origin: None,
                body: Body::Router(RouterEvent::Event(Box::new(event))),
            });
            let entries: Vec<Entry> = entries.collect();
            let posted = node.post(&entries).await;
            node.metrics.events(accepted, posted.is_ok());
            node.close_spans(opened, posted.as_ref().err().map(ToString::to_string));
            posted?;
            let events = entries.into_iter().filter_map(|entry| match entry.body {
                Body::Router(RouterEvent::Event(event)) => Some(*event),
                _ => None,
            });
            node.recent.note(node.engine.store().clock()(), events);
            Ok(Accepted { accepted, durability: node.tier() })
        })
    }

    fn start(&self, request: StartRequest) -> Answer<Started> {
        let node = self.clone();
        Box::pin(async move { node.start_instance(request).await })
    }

    fn instances(&self, query: InstanceQuery) -> Answer<InstancePage> {
        let node = self.clone();
        Box::pin(async move { node.list_on_target(query).await })
    }

    fn instance(&self, id: String) -> Answer<InstanceDetail> {
        let node = self.clone();
        Box::pin(async move {
            let mut instance = node.find_instance(&id).await?;
            if let Some(reason) = node.aside(&ActorId::process(&instance.summary.id)).await? {
                views::set_aside(&mut instance, &reason);
            }
            node.tell_places(&mut instance).await;
            node.tell_turn(&mut instance).await;
            Ok(*instance)
        })
    }

    fn wait_for(&self, id: String, wait: Duration) -> Answer<InstanceDetail> {
        let node = self.clone();
        Box::pin(async move { node.wait_for_end(&id, wait).await })
    }

    fn ask(&self, event: CloudEvent, wait: Duration) -> Answer<AskReply> {
        let node = self.clone();
        Box::pin(async move { node.ask_event(event, wait).await })
    }

    fn cancel(&self, id: String, reason: Option<String>) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move { node.cancel_instance(id, reason).await })
    }

    fn resolve(&self, id: String, activity: u64, request: ResolveRequest) -> Answer<ResolveReply> {
        let node = self.clone();
        Box::pin(async move { node.resolve_activity(&id, activity, request).await })
    }

    fn rerun(&self, id: String, request: RerunRequest) -> Answer<Started> {
        let node = self.clone();
        Box::pin(async move { node.rerun_instance(&id, request).await })
    }

    fn definitions(&self) -> Answer<Vec<DefinitionSummary>> {
        let all = self.definitions.all();
        let summary = |definition: &Arc<Definition>| DefinitionSummary {
            id: definition.id.to_string(),
            title: definition.title.clone(),
            summary: definition.summary.clone(),
            triggers: definition.triggers.iter().map(|spec| describe(definition, &spec.watch)).collect(),
        };
        let summaries = all.iter().map(summary).collect();
        Box::pin(async move { Ok(summaries) })
    }

    fn triggers(&self) -> Answer<Vec<TriggerSummary>> {
        let node = self.clone();
        Box::pin(async move { node.list_triggers().await })
    }

    fn trigger(&self, name: String) -> Answer<TriggerDetail> {
        let node = self.clone();
        Box::pin(async move { Ok(*node.find_trigger(&name).await?) })
    }

    fn order_trigger(&self, name: String, order: TriggerOrder) -> Answer<TriggerDetail> {
        let node = self.clone();
        Box::pin(async move { node.order_trigger(&name, order).await })
    }

    fn fire_trigger(&self, name: String, request: FireRequest) -> Answer<Started> {
        let node = self.clone();
        Box::pin(async move { node.fire_trigger(&name, request).await })
    }

    fn test_trigger(&self, name: String, request: TestRequest) -> Answer<TestReply> {
        let node = self.clone();
        Box::pin(async move { node.test_trigger(&name, request).await })
    }

    fn events(&self) -> Answer<EventsSummary> {
        let node = self.clone();
        Box::pin(async move { node.events_summary().await })
    }

    fn recent_events(&self, query: RecentQuery) -> Answer<RecentPage> {
        let node = self.clone();
        Box::pin(async move { node.recent_events(query).await })
    }

    fn tree(&self) -> Answer<TreeNode> {
        let node = self.clone();
        Box::pin(async move { Ok(node.whole_tree().await) })
    }

    fn nodes(&self) -> Answer<Vec<NodeSummary>> {
        let nodes = self.list_nodes();
        Box::pin(async move { Ok(nodes) })
    }

    fn log_levels(&self, change: Option<LogChange>) -> Answer<Vec<NodeLog>> {
        let node = self.clone();
        Box::pin(async move { node.levels(change).await })
    }

    fn drain(&self, name: String) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move { node.drain_node(&name).await })
    }

    fn remove_node(&self, name: String) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move { node.forget_node(&name).await })
    }

    fn adapters(&self, name: Option<String>) -> Answer<Vec<AdapterSummary>> {
        let node = self.clone();
        Box::pin(async move { node.all_adapters(name).await })
    }

    fn order_adapter(&self, name: String, order: AdapterOrder) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move { node.order_adapter(name, order).await })
    }

    fn entries(&self, kind: EntryKind) -> Answer<Vec<InventoryEntry>> {
        let node = self.clone();
        Box::pin(async move { node.list_entries(kind).await })
    }

    fn entry(&self, kind: EntryKind, name: String) -> Answer<InventoryEntry> {
        let node = self.clone();
        Box::pin(async move { node.show_entry(kind, &name).await })
    }

    fn put_entry(&self, kind: EntryKind, name: String, spec: Value) -> Answer<InventoryEntry> {
        let node = self.clone();
        Box::pin(async move { node.put_entry(kind, &name, spec).await })
    }

    fn remove_entry(&self, kind: EntryKind, name: String) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move { node.remove_entry(kind, &name).await })
    }

    fn declared(&self, kind: DeclaredKind, request: DeclaredRequest) -> Answer<Vec<Declared>> {
        let node = self.clone();
        Box::pin(async move { node.about_declared(kind, request).await })
    }

    fn users(&self) -> Answer<Vec<UserSummary>> {
        let node = self.clone();
        Box::pin(async move { node.vault.users().await })
    }

    fn set_user(&self, name: String, change: UserChange) -> Answer<UserSummary> {
        let node = self.clone();
        Box::pin(async move { node.vault.set_user(&name, change).await })
    }

    fn remove_user(&self, name: String) -> Answer<()> {
        let node = self.clone();
        Box::pin(async move { node.vault.remove_user(&name).await })
    }

    fn rotate_key(&self) -> Answer<String> {
        let node = self.clone();
        Box::pin(async move { node.rotate_key().await })
    }

    fn webhooks(&self, name: Option<String>) -> Answer<Vec<WebhookSummary>> {
        let node = self.clone();
        Box::pin(async move { node.list_webhooks(name).await })
    }

    fn try_webhook(&self, name: String, trial: WebhookTrial) -> Answer<WebhookFindings> {
        let node = self.clone();
        Box::pin(async move { node.findings(&name, trial).await })
    }

    fn deliver(&self, name: String, delivery: Delivery) -> Answer<WebhookOutcome> {
        let node = self.clone();
        Box::pin(async move { node.take_delivery(&name, delivery).await })
    }

    fn answer(&self, question: Question) -> Answer<Reply> {
        let node = self.clone();
        Box::pin(async move { node.answer_here(&question).await })
    }

    fn health(&self) -> Health {
        self.state()
    }

    fn figures(&self, registry: &mut Registry) {
        self.register_figures(registry);
    }
}

#[cfg(test)]
mod tests;
