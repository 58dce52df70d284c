//! What nodes ask each other: live state that only the owner of a shard has, as it may be shown to people.
//!
//! The body of `POST /internal/v1/ask` and of its answer, in the stored form of entries (MessagePack with named fields,
//! so that an older node passes over what it does not know).

use impresario_actors::shard::ActorFacts;
use impresario_persistence::RowIndex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::adapters::{AdapterOrder, AdapterSummary};
use crate::declared::DeclaredKind;
use crate::inventory::PlacesView;
use crate::orchestrator::{InstanceDetail, TreeNode};
use crate::triggers::{RecentEvent, RouterCount, TriggerDetail};

/// Where questions are asked.
pub const PATH: &str = "/internal/v1/ask";
/// The media type of questions and replies.
pub const MEDIA_TYPE: &str = "application/msgpack";

/// A question of one node to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// Show an instance of a shard that you own, once you have seen its log up to an offset: what the asking node has
    /// appended, so that its clients read their own writes.
    Instance {
        /// The instance.
        id: String,
        /// The offset.
        after: u64,
    },
    /// Show a trigger monitor of a shard that you own.
    Trigger {
        /// Its name.
        name: String,
    },
    /// Show the places at a target of a shard that you own.
    Places {
        /// The target.
        target: String,
    },
    /// Show the turns of a definition's instances, of a shard that you own.
    Turns {
        /// The actor id.
        actor: String,
    },
    /// What did the routers of your shards count?
    Routers,
    /// Which events came through your doors last?
    RecentEvents {
        /// Only of this type.
        kind: Option<String>,
        /// At most so many.
        limit: usize,
    },
    /// Why is an actor of a shard that you own set aside, if it is?
    Aside {
        /// The actor id.
        actor: String,
    },
    /// What do your shards know of actors that the store does not know yet?
    Facts {
        /// What the actor ids begin with.
        prefix: String,
    },
    /// What does an actor say of itself that was declared, once you have seen its log up to an offset?
    Declared {
        /// What it is.
        kind: DeclaredKind,
        /// Its name.
        name: String,
        /// The offset.
        after: u64,
        /// With the dead letters, which may be much.
        letters: bool,
    },
    /// Your tree of actors.
    Tree,
    /// Your adapters.
    Adapters,
    /// Do this with an adapter of yours.
    Adapter {
        /// Its name.
        name: String,
        /// What.
        order: AdapterOrder,
    },
    /// What are the levels of your log? Put these in force first, if there are any.
    Levels {
        /// The levels.
        change: Option<String>,
    },
    /// Finish what you do, hand your shards over, and leave.
    Drain,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Question::Instance`]; nothing if there is none.
    Instance(Option<Box<InstanceDetail>>),
    /// To [`Question::Trigger`]; nothing if there is none.
    Trigger(Option<Box<TriggerDetail>>),
    /// To [`Question::Places`]; nothing if nobody has one or waits.
    Places(Option<PlacesView>),
    /// To [`Question::Turns`]: the instances that wait, longest first.
    Turns(Vec<String>),
    /// To [`Question::Routers`].
    Routers(Vec<RouterCount>),
    /// To [`Question::RecentEvents`], newest first, and how many are remembered.
    RecentEvents(Vec<RecentEvent>, usize),
    /// To [`Question::Aside`].
    Aside(Option<String>),
    /// To [`Question::Facts`], by shard; a shard that is missing has not answered.
    Facts(Vec<(u16, Vec<Fact>)>),
    /// To [`Question::Declared`].
    Declared(Map<String, Value>),
    /// To [`Question::Tree`].
    Tree(TreeNode),
    /// To [`Question::Adapters`] and [`Question::Adapter`].
    Adapters(Vec<AdapterSummary>),
    /// To [`Question::Levels`]; nothing if they are not this program's to know.
    Levels(Option<String>),
    /// To [`Question::Drain`].
    Draining,
}

/// What a list shows of an actor that the store may not know yet: [`ActorFacts`] on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// The actor id.
    pub actor: String,
    /// Whether it is in memory.
    pub live: bool,
    /// Why it was set aside, if it was.
    #[serde(default)]
    pub aside: Option<String>,
    /// When a timer of it is due next, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub due: Option<u64>,
    /// Whether it has work in flight.
    pub attention: bool,
    /// A word for its state.
    pub status: String,
    /// What it is listed under.
    pub group: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub started: u64,
    /// When it ended, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub ended: Option<u64>,
}

impl From<ActorFacts> for Fact {
    fn from(facts: ActorFacts) -> Fact {
        let ActorFacts { actor, live, aside, index } = facts;
        let RowIndex { due, attention, status, group, started, ended } = index;
        Fact { actor, live, aside, due, attention, status, group, started, ended }
    }
}

impl From<Fact> for ActorFacts {
    fn from(fact: Fact) -> ActorFacts {
        let Fact { actor, live, aside, due, attention, status, group, started, ended } = fact;
        ActorFacts { actor, live, aside, index: RowIndex { due, attention, status, group, started, ended } }
    }
}
