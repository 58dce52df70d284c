//! The actor of one adapter on this node: it starts processes, replaces them, and fails when one disappears.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::lane::Lane;
use super::process::Process;
use super::session::{Deadline, End, Pulse, Session};
use super::status::Cause;

/// One that works, one that takes over, one that is late: more generations at once mean that replacing does not help.
const GENERATIONS_MAX: usize = 3;

pub(super) enum Order {
    /// There is work, or there will be.
    Wake,
    /// A generation said hello.
    Ready(u64),
    /// A generation ended.
    Ended(u64, End),
    /// Start a new generation and retire the present one.
    Replace(Cause, String),
    /// An operator has stopped it, or started it again.
    Pause,
    /// The node stops: let all generations finish within the stop timeout.
    Stop,
}

pub(super) struct Host;

pub(super) struct State {
    lane: Arc<Lane>,
    sessions: BTreeMap<u64, Deadline>,
    /// Dropped with the actor, however it ends, and then the processes die.
    tasks: JoinSet<()>,
    starting: Option<u64>,
    /// A replacement that has to wait for one that is under way, and must not be forgotten.
    again: Option<(Cause, String)>,
    stopping: bool,
}

impl Actor for Host {
    type Msg = Order;
    type State = State;
    type Arguments = Arc<Lane>;

    async fn pre_start(&self, myself: ActorRef<Order>, lane: Arc<Lane>) -> Result<State, ActorProcessingErr> {
        if lane.spec().eager {
            myself.cast(Order::Wake)?;
        }
        lane.attach(myself);
        Ok(State {
            lane,
            sessions: BTreeMap::new(),
            tasks: JoinSet::new(),
            starting: None,
            again: None,
            stopping: false,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        order: Order,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Wake if state.starting.is_none() && !state.lane.has_current() => state.start(&myself),
            Order::Wake => Ok(()),
            Order::Ready(generation) => {
                state.ready(generation);
                state.replace_again(&myself)
            }
            Order::Ended(generation, end) => state.ended(&myself, generation, end),
            Order::Replace(cause, reason) => state.replace(&myself, cause, reason),
            Order::Pause => {
                if state.lane.is_paused() {
                    state.end_all();
                }
                Ok(())
            }
            Order::Stop => {
                state.stop();
                Ok(())
            }
        }
    }

    async fn post_stop(&self, _: ActorRef<Order>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.stop();
        // Each session keeps its own deadline.
        while state.tasks.join_next().await.is_some() {}
        Ok(())
    }
}

impl State {
    fn start(&mut self, myself: &ActorRef<Order>) -> Result<(), ActorProcessingErr> {
        if self.stopping || self.lane.is_paused() {
            return Ok(());
        }
        let (process, pipes) = Process::start(&self.lane.spec()).inspect_err(|error| {
            self.lane.failed(&error.to_string());
        })?;
        let generation = self.lane.open();
        tracing::info!(adapter = %self.lane.name, generation, pid = process.pid, "host started");
        let deadline = Deadline::new(None);
        self.sessions.insert(generation, deadline.clone());
        self.starting = Some(generation);
        let session = Session {
            lane: self.lane.clone(),
            host: myself.clone(),
            generation,
            deadline,
            pulse: Pulse::default(),
        };
        self.tasks.spawn(session.run(process, pipes));
        Ok(())
    }

    /// The lane gives all new work to this generation already; the others may finish what they have.
    fn ready(&mut self, generation: u64) {
        self.starting = self.starting.filter(|starting| *starting != generation);
        let others = self.sessions.range(..generation).map(|(other, _)| *other).collect();
        self.end_within(self.lane.spec().retire_timeout, others);
    }

    fn ended(
        &mut self,
        myself: &ActorRef<Order>,
        generation: u64,
        end: End,
    ) -> Result<(), ActorProcessingErr> {
        self.sessions.remove(&generation);
        self.starting = self.starting.filter(|starting| *starting != generation);
        while self.tasks.try_join_next().is_some() {}
        let adapter = self.lane.name.as_str();
        match end {
            End::Stopped => tracing::info!(adapter, generation, "host stopped"),
            End::Died(reason) => {
                tracing::warn!(adapter, generation, %reason, "host died");
                self.lane.failed(&reason);
                self.lane.count(|counters| counters.disappearances += 1);
                // A retired process, or one that should have taken over, leaves the one at work alone.
                let over = self.stopping || self.lane.is_paused();
                if !over && !self.lane.has_current() && self.starting.is_none() {
                    return Err(reason.into());
                }
            }
        }
        // What came in while it ended waits for a successor.
        if self.lane.wants_host() && self.starting.is_none() {
            self.start(myself)?;
        }
        self.replace_again(myself)
    }

    fn replace_again(&mut self, myself: &ActorRef<Order>) -> Result<(), ActorProcessingErr> {
        match self.again.take() {
            Some((cause, reason)) => self.replace(myself, cause, reason),
            None => Ok(()),
        }
    }

    fn replace(
        &mut self,
        myself: &ActorRef<Order>,
        cause: Cause,
        reason: String,
    ) -> Result<(), ActorProcessingErr> {
        let adapter = self.lane.name.as_str();
        if self.starting.is_some() || self.sessions.len() >= GENERATIONS_MAX {
            match cause {
                // The one under way may have started before what this is about.
                Cause::Operator | Cause::Settings => self.again = Some((cause, reason)),
                // A host that goes on like this says so again.
                Cause::Memory | Cause::Wish => {
                    tracing::warn!(adapter, reason, "host not replaced: that is under way already");
                }
            }
            return Ok(());
        }
        // Without a process the next one will be new anyway.
        if !self.lane.has_current() {
            return Ok(());
        }
        tracing::info!(adapter, ?cause, reason, "host is replaced");
        self.lane.count(|counters| match cause {
            Cause::Operator => counters.operator_restarts += 1,
            Cause::Settings => counters.settings_restarts += 1,
            Cause::Memory => counters.memory_restarts += 1,
            Cause::Wish => counters.requested_restarts += 1,
        });
        self.start(myself)
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.end_all();
    }

    fn end_all(&self) {
        let all = self.sessions.keys().copied().collect();
        self.end_within(self.lane.spec().stop_timeout, all);
    }

    /// Gives generations no more work, and a time by which to be gone. A time once given only becomes shorter.
    fn end_within(&self, limit: Duration, generations: Vec<u64>) {
        let by = Instant::now() + limit;
        for generation in generations {
            if let Some(deadline) = self.sessions.get(&generation) {
                self.lane.retire(generation);
                deadline.send_if_modified(|at| {
                    let sooner = at.is_none_or(|at| by < at);
                    *at = if sooner { Some(by) } else { *at };
                    sooner
                });
            }
        }
    }
}
