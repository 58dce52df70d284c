//! Runs one instance in memory, on a clock of its own, and checks at every entry what must always hold:
//!
//! * what a checkpoint would store comes back the same;
//! * an entry that comes twice changes nothing;
//! * an instance that has not ended has something that will wake it, or waits for an operator or an event, and is never
//!   woken in vain for ever;
//! * an instance that has ended listens nowhere;
//! * a replay from the beginning asks for the same effects and ends in the same state.

use std::collections::BTreeMap;

use impresario_model::definition::Definition;
use impresario_model::encoding;
use impresario_model::entry::{Body, Message, ProcessEvent, StartEvent};
use impresario_model::ids::ActorId;
use impresario_model::instance::{Applied, Attempt, Effect, Instance, Moment, Status};

use crate::support::exchange::Exchange;
use crate::support::outside::{ID, START_MS, cloud_event_of, event_of, start_event};
use crate::support::scenario::Scenario;
use crate::support::world::{Arrival, World, subject};

/// More entries than any scenario needs: beyond it, something wakes the instance in vain.
const ENTRIES_MAX: usize = 20_000;
/// Every entry is checked up to this one, then each fiftieth: the checks copy the whole instance.
const CHECKED_ENTRIES: usize = 300;

/// A finished run.
pub struct Run {
    pub instance: Instance,
    pub world: World,
    /// The names of the tasks that began, in order.
    pub tasks: Vec<String>,
    /// How many entries were applied.
    pub turns: usize,
}

struct Executor<'d> {
    definition: &'d Definition,
    world: World,
    exchange: Exchange,
    /// What is on its way, by its time and the order of its sending.
    coming: BTreeMap<(u64, u64), Message>,
    sent: u64,
    now: u64,
    /// What was applied, with what it asked for.
    history: Vec<(ProcessEvent, Moment, Applied)>,
    tasks: Vec<String>,
}

/// Runs a scenario to its end, or until nothing will wake it any more.
pub fn run(scenario: &Scenario, definition: &Definition) -> Run {
    run_from(scenario, definition, start_event(definition, scenario.input.clone()))
}

/// The same, with another start.
pub fn run_from(scenario: &Scenario, definition: &Definition, start: StartEvent) -> Run {
    let mut executor = Executor {
        definition,
        world: World::new(&scenario.answers).probing(&scenario.probes),
        exchange: Exchange::new(definition),
        coming: BTreeMap::new(),
        sent: 0,
        now: START_MS,
        history: Vec::new(),
        tasks: Vec::new(),
    };
    for happening in &scenario.events {
        match cloud_event_of(happening) {
            Some(event) => executor.post(happening.at, Exchange::incoming(event)),
            None => executor.send(happening.at, event_of(happening, definition)),
        }
    }
    executor.run(start)
}

impl Executor<'_> {
    fn run(mut self, start: StartEvent) -> Run {
        let moment = self.moment();
        let event = ProcessEvent::Start(Box::new(start.clone()));
        let (mut instance, applied) = Instance::start(ID, start, self.definition, moment);
        self.take(event, moment, applied);
        loop {
            self.check(&instance);
            let due = instance.due();
            let first = self.coming.keys().next().copied();
            let event = match (first, due) {
                (Some((at, _)), due) if due.is_none_or(|due| at <= due) => {
                    self.now = self.now.max(at);
                    match self.coming.pop_first().unwrap().1 {
                        Message { body: Body::Process(event), .. } => event,
                        message => {
                            let sent = self.exchange.apply(message, self.now);
                            sent.into_iter().for_each(|message| self.post(0, message));
                            continue;
                        }
                    }
                }
                (_, Some(due)) => {
                    self.now = self.now.max(due);
                    ProcessEvent::Timer
                }
                _ => break,
            };
            assert!(self.history.len() < ENTRIES_MAX, "woken in vain: due {due:?}, now {}", self.now);
            let moment = self.moment();
            let applied = instance.apply(&event, self.definition, moment);
            self.take(event, moment, applied);
        }
        self.replay(&instance);
        if instance.status.ended() {
            self.exchange.check_left();
        }
        Run { instance, turns: self.history.len(), world: self.world, tasks: self.tasks }
    }

    fn send(&mut self, after: u64, event: ProcessEvent) {
        self.post(after, Message { to: ActorId::process(ID), body: Body::Process(event) });
    }

    fn post(&mut self, after: u64, message: Message) {
        self.sent += 1;
        self.coming.insert((self.now + after, self.sent), message);
    }

    fn moment(&self) -> Moment {
        Moment { offset: (self.now << 20) + self.history.len() as u64 + 1, now: self.now }
    }

    /// Does what an entry asked for.
    fn take(&mut self, event: ProcessEvent, moment: Moment, applied: Applied) {
        let names = applied.started.iter().map(|id| self.definition.task(*id).name.clone());
        self.tasks.extend(names);
        // What nobody waits for is not begun: a host drops it from its queue.
        let given_up: Vec<&String> = applied
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Abandon { token, .. } => Some(token),
                _ => None,
            })
            .collect();
        for effect in &applied.effects {
            match effect {
                Effect::Run(attempt) if given_up.contains(&&attempt.token) => {}
                Effect::Run(attempt) => self.begin(attempt),
                Effect::Mark { activity, token, .. } => {
                    let marker = ProcessEvent::Marker { activity: *activity, token: token.clone(), epoch: 1 };
                    self.send(0, marker);
                }
                Effect::Probe(request) => {
                    let subject = subject(&request.function, &request.arguments);
                    let answer = self.world.probe(&request.key, &subject);
                    let (activity, token) = (request.activity, request.token.clone());
                    self.send(0, ProcessEvent::Probed { activity, token, answer });
                }
                Effect::Abandon { token, .. } => self.world.abandoned.push(token.clone()),
                Effect::Continue => self.send(0, ProcessEvent::Continue),
                Effect::Emit(event) => {
                    self.world.events.push(event.as_ref().clone());
                    self.post(0, Exchange::incoming(event.as_ref().clone()));
                }
                Effect::Tell(message) => match &message.body {
                    Body::Subscription(_) => self.post(0, message.clone()),
                    _ => panic!("nobody to tell: {message:?}"),
                },
                Effect::Lifecycle(_) | Effect::Watch(_) | Effect::Unwatch | Effect::Span(_) => {
                    panic!("an instance asks for none of these")
                }
            }
        }
        self.history.push((event, moment, applied));
    }

    fn begin(&mut self, attempt: &Attempt) {
        let reply = self.world.run(Arrival {
            key: attempt.key.clone(),
            token: attempt.token.clone(),
            attempt: attempt.attempt,
            subject: subject(&attempt.function, &attempt.arguments),
            arguments: attempt.arguments.clone(),
            state: attempt.state.clone(),
        });
        if let Some(outcome) = reply.outcome {
            let (activity, token) = (attempt.activity, attempt.token.clone());
            self.send(reply.after, ProcessEvent::Report { activity, token, outcome });
        }
    }

    fn check(&self, instance: &Instance) {
        let count = self.history.len();
        if count > CHECKED_ENTRIES && !count.is_multiple_of(50) {
            return;
        }
        let stored = encoding::encode(instance).unwrap();
        let read: Instance = encoding::decode(&stored).unwrap();
        assert!(read == *instance, "a checkpoint changes the instance\nfrom {instance:#?}\n  to {read:#?}");
        let (event, moment, _) = self.history.last().unwrap();
        let mut again = instance.clone();
        assert_eq!(again.apply(event, self.definition, *moment), Applied::default(), "applied twice");
        assert!(again == *instance, "an entry that comes twice changes the instance");
        if !instance.status.ended() {
            let decided = instance.status == Status::Uncertain;
            let awake = instance.due().is_some() || instance.attention() || instance.listens() || decided;
            assert!(awake, "nothing will wake it:\n{instance:#?}");
        }
    }

    /// The same entries again, the second half of them on an instance from a checkpoint.
    fn replay(&self, end: &Instance) {
        let half = self.history.len() / 2;
        let mut instance: Option<Instance> = None;
        for (at, (event, moment, applied)) in self.history.iter().enumerate() {
            let again = match (&mut instance, event) {
                (None, ProcessEvent::Start(start)) => {
                    let (begun, applied) =
                        Instance::start(ID, start.as_ref().clone(), self.definition, *moment);
                    instance = Some(begun);
                    applied
                }
                (Some(instance), event) => instance.apply(event, self.definition, *moment),
                (None, event) => panic!("begins with {event:?}"),
            };
            assert_eq!(again, *applied, "a replay asks for something else at entry {at}");
            if at == half {
                let stored = encoding::encode(&instance).unwrap();
                instance = encoding::decode(&stored).unwrap();
            }
        }
        assert!(instance.as_ref() == Some(end), "a replay ends differently:\n{instance:#?}\n{end:#?}");
    }
}
