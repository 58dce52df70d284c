//! The presence of this node: renewed and looked at from an operating-system thread of its own, with a runtime and a
//! connection of its own, so that nothing this node does can starve it.
//!
//! A renewal proves that the node makes progress, not only that this thread does: it is left out while the rest of the
//! node has not been heard of for too long. What a confirmed renewal is worth is kept in the [`Lease`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use impresario_model::encoding;
use impresario_persistence::{Census, Member, Membership, StoreError, monotonic_ms};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::NodeRecord;
use super::guard::Asked;
use super::lease::Lease;

/// Makes the connection of the presence, within its own runtime.
pub type Connect = Box<dyn FnOnce() -> BoxFuture<'static, Result<Arc<dyn Membership>, StoreError>> + Send>;

/// A clock that only goes forward, in milliseconds from anywhere.
pub type Monotonic = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How presence is kept.
#[derive(Clone, Debug)]
pub struct PresenceSettings {
    /// How long a renewal holds.
    pub ttl: Duration,
    /// How often it is renewed.
    pub interval: Duration,
    /// How often the others are looked at.
    pub poll: Duration,
    /// A node of which nothing was heard for so long, by its own presence, is wedged: it is no longer renewed.
    pub wedged_after: Duration,
}

/// Who this is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node's name.
    pub node: String,
    /// This start of it.
    pub incarnation: String,
}

/// A census, and when it was taken.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Who is there.
    pub census: Census,
    /// When it was asked for and answered, by this node's monotonic clock.
    pub asked: Asked,
}

/// Where the result of a leave goes.
type Leave = oneshot::Sender<Result<(), StoreError>>;
/// Where the membership goes once the node is announced.
type Begun = oneshot::Sender<Result<Arc<dyn Membership>, StoreError>>;

/// The presence of this node. Its thread ends when this is dropped.
pub struct Presence {
    /// Until when this node is present.
    pub lease: Arc<Lease>,
    /// Until when what this node knows of its shards is new enough. A node that was frozen has its presence back at its
    /// first renewal, and does not know yet what was taken over meanwhile.
    pub knowledge: Arc<Lease>,
    /// The newest census.
    pub seen: watch::Receiver<Option<Seen>>,
    /// What the node tells of itself, from the next renewal on.
    pub record: watch::Sender<NodeRecord>,
    /// Set once another incarnation has this node's name: then this one has to end.
    pub replaced: watch::Receiver<Option<String>>,
    /// The presence of all nodes.
    pub membership: Arc<dyn Membership>,
    pulse: Arc<AtomicU64>,
    leaves: mpsc::Sender<Leave>,
}

impl Presence {
    /// Announces the node, from a thread of its own. A name that an incarnation before still has is waited for, for
    /// one time to live.
    ///
    /// # Errors
    /// [`StoreError::Refused`] when the name is taken; others when the store cannot be reached.
    pub async fn start(
        connect: Connect,
        identity: Identity,
        record: NodeRecord,
        settings: PresenceSettings,
    ) -> Result<Presence, StoreError> {
        let (begun, began) = oneshot::channel();
        let (handle, keeper) = parts(identity, record, settings);
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(async move {
                    match connect().await {
                        Ok(membership) => keeper.keep(membership, begun).await,
                        Err(error) => drop(begun.send(Err(error))),
                    }
                }),
                Err(error) => drop(begun.send(Err(failed(&error)))),
            }
        };
        std::thread::Builder::new().name("presence".to_owned()).spawn(run).map_err(|error| failed(&error))?;
        let ended = |_| StoreError::Failed("the thread of the presence has ended".to_owned());
        Ok(handle(began.await.map_err(ended)??))
    }

    /// The same within the runtime of the caller: for several nodes in one process on one virtual clock.
    ///
    /// # Errors
    /// As [`Presence::start`].
    pub async fn start_here(
        membership: Arc<dyn Membership>,
        identity: Identity,
        record: NodeRecord,
        settings: PresenceSettings,
        clock: Monotonic,
    ) -> Result<Presence, StoreError> {
        let (begun, began) = oneshot::channel();
        let (handle, keeper) = parts(identity, record, settings);
        tokio::spawn(Keeper { clock, ..keeper }.keep(membership, begun));
        let ended = |_| StoreError::Failed("the presence has ended".to_owned());
        Ok(handle(began.await.map_err(ended)??))
    }

    /// Whether this node may start things at this monotonic time: it is present, and knows what it owns.
    pub fn may_start(&self, now_ms: u64) -> bool {
        self.lease.holds(now_ms) && self.knowledge.holds(now_ms)
    }

    /// The node has made progress at this monotonic time.
    pub fn beat(&self, now_ms: u64) {
        self.pulse.store(now_ms, Ordering::Relaxed);
    }

    /// Ends the presence in good order: the others take over at once what is left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn leave(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.leaves.try_send(reply).map_err(|_| StoreError::Busy)?;
        answer.await.map_err(|_| StoreError::Away("the presence of this node has ended".to_owned()))?
    }
}

fn failed(error: &std::io::Error) -> StoreError {
    StoreError::Failed(format!("the presence cannot have a thread of its own: {error}"))
}

/// What keeps the presence up.
struct Keeper {
    identity: Identity,
    settings: PresenceSettings,
    lease: Arc<Lease>,
    pulse: Arc<AtomicU64>,
    seen: watch::Sender<Option<Seen>>,
    record: watch::Receiver<NodeRecord>,
    replaced: watch::Sender<Option<String>>,
    leaves: mpsc::Receiver<Leave>,
    clock: Monotonic,
    /// Whether the last renewal failed: that is told once, not twice a second.
    failing: bool,
}

/// The two ends of a presence: what makes the handle once the node is announced, and what announces it.
fn parts(
    identity: Identity,
    record: NodeRecord,
    settings: PresenceSettings,
) -> (impl FnOnce(Arc<dyn Membership>) -> Presence, Keeper) {
    let ttl_ms = millis(settings.ttl);
    let lease = Arc::new(Lease::new(ttl_ms));
    let pulse = Arc::new(AtomicU64::new(0));
    let (seen, seen_now) = watch::channel(None);
    let (record, record_now) = watch::channel(record);
    let (replaced, replaced_now) = watch::channel(None);
    let (leaves, leaving) = mpsc::channel(1);
    let keeper = Keeper {
        identity,
        settings,
        lease: Arc::clone(&lease),
        pulse: Arc::clone(&pulse),
        seen,
        record: record_now,
        replaced,
        leaves: leaving,
        clock: Arc::new(monotonic_ms),
        failing: false,
    };
    let knowledge = Arc::new(Lease::new(ttl_ms));
    let handle = |membership| Presence {
        lease,
        knowledge,
        seen: seen_now,
        record,
        replaced: replaced_now,
        membership,
        pulse,
        leaves,
    };
    (handle, keeper)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Keeper {
    /// Announces the node, and keeps it announced until the handle is gone or the node leaves.
    async fn keep(mut self, membership: Arc<dyn Membership>, begun: Begun) {
        if let Err(error) = self.announce(membership.as_ref()).await {
            return drop(begun.send(Err(error)));
        }
        self.look(membership.as_ref()).await;
        self.pulse.store((self.clock)(), Ordering::Relaxed);
        let _ = begun.send(Ok(Arc::clone(&membership)));
        let mut renewals = interval(self.settings.interval);
        let mut polls = interval(self.settings.poll);
        for ticks in [&mut renewals, &mut polls] {
            // A tick that was missed because the store was slow is not made up for.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                biased;
                _ = renewals.tick() => self.renew_if_alive(membership.as_ref()).await,
                changed = self.record.changed() => match changed {
                    // What it has to tell now, such as that it leaves, should not wait.
                    Ok(()) => self.renew_if_alive(membership.as_ref()).await,
                    Err(_) => return,
                },
                _ = polls.tick() => self.look(membership.as_ref()).await,
                leave = self.leaves.recv() => {
                    self.lease.revoke();
                    if let Some(reply) = leave {
                        drop(reply.send(membership.leave(self.identity.incarnation.clone()).await));
                    }
                    return;
                }
            }
        }
    }

    /// The first announcement. The node may have been killed and started again at once: then its name is still taken,
    /// and will not be for long.
    async fn announce(&mut self, membership: &dyn Membership) -> Result<(), StoreError> {
        let until = (self.clock)() + millis(self.settings.ttl) + 1_000;
        loop {
            match self.renew(membership).await {
                Err(StoreError::Refused(_)) if (self.clock)() < until => {
                    tokio::time::sleep(self.settings.poll).await;
                }
                result => return result,
            }
        }
    }

    async fn renew(&mut self, membership: &dyn Membership) -> Result<(), StoreError> {
        let record = self.record.borrow_and_update().clone();
        let record = encoding::encode(&record)
            .map_err(|error| StoreError::Failed(format!("what the node tells of itself {error}")))?;
        let member = Member {
            node: self.identity.node.clone(),
            incarnation: self.identity.incarnation.clone(),
            record: record.into(),
        };
        // From before it is sent: the store cannot count from an earlier moment.
        let sent = (self.clock)();
        membership.renew(member, self.settings.ttl).await?;
        self.lease.renewed(sent);
        Ok(())
    }

    async fn renew_if_alive(&mut self, membership: &dyn Membership) {
        let silent = (self.clock)().saturating_sub(self.pulse.load(Ordering::Relaxed));
        if silent > millis(self.settings.wedged_after) {
            tracing::error!(
                silent_ms = silent,
                "this node makes no progress: its presence is not renewed, so that others take its work over"
            );
            return;
        }
        match self.renew(membership).await {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the presence is renewed again");
                }
            }
            Err(StoreError::Refused(reason)) => {
                self.lease.revoke();
                self.replaced.send_replace(Some(reason));
            }
            Err(error) if std::mem::replace(&mut self.failing, true) => {
                tracing::debug!(%error, "the presence was not renewed");
            }
            Err(error) => {
                let left_ms = self.lease.left_ms((self.clock)());
                tracing::warn!(%error, left_ms, "the presence was not renewed; trying again");
            }
        }
    }

    async fn look(&mut self, membership: &dyn Membership) {
        let sent_ms = (self.clock)();
        match membership.census().await {
            Ok(census) => {
                let asked = Asked { sent_ms, received_ms: (self.clock)() };
                self.seen.send_replace(Some(Seen { census, asked }));
            }
            Err(error) => tracing::debug!(%error, "the census was not taken"),
        }
    }
}
