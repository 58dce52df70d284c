//! A shard: reads its mailbox log in order and applies each entry to its actor.
//!
//! The shard is the only reader of its log and the only writer of its state. One step takes a batch of entries
//! through five stages, and never starts one before the stage ahead is done:
//!
//! 1. *read* what is durable in the log behind the cursor ([`batch`]);
//! 2. *apply* it: each entry is a turn of its actor, which lives in a shell of its own ([`roster`]);
//! 3. *send*: the messages and start markers that the actors asked for become durable ([`outbox`]);
//! 4. *act*: attempts of activities go to the adapter hosts, timers are set;
//! 5. the cursor moves on.
//!
//! A checkpoint ([`checkpoint`]) stores the changed actors and the cursor, so it never passes an entry whose
//! messages are not durable. After a claim ([`recover`]) the same steps replay the tail of the log; only stage 4
//! waits until the shard has caught up.

mod batch;
mod checkpoint;
mod evidence;
mod outbox;
mod quarantine;
mod ready;
mod recover;
mod roster;
mod starts;
mod state;
mod take_back;
mod timers;

use std::sync::Arc;
use std::time::Duration;

use impresario_model::entry::{ActivityOutcome, Limit};
use impresario_model::monitor::WatchOrder;
use impresario_persistence::{Claim, Epoch, Owner, ShardId, StoreError};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;

pub use self::evidence::{ActorEvidence, AsideEvidence, AttemptPlace, Evidence, EvidenceQuery, Progress};
pub use self::quarantine::{Aside, HELD_MAX, Held, Quarantined};
pub use self::state::{ActorFacts, Shard, ShardMeta};
pub use self::take_back::Order;
use crate::activity::{ProbeQuestion, RunRequest};
use crate::behaviour::{Inspection, Kinds};
use crate::clock::Clock;
use crate::hosts::RunPlace;
use crate::post::Post;

/// What starts attempts of activities: the adapter hosts, or a stand-in for them in tests.
pub trait Runner: Send + Sync + 'static {
    /// Takes an attempt; its report comes back exactly once.
    ///
    /// # Errors
    /// [`NotRun`]; then no report comes back.
    fn run(&self, request: RunRequest) -> Result<(), NotRun>;

    /// The limit of a target whose work is limited: an activity on it needs a place there before its attempt begins.
    fn limit(&self, _target: &str) -> Option<Limit> {
        None
    }

    /// Nobody waits for this attempt any more.
    fn abandon(&self, adapter: &str, token: &str);

    /// Has an adapter asked what became of an attempt that was cut off. The answer comes as an entry, unless the node ends
    /// first: then the next owner asks again. Asked twice, it does no harm.
    fn probe(&self, _question: ProbeQuestion) {}

    /// Keeps a slot for an attempt that has to be marked before it begins; false when there is none. The slot is free
    /// again once the attempt is reported or abandoned.
    fn reserve(&self, _adapter: &str, _token: &str) -> bool {
        true
    }

    /// Gives the slot of an attempt back that will not be run for now.
    fn unreserve(&self, _token: &str) {}

    /// Whether an attempt is under way here, so that its report is still to come.
    fn holds(&self, _token: &str) -> bool {
        false
    }

    /// Where an attempt of an adapter is that was given here, or a question about one.
    fn place(&self, _adapter: &str, token: &str) -> Option<RunPlace> {
        self.holds(token).then_some(RunPlace::AtWork)
    }

    /// Has an adapter observe something for a monitor, in the place of what it observed for it before. What it observes
    /// comes as entries under the epoch, until that is no longer the shard's.
    fn watch(&self, _shard: ShardId, _epoch: Epoch, _order: WatchOrder) {}

    /// Has nothing observed for a monitor any more.
    fn unwatch(&self, _monitor: &str) {}

    /// Has nothing observed for the monitors of a shard any more: it is not run here.
    fn unwatch_shard(&self, _shard: u16) {}

    /// Nobody waits here for the attempts of a shard any more: it is another node's.
    fn abandon_shard(&self, _shard: u16) {}
}

/// Why an attempt was not taken.
#[derive(Clone, Debug, PartialEq)]
pub enum NotRun {
    /// The adapter's queue is full: offer it again later.
    Busy(Box<RunRequest>),
    /// It will never be taken.
    Refused(Box<RunRequest>, String),
    /// It needs no host: this is how it ended.
    Answered(Box<RunRequest>, ActivityOutcome),
}

/// How a shard works.
#[derive(Clone, Debug)]
pub struct ShardSettings {
    /// At most so many entries in one step.
    pub batch_entries: usize,
    /// At most about so many bytes in one step.
    pub batch_bytes: usize,
    /// A checkpoint at the latest after so many entries.
    pub checkpoint_entries: u64,
    /// A checkpoint at the latest after this time.
    pub checkpoint_interval: Duration,
    /// An actor that had nothing to do for this long leaves memory.
    pub idle_after: Duration,
    /// With more actors than this in memory, they leave as soon as they have nothing to do.
    pub live_actors: usize,
    /// How far ahead timers of actors that are not in memory are loaded.
    pub timer_horizon: Duration,
    /// How long ended instances are kept.
    pub retention: Duration,
}

impl Default for ShardSettings {
    fn default() -> Self {
        ShardSettings {
            batch_entries: 512,
            batch_bytes: 1 << 20,
            checkpoint_entries: 20_000,
            checkpoint_interval: Duration::from_secs(2),
            idle_after: Duration::from_secs(10),
            live_actors: 512,
            timer_horizon: Duration::from_secs(60),
            retention: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// What a shard works with.
#[derive(Clone)]
pub struct ShardArguments {
    /// Which shard.
    pub shard: ShardId,
    /// Who claims it.
    pub owner: Owner,
    /// The claim, if somebody made it for the shard already. Otherwise the shard makes it, at each start.
    pub claim: Option<Claim>,
    /// The post office, which has the store.
    pub post: Post,
    /// Makes the actors.
    pub kinds: Arc<dyn Kinds>,
    /// Runs the activities.
    pub runner: Arc<dyn Runner>,
    /// Tells the time.
    pub clock: Clock,
    /// How it works.
    pub settings: ShardSettings,
}

/// What a shard is told.
pub enum ShardMessage {
    /// There may be something to read.
    Wake,
    /// Time has passed: timers, checkpoints, idle actors.
    Tick,
    /// A checkpoint that was under way has ended.
    Stored(Result<(), StoreError>),
    /// Show an actor, once everything that is durable by now is applied.
    Inspect(String, oneshot::Sender<Inspection>),
    /// List what the store does not know yet: open or just ended actors of a kind.
    Facts(oneshot::Sender<Vec<ActorFacts>>),
    /// List the actors that are set aside.
    Aside(oneshot::Sender<Vec<Aside>>),
    /// Show physical facts.
    Evidence(EvidenceQuery, oneshot::Sender<Evidence>),
    /// Put the timer of an actor back, due at this time, should it be missing.
    Remind(String, u64),
    /// Take an actor back that was set aside; answered once that is stored.
    Quarantine(Order, oneshot::Sender<Result<(), String>>),
    /// Start no attempt from now on, or do so again: the shard is about to move. Answered once it is so.
    Hold(bool, oneshot::Sender<()>),
    /// Write a checkpoint, give the shard up, for that incarnation if one is named, and stop.
    Drain(Option<String>, oneshot::Sender<()>),
    /// Somebody else has had the shard since this epoch: stop, if it is newer than the shard's own.
    GiveWay(Epoch),
}

/// The shard actor.
pub struct ShardActor;

impl Actor for ShardActor {
    type Msg = ShardMessage;
    type State = Shard;
    type Arguments = ShardArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<ShardMessage>,
        arguments: ShardArguments,
    ) -> Result<Shard, ActorProcessingErr> {
        // The claim is quick; loading and replay happen in steps, so that the supervisor is not kept waiting.
        Ok(Shard::claim(myself, arguments).await?)
    }

    async fn post_start(
        &self,
        myself: ActorRef<ShardMessage>,
        shard: &mut Shard,
    ) -> Result<(), ActorProcessingErr> {
        shard.watch_log();
        myself.cast(ShardMessage::Wake)?;
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<ShardMessage>,
        message: ShardMessage,
        shard: &mut Shard,
    ) -> Result<(), ActorProcessingErr> {
        match shard.hear(message).await {
            Ok(()) => Ok(()),
            Err(StoreError::Fenced) => {
                // Another owner has it, whatever this node believes. To claim it back would be a quarrel.
                shard.give_way();
                myself.stop(Some("the shard has a newer owner".to_owned()));
                Ok(())
            }
            Err(error) => {
                shard.leave();
                if shard.on_demand() && (error.passes() || matches!(error, StoreError::Behind(_))) {
                    // Not the shard's fault: it is claimed again, and begins where its checkpoint is.
                    tracing::warn!(shard = shard.id().0, %error, "a shard ends because of the store");
                    myself.stop(Some(error.to_string()));
                    return Ok(());
                }
                Err(error.into())
            }
        }
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<ShardMessage>,
        event: SupervisionEvent,
        shard: &mut Shard,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(cell, error) => {
                tracing::warn!(shard = shard.id().0, %error, "an actor failed");
                shard.child_gone(cell.get_id());
            }
            // The shard itself stops the actors that leave memory.
            SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl Shard {
    /// Does what a message asks for.
    async fn hear(&mut self, message: ShardMessage) -> Result<(), StoreError> {
        match message {
            ShardMessage::Wake => self.step().await,
            ShardMessage::Tick => self.tick().await,
            ShardMessage::Stored(result) => self.stored(result).await,
            ShardMessage::Inspect(actor, reply) => self.inspect_when_applied(actor, reply).await,
            ShardMessage::Facts(reply) => {
                let _ = reply.send(self.facts().await);
                Ok(())
            }
            ShardMessage::Aside(reply) => {
                let _ = reply.send(self.aside());
                Ok(())
            }
            ShardMessage::Quarantine(order, reply) => {
                self.take_order(order, reply);
                Ok(())
            }
            ShardMessage::Evidence(query, reply) => {
                let _ = reply.send(self.evidence(&query));
                Ok(())
            }
            ShardMessage::Remind(actor, due) => {
                self.remind(&actor, due);
                Ok(())
            }
            ShardMessage::Hold(hold, done) => {
                self.holding = hold;
                let _ = done.send(());
                Ok(())
            }
            ShardMessage::Drain(next, done) => {
                self.drain(next).await?;
                self.leave();
                let _ = done.send(());
                Ok(())
            }
            ShardMessage::GiveWay(epoch) if epoch > self.epoch => Err(StoreError::Fenced),
            ShardMessage::GiveWay(_) => Ok(()),
        }
    }
}
