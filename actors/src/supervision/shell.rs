//! The ractor actor that does what [`Family`] decides: it starts children, waits, and stops them in order.
//!
//! What ractor does by itself shapes it: a start that fails raises no event, so it is turned into an exit here; a
//! supervisor that ends kills its children, so the orderly stop happens in `post_stop`, before ractor gets there;
//! and waiting is a message to itself, so that an order to stop is never behind a back-off.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::FutureExt;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::supervisor::{Child, StartChild, SupervisorError, SupervisorSettings, lock};
use super::{ExitReason, Family, SupervisorAction};

/// A start only links the actor (recovery comes after it), so one that takes longer hangs, and its siblings with it.
const START_LIMIT: Duration = Duration::from_secs(10);
/// A killed actor ends at its next await. One that never awaits is left behind after this.
const KILL_LIMIT: Duration = Duration::from_secs(1);

pub(super) type Reply = oneshot::Sender<Result<(), SupervisorError>>;

pub(super) enum Order {
    Add(Box<Child>, Reply),
    Remove(String, Reply),
    Release(String, Reply),
    /// A wait is over.
    Restart {
        name: String,
        nth: u64,
    },
    /// A child that was asked to end had its time.
    Overdue(ActorId),
}

struct Held {
    start: StartChild,
    cell: Option<ActorCell>,
    /// Who waits for its end.
    waiting: Option<Reply>,
}

pub(super) struct State {
    settings: SupervisorSettings,
    began: Instant,
    family: Arc<Mutex<Family>>,
    failure: Arc<Mutex<Option<String>>>,
    held: HashMap<String, Held>,
    live: HashMap<ActorId, String>,
}

pub(super) struct Shell;

impl Actor for Shell {
    type Msg = Order;
    type State = State;
    type Arguments = (State, Vec<Child>);

    async fn pre_start(
        &self,
        myself: ActorRef<Order>,
        (mut state, children): Self::Arguments,
    ) -> Result<State, ActorProcessingErr> {
        children.iter().try_for_each(|child| child.spec.validate()).map_err(SupervisorError::from)?;
        for child in children {
            state.add(&myself, child).await?;
        }
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        order: Order,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Add(child, reply) => drop(reply.send(state.add(&myself, *child).await)),
            Order::Remove(name, reply) => state.remove(&myself, name, reply),
            Order::Release(name, reply) => {
                let released = state.family().release(&name, state.began.elapsed());
                drop(reply.send(if released {
                    Ok(())
                } else {
                    Err(SupervisorError::NoSuchChild(name.clone()))
                }));
                if released {
                    state.run(&myself, &name).await;
                }
            }
            Order::Restart { name, nth } => {
                let due = state.family().restarted(&name, nth, state.began.elapsed());
                if due {
                    state.run(&myself, &name).await;
                }
            }
            Order::Overdue(id) => {
                let cell = state.live.get(&id).and_then(|name| state.held.get(name)?.cell.as_ref());
                cell.into_iter().for_each(ActorCell::kill);
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Order>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let Some((id, reason)) = ExitReason::decode(&event) else { return Ok(()) };
        if let Some(name) = state.live.remove(&id) {
            state.exited(&myself, &name, &reason);
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Order>, state: &mut State) -> Result<(), ActorProcessingErr> {
        let order = state.family().stop_order();
        for name in order {
            state.family().stopping(&name);
            let limit = state.family().spec(&name).map_or(KILL_LIMIT, |spec| spec.shutdown);
            if let Some(cell) = state.held.remove(&name).and_then(|held| held.cell)
                && cell.drain_and_wait(Some(limit)).await.is_err()
            {
                let _overdue = cell.kill_and_wait(Some(KILL_LIMIT)).await;
            }
            state.family().remove(&name);
        }
        // Only an error is an abnormal end to the owner.
        lock(&state.failure).clone().map_or(Ok(()), |reason| Err(reason.into()))
    }
}

impl State {
    pub(super) fn new(
        settings: SupervisorSettings,
        family: Arc<Mutex<Family>>,
        failure: Arc<Mutex<Option<String>>>,
    ) -> Self {
        Self { settings, began: Instant::now(), family, failure, held: HashMap::new(), live: HashMap::new() }
    }

    fn family(&self) -> MutexGuard<'_, Family> {
        lock(&self.family)
    }

    async fn add(&mut self, myself: &ActorRef<Order>, child: Child) -> Result<(), SupervisorError> {
        child.spec.validate()?;
        let name = child.spec.name.clone();
        if self.held.len() >= self.settings.children_max {
            return Err(SupervisorError::Full(self.held.len()));
        }
        if !self.family().add(child.spec, self.began.elapsed()) {
            return Err(SupervisorError::Exists(name));
        }
        self.held.insert(name.clone(), Held { start: child.start, cell: None, waiting: None });
        self.run(myself, &name).await;
        Ok(())
    }

    /// Starts a child; a failure, even a panic of the start function, counts as its end.
    async fn run(&mut self, myself: &ActorRef<Order>, name: &str) {
        let Some(held) = self.held.get_mut(name) else { return };
        let (start, supervisor) = (held.start.clone(), myself.get_cell());
        let starting = AssertUnwindSafe(async move { start(supervisor).await }).catch_unwind();
        let failure = match timeout(START_LIMIT, starting).await {
            Ok(Ok(Ok(cell))) => {
                self.live.insert(cell.get_id(), name.to_owned());
                held.cell = Some(cell);
                return;
            }
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "its start function panicked".to_owned(),
            Err(_) => format!("not started within {START_LIMIT:?}"),
        };
        self.exited(myself, name, &ExitReason::NotStarted(failure));
    }

    fn remove(&mut self, myself: &ActorRef<Order>, name: String, reply: Reply) {
        let Some(limit) = self.family().spec(&name).map(|spec| spec.shutdown) else {
            return drop(reply.send(Err(SupervisorError::NoSuchChild(name))));
        };
        self.family().stopping(&name);
        let Some(Held { cell: Some(cell), waiting, .. }) = self.held.get_mut(&name) else {
            self.family().remove(&name);
            self.held.remove(&name);
            return drop(reply.send(Ok(())));
        };
        let id = cell.get_id();
        // An error means that it has ended already, which its event will tell.
        let _ending = cell.drain();
        // A second order for the same child takes the place of the first, which is told that it was overtaken.
        *waiting = Some(reply);
        myself.send_after(limit, move || Order::Overdue(id));
    }

    fn exited(&mut self, myself: &ActorRef<Order>, name: &str, reason: &ExitReason) {
        if let Some(held) = self.held.get_mut(name) {
            held.cell = None;
        }
        let actions = self.family().on_exit(name, reason, self.began.elapsed());
        for action in actions {
            tracing::info!(supervisor = %self.settings.name, child = name, %reason, ?action, "child ended");
            if let Some(observer) = &self.settings.observer {
                observer(name, reason, &action);
            }
            match action {
                SupervisorAction::RestartAfter(delay) => {
                    let nth = self.family().status(name).map_or(0, |status| status.restarts);
                    let name = name.to_owned();
                    myself.send_after(delay, move || Order::Restart { name, nth });
                }
                SupervisorAction::Remove => {
                    let waiting = self.held.remove(name).and_then(|held| held.waiting);
                    waiting.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
                }
                SupervisorAction::Quarantine(_) => {}
                SupervisorAction::Escalate(why) => {
                    *lock(&self.failure) = Some(why.clone());
                    myself.stop(Some(why));
                }
            }
        }
    }
}
