//! What a mailbox log holds: one entry is one event for one actor.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calendar::Calendar;
use crate::correlation::ListenerRoute;
use crate::definition::{DefinitionId, OnConflict};
use crate::doubt::{ProbeAnswer, Resolution};
use crate::event::CloudEvent;
use crate::fault::Fault;
use crate::ids::ActorId;
use crate::monitor::MonitorSpec;
use crate::rerun::{Rerun, RerunOrder};
use crate::sink::SinkSpec;
use crate::subscription::{SubscriptionEvent, Told};
use crate::trace::TraceContext;
use crate::trigger::Choice;

/// One entry of a mailbox log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The actor it is for.
    pub to: ActorId,
    /// Which entry of which shard it was sent for; absent for what comes from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What happened.
    pub body: Body,
}

/// Where a message between actors comes from. Messages of one shard arrive in this order, so a receiver that
/// remembers the highest one it has seen of each shard drops every repetition (invariant 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// The sender's shard.
    pub shard: u16,
    /// The offset of the entry that made the sender send it.
    pub offset: u64,
    /// Which of the messages of that entry it is.
    pub index: u32,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// For a process actor.
    Process(ProcessEvent),
    /// For a trigger actor.
    Trigger(TriggerEvent),
    /// For a router.
    Router(RouterEvent),
    /// For the places at a target.
    Target(TargetEvent),
    /// For a monitor.
    Monitor(MonitorEvent),
    /// For a sink.
    Sink(SinkEvent),
    /// For a subscription.
    Subscription(SubscriptionEvent),
    /// For the turns of a definition's instances.
    Overlap(OverlapEvent),
}

/// What happens to a process instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ProcessEvent {
    /// It begins. A second start of the same instance changes nothing.
    Start(Box<StartEvent>),
    /// It goes on after a turn that used up its budget.
    Continue,
    /// A timer is due. The instance looks at its own deadlines; the entry only wakes it.
    Timer,
    /// The start marker of an activity that must not run twice: durable before the activity starts.
    Marker {
        /// The activity.
        activity: u64,
        /// The attempt.
        token: String,
        /// The epoch under which it was written.
        epoch: u64,
    },
    /// An attempt ended.
    Report {
        /// The activity.
        activity: u64,
        /// The attempt.
        token: String,
        /// How it ended.
        outcome: ActivityOutcome,
    },
    /// An attempt saved what the next one can go on from.
    Saved {
        /// The activity.
        activity: u64,
        /// The attempt.
        token: String,
        /// What it saved; it replaces what was saved before.
        state: Value,
    },
    /// The adapter was asked what became of an attempt that was cut off.
    Probed {
        /// The activity.
        activity: u64,
        /// The attempt.
        token: String,
        /// Its answer.
        answer: ProbeAnswer,
    },
    /// An operator decided about an activity of which nobody knows whether it was done.
    Resolve(Box<Resolution>),
    /// An operator has it run again, as another instance.
    Rerun(Box<RerunOrder>),
    /// The target of an attempt is limited: the activity needs a place there before the attempt begins.
    Limited {
        /// The activity.
        activity: u64,
        /// The attempt.
        token: String,
        /// The limit.
        limit: Limit,
    },
    /// An activity has a place at a target.
    Placed {
        /// The activity.
        activity: u64,
        /// The target.
        target: String,
    },
    /// An activity gets no place at its target: too many wait there.
    Crowded {
        /// The activity.
        activity: u64,
        /// How many wait.
        waiting: usize,
    },
    /// A subscription tells one of its listeners something.
    Told(Box<Told>),
    /// It may run, or may not: the answer of its definition's turns.
    Turn(TurnAnswer),
    /// Somebody asks it to stop.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
}

/// The beginning of an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StartEvent {
    /// The definition it pins.
    pub definition: DefinitionId,
    /// The raw input.
    pub input: Value,
    /// `api`, or `trigger NAME`.
    pub started_by: String,
    /// The idempotency key of the start, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The version of the program that accepted it, for `$runtime.version`.
    pub runtime: String,
    /// Which instance it runs again, if it is a rerun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Box<Rerun>>,
    /// The place in a trace that it follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
}

/// How an attempt of an activity ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ActivityOutcome {
    /// With an output.
    Completed(Value),
    /// With an error; its `instance` is filled in by the process.
    Failed(Fault),
    /// Nobody knows: its host disappeared, or the node did.
    Lost {
        /// What happened.
        reason: String,
    },
    /// It is tried again, and not counted as lost: its node stopped before it began, or may have, and it is
    /// restartable.
    NotStarted,
    /// It never began, and never will.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What happens to a trigger monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TriggerEvent {
    /// It watches for this definition from now on.
    Arm {
        /// The definition whose trigger of this name applies.
        definition: DefinitionId,
        /// The version of the program, for the instances it starts.
        runtime: String,
        /// The calendar that the definition names, with all that it names itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calendar: Option<Box<Calendar>>,
        /// Which deployment says so: of two, the higher one counts, in whatever order they arrive.
        #[serde(default)]
        generation: u64,
    },
    /// It watches no more, as this deployment says.
    Retire {
        /// As in `Arm`.
        generation: u64,
    },
    /// An operator has decided about the times that it missed.
    Approve {
        /// The id of the plan that he saw.
        plan: u64,
        /// Which of them it fires for.
        choice: Choice,
    },
    /// It watches no more, whoever said otherwise before.
    Disarm,
    /// A nominal time may have come.
    Timer,
    /// An event of a type that it watches.
    Event(Box<CloudEvent>),
    /// An instance that it started has ended.
    Ended {
        /// The instance.
        instance: String,
    },
    /// It starts nothing until it is resumed, whatever it is armed with meanwhile.
    Pause {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// It goes on.
    Resume,
    /// It starts an instance now, whatever it watches, and even if it is paused.
    Fire(Box<FireOrder>),
}

/// The order to fire a trigger by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FireOrder {
    /// The instance that it starts; the same one again starts nothing again.
    pub instance: String,
    /// Its input.
    pub input: Value,
}

/// What the turns of a definition answer to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TurnAnswer {
    /// It is its turn.
    Run,
    /// It is never its turn.
    Skip {
        /// Why, in words.
        reason: String,
    },
}

/// What happens to the turns of a definition's instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverlapEvent {
    /// An instance asks for its turn.
    Ask {
        /// The instance.
        instance: String,
        /// How many may run at the same time, as its version of the definition says.
        max: usize,
        /// What is to become of it if as many run already.
        on_conflict: OnConflict,
    },
    /// An instance has ended.
    Leave {
        /// The instance.
        instance: String,
    },
}

/// What happens to a monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MonitorEvent {
    /// What is wanted of it.
    Want {
        /// What to observe; nothing once it was removed.
        spec: Option<Box<MonitorSpec>>,
        /// An operator has it rest.
        paused: bool,
        /// Which version of the wish this is: of two, the higher one counts.
        version: u64,
    },
    /// Its adapter has observed something: the event and the place to go on from in one.
    Observed {
        /// The version of the wish for which it was observed.
        version: u64,
        /// The event; absent if only the place moved.
        event: Option<Box<CloudEvent>>,
        /// Where to go on once this is durable; absent if that is where it was.
        cursor: Option<Value>,
        /// Why what was observed is no event, if it is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invalid: Option<String>,
    },
    /// Its adapter cannot go on.
    Ended {
        /// The version of the wish for which it was observing.
        version: u64,
        /// Why, in words.
        problem: String,
        /// Whether it will say the same again until something changes; then the version of the adapter that says so.
        lasting: Option<String>,
    },
    /// Something has changed: another version of its adapter is there, or an operator wants it tried.
    Again,
    /// A wait may be over.
    Timer,
}

/// What happens to a sink.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SinkEvent {
    /// What is wanted of it.
    Want {
        /// What to deliver, and where to; nothing once it was removed.
        spec: Option<Box<SinkSpec>>,
        /// An operator has it rest.
        paused: bool,
        /// Which version of the wish this is: of two, the higher one counts.
        version: u64,
    },
    /// An event that was raised in the environment.
    Event(Box<CloudEvent>),
    /// An attempt to deliver one has ended.
    Report {
        /// Its number.
        activity: u64,
        /// The attempt.
        token: String,
        /// How it ended.
        outcome: ActivityOutcome,
    },
    /// Dead letters are to be sent again.
    Retry {
        /// Which; all if it is empty.
        numbers: Vec<u64>,
    },
    /// Dead letters are to be forgotten.
    Drop {
        /// Which; all if it is empty.
        numbers: Vec<u64>,
    },
    /// What waits is to be tried at once.
    Again,
    /// A wait may be over.
    Timer,
}

/// What happens to the places at a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum TargetEvent {
    /// An activity asks for a place.
    Ask {
        /// Its instance.
        instance: String,
        /// The activity.
        activity: u64,
        /// The limit, as the node of the instance knows it.
        limit: Limit,
    },
    /// An activity needs no place any more.
    Leave {
        /// Its instance.
        instance: String,
        /// The activity.
        activity: u64,
    },
    /// The limit may have changed.
    Limit(Limit),
}

/// How many activities may work on a target at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The limit; none at all if absent.
    pub most: Option<u32>,
    /// Which description of the target says so: of two, the higher one counts.
    pub version: u64,
}

/// What happens to a router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RouterEvent {
    /// The routes change.
    Routes(Vec<Route>),
    /// An event came in.
    Event(Box<CloudEvent>),
    /// An event was raised in the environment: sinks hear of it too.
    Raised(Box<CloudEvent>),
    /// Who wants to see what is raised changes.
    RaisedRoutes {
        /// All of them.
        routes: Vec<RaisedRoute>,
        /// Which version of them this is: of two, the higher one counts.
        version: u64,
    },
    /// There may be these listeners too. None is ever taken back, so it does not matter who says it first.
    Listeners(Vec<ListenerRoute>),
}

/// Which of the events that are raised in the environment a sink, or a trigger beside its [`Route`], wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RaisedRoute {
    /// The sink or trigger.
    pub to: ActorId,
    /// The types of those that are no lifecycle events; `None` for all types.
    pub types: Option<Vec<String>>,
    /// The types of lifecycle events.
    pub lifecycle: Vec<String>,
}

/// Which events a trigger wants to see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The trigger's name.
    pub trigger: String,
    /// The literal types that it names; `None` for all types.
    pub types: Option<Vec<String>>,
}

/// A message from one actor to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The receiver.
    pub to: ActorId,
    /// What it is told.
    pub body: Body,
}
