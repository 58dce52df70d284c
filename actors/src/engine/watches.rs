//! Has adapters observe what monitors want, and makes what they observe entries, under the epoch of their shard.
//!
//! An adapter hears that something was taken once it is durable, so a slow store slows its source down.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use impresario_adapter::message::{Observed, Watch};
use impresario_adapter::{Failure, Target};
use impresario_model::entry::{Body, Entry, MonitorEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, event_shard};
use impresario_model::monitor::{WatchOrder, make};
use impresario_persistence::{Epoch, ShardId, StoreError};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::hosts::{Hosts, Refusal, Seen, WatchEnd};
use crate::post::Post;
use crate::secrets::Resolved;
use crate::task::{TaskKind, spawn};

/// How many messages are looked at together …
const MESSAGES_MAX: usize = 64;
/// … and about how many bytes of entries are appended at once.
const CHUNK_BYTES: usize = 4 << 20;
/// How long before a store or a shard that takes nothing at the moment is asked again.
const AGAIN: Duration = Duration::from_millis(50);
/// How often a monitor whose adapter refused looks for another version of it.
const VERSION_LOOK: Duration = Duration::from_secs(5);
/// So much of a reason is kept, in characters.
const REASON_CHARS_MAX: usize = 1_000;

/// What is observed at this node. Each is a monitor of a shard of this node.
#[derive(Clone)]
pub(super) struct Watches {
    hosts: Hosts,
    post: Post,
    stopping: Arc<AtomicBool>,
    running: Arc<Mutex<HashMap<String, Running>>>,
}

struct Running {
    shard: ShardId,
    task: JoinHandle<()>,
}

/// What an order comes to at this node.
pub(super) struct Prepared {
    pub(super) on: Option<Target>,
    pub(super) resolved: Option<Box<Resolved>>,
}

/// The monitor that something is observed for, and under whose authority it is told.
struct For {
    shard: ShardId,
    epoch: Epoch,
    order: WatchOrder,
}

impl Watches {
    pub(super) fn new(hosts: Hosts, post: Post, stopping: Arc<AtomicBool>) -> Self {
        Watches { hosts, post, stopping, running: Arc::default() }
    }

    /// Begins, in the place of what was observed for the monitor before.
    pub(super) fn begin(
        &self,
        (shard, epoch): (ShardId, Epoch),
        order: WatchOrder,
        prepared: Result<Prepared, Failure>,
    ) {
        let (watches, name) = (self.clone(), order.monitor.clone());
        let mut running = self.running();
        // Before the next begins, so that no two of them are open for one monitor.
        if let Some(before) = running.remove(&name) {
            before.task.abort();
        }
        let task = spawn(TaskKind::Watch, async move {
            watches.observe(For { shard, epoch, order }, prepared).await;
        });
        running.retain(|_, running| !running.task.is_finished());
        running.insert(name, Running { shard, task });
    }

    /// Ends what is observed for a monitor.
    pub(super) fn end(&self, monitor: &str) {
        if let Some(running) = self.running().remove(monitor) {
            running.task.abort();
        }
    }

    /// Ends all that is observed for a shard.
    pub(super) fn end_shard(&self, shard: u16) {
        self.running().retain(|_, running| {
            let stays = running.shard.0 != shard;
            if !stays {
                running.task.abort();
            }
            stays
        });
    }

    async fn observe(&self, of: For, prepared: Result<Prepared, Failure>) {
        let version = of.order.version;
        // It was checked when it was wanted; what was not is told.
        let adapter = of.order.spec.function().map(|(adapter, _)| adapter.to_owned()).unwrap_or_default();
        if let Some(refusing) = &of.order.not_with {
            while self.version(&adapter).is_none_or(|now| now == *refusing) {
                sleep(VERSION_LOOK).await;
            }
            self.tell(&of, MonitorEvent::Again).await;
            return;
        }
        let end = match prepared {
            Ok(prepared) => self.follow(&of, prepared).await,
            // Users and targets come and go without a word to monitors: it is tried again.
            Err(failure) => Some(WatchEnd::Failed { failure, lasting: false }),
        };
        let (problem, lasting) = match end {
            None => return,
            Some(WatchEnd::Refused(Refusal::Stopping)) if self.stopping.load(Ordering::Acquire) => return,
            Some(WatchEnd::Refused(refusal)) => (format!("adapter {adapter}: {refusal}"), false),
            Some(WatchEnd::Failed { failure, lasting }) => (words(failure), lasting),
        };
        let lasting = lasting.then(|| self.version(&adapter).unwrap_or_default());
        tracing::warn!(
            monitor = of.order.monitor,
            problem,
            lasting = lasting.is_some(),
            "a monitor cannot go on"
        );
        self.tell(&of, MonitorEvent::Ended { version, problem, lasting }).await;
    }

    /// Makes entries of what is observed, until the adapter cannot go on; nothing if this node may not go on itself.
    async fn follow(&self, of: &For, prepared: Prepared) -> Option<WatchEnd> {
        let WatchOrder { monitor, spec, cursor, .. } = &of.order;
        let (adapter, function) = match spec.function() {
            Ok(parts) => parts,
            Err(wrong) => {
                let failure = Failure::configuration(wrong);
                return Some(WatchEnd::Failed { failure, lasting: true });
            }
        };
        let resolved = prepared.resolved.unwrap_or_default();
        let watch = Watch {
            // Each beginning gets an id of its own.
            watch: String::new(),
            function: function.to_owned(),
            arguments: resolved.fill(Value::Object(spec.arguments.clone())),
            cursor: cursor.clone(),
            target: prepared.on,
            user: resolved.user.clone(),
        };
        let watching = match self.hosts.watch(adapter, monitor, watch, resolved.mask.clone()) {
            Ok(watching) => watching,
            Err(refusal) => return Some(WatchEnd::Refused(refusal)),
        };
        loop {
            match watching.next(MESSAGES_MAX).await {
                Seen::Ended(end) => return Some(end),
                Seen::Events { round, messages } => {
                    let mut messages = messages.into_iter().peekable();
                    while messages.peek().is_some() {
                        let (mut count, mut bytes, mut entries, mut last) = (0, 0, Vec::new(), None);
                        while bytes < CHUNK_BYTES
                            && let Some(message) = messages.next()
                        {
                            count += 1;
                            last = message.cursor.clone().or(last);
                            let Some(entry) = self.entry(of, message).await else { continue };
                            bytes += entry.len();
                            entries.push(entry);
                        }
                        if !self.append(of, entries).await {
                            return None;
                        }
                        watching.taken(round, count, last);
                    }
                }
            }
        }
    }

    /// One entry of one message: its event and its place.
    async fn entry(&self, of: &For, message: Observed) -> Option<Bytes> {
        let WatchOrder { monitor, version, spec, .. } = &of.order;
        let Observed { event, cursor, .. } = message;
        let made = event.map(|event| make(monitor, spec.event.as_ref(), event, cursor.as_ref())).transpose();
        let (event, invalid) = match made {
            Ok(event) => (event, None),
            Err(found) => {
                let found: String = found.chars().take(REASON_CHARS_MAX).collect();
                tracing::warn!(monitor, found, "dropped what is no event");
                (None, Some(found))
            }
        };
        if event.is_none() && cursor.is_none() && invalid.is_none() {
            return None;
        }
        self.room(of.shard, event.as_ref()).await;
        let event = event.map(Box::new);
        self.address(of, MonitorEvent::Observed { version: *version, event, cursor, invalid })
    }

    /// Waits until the shards that this goes to take something from outside.
    async fn room(&self, shard: ShardId, event: Option<&CloudEvent>) {
        let shards = self.post.store().shards();
        let next = event.map(|event| event_shard(&event.source, &event.id, shards));
        for shard in [Some(shard.0), next].into_iter().flatten() {
            while self.post.admit(shard).is_err() {
                sleep(AGAIN).await;
            }
        }
    }

    fn address(&self, of: &For, event: MonitorEvent) -> Option<Bytes> {
        let to = ActorId::monitor(&of.order.monitor);
        match self.post.address(&Entry { to, origin: None, body: Body::Monitor(event) }) {
            Ok(append) => Some(append.bytes),
            // Its parts are bounded, so every entry can be stored.
            Err(error) => {
                tracing::error!(monitor = of.order.monitor, %error, "dropped what cannot be stored");
                None
            }
        }
    }

    async fn tell(&self, of: &For, event: MonitorEvent) {
        let entry = self.address(of, event);
        self.append(of, entry.into_iter().collect()).await;
    }

    /// Makes entries durable; false when the shard is another's, or the store never will.
    async fn append(&self, of: &For, entries: Vec<Bytes>) -> bool {
        if entries.is_empty() {
            return true;
        }
        loop {
            match self.post.store().append_fenced(of.shard, of.epoch, entries.clone()).await {
                Ok(_) => {
                    entries.iter().for_each(|_| self.post.count(of.shard));
                    return true;
                }
                Err(StoreError::Fenced) => return false,
                // If it was stored all the same, it is observed twice, and known the second time.
                Err(error) if error.passes() || matches!(error, StoreError::Behind(_)) => sleep(AGAIN).await,
                Err(error) => {
                    tracing::error!(monitor = of.order.monitor, %error, "what was observed was not stored");
                    return false;
                }
            }
        }
    }

    fn version(&self, adapter: &str) -> Option<String> {
        self.hosts.manifest(adapter).map(|manifest| manifest.version.clone())
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn words(failure: Failure) -> String {
    let Failure { title, detail, .. } = failure;
    let whole = detail.map_or_else(|| title.clone(), |detail| format!("{title}: {detail}"));
    whole.chars().take(REASON_CHARS_MAX).collect()
}
