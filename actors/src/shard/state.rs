//! What a shard holds in memory.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use impresario_model::ids::ActorId;
use impresario_persistence::{Epoch, Offset, Row, RowIndex, ShardId, Store};
use ractor::{ActorId as RactorId, ActorRef};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use super::outbox::Outbox;
use super::quarantine::Quarantined;
use super::ready::Ready;
use super::starts::Starts;
use super::take_back::{Obeyed, Order};
use super::timers::Timers;
use super::{ShardArguments, ShardMessage};
use crate::behaviour::Inspection;
use crate::post::ShardGauge;
use crate::shell::ShellMessage;

/// What a shard stores of itself, beside its actors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardMeta {
    /// The highest (offset, index) applied of the messages of each shard: what is not higher was seen.
    pub seen: BTreeMap<u16, (u64, u32)>,
    /// Actors that were set aside.
    #[serde(default)]
    pub quarantined: BTreeMap<String, Quarantined>,
}

/// An actor in memory.
pub(super) struct Live {
    pub shell: ActorRef<ShellMessage>,
    /// Whether it changed since its rows were taken last.
    pub dirty: bool,
    pub parks: bool,
    pub status: &'static str,
    /// When it was last used, in milliseconds since the Unix epoch.
    pub used: u64,
    pub due: Option<u64>,
}

/// A checkpoint that is being written.
pub(super) struct Flushing {
    pub rows: HashMap<String, Row>,
    pub remove: HashSet<String>,
    pub mark: Offset,
    pub seen: BTreeMap<u16, (u64, u32)>,
    /// Orders that are given once this is stored.
    pub orders: Vec<(Order, Obeyed)>,
    /// Orders that are carried out for good once this is stored.
    pub obeyed: Vec<Obeyed>,
}

/// A question that waits until the log is applied up to an offset.
pub(super) struct Question {
    pub after: Offset,
    pub actor: String,
    pub reply: oneshot::Sender<Inspection>,
}

/// What a list shows of an actor that the store may not know yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorFacts {
    /// The actor id.
    pub actor: String,
    /// Whether it is in memory.
    pub live: bool,
    /// Why it was set aside, if it was.
    pub aside: Option<String>,
    /// The rest, newer than the store's.
    pub index: RowIndex,
}

/// A shard in memory.
pub struct Shard {
    pub(super) myself: ActorRef<ShardMessage>,
    pub(super) with: ShardArguments,
    pub(super) store: Arc<dyn Store>,
    pub(super) epoch: Epoch,
    /// The end of the log when the shard was claimed: entries up to it are replayed.
    pub(super) caught_up_at: Offset,
    pub(super) recovered: bool,
    /// When the shard was claimed, in milliseconds since the Unix epoch.
    pub(super) claimed: u64,
    /// The last entry that was applied, and whose messages are durable.
    pub(super) cursor: Offset,
    /// The last entry behind which the log is trimmed.
    pub(super) mark: Offset,
    pub(super) meta: ShardMeta,
    /// What `meta.seen` was at the mark: where a replay of the log begins.
    pub(super) seen_at_mark: BTreeMap<u16, (u64, u32)>,
    /// Something must be stored now, not at the next checkpoint.
    pub(super) store_soon: bool,
    /// Orders about actors that were set aside, to be given once the next checkpoint is stored.
    pub(super) orders: Vec<(Order, Obeyed)>,
    /// Those that are given, by actor, until they come back through the log.
    pub(super) ordered: HashMap<String, Obeyed>,
    /// Those that were carried out since the last checkpoint.
    pub(super) obeyed: Vec<Obeyed>,
    /// Actors that were taken back since the mark, with the offset from which on the log has their entries again.
    pub(super) returned_at: HashMap<String, u64>,
    pub(super) live: HashMap<String, Live>,
    /// Rows of actors that left memory, newer than the store's.
    pub(super) parked: HashMap<String, Row>,
    /// Rows to be removed, of none of which there is a newer one in `parked`.
    pub(super) remove: HashSet<String>,
    pub(super) flushing: Option<Flushing>,
    pub(super) outbox: Outbox,
    /// Attempts that wait for room in an adapter host.
    pub(super) ready: Ready,
    /// Start markers that wait for a slot.
    pub(super) starts: Starts,
    /// Attempts whose start markers were sent and have not come back yet, by token.
    pub(super) marked: BTreeMap<String, (ActorId, u64)>,
    pub(super) timers: Timers,
    /// Timers of stored rows are loaded up to this time.
    pub(super) timers_loaded: u64,
    pub(super) entries_since_checkpoint: u64,
    pub(super) last_checkpoint: u64,
    pub(super) last_groom: u64,
    /// When idle actors were looked for last.
    pub(super) last_idle: u64,
    pub(super) questions: VecDeque<Question>,
    pub(super) head: watch::Receiver<Offset>,
    /// Whether a wake-up is on its way, so that there is never more than one.
    pub(super) waking: Arc<AtomicBool>,
    pub(super) draining: bool,
    /// The actors that a new owner must load at once are in memory.
    pub(super) loaded: bool,
    /// No attempt starts for now.
    pub(super) holding: bool,
}

impl Shard {
    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.with.shard
    }

    /// Whether somebody claims it again when it ends, rather than its supervisor.
    pub(super) fn on_demand(&self) -> bool {
        self.with.claim.is_some()
    }

    pub(super) fn gauge(&self) -> Option<&ShardGauge> {
        self.with.post.gauges().get(usize::from(self.id().0))
    }

    /// Wakes the shard for what is durable in its log, until the shard is gone.
    pub(super) fn watch_log(&self) {
        let mut head = self.head.clone();
        let shard = self.myself.clone();
        let waking = Arc::clone(&self.waking);
        crate::task::spawn(crate::task::TaskKind::LogWatch, async move {
            while head.changed().await.is_ok() {
                head.borrow_and_update();
                if waking.swap(true, Ordering::AcqRel) {
                    continue;
                }
                if shard.cast(ShardMessage::Wake).is_err() {
                    return;
                }
            }
        });
    }

    /// Whether the row that the store may have of an actor is to be removed.
    pub(super) fn is_removed(&self, actor: &str) -> bool {
        let flushing = || self.flushing.as_ref().is_some_and(|flushing| flushing.remove.contains(actor));
        self.remove.contains(actor) || flushing()
    }

    /// Asks for another step, unless one is on its way.
    pub(super) fn wake(&self) {
        if !self.waking.swap(true, Ordering::AcqRel) {
            // The shard itself is running, so its mailbox takes the message; if not, nothing is left to wake.
            let _ = self.myself.cast(ShardMessage::Wake);
        }
    }

    /// A child ended by itself: it is no longer in memory, and its next entry loads it again.
    pub(super) fn child_gone(&mut self, id: RactorId) {
        let gone =
            self.live.iter().find(|(_, live)| live.shell.get_id() == id).map(|(actor, _)| actor.clone());
        if let Some(actor) = gone {
            // Its state since the last checkpoint is in the log; the next turn of it rebuilds it from there.
            if let Some(live) = self.live.get_mut(&actor) {
                live.status = "failed";
            }
        }
    }

    /// The shard is somebody else's: nothing more is done for it here, and the node is no longer ready.
    pub(super) fn give_way(&mut self) {
        tracing::error!(
            shard = self.id().0,
            epoch = self.epoch.0,
            "the shard has a newer owner; this node stops it"
        );
        self.with.runner.abandon_shard(self.id().0);
        self.leave();
    }

    /// The shard ends here, for now or for good: it is not ready, and does nothing more.
    pub(super) fn leave(&mut self) {
        self.with.runner.unwatch_shard(self.id().0);
        self.draining = true;
        self.recovered = false;
        self.publish();
        if let Some(gauge) = self.gauge().filter(|_| self.on_demand()) {
            // Its last figures are nobody's any more.
            gauge.owned.store(false, Ordering::Relaxed);
            gauge.live.store(0, Ordering::Relaxed);
            gauge.waiting_runs.store(0, Ordering::Relaxed);
            gauge.next_due.store(u64::MAX, Ordering::Relaxed);
        }
    }

    /// Publishes the gauges.
    pub(super) fn publish(&self) {
        if let Some(gauge) = self.gauge() {
            gauge.waiting_runs.store(self.ready.len() + self.starts.len(), Ordering::Relaxed);
            gauge.live.store(self.live.len(), Ordering::Relaxed);
            gauge.cursor.store(self.cursor.0, Ordering::Relaxed);
            let next = self.timers.next().unwrap_or(u64::MAX);
            gauge.next_due.store(next.min(self.timers_loaded), Ordering::Relaxed);
            gauge.ready.store(self.recovered, Ordering::Relaxed);
        }
    }

    /// What is in memory, and what left it since the last checkpoint.
    pub(super) async fn facts(&self) -> Vec<ActorFacts> {
        let mut facts: BTreeMap<String, ActorFacts> = BTreeMap::new();
        let rows =
            self.flushing.iter().flat_map(|flushing| flushing.rows.values()).chain(self.parked.values());
        for row in rows.filter(|row| !row.index.status.is_empty()) {
            let fact =
                ActorFacts { actor: row.actor.clone(), live: false, aside: None, index: row.index.clone() };
            facts.insert(row.actor.clone(), fact);
        }
        let mut asked = Vec::new();
        for (actor, live) in &self.live {
            let (reply, answer) = oneshot::channel();
            if live.shell.cast(ShellMessage::Index(reply)).is_ok() {
                asked.push((actor.clone(), answer));
            }
        }
        for (actor, answer) in asked {
            if let Ok(index) = answer.await {
                facts.insert(actor.clone(), ActorFacts { actor, live: true, aside: None, index });
            }
        }
        for (actor, aside) in &self.meta.quarantined {
            let index = match facts.remove(actor) {
                Some(fact) => fact.index,
                None => self.stored_index(actor).await,
            };
            let aside = Some(aside.reason.clone());
            facts.insert(actor.clone(), ActorFacts { actor: actor.clone(), live: false, aside, index });
        }
        facts.into_values().collect()
    }

    async fn stored_index(&self, actor: &str) -> RowIndex {
        let row = self.store.row(self.id(), actor.to_owned()).await;
        row.ok().flatten().map(|row| row.index).unwrap_or_default()
    }
}
