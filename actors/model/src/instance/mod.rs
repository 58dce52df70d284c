//! The state machine of a process instance.
//!
//! [`Instance::apply`] is the whole of it: a pure function of the state, the definition it pins, and one entry
//! with the time of that entry. It answers what is to be done ([`Effect`]) and never does it.

mod activity;
mod attempts;
mod composite;
mod doubt;
mod emit;
mod fan_out;
mod leaf;
mod listen;
mod listeners;
mod overlap;
mod poll;
mod retry;
mod run;
mod size;
mod start_points;
mod turn;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use self::activity::approximate_bytes;
pub use self::activity::{Activities, Activity, ActivityState, HISTORY_LIMIT, MAX_LOST, Place, token_of};
pub use self::attempts::{InFlight, Unsettled};
pub use self::fan_out::{Ended, FanOutRun, Iteration};
pub use self::listen::{Handling, ListenRun};
pub use self::listeners::{Consumed, Heard, INBOX_MAX, Listener, Listeners};
pub use self::overlap::HeldTurn;
use self::poll::Flow;
pub use self::run::{
    Branch, BranchState, ForRun, FunctionRun, ListRun, TaskRun, TaskState, TryPhase, TryRun,
};
pub use self::start_points::StartPoints;
use self::turn::{At, Facts, Turn};
pub use self::turn::{Attempt, Effect, FUEL_PER_TURN, ProbeRequest, TASKS_PER_TURN, from_rfc3339, rfc3339};
use crate::definition::{Definition, DefinitionId, TaskId};
use crate::entry::{Body, Message, ProcessEvent, StartEvent, TriggerEvent};
use crate::fault::{Fault, FaultKind};
use crate::ids::ActorId;
use crate::rerun::Resume;
use crate::subscription::{Told, refuse};
use crate::trace::TraceContext;

/// How many tasks an instance may run if nothing else is said.
pub const DEFAULT_TASK_LIMIT: u64 = 100_000;

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has work under way.
    Running,
    /// It waits for a time, an event or a place.
    Waiting,
    /// Nobody knows whether one of its activities was done: an operator decides.
    Uncertain,
    /// Somebody cancelled it.
    Cancelled,
    /// It failed.
    Faulted,
    /// It did all its tasks.
    Completed,
}

impl Status {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Status::Running => "running",
            Status::Waiting => "waiting",
            Status::Uncertain => "uncertain",
            Status::Cancelled => "cancelled",
            Status::Faulted => "faulted",
            Status::Completed => "completed",
        }
    }

    /// Whether nothing can change any more.
    pub fn ended(self) -> bool {
        matches!(self, Status::Cancelled | Status::Faulted | Status::Completed)
    }
}

/// The time and the place of the entry that an actor applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The entry's offset: the source of all chance.
    pub offset: u64,
    /// The store's clock at the append, in milliseconds since the Unix epoch.
    pub now: u64,
}

/// One run of a definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// The definition that it pins.
    pub definition: DefinitionId,
    /// `api`, or `trigger NAME`.
    pub started_by: String,
    /// The idempotency key of its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The version of the program that accepted it.
    pub runtime: String,
    /// The raw input.
    pub input: Value,
    /// `$context`.
    pub context: Value,
    /// Where it is in its life.
    pub status: Status,
    /// When it began, in milliseconds since the Unix epoch.
    pub started: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    /// When the whole of it times out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// The tasks under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<ListRun>,
    /// Its activities.
    pub activities: Activities,
    /// What it listens for.
    #[serde(default, skip_serializing_if = "Listeners::is_empty")]
    pub listeners: Listeners,
    /// How many tasks it ran.
    pub tasks_run: u64,
    /// Whether a turn used up its budget, and a [`ProcessEvent::Continue`] is on its way.
    #[serde(default)]
    pub continuing: bool,
    /// Its output; null is one too.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it faulted or was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// Its turn, where only so many instances may run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_turn: Option<HeldTurn>,
    /// What it keeps for reruns of it.
    #[serde(default, skip_serializing_if = "StartPoints::is_empty")]
    pub start_points: StartPoints,
    /// Which instance it runs again, if it is a rerun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    /// The start point at which it began, if it is a rerun from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<String>,
    /// The place in a trace that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// The offset of the newest entry it applied; older ones change nothing.
    pub applied: u64,
}

/// Tells an output that is null from none at all, which serde does not by itself.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What applying an entry asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
    /// The tasks that began, in order.
    pub started: Vec<TaskId>,
}

impl Instance {
    /// Begins an instance.
    pub fn start(id: &str, start: StartEvent, definition: &Definition, moment: Moment) -> (Self, Applied) {
        let (rerun_of, resume) = start.rerun.map(|rerun| (rerun.of, rerun.resume)).unzip();
        let resume = resume.flatten();
        let mut instance = Instance {
            id: id.to_owned(),
            definition: start.definition,
            started_by: start.started_by,
            key: start.key,
            runtime: start.runtime,
            input: start.input,
            context: Value::Object(serde_json::Map::new()),
            status: Status::Running,
            started: moment.now,
            ended: None,
            deadline: None,
            root: None,
            activities: Activities::default(),
            listeners: Listeners::default(),
            tasks_run: 0,
            continuing: false,
            output: None,
            fault: None,
            held_turn: None,
            start_points: StartPoints::default(),
            rerun_of,
            began_at: resume.as_ref().map(|resume| resume.start_point.clone()),
            trace: start.trace,
            applied: moment.offset,
        };
        let applied = instance.begin(definition, resume, moment);
        (instance, applied)
    }

    /// Applies one entry. An entry that was applied before, or comes after the end, changes nothing.
    pub fn apply(&mut self, event: &ProcessEvent, definition: &Definition, moment: Moment) -> Applied {
        if self.status.ended() {
            return self.apply_after_end(event, moment);
        }
        if moment.offset <= self.applied {
            return Applied::default();
        }
        self.applied = moment.offset;
        match event {
            ProcessEvent::Start(_) => Applied::default(),
            ProcessEvent::Continue => {
                self.continuing = false;
                self.turn(definition, moment, Self::go_on)
            }
            ProcessEvent::Timer => self.turn(definition, moment, Self::go_on),
            ProcessEvent::Marker { activity, token, epoch } => self.mark(*activity, token, *epoch),
            ProcessEvent::Report { .. } | ProcessEvent::Probed { .. } | ProcessEvent::Resolve(_) => {
                let Some((activity, asked)) = self.settle_activity(event, moment) else {
                    return Applied::default();
                };
                let mut applied = self.turn(definition, moment, Self::go_on);
                applied.effects.splice(0..0, asked);
                // Its task has seen how it ended.
                self.activities.archive(activity);
                self.activities.trim();
                applied
            }
            ProcessEvent::Saved { activity, token, state } => {
                self.save(*activity, token, state);
                Applied::default()
            }
            ProcessEvent::Rerun(order) => self.rerun(order),
            ProcessEvent::Limited { activity, token, limit } => self.ask_for_place(*activity, token, *limit),
            ProcessEvent::Placed { activity, target } => self.take_place(*activity, target),
            ProcessEvent::Crowded { activity, waiting } => {
                if !self.refuse_place(*activity, *waiting, moment) {
                    return Applied::default();
                }
                let applied = self.turn(definition, moment, Self::go_on);
                self.activities.archive(*activity);
                self.activities.trim();
                applied
            }
            ProcessEvent::Told(told) => {
                if self.listeners.hear(told) {
                    self.turn(definition, moment, Self::go_on)
                } else {
                    self.refuse(told)
                }
            }
            ProcessEvent::Turn(answer) => self.answer_turn(answer, definition, moment),
            ProcessEvent::Cancel { reason } => {
                let reason = reason.clone();
                self.turn(definition, moment, |turn, instance| instance.stop(turn, reason))
            }
        }
    }

    /// News that no listener waits for: the subscription is taken back, should it still be there.
    fn refuse(&self, told: &Told) -> Applied {
        let effects = refuse(&self.id, told).into_iter().map(Effect::Tell).collect();
        Applied { effects, started: Vec::new() }
    }

    /// When the instance has to be woken next, in milliseconds since the Unix epoch.
    pub fn due(&self) -> Option<u64> {
        let mut due = self.deadline.into_iter().chain(self.activities.due()).min();
        if let Some(root) = &self.root {
            root.visit(&mut |task| due = due.into_iter().chain(task.own_due()).min());
        }
        due
    }

    /// Whether it waits for events, so that one of these wakes it.
    pub fn listens(&self) -> bool {
        !self.listeners.open.is_empty()
    }

    /// Whether a new owner must look at the instance at once: it has work in flight.
    pub fn attention(&self) -> bool {
        self.continuing || self.activities.kept.iter().any(Activity::is_busy)
    }

    /// Runs `step` with everything a turn needs, and takes over what became of it.
    fn turn(
        &mut self,
        definition: &Definition,
        moment: Moment,
        step: impl FnOnce(&mut Turn<'_>, &mut Progress) -> Flow,
    ) -> Applied {
        let mut progress = Progress { root: self.root.take(), deadline: self.deadline, cancelled: false };
        let mut turn = Turn {
            definition,
            facts: Facts {
                id: &self.id,
                input: &self.input,
                started: self.started,
                runtime: &self.runtime,
                started_by: &self.started_by,
                task_limit: definition.ops.task_limit.unwrap_or(DEFAULT_TASK_LIMIT),
            },
            now: moment.now,
            seed: moment.offset,
            context: self.context.take(),
            activities: &mut self.activities,
            listeners: &mut self.listeners,
            start_points: &mut self.start_points,
            tasks_run: &mut self.tasks_run,
            effects: Vec::new(),
            started_tasks: Vec::new(),
            tasks_left: TASKS_PER_TURN,
            fuel_left: FUEL_PER_TURN,
            bytes_left: size::TURN_BYTES,
            out_of_budget: false,
        };
        let flow = step(&mut turn, &mut progress);
        let flow = match flow {
            Flow::Done(output) | Flow::End(output) => leave(&mut turn, output),
            Flow::Pending => {
                size::check_state(&turn, progress.root.as_ref()).map_or_else(Flow::Fault, |()| Flow::Pending)
            }
            Flow::Fault(fault) => Flow::Fault(fault),
        };
        let ended = !matches!(flow, Flow::Pending);
        if ended {
            progress.abandon(&mut turn);
        }
        let out_of_budget = turn.out_of_budget && !ended;
        let mut applied = Applied { effects: turn.effects, started: turn.started_tasks };
        self.context = turn.context;
        self.root = progress.root;
        self.deadline = progress.deadline;
        // After the tasks, which may have given up what would begin again here.
        applied.effects.extend(self.activities.relaunch(&self.id, moment.now));
        applied.effects.extend(self.activities.leave_places(&self.id));
        self.activities.trim();
        // One on its way is enough, also when a report or a timer comes in between.
        if out_of_budget && !self.continuing {
            self.continuing = true;
            applied.effects.push(Effect::Continue);
        }
        self.settle(flow, moment, progress.cancelled);
        if ended {
            self.tell_trigger(&mut applied);
            self.leave_turn(&mut applied);
        }
        applied
    }

    /// Takes over how the turn went.
    fn settle(&mut self, flow: Flow, moment: Moment, cancelled: bool) {
        self.status = match flow {
            Flow::Pending if self.awaits_turn() => Status::Waiting,
            Flow::Pending => {
                if self.continuing && !self.activities.open().any(Activity::is_uncertain) {
                    Status::Running
                } else {
                    self.activities.status()
                }
            }
            Flow::Done(output) | Flow::End(output) => {
                self.output = Some(output);
                Status::Completed
            }
            Flow::Fault(fault) => {
                self.fault = Some(fault);
                if cancelled { Status::Cancelled } else { Status::Faulted }
            }
        };
        if self.status.ended() {
            self.ended = Some(moment.now);
            self.root = None;
            self.deadline = None;
            self.continuing = false;
            // All are closed; what was consumed is of no more use.
            self.listeners = Listeners::default();
            self.context = Value::Null;
        }
    }

    /// The trigger that started an instance hears of its end.
    fn tell_trigger(&self, applied: &mut Applied) {
        if let Some(trigger) = self.started_by.strip_prefix("trigger ") {
            applied.effects.push(Effect::Tell(Message {
                to: ActorId::trigger(trigger),
                body: Body::Trigger(TriggerEvent::Ended { instance: self.id.clone() }),
            }));
        }
    }

    fn enter(turn: &mut Turn<'_>, progress: &mut Progress, resume: Option<&Resume>) -> Flow {
        let definition = turn.definition;
        let raw = turn.facts.input;
        let at = At { task: None, started: turn.now, input: None, output: None, scope: None };
        let input = match poll::transform_input(turn, &definition.input, raw, at) {
            Ok(input) => input,
            Err(fault) => return Flow::Fault(fault),
        };
        if let Some(timeout) = &definition.timeout {
            match turn.evaluate::<u64>(timeout, &input, At { input: Some(&input), ..at }, "timeout") {
                Ok(after) => progress.deadline = Some(turn.now.saturating_add(after)),
                Err(fault) => return Flow::Fault(fault),
            }
        }
        progress.root = Some(match resume {
            None => ListRun::new(input),
            Some(resume) => match start_points::resume(turn, resume) {
                Ok(root) => root,
                Err(fault) => return Flow::Fault(fault),
            },
        });
        Self::go_on(turn, progress)
    }

    fn go_on(turn: &mut Turn<'_>, progress: &mut Progress) -> Flow {
        if progress.deadline.is_some_and(|deadline| deadline <= turn.now) {
            return Flow::Fault(Fault::new(
                FaultKind::Timeout,
                "Timed out",
                "the instance did not end in time",
                "/",
            ));
        }
        let definition = turn.definition;
        match &mut progress.root {
            Some(root) => poll::list(turn, &definition.root, root, None),
            None => Flow::Pending,
        }
    }
}

/// What a turn may change of the instance besides its activities.
struct Progress {
    root: Option<ListRun>,
    deadline: Option<u64>,
    cancelled: bool,
}

impl Progress {
    fn abandon(&mut self, turn: &mut Turn<'_>) {
        if let Some(current) = self.root.take().and_then(|root| root.current) {
            leaf::abandon(turn, &current);
        }
    }

    fn stop(&mut self, _turn: &mut Turn<'_>, reason: Option<String>) -> Flow {
        self.cancelled = true;
        let detail = reason.unwrap_or_else(|| "cancelled by an operator".to_owned());
        Flow::Fault(Fault::new(FaultKind::Runtime, "Cancelled", detail, "/"))
    }
}

/// `output` of the definition.
fn leave(turn: &mut Turn<'_>, raw: Value) -> Flow {
    let definition = turn.definition;
    let at = At { task: None, started: turn.facts.started, input: None, output: Some(&raw), scope: None };
    match poll::transform_output(turn, &definition.output, &raw, at, "output") {
        Ok(output) => Flow::Done(output.unwrap_or(raw)),
        Err(fault) => Flow::Fault(fault),
    }
}
