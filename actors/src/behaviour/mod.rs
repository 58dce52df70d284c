//! What an actor does, without being an actor: the pure state machines behind one interface.
//!
//! A shell ([`crate::shell`]) drives a behaviour; it knows nothing of logs, stores or ractor.

mod lifecycle;
mod monitor;
mod overlap;
mod process;
mod router;
mod sink;
mod spans;
mod subscription;
mod target;
mod trigger;

use std::sync::Arc;

use futures_util::future::{BoxFuture, ready};
use impresario_model::entry::Body;
use impresario_model::ids::{ActorId, ActorKind};
use impresario_model::instance::{Effect, Instance, Moment, Unsettled};
use impresario_model::monitor::Monitor;
use impresario_model::overlap::Turns;
use impresario_model::places::Places;
use impresario_model::router::{RouterSnapshot, Window};
use impresario_model::sink::Sink;
use impresario_model::subscription::Subscription;
use impresario_model::trigger::Trigger;
use impresario_persistence::{Row, RowIndex};

pub use self::lifecycle::Asked;
pub use self::monitor::MonitorBehaviour;
pub use self::overlap::OverlapBehaviour;
pub use self::process::{ProcessBehaviour, group_of};
pub use self::router::RouterBehaviour;
pub use self::sink::SinkBehaviour;
pub use self::subscription::SubscriptionBehaviour;
pub use self::target::TargetBehaviour;
pub use self::trigger::TriggerBehaviour;
use crate::definitions::Definitions;
use crate::spans::Spans;

/// Why an entry cannot be applied, or an actor cannot be loaded. It is never the fault of the world, always of
/// what is stored or of this program, so it quarantines the actor.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Unfit(pub String);

/// The rows that an actor's checkpoint writes and removes.
#[derive(Clone, Debug, Default)]
pub struct RowChanges {
    /// To insert or replace.
    pub put: Vec<Row>,
    /// To remove, by actor id.
    pub remove: Vec<String>,
}

/// A copy of what an actor holds, for people.
#[derive(Clone, Debug)]
pub enum Inspection {
    /// Of a process.
    Process(Box<Instance>),
    /// Of a trigger monitor.
    Trigger(Box<Trigger>),
    /// Of a router, with how many ids its window holds.
    Router(RouterSnapshot, usize),
    /// Of the places at a target.
    Places(Box<Places>),
    /// Of a monitor.
    Monitor(Box<Monitor>),
    /// Of a sink.
    Sink(Box<Sink>),
    /// Of a subscription.
    Subscription(Box<Subscription>),
    /// Of the turns of a definition's instances.
    Turns(Box<Turns>),
    /// Of an actor of which nothing is known.
    Nothing,
}

/// What an actor does. Everything here is a pure function of the state and the arguments.
pub trait Behaviour: Send + 'static {
    /// Applies one entry: what it asks for.
    ///
    /// # Errors
    /// [`Unfit`].
    fn apply(&mut self, body: &Body, moment: Moment) -> Result<Vec<Effect>, Unfit>;

    /// When it has to be woken next, in milliseconds since the Unix epoch; many only ever move by entries.
    fn due(&self) -> Option<u64> {
        None
    }

    /// Whether a new owner must load it at once.
    fn attention(&self) -> bool {
        false
    }

    /// Whether nothing can change any more.
    fn ended(&self) -> bool {
        false
    }

    /// Whether it may leave memory while it waits.
    fn parks(&self) -> bool;

    /// A word for its state.
    fn status(&self) -> &'static str;

    /// What lists show of it.
    fn index(&self) -> RowIndex;

    /// What it has under way, for a new owner to settle; most have nothing.
    fn unsettled(&self) -> Unsettled {
        Unsettled::default()
    }

    /// The rows of a checkpoint; what changed since the last call at least.
    ///
    /// # Errors
    /// [`Unfit`] when the state cannot be stored.
    fn rows(&mut self) -> Result<RowChanges, Unfit>;

    /// A copy for people.
    fn inspect(&self) -> Inspection;
}

/// Makes the behaviours of actors from their rows.
pub trait Kinds: Send + Sync + 'static {
    /// The behaviour of an actor as its rows left it: its own row first, then those below it.
    ///
    /// # Errors
    /// [`Unfit`] when the rows cannot be read, or the kind is unknown.
    fn load(&self, actor: &ActorId, rows: &[Row]) -> Result<Box<dyn Behaviour>, Unfit>;

    /// Learns what another node may have added to the environment since; asked before an actor that failed is given
    /// another chance.
    fn refresh(&self) -> BoxFuture<'static, ()> {
        Box::pin(ready(()))
    }
}

/// Reads what other nodes have added to the environment, such as definitions.
pub type Refresh = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The kinds of actors that the product has.
pub struct BuiltinKinds {
    definitions: Arc<Definitions>,
    window: Window,
    refresh: Option<Refresh>,
    asked: Asked,
    spans: Spans,
}

impl BuiltinKinds {
    /// With the definitions that instances pin, and the window of the routers.
    pub fn new(definitions: Arc<Definitions>, window: Window) -> Self {
        BuiltinKinds { definitions, window, refresh: None, asked: Asked::default(), spans: Spans::default() }
    }

    /// With the types of lifecycle events that somebody asks for.
    pub fn telling(self, asked: Asked) -> Self {
        BuiltinKinds { asked, ..self }
    }

    /// With whoever records traces.
    pub fn traced(self, spans: Spans) -> Self {
        BuiltinKinds { spans, ..self }
    }

    /// With a way to learn of definitions that other nodes have stored.
    pub fn refreshed_by(self, refresh: Refresh) -> Self {
        BuiltinKinds { refresh: Some(refresh), ..self }
    }
}

impl Kinds for BuiltinKinds {
    fn load(&self, actor: &ActorId, rows: &[Row]) -> Result<Box<dyn Behaviour>, Unfit> {
        match actor.kind() {
            Some(ActorKind::Process) => {
                let process = ProcessBehaviour::load(actor, rows.first(), Arc::clone(&self.definitions))?;
                Ok(Box::new(process.telling(self.asked.clone()).traced(self.spans.clone())))
            }
            Some(ActorKind::Trigger) => {
                Ok(Box::new(TriggerBehaviour::load(actor, rows.first(), Arc::clone(&self.definitions))?))
            }
            Some(ActorKind::Router) => {
                let definitions = Arc::clone(&self.definitions);
                Ok(Box::new(RouterBehaviour::load(actor, rows, self.window, definitions)?))
            }
            Some(ActorKind::Subscription) => Ok(Box::new(SubscriptionBehaviour::load(actor, rows.first())?)),
            Some(ActorKind::Target) => Ok(Box::new(TargetBehaviour::load(actor, rows.first())?)),
            Some(ActorKind::Sink) => Ok(Box::new(SinkBehaviour::load(actor, rows.first())?)),
            Some(ActorKind::Monitor) => Ok(Box::new(MonitorBehaviour::load(actor, rows.first())?)),
            Some(ActorKind::Overlap) => Ok(Box::new(OverlapBehaviour::load(actor, rows.first())?)),
            None => Err(Unfit(format!("'{actor}' is of a kind that this version does not know"))),
        }
    }

    fn refresh(&self) -> BoxFuture<'static, ()> {
        self.refresh
            .as_ref()
            .map_or_else(|| Box::pin(ready(())) as BoxFuture<'static, ()>, |refresh| refresh())
    }
}

/// The snapshot in a row.
fn decode<T: serde::de::DeserializeOwned>(actor: &ActorId, row: &Row) -> Result<T, Unfit> {
    impresario_model::encoding::decode(&row.snapshot)
        .map_err(|error| Unfit(format!("the snapshot of '{actor}' is {error}")))
}

fn encode<T: serde::Serialize>(actor: &ActorId, state: &T) -> Result<bytes::Bytes, Unfit> {
    impresario_model::encoding::encode(state)
        .map(bytes::Bytes::from)
        .map_err(|error| Unfit(format!("the state of '{actor}' {error}")))
}

/// The checkpoint of an actor that is one row.
fn one_row<T: serde::Serialize>(actor: &ActorId, state: &T, index: RowIndex) -> Result<RowChanges, Unfit> {
    let row = Row { actor: actor.to_string(), snapshot: encode(actor, state)?, index };
    Ok(RowChanges { put: vec![row], remove: Vec::new() })
}

fn of_another_kind(actor: &ActorId) -> Unfit {
    Unfit(format!("'{actor}' got an entry of another kind"))
}
