//! The engine of one node: the shards under their supervisor, and the questions and orders of the doors.

mod child;
mod ends;
mod flights;
mod probes;
mod reports;
mod ticker;
mod watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use futures_util::future::join_all;
use impresario_persistence::{Epoch, Owner, ShardId, Store, StoreError};
use ractor::{ActorCell, ActorRef};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

pub use self::flights::Flights;
pub use self::reports::{HostRunner, LogSink};
use crate::behaviour::{Inspection, Kinds};
use crate::clock::Clock;
use crate::post::Post;
use crate::shard::{ActorFacts, Aside, Evidence, EvidenceQuery, Order, Runner, ShardMessage, ShardSettings};
use crate::supervision::{Regime, Supervisor, SupervisorError, SupervisorSettings};

/// What an engine is made of.
pub struct EngineArguments {
    /// Who claims the shards.
    pub owner: Owner,
    /// Which shards it runs.
    pub scope: Scope,
    /// The post office, which has the store.
    pub post: Post,
    /// Makes the actors.
    pub kinds: Arc<dyn Kinds>,
    /// Runs the activities.
    pub runner: Arc<dyn Runner>,
    /// Tells the time.
    pub clock: Clock,
    /// How the shards work.
    pub settings: ShardSettings,
    /// How often the shards look at their timers.
    pub tick: Duration,
}

/// Which shards an engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All, from its start: the store is nobody else's.
    All,
    /// Those that it is told to claim. One that ends is not started again by itself: somebody else may have it.
    OnDemand,
}

/// Why the engine did not answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
    /// The shard is another node's, or nobody's at the moment.
    #[error("shard {0} is not run by this node")]
    NotOwner(u16),
    /// The shard is starting again, or did not answer in time.
    #[error("shard {0} does not answer at the moment")]
    NoAnswer(u16),
    /// The order makes no sense.
    #[error("{0}")]
    Refused(String),
}

/// The running shards, by number: what a restart replaces.
type Shards = Arc<DashMap<u16, ActorRef<ShardMessage>>>;

/// The engine of one node. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    with: Arc<EngineArguments>,
    shards: Shards,
    supervisor: Supervisor,
    failed: watch::Sender<Option<String>>,
    ticker: Arc<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
}

/// How long a question to a shard may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long a shard may take to store what it has when the node stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

impl Engine {
    /// Starts the shards of its scope, which replay their logs.
    ///
    /// # Errors
    /// [`SupervisorError`] when a shard cannot be started at all.
    pub async fn start(
        arguments: EngineArguments,
        owner: Option<ActorCell>,
    ) -> Result<Self, SupervisorError> {
        let shards: Shards = Arc::default();
        let failed = watch::Sender::new(None);
        let count = arguments.post.store().shards();
        let with = Arc::new(arguments);
        let children = match with.scope {
            Scope::All => (0..count).map(|number| child::shard(number, None, &with, &shards)).collect(),
            Scope::OnDemand => Vec::new(),
        };
        let settings = SupervisorSettings {
            name: "shards".to_owned(),
            // A shard that cannot run takes its node down: the work is better off elsewhere, or after a restart.
            regime: Regime::Escalate,
            seed: 1,
            children_max: usize::from(count),
            observer: match with.scope {
                Scope::All => None,
                Scope::OnDemand => Some(ends::observer(Arc::clone(&shards), failed.clone())),
            },
        };
        let supervisor = Supervisor::start(settings, children, owner).await?;
        let ticker = ticker::start(
            with.post.clone(),
            Arc::clone(&shards),
            with.clock.clone(),
            with.tick,
            with.settings.checkpoint_interval,
        );
        Ok(Engine { with, shards, supervisor, failed, ticker: Arc::new(ticker), stopping: Arc::default() })
    }

    /// The post office.
    pub fn post(&self) -> &Post {
        &self.with.post
    }

    /// The supervisor of the shards.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Resolves when the engine cannot go on, with the reason.
    pub async fn ended(&self) -> String {
        let mut failed = self.failed.subscribe();
        tokio::select! {
            reason = self.supervisor.ended() => {
                reason.unwrap_or_else(|| "the supervisor of the shards has ended".to_owned())
            }
            // The sender lives in `self`.
            reason = failed.wait_for(Option::is_some) => {
                reason.ok().and_then(|reason| reason.clone()).unwrap_or_default()
            }
        }
    }

    /// Whether every shard of this node is up and has caught up.
    pub fn ready(&self) -> bool {
        let ready = |number: &u16| {
            let gauge = self.with.post.gauges().get(usize::from(*number));
            gauge.is_some_and(|gauge| gauge.ready.load(Ordering::Relaxed))
        };
        let all = |number: u16| self.with.scope == Scope::OnDemand || self.shards.contains_key(&number);
        self.running().iter().all(ready) && (0..self.store().shards()).all(all)
    }

    /// The shards that this node runs, in order.
    pub fn running(&self) -> Vec<u16> {
        let mut numbers: Vec<u16> = self.shards.iter().map(|shard| *shard.key()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Shows an actor, once everything that is durable by now is applied.
    ///
    /// # Errors
    /// [`EngineError::NoAnswer`].
    pub async fn inspect(&self, actor: &impresario_model::ids::ActorId) -> Result<Inspection, EngineError> {
        let shard = actor.shard(self.store().shards());
        self.ask(shard, |reply| ShardMessage::Inspect(actor.to_string(), reply)).await
    }

    /// What the shards of this node know that the store does not know yet, by shard.
    ///
    /// # Errors
    /// [`EngineError::NoAnswer`].
    pub async fn facts(&self) -> Result<Vec<(u16, Vec<ActorFacts>)>, EngineError> {
        let numbers = self.running();
        let asked = numbers.iter().map(|number| self.ask(*number, ShardMessage::Facts));
        let answers = join_all(asked).await;
        numbers.iter().copied().zip(answers).map(|(number, facts)| Ok((number, facts?))).collect()
    }

    /// What the shard of an actor knows that the store does not know yet.
    ///
    /// # Errors
    /// [`EngineError::NoAnswer`].
    pub async fn facts_of(
        &self,
        actor: &impresario_model::ids::ActorId,
    ) -> Result<Vec<ActorFacts>, EngineError> {
        self.ask(actor.shard(self.store().shards()), ShardMessage::Facts).await
    }

    /// The actors that are set aside, of a shard of this node.
    ///
    /// # Errors
    /// [`EngineError::NoAnswer`].
    pub async fn aside(&self, shard: u16) -> Result<Vec<Aside>, EngineError> {
        self.ask(shard, ShardMessage::Aside).await
    }

    /// How often its shards store what they have applied, at least.
    pub fn checkpoint_interval(&self) -> Duration {
        self.with.settings.checkpoint_interval
    }

    /// What a shard of this node can show of its insides.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn evidence(&self, shard: u16, query: EvidenceQuery) -> Result<Evidence, EngineError> {
        self.ask(shard, |reply| ShardMessage::Evidence(query, reply)).await
    }

    /// Puts the timer of an actor back, should it be missing: at worst it is woken once too often, which changes nothing.
    ///
    /// # Errors
    /// [`EngineError`].
    pub fn remind(&self, actor: &impresario_model::ids::ActorId, due: u64) -> Result<(), EngineError> {
        let shard = actor.shard(self.store().shards());
        let reminded = self.shard(shard)?.cast(ShardMessage::Remind(actor.to_string(), due));
        reminded.map_err(|_| EngineError::NoAnswer(shard))
    }

    /// Takes an actor back that was set aside; returns once that is stored.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn take_back(&self, order: Order) -> Result<(), EngineError> {
        let shard = order.actor.shard(self.store().shards());
        self.ask(shard, |reply| ShardMessage::Quarantine(order, reply)).await?.map_err(EngineError::Refused)
    }

    /// Takes a shard over whose newest epoch is `seen`, and starts it. Nothing is done if it runs here already.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Fenced`] when somebody else was quicker.
    pub async fn claim(&self, shard: ShardId, seen: Epoch) -> Result<(), StoreError> {
        if self.stopping.load(Ordering::Acquire) || self.shards.contains_key(&shard.0) {
            return Ok(());
        }
        // Only the store's answer authorises, and it is waited for here: the supervisor has other children.
        let claim = self.store().claim(shard, self.with.owner.clone(), seen).await?;
        let child = child::shard(shard.0, Some(claim), &self.with, &self.shards);
        self.supervisor.add(child).await.map_err(|error| StoreError::Refused(error.to_string()))
    }

    /// Gives a shard to the incarnation `next`: no attempt of it starts from now on, those under way are waited for, its
    /// state is stored, and it is released. False when it still has something under way after `patience`; then it stays.
    ///
    /// # Errors
    /// [`EngineError`] when it is not here, or ended meanwhile.
    pub async fn hand_over(
        &self,
        shard: ShardId,
        next: Option<String>,
        flights: &Flights,
        patience: Duration,
    ) -> Result<bool, EngineError> {
        let actor = self.shard(shard.0)?;
        let gone = |_| EngineError::NoAnswer(shard.0);
        let (hold, held) = oneshot::channel();
        actor.cast(ShardMessage::Hold(true, hold)).map_err(gone)?;
        let landed = async {
            // Until it has heard, it may still start something.
            held.await.map_err(|_| EngineError::NoAnswer(shard.0))?;
            tokio::select! {
                () = flights.all_landed(shard.0) => Ok(()),
                // Somebody else has it, or it failed: there is nothing left to hand over.
                _ = actor.wait(None) => Err(EngineError::NoAnswer(shard.0)),
            }
        };
        let Ok(landed) = tokio::time::timeout(patience, landed).await else {
            actor.cast(ShardMessage::Hold(false, oneshot::channel().0)).map_err(gone)?;
            return Ok(false);
        };
        landed?;
        self.give_up(shard.0, next).await?;
        Ok(true)
    }

    /// Stores what a shard has, releases it, and forgets it.
    async fn give_up(&self, shard: u16, next: Option<String>) -> Result<(), EngineError> {
        let drained = self.ask_without_limit(shard, |done| ShardMessage::Drain(next, done));
        let drained =
            tokio::time::timeout(DRAIN_LIMIT, drained).await.map_err(|_| EngineError::NoAnswer(shard));
        self.shards.remove(&shard);
        // It may have ended by itself.
        let _ = self.supervisor.remove(&child::name(shard)).await;
        drained?
    }

    /// Says that a shard had this epoch elsewhere: if it is newer than what runs here, that ends.
    pub fn outdated(&self, shard: ShardId, epoch: Epoch) {
        if let Ok(actor) = self.shard(shard.0) {
            // At once, not only when the shard hears it: nothing of it may start from here on.
            self.with.runner.abandon_shard(shard.0);
            // It is gone already, then.
            let _ = actor.cast(ShardMessage::GiveWay(epoch));
        }
    }

    fn shard(&self, number: u16) -> Result<ActorRef<ShardMessage>, EngineError> {
        let actor = self.shards.get(&number).map(|actor| actor.value().clone());
        actor.ok_or(match self.with.scope {
            Scope::All => EngineError::NoAnswer(number),
            Scope::OnDemand => EngineError::NotOwner(number),
        })
    }

    /// Friendly stop: every shard stores what it has and gives itself up, then all actors end.
    pub async fn stop(&self) {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        self.ticker.abort();
        let numbers = self.running();
        let drained = numbers.iter().map(|number| async move {
            let drained = self.ask_without_limit(*number, |done| ShardMessage::Drain(None, done));
            let drained = tokio::time::timeout(DRAIN_LIMIT, drained);
            if !matches!(drained.await, Ok(Ok(()))) {
                tracing::warn!(shard = number, "a shard did not store its state in time; its log has it");
            }
        });
        join_all(drained).await;
        self.supervisor.stop().await;
    }

    async fn ask<T>(
        &self,
        shard: u16,
        question: impl FnOnce(oneshot::Sender<T>) -> ShardMessage,
    ) -> Result<T, EngineError> {
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.ask_without_limit(shard, question));
        answer.await.map_err(|_| EngineError::NoAnswer(shard))?
    }

    async fn ask_without_limit<T>(
        &self,
        shard: u16,
        question: impl FnOnce(oneshot::Sender<T>) -> ShardMessage,
    ) -> Result<T, EngineError> {
        let actor = self.shard(shard)?;
        let (reply, answer) = oneshot::channel();
        actor.cast(question(reply)).map_err(|_| EngineError::NoAnswer(shard))?;
        answer.await.map_err(|_| EngineError::NoAnswer(shard))
    }

    /// The store behind the engine.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.with.post.store()
    }
}
