//! Taking a shard over: claim, load, replay, and settle what was in flight.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use impresario_model::encoding;
use impresario_model::entry::ActivityOutcome;
use impresario_model::ids::ActorId;
use impresario_model::instance::Unsettled;
use impresario_persistence::{Epoch, Row, Store, StoreError};
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::outbox::Outbox;
use super::ready::Ready;
use super::roster::PAGE;
use super::starts::{Start, Starts};
use super::state::{Shard, ShardMeta};
use super::timers::Timers;
use super::{ShardArguments, ShardMessage};
use crate::shell::ShellMessage;

/// The row that a shard keeps of itself.
pub(super) fn meta_row_name(shard: u16) -> String {
    format!("shard/{shard}")
}

/// Whether actors of this kind may have something under way in the world.
fn has_work(actor: &str) -> bool {
    ["process/", "monitor/", "sink/"].iter().any(|kind| actor.starts_with(kind))
}

/// The epoch on which the claim of a shard is to build.
async fn seen(store: &Arc<dyn Store>, with: &ShardArguments) -> Result<Epoch, StoreError> {
    let owners = store.owners().await?;
    let owned = owners.into_iter().find(|owned| owned.shard == with.shard);
    let owned = owned.ok_or_else(|| StoreError::Refused(format!("shard {} does not exist", with.shard.0)))?;
    Ok(owned.epoch)
}

impl Shard {
    /// Claims the shard and loads what a checkpoint left of it.
    pub(super) async fn claim(
        myself: ActorRef<ShardMessage>,
        with: ShardArguments,
    ) -> Result<Self, StoreError> {
        let store = Arc::clone(with.post.store());
        let head = store.head(with.shard);
        let claim = match with.claim.clone() {
            Some(claim) => claim,
            None => store.claim(with.shard, with.owner.clone(), seen(&store, &with).await?).await?,
        };
        let meta = match store.row(with.shard, meta_row_name(with.shard.0)).await? {
            None => ShardMeta::default(),
            Some(row) => encoding::decode(&row.snapshot).map_err(|error| {
                StoreError::Corrupt(format!("the row of shard {} is {error}", with.shard.0))
            })?,
        };
        let now = with.clock.now();
        let shard = Shard {
            myself,
            store,
            epoch: claim.epoch,
            caught_up_at: claim.head,
            recovered: false,
            claimed: now,
            cursor: claim.mark,
            mark: claim.mark,
            seen_at_mark: meta.seen.clone(),
            meta,
            store_soon: false,
            orders: Vec::new(),
            ordered: HashMap::new(),
            obeyed: Vec::new(),
            returned_at: HashMap::new(),
            live: HashMap::new(),
            parked: HashMap::new(),
            remove: HashSet::new(),
            flushing: None,
            outbox: Outbox::default(),
            ready: Ready::default(),
            starts: Starts::default(),
            marked: BTreeMap::new(),
            timers: Timers::default(),
            timers_loaded: 0,
            entries_since_checkpoint: 0,
            last_checkpoint: now,
            last_groom: now,
            last_idle: now,
            questions: VecDeque::new(),
            head,
            waking: Arc::new(AtomicBool::new(false)),
            draining: false,
            loaded: false,
            holding: false,
            with,
        };
        if let Some(gauge) = shard.gauge() {
            // What this node posted to an earlier owner is part of the replay from now on.
            gauge.settle();
            gauge.starts.fetch_add(1, Ordering::Relaxed);
            gauge.owned.store(true, Ordering::Relaxed);
        }
        shard.publish();
        tracing::debug!(
            shard = shard.id().0, epoch = shard.epoch.0, mark = %claim.mark, head = %claim.head, "claimed a shard"
        );
        Ok(shard)
    }

    /// Loads the actors that have work in flight, and the router.
    pub(super) async fn load_attention(&mut self) -> Result<(), StoreError> {
        let router = ActorId::router(self.id().0);
        if !self.meta.quarantined.contains_key(router.as_str())
            && let Some((router, unfit)) = self.activate(vec![router]).await?.pop()
        {
            self.set_aside(&router, Vec::new(), &unfit.0);
        }
        let mut after: Option<String> = None;
        loop {
            let page: Vec<Row> = self.store.attention(self.id(), after, PAGE).await?;
            let full = page.len() == PAGE;
            after = page.last().map(|row| row.actor.clone());
            for row in page {
                let Ok(actor) = ActorId::parse(&row.actor) else { continue };
                if self.meta.quarantined.contains_key(actor.as_str()) {
                    continue;
                }
                match self.with.kinds.load(&actor, std::slice::from_ref(&row)) {
                    Ok(behaviour) => self.admit(&actor, behaviour).await,
                    Err(reason) => self.set_aside(&actor, Vec::new(), &reason.0),
                }
            }
            if !full {
                self.loaded = true;
                return Ok(());
            }
        }
    }

    /// The replay is done: settles what the owner before had under way.
    pub(super) async fn recover(&mut self) -> Result<(), StoreError> {
        let actors: Vec<String> = self.live.keys().filter(|actor| has_work(actor)).cloned().collect();
        for name in actors {
            let Ok(actor) = ActorId::parse(&name) else { continue };
            self.settle(&actor).await?;
        }
        self.recovered = true;
        let took = self.with.clock.now().saturating_sub(self.claimed);
        self.with.post.metrics().recovered(took);
        tracing::debug!(shard = self.id().0, waiting = self.outbox.messages.len(), "caught up");
        self.publish();
        Ok(())
    }

    /// Settles what an instance had under way when nobody was there for it. Whether an attempt happened, nobody
    /// knows; the instance decides by itself, by an entry like any other, so that a replay decides the same.
    pub(super) async fn settle(&mut self, actor: &ActorId) -> Result<(), StoreError> {
        let unsettled = match self.ask_unsettled(actor).await {
            Some(unsettled) => unsettled,
            None => {
                let failed = match self.rebuild(actor).await? {
                    Ok(()) => {
                        self.ask_unsettled(actor).await.ok_or("it fails when it is looked at".to_owned())
                    }
                    Err(reason) => Err(reason),
                };
                match failed {
                    Ok(unsettled) => unsettled,
                    Err(reason) => {
                        self.set_aside(actor, Vec::new(), &reason);
                        return Ok(());
                    }
                }
            }
        };
        for flight in unsettled.in_flight {
            if self.with.runner.holds(&flight.token) {
                // It goes on at a host of this node, whose report is still to come.
            } else if flight.may_have_begun {
                // If its host is still there, nobody waits for what it does any more.
                self.outbox.abandoned.push((flight.adapter, flight.token.clone()));
                // Most of what is in flight only waits for its turn. So a restartable one is not counted as lost:
                // after a few crashes it would be given up without ever having run.
                let outcome = match flight.restartable {
                    true => ActivityOutcome::NotStarted,
                    false => {
                        ActivityOutcome::Lost { reason: "the node stopped while it was in flight".to_owned() }
                    }
                };
                self.report(actor, flight.activity, &flight.token, outcome);
            } else if !self.needs_place(actor, flight.activity, &flight.token, flight.unplaced.as_deref()) {
                let start = Start { actor: actor.clone(), activity: flight.activity, token: flight.token };
                self.starts.push(flight.adapter, start);
            }
        }
        for question in unsettled.questions {
            self.ask_adapter(actor, question);
        }
        if let Some(order) = unsettled.watch {
            self.outbox.watches.push((actor.clone(), Some(order)));
        }
        if unsettled.continuing {
            self.go_on(actor.clone());
        }
        Ok(())
    }

    async fn ask_unsettled(&self, actor: &ActorId) -> Option<Unsettled> {
        let live = self.live.get(actor.as_str())?;
        let (reply, answer) = oneshot::channel();
        live.shell.cast(ShellMessage::Unsettled(reply)).ok()?;
        answer.await.ok()
    }
}
