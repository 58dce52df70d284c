//! The handle on a running supervisor, and what one is made with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::shell::{Order, Shell, State};
use super::{ChildSpec, ChildStatus, ExitReason, Family, Regime, SpecError, SupervisorAction};

/// A child on its way.
pub type Starting = BoxFuture<'static, Result<ActorCell, ActorProcessingErr>>;

/// Starts a child linked to the supervisor it is given.
pub type StartChild = Arc<dyn Fn(ActorCell) -> Starting + Send + Sync>;

/// Is told of each decision about a child. It runs within the supervisor, so it must be short.
pub type Observer = Arc<dyn Fn(&str, &ExitReason, &SupervisorAction) + Send + Sync>;

/// A child to be.
#[derive(Clone)]
pub struct Child {
    /// Its rules.
    pub spec: ChildSpec,
    /// How it is started, each time.
    pub start: StartChild,
}

/// What a supervisor is made with.
#[derive(Clone)]
pub struct SupervisorSettings {
    /// For the log.
    pub name: String,
    /// What happens when a child exceeds its intensity.
    pub regime: Regime,
    /// Spreads the waits of its children.
    pub seed: u64,
    /// More children than this are refused.
    pub children_max: usize,
    /// Is told of each decision.
    pub observer: Option<Observer>,
}

/// Why a supervisor did not do as it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// The child contradicts itself.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A sibling has the same name.
    #[error("there is already a child named {0}")]
    Exists(String),
    /// The supervisor has as many children as it may.
    #[error("there are already {0} children")]
    Full(usize),
    /// There is no such child, or it is not in the state the order is about.
    #[error("no child named {0} is in the state for this")]
    NoSuchChild(String),
    /// The supervisor has ended or is ending.
    #[error("the supervisor has ended")]
    Ended,
}

/// A handle on a running supervisor.
#[derive(Clone)]
pub struct Supervisor {
    actor: ActorRef<Order>,
    family: Arc<Mutex<Family>>,
    failure: Arc<Mutex<Option<String>>>,
}

impl Supervisor {
    /// Starts the children in order, linked to the new supervisor, and that to its owner if there is one. A child
    /// that fails to start counts as one that ended.
    pub async fn start(
        settings: SupervisorSettings,
        children: Vec<Child>,
        owner: Option<ActorCell>,
    ) -> Result<Self, SupervisorError> {
        let family = Arc::new(Mutex::new(Family::new(settings.regime, settings.seed)));
        let failure = Arc::new(Mutex::new(None));
        let state = State::new(settings, family.clone(), failure.clone());
        let spawned = match owner {
            Some(owner) => Actor::spawn_linked(None, Shell, (state, children), owner).await,
            None => Actor::spawn(None, Shell, (state, children)).await,
        };
        match spawned {
            Ok((actor, _)) => Ok(Self { actor, family, failure }),
            Err(ractor::SpawnErr::StartupFailed(error)) => {
                Err(error.downcast::<SupervisorError>().map_or(SupervisorError::Ended, |error| *error))
            }
            Err(_) => Err(SupervisorError::Ended),
        }
    }

    /// Starts one more child.
    pub async fn add(&self, child: Child) -> Result<(), SupervisorError> {
        self.ask(|reply| Order::Add(Box::new(child), reply)).await?
    }

    /// Stops and forgets a child; resolves once it has ended.
    pub async fn remove(&self, name: &str) -> Result<(), SupervisorError> {
        self.ask(|reply| Order::Remove(name.to_owned(), reply)).await?
    }

    /// Starts a quarantined child again, with a new budget.
    pub async fn release(&self, name: &str) -> Result<(), SupervisorError> {
        self.ask(|reply| Order::Release(name.to_owned(), reply)).await?
    }

    /// The children in the order of their start. Asks no actor, so it answers even while they hang.
    pub fn tree(&self) -> Vec<ChildStatus> {
        lock(&self.family).tree()
    }

    /// Stops the children in reverse order, each within its limit, then the supervisor; resolves after that.
    pub async fn stop(&self) {
        self.actor.stop(None);
        self.ended().await;
    }

    /// Resolves when the supervisor has ended, with the reason if that was an escalation.
    pub async fn ended(&self) -> Option<String> {
        let _ended = self.actor.wait(None).await;
        lock(&self.failure).clone()
    }

    /// The actor, to be linked or watched.
    pub fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, SupervisorError> {
        let (reply, answer) = oneshot::channel();
        self.actor.cast(order(reply)).map_err(|_| SupervisorError::Ended)?;
        answer.await.map_err(|_| SupervisorError::Ended)
    }
}

/// What the lock guards is changed in steps that cannot panic half-way, so a poisoned one is still whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
