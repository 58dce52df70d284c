//! What the owner of an actor knows of it: the stuff that `explain` makes its sentences of, at whatever node.

use std::collections::BTreeMap;

use impresario_actors::shard::AttemptPlace;
use impresario_model::instance::Instance;
use impresario_model::overlap::Turns;
use impresario_model::places::Places;
use impresario_model::subscription::Subscription;
use impresario_model::trigger::Trigger;
use serde::{Deserialize, Serialize};

use crate::adapters::AdapterSummary;

/// What is known of an actor, where it is run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// The node that runs its shard.
    pub node: String,
    /// The clock of the environment, in milliseconds since the Unix epoch.
    pub now: u64,
    /// The actor.
    pub state: KnownState,
    /// How it is set aside, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aside: Option<Aside>,
    /// How far its shard is with a replay, while it is not done: the actor is not shown then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaying: Option<Replaying>,
    /// Where the attempts of its open activities are, by number.
    pub attempts: BTreeMap<u64, AttemptPlace>,
    /// The adapters of these, at that node.
    pub adapters: Vec<AdapterSummary>,
}

/// An actor, as its own state says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum KnownState {
    /// There is none.
    #[default]
    Nothing,
    /// An instance.
    Process(Box<Instance>),
    /// A trigger monitor.
    Trigger(Box<Trigger>),
    /// The places at a target.
    Places(Box<Places>),
    /// The turns of the instances of a definition.
    Turns(Box<Turns>),
    /// A subscription.
    Subscription(Box<Subscription>),
    /// Something else.
    Other,
}

/// How an actor is set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Aside {
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// The offset of the entry it fails on, in words; absent if it cannot even be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// How many entries wait for it.
    pub held: usize,
}

/// How far a replay is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaying {
    /// The last entry that was applied, in words.
    pub cursor: String,
    /// The last entry of the log, in words.
    pub head: String,
}
