//! Taking a shard over: claim, load, replay, and settle what was in flight.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use impresario_model::encoding;
use impresario_model::entry::ActivityOutcome;
use impresario_model::ids::ActorId;
use impresario_persistence::{Row, StoreError};
use ractor::ActorRef;
use tokio::sync::oneshot;

use super::outbox::Outbox;
use super::ready::Ready;
use super::roster::PAGE;
use super::state::{Shard, ShardMeta};
use super::timers::Timers;
use super::{ShardArguments, ShardMessage};
use crate::shell::ShellMessage;

/// The row that a shard keeps of itself.
pub(super) fn meta_row_name(shard: u16) -> String {
    format!("shard/{shard}")
}

impl Shard {
    /// Claims the shard and loads what a checkpoint left of it.
    pub(super) async fn claim(
        myself: ActorRef<ShardMessage>,
        with: ShardArguments,
    ) -> Result<Self, StoreError> {
        let store = Arc::clone(with.post.store());
        let head = store.head(with.shard);
        let claim = store.claim(with.shard, with.owner.clone()).await?;
        let meta = match store.row(with.shard, meta_row_name(with.shard.0)).await? {
            None => ShardMeta::default(),
            Some(row) => encoding::decode(&row.snapshot).map_err(|error| {
                StoreError::Corrupt(format!("the row of shard {} is {error}", with.shard.0))
            })?,
        };
        let now = with.clock.now();
        let mut shard = Shard {
            myself,
            store,
            epoch: claim.epoch,
            caught_up_at: claim.head,
            recovered: false,
            cursor: claim.mark,
            mark: claim.mark,
            meta,
            meta_changed: false,
            live: HashMap::new(),
            parked: HashMap::new(),
            remove: Vec::new(),
            flushing: None,
            outbox: Outbox::default(),
            ready: Ready::default(),
            timers: Timers::default(),
            timers_loaded: 0,
            entries_since_checkpoint: 0,
            last_checkpoint: now,
            last_groom: now,
            questions: VecDeque::new(),
            head,
            waking: Arc::new(AtomicBool::new(false)),
            draining: false,
            with,
        };
        shard.load_attention().await?;
        if let Some(gauge) = shard.gauge() {
            // What this node posted to an earlier owner is part of the replay from now on.
            gauge.applied.store(gauge.posted.load(Ordering::Relaxed), Ordering::Relaxed);
            gauge.starts.fetch_add(1, Ordering::Relaxed);
        }
        shard.publish();
        tracing::debug!(
            shard = shard.id().0, epoch = shard.epoch.0, mark = %claim.mark, head = %claim.head, "claimed a shard"
        );
        Ok(shard)
    }

    /// Loads the actors that have work in flight, and the router.
    async fn load_attention(&mut self) -> Result<(), StoreError> {
        let router = ActorId::router(self.id().0);
        for (actor, reason) in self.activate(vec![router]).await? {
            return Err(StoreError::Corrupt(format!("{actor}: {reason}")));
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
                return Ok(());
            }
        }
    }

    /// The replay is done: settles what the owner before had in flight. Whether it happened, nobody knows; each
    /// instance decides by itself, by an entry like any other, so that a replay decides the same.
    pub(super) async fn recover(&mut self) -> Result<(), StoreError> {
        let actors: Vec<String> =
            self.live.keys().filter(|actor| actor.starts_with("process/")).cloned().collect();
        let mut settled = 0_usize;
        for name in actors {
            let Ok(actor) = ActorId::parse(&name) else { continue };
            let Some(live) = self.live.get(&name) else { continue };
            let (reply, answer) = oneshot::channel();
            if live.shell.cast(ShellMessage::InFlight(reply)).is_err() {
                continue;
            }
            for flight in answer.await.unwrap_or_default() {
                settled += 1;
                if flight.may_have_begun {
                    let reason = "the node stopped while it was in flight".to_owned();
                    self.report(&actor, flight.activity, &flight.token, ActivityOutcome::Lost { reason });
                } else {
                    self.mark_start(&actor, flight.activity, flight.token);
                }
            }
            // A turn that used up its budget goes on; one wake-up too many does no harm.
            self.post(&impresario_model::entry::Entry {
                to: actor,
                origin: None,
                body: impresario_model::entry::Body::Process(impresario_model::entry::ProcessEvent::Continue),
            });
        }
        self.recovered = true;
        tracing::debug!(shard = self.id().0, settled, "caught up");
        self.publish();
        Ok(())
    }
}
