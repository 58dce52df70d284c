//! The work that instances ask of adapter hosts, and what comes back: the border between shards and hosts.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use impresario_model::definition::SecretField;
use impresario_model::entry::{ActivityOutcome, Body, ProcessEvent, SinkEvent};
use impresario_model::ids::{ActorId, ActorKind};
use impresario_model::trace::TraceContext;
use impresario_persistence::ShardId;
use serde_json::Value;

use crate::secrets::Resolved;

/// Which activity of which actor a piece of work belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ActivityAddress {
    /// The shard of the actor.
    pub shard: ShardId,
    /// The actor, `process/…`.
    pub actor: String,
    /// The activity, counted from 1 within its instance.
    pub activity: u64,
}

/// One attempt to run an activity.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRequest {
    /// Whose it is.
    pub address: ActivityAddress,
    /// Unique for this attempt: a late result of an older attempt carries another one and changes nothing.
    pub token: String,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The same for all attempts of this activity: what an adapter deduplicates by.
    pub key: String,
    /// The adapter, such as `http`.
    pub adapter: String,
    /// The adapter's function, such as `request`.
    pub function: String,
    /// The function's arguments.
    pub arguments: Value,
    /// What an earlier attempt saved.
    pub state: Option<Value>,
    /// The name of the target that it is done on.
    pub target: Option<String>,
    /// The same target with its properties, once the node has looked it up: just before a host takes the attempt.
    pub on: Option<impresario_adapter::Target>,
    /// The name of the runtime user as whom it is done.
    pub user: Option<String>,
    /// Where secrets belong in the arguments, by JSON pointer.
    pub secrets: BTreeMap<String, SecretField>,
    /// The values of both, once the node has looked them up: just before a host takes the attempt.
    pub resolved: Option<Box<Resolved>>,
    /// Its place in a trace, if somebody follows that.
    pub trace: Option<TraceContext>,
}

/// The question what became of an attempt that was cut off.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeQuestion {
    /// Whose it is.
    pub address: ActivityAddress,
    /// The attempt.
    pub token: String,
    /// The key that all attempts had.
    pub key: String,
    /// The adapter.
    pub adapter: String,
    /// Its function.
    pub function: String,
    /// The arguments.
    pub arguments: Value,
    /// The name of the target that it was done on.
    pub target: Option<String>,
    /// The same target with its properties, once the node has looked it up.
    pub on: Option<impresario_adapter::Target>,
    /// The name of the runtime user as whom it was done.
    pub user: Option<String>,
    /// Which secrets belong where in the arguments, by JSON pointer.
    pub secrets: BTreeMap<String, SecretField>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// With an output.
    Completed(Value),
    /// With an error that the adapter answered.
    Failed(impresario_adapter::Failure),
    /// Without an answer: the host disappeared, or the work was cut off. Nobody knows whether it was done.
    Lost {
        /// What happened, in words for an operator.
        reason: String,
    },
    /// It was never started: the host could not take it.
    Refused {
        /// Why, in words for an operator.
        reason: String,
    },
}

/// What a host reports of one attempt, exactly once for each accepted [`RunRequest`].
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityReport {
    /// Whose it is.
    pub address: ActivityAddress,
    /// The attempt.
    pub token: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What an attempt saved, for the next one to go on from.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivitySave {
    /// Whose it is.
    pub address: ActivityAddress,
    /// The attempt.
    pub token: String,
    /// What it saved; it replaces what was saved before.
    pub state: Value,
}

/// The report of an attempt as the actor gets it that has asked for it.
pub fn report_of(actor: &ActorId, activity: u64, token: String, outcome: ActivityOutcome) -> Body {
    match actor.kind() {
        Some(ActorKind::Sink) => Body::Sink(SinkEvent::Report { activity, token, outcome }),
        _ => Body::Process(ProcessEvent::Report { activity, token, outcome }),
    }
}

/// Takes reports, and makes them durable in the mailbox logs of their instances.
pub trait ReportSink: Send + Sync + 'static {
    /// Resolves once the reports are durable. Until then their runs keep their places at the host, so a slow store
    /// slows the hosts down and loses nothing. Reports may come twice after a panic, and of several adapters at once.
    fn deliver(&self, reports: Vec<ActivityReport>) -> BoxFuture<'static, ()>;

    /// Resolves once what attempts have saved is durable. A sink that keeps nothing has every attempt begin anew.
    fn save(&self, _saves: Vec<ActivitySave>) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
