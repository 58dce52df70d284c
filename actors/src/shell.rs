//! The actor shell: the ractor actor round a [`Behaviour`].
//!
//! It is a child of its shard. A panic in a behaviour ends this actor and nothing else; the shard sees the
//! reply dropped, rebuilds the actor from the log, and tries once more ([`crate::shard`]).

use std::sync::Arc;

use impresario_model::entry::Body;
use impresario_model::instance::{Effect, Moment, Unsettled};
use impresario_persistence::RowIndex;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use crate::behaviour::{Behaviour, Inspection, RowChanges, Unfit};

/// What a shell is told.
pub enum ShellMessage {
    /// Apply entries, in order.
    Turn {
        /// The entries; the shard keeps them too, in case the actor fails on one.
        entries: Arc<Vec<(Moment, Body)>>,
        /// Whether to hand over the rows too if the actor has nothing to do afterwards.
        park: bool,
        /// Where the reply goes; dropped if the actor panics.
        reply: oneshot::Sender<Result<TurnReply, Unfit>>,
    },
    /// Hand over the rows for a checkpoint.
    Rows(oneshot::Sender<Result<RowChanges, Unfit>>),
    /// Show what it holds.
    Inspect(oneshot::Sender<Inspection>),
    /// Show what lists show of it.
    Index(oneshot::Sender<RowIndex>),
    /// Name what is under way.
    Unsettled(oneshot::Sender<Unsettled>),
}

/// What a turn came to.
#[derive(Debug, Default)]
pub struct TurnReply {
    /// What is asked for, with the offset of the entry that asked, in order.
    pub effects: Vec<(u64, Effect)>,
    /// How the actor stands.
    pub standing: Standing,
    /// Its rows, if it was asked to park and has nothing to do, or it ended.
    pub rows: Option<RowChanges>,
}

/// How an actor stands after a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When it must be woken, in milliseconds since the Unix epoch.
    pub due: Option<u64>,
    /// Whether it may leave memory.
    pub parks: bool,
    /// Whether nothing can change any more.
    pub ended: bool,
    /// A word for its state.
    pub status: &'static str,
}

/// The shell.
pub struct Shell;

impl Actor for Shell {
    type Msg = ShellMessage;
    type State = Box<dyn Behaviour>;
    type Arguments = Box<dyn Behaviour>;

    async fn pre_start(
        &self,
        _myself: ActorRef<ShellMessage>,
        behaviour: Box<dyn Behaviour>,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(behaviour)
    }

    async fn handle(
        &self,
        _myself: ActorRef<ShellMessage>,
        message: ShellMessage,
        behaviour: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // A reply that nobody waits for is no error: the shard may have given up on this actor.
        match message {
            ShellMessage::Turn { entries, park, reply } => {
                let result = turn(behaviour.as_mut(), &entries, park);
                let _ = reply.send(result);
            }
            ShellMessage::Rows(reply) => {
                let _ = reply.send(behaviour.rows());
            }
            ShellMessage::Inspect(reply) => {
                let _ = reply.send(behaviour.inspect());
            }
            ShellMessage::Index(reply) => {
                let _ = reply.send(behaviour.index());
            }
            ShellMessage::Unsettled(reply) => {
                let _ = reply.send(behaviour.unsettled());
            }
        }
        Ok(())
    }
}

fn turn(behaviour: &mut dyn Behaviour, entries: &[(Moment, Body)], park: bool) -> Result<TurnReply, Unfit> {
    let mut effects = Vec::new();
    for (moment, body) in entries {
        let asked = behaviour.apply(body, *moment)?;
        effects.extend(asked.into_iter().map(|effect| (moment.offset, effect)));
    }
    let standing = standing(behaviour);
    let leaves = standing.ended || (park && standing.parks);
    let rows = if leaves { Some(behaviour.rows()?) } else { None };
    Ok(TurnReply { effects, standing, rows })
}

/// How a behaviour stands now.
pub fn standing(behaviour: &dyn Behaviour) -> Standing {
    Standing {
        due: behaviour.due(),
        parks: behaviour.parks(),
        ended: behaviour.ended(),
        status: behaviour.status(),
    }
}
