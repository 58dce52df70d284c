//! The engine of one node: the shards under their supervisor, and the questions and orders of the doors.

mod reports;
mod ticker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use futures_util::future::join_all;
use impresario_persistence::{Owner, ShardId, Store};
use ractor::{Actor, ActorCell, ActorRef};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use self::reports::{HostRunner, LogSink};
use crate::behaviour::{Inspection, Kinds};
use crate::clock::Clock;
use crate::post::Post;
use crate::shard::{ActorFacts, Order, Runner, ShardActor, ShardArguments, ShardMessage, ShardSettings};
use crate::supervision::{
    Backoff, Child, ChildSpec, Intensity, Regime, Restart, Supervisor, SupervisorError, SupervisorSettings,
};

/// What an engine is made of.
pub struct EngineArguments {
    /// Who claims the shards.
    pub owner: Owner,
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

/// Why the engine did not answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum EngineError {
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
    post: Post,
    shards: Shards,
    supervisor: Supervisor,
    ticker: Arc<JoinHandle<()>>,
    stopping: Arc<AtomicBool>,
}

/// How long a question to a shard may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// How long a shard may take to store what it has when the node stops.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

impl Engine {
    /// Claims all shards, and starts to replay them.
    ///
    /// # Errors
    /// [`SupervisorError`] when a shard cannot be started at all.
    pub async fn start(
        arguments: EngineArguments,
        owner: Option<ActorCell>,
    ) -> Result<Self, SupervisorError> {
        let shards: Shards = Arc::default();
        let count = arguments.post.store().shards();
        let children = (0..count).map(|number| shard_child(number, &arguments, &shards)).collect();
        let settings = SupervisorSettings {
            name: "shards".to_owned(),
            // A shard that cannot run takes its node down: the work is better off elsewhere, or after a restart.
            regime: Regime::Escalate,
            seed: 1,
            children_max: usize::from(count),
            observer: None,
        };
        let supervisor = Supervisor::start(settings, children, owner).await?;
        let ticker = ticker::start(
            arguments.post.clone(),
            Arc::clone(&shards),
            arguments.clock.clone(),
            arguments.tick,
            arguments.settings.checkpoint_interval,
        );
        Ok(Engine {
            post: arguments.post,
            shards,
            supervisor,
            ticker: Arc::new(ticker),
            stopping: Arc::default(),
        })
    }

    /// The post office.
    pub fn post(&self) -> &Post {
        &self.post
    }

    /// The supervisor of the shards.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Whether every shard is up and has caught up.
    pub fn ready(&self) -> bool {
        self.post.gauges().iter().all(|gauge| gauge.ready.load(Ordering::Relaxed))
    }

    /// Shows an actor, once everything that is durable by now is applied.
    ///
    /// # Errors
    /// [`EngineError::NoAnswer`].
    pub async fn inspect(&self, actor: &impresario_model::ids::ActorId) -> Result<Inspection, EngineError> {
        let shard = actor.shard(self.post.store().shards());
        self.ask(shard, |reply| ShardMessage::Inspect(actor.to_string(), reply)).await
    }

    /// What all shards know that the store does not know yet, by shard.
    ///
    /// # Errors
    /// [`EngineError::NoAnswer`].
    pub async fn facts(&self) -> Result<Vec<(u16, Vec<ActorFacts>)>, EngineError> {
        let numbers: Vec<u16> = (0..self.post.store().shards()).collect();
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
        self.ask(actor.shard(self.post.store().shards()), ShardMessage::Facts).await
    }

    /// Takes an actor back from quarantine.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn quarantine(
        &self,
        actor: &impresario_model::ids::ActorId,
        order: Order,
    ) -> Result<(), EngineError> {
        let shard = actor.shard(self.post.store().shards());
        self.ask(shard, |reply| ShardMessage::Quarantine(order, reply)).await?.map_err(EngineError::Refused)
    }

    /// Friendly stop: every shard stores what it has and gives itself up, then all actors end.
    pub async fn stop(&self) {
        if self.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        self.ticker.abort();
        let numbers: Vec<u16> = self.shards.iter().map(|shard| *shard.key()).collect();
        let drained = numbers.iter().map(|number| async move {
            let drained =
                tokio::time::timeout(DRAIN_LIMIT, self.ask_without_limit(*number, ShardMessage::Drain));
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
        let actor = self.shards.get(&shard).map(|actor| actor.value().clone());
        let actor = actor.ok_or(EngineError::NoAnswer(shard))?;
        let (reply, answer) = oneshot::channel();
        actor.cast(question(reply)).map_err(|_| EngineError::NoAnswer(shard))?;
        answer.await.map_err(|_| EngineError::NoAnswer(shard))
    }

    /// The store behind the engine.
    pub fn store(&self) -> &Arc<dyn Store> {
        self.post.store()
    }
}

fn shard_child(number: u16, arguments: &EngineArguments, shards: &Shards) -> Child {
    let spec = ChildSpec {
        name: format!("shard {number}"),
        kind: "shard",
        // A shard ends by itself only when the store says that it has a newer owner: it is not started again.
        restart: Restart::Transient,
        intensity: Intensity { restarts: 5, period: Duration::from_secs(60) },
        backoff: Backoff { initial: Duration::from_millis(50), max: Duration::from_secs(5), jitter: 0.2 },
        shutdown: DRAIN_LIMIT,
    };
    let with = ShardArguments {
        shard: ShardId(number),
        owner: arguments.owner.clone(),
        post: arguments.post.clone(),
        kinds: Arc::clone(&arguments.kinds),
        runner: Arc::clone(&arguments.runner),
        clock: arguments.clock.clone(),
        settings: arguments.settings.clone(),
    };
    let shards = Arc::clone(shards);
    let start = move |supervisor: ActorCell| -> crate::supervision::Starting {
        let (with, shards) = (with.clone(), Arc::clone(&shards));
        Box::pin(async move {
            let (actor, _) = ShardActor::spawn_linked(None, ShardActor, with, supervisor).await?;
            shards.insert(number, actor.clone());
            Ok(actor.get_cell())
        })
    };
    Child { spec, start: Arc::new(start) }
}
