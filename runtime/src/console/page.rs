//! What the console can show, what it has to ask for that, and what comes back.

use serde_json::Value;

use crate::adapters::AdapterSummary;
use crate::audit::AuditReport;
use crate::explain::Explanation;
use crate::inspect::{ActorDetail, EntryPage, QuarantineOrder, QuarantinedActor, Trace};
use crate::orchestrator::{InstanceDetail, InstancePage, NodeSummary, TreeNode, TriggerSummary};
use crate::system_events::{Severity, SystemEventPage};

/// A tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum View {
    /// The tree of all nodes.
    Actors,
    /// Instances, newest first.
    Instances,
    /// The nodes of the cluster.
    Nodes,
    /// The adapters at all nodes.
    Adapters,
    /// What starts instances.
    Triggers,
    /// The entries of all logs, as they come.
    Entries,
    /// Actors that were set aside.
    Quarantine,
    /// What happened to the cluster itself.
    Events,
}

impl View {
    /// All tabs, from the left.
    pub const ALL: [View; 8] = [
        View::Actors,
        View::Instances,
        View::Nodes,
        View::Adapters,
        View::Triggers,
        View::Entries,
        View::Quarantine,
        View::Events,
    ];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            View::Actors => "Actors",
            View::Instances => "Instances",
            View::Nodes => "Nodes",
            View::Adapters => "Adapters",
            View::Triggers => "Triggers",
            View::Entries => "Entries",
            View::Quarantine => "Quarantine",
            View::Events => "Events",
        }
    }

    pub(super) fn index(self) -> usize {
        View::ALL.iter().position(|view| *view == self).unwrap_or_default()
    }
}

/// One thing that fills the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Page {
    /// A tab.
    View(View),
    /// One actor.
    Detail(String),
    /// What came of an actor or an event.
    Trace(String),
    /// One row, whole, as it was when it was opened.
    Record(String, Value),
}

/// What has to be asked for, again and again, for what is on the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    /// Nothing.
    Nothing,
    /// The tree.
    Actors,
    /// A page of instances.
    Instances {
        /// Only of this status.
        status: Option<&'static str>,
        /// `next` of the page before.
        cursor: Option<String>,
    },
    /// The nodes.
    Nodes,
    /// The adapters.
    Adapters,
    /// A page of triggers.
    Triggers {
        /// The last one of the page before.
        after: Option<String>,
    },
    /// What comes into the logs from now on, and a little of what came before.
    Entries {
        /// Only those with this text.
        text: String,
    },
    /// The actors that were set aside.
    Quarantine,
    /// System events.
    Events {
        /// This bad at least.
        severity: Option<Severity>,
    },
    /// One actor.
    Detail(String),
    /// A trace.
    Trace(String),
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// For [`Want::Actors`].
    Actors(TreeNode),
    /// For [`Want::Instances`].
    Instances(InstancePage),
    /// For [`Want::Nodes`].
    Nodes(Vec<NodeSummary>),
    /// For [`Want::Adapters`].
    Adapters(Vec<AdapterSummary>),
    /// For [`Want::Triggers`].
    Triggers(Vec<TriggerSummary>),
    /// For [`Want::Entries`]: those that came since the last time.
    Entries(EntryPage),
    /// For [`Want::Quarantine`].
    Quarantine(Vec<QuarantinedActor>),
    /// For [`Want::Events`].
    Events(SystemEventPage),
    /// For [`Want::Detail`].
    Detail(Box<Detail>),
    /// For [`Want::Trace`].
    Trace(Trace),
}

/// One actor, as far as the node tells of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// Its id.
    pub actor: String,
    /// What there is of every actor.
    pub inside: Result<ActorDetail, Trouble>,
    /// What there is of an instance.
    pub instance: Option<Result<InstanceDetail, Trouble>>,
    /// Why it waits.
    pub explanation: Result<Explanation, Trouble>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The node knows no such path, or no such thing.
    NotFound(String),
    /// Something else is wrong; it is tried again.
    Failed(String),
}

impl Trouble {
    /// In words.
    pub fn words(&self) -> &str {
        match self {
            Trouble::NotFound(words) | Trouble::Failed(words) => words,
        }
    }
}

/// The cluster in a few figures, for the head of the screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// The nodes.
    pub nodes: Vec<NodeSummary>,
    /// What the auditor has found; absent where the node has none.
    pub audit: Option<AuditReport>,
    /// How many instances have a status; and whether there are more than were counted.
    pub counts: Vec<(&'static str, usize, bool)>,
}

/// What comes from the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// What the screen shows.
    Content {
        /// What it is for.
        want: Want,
        /// It, or why there is none.
        content: Result<Content, Trouble>,
    },
    /// The head of the screen, or why there is none.
    Overview(Result<Overview, Trouble>),
    /// An order was done, or not, in words.
    Ordered(Result<String, String>),
    /// Somebody asks the process to end.
    Stop,
}

/// What an operator asks of the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Fresh processes for an adapter.
    Restart {
        /// The adapter.
        adapter: String,
        /// Only at this node.
        node: Option<String>,
    },
    /// About an actor that was set aside.
    Quarantine {
        /// The actor.
        actor: String,
        /// The offset of the entry that it was seen to fail on: the order is about no other one.
        entry: Option<String>,
        /// What to do.
        order: QuarantineOrder,
    },
}

impl Order {
    /// What is asked, as a question.
    pub fn question(&self) -> String {
        match self {
            Order::Restart { adapter, node: Some(node) } => {
                format!("restart the adapter {adapter} at {node}?")
            }
            Order::Restart { adapter, node: None } => format!("restart the adapter {adapter} at all nodes?"),
            Order::Quarantine { actor, order, .. } => match order {
                QuarantineOrder::Skip => format!("drop the entry that {actor} failed on, and go on?"),
                QuarantineOrder::Retry => format!("apply the entry that {actor} failed on again?"),
                QuarantineOrder::Edit { .. } => format!("go on with the edited entry of {actor}?"),
            },
        }
    }
}
