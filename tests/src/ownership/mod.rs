//! The protocol of ownership as a model, for a checker that goes through every order of events.
//!
//! Nodes share a store. One of them owns a shard, applies its log, tells another shard, and starts activities that must
//! not be done twice. Nodes die, are paused between any two steps (a node that is not chosen for a while is paused),
//! lose their presence and come back; answers are lost, and calls arrive late or twice; a shard is moved. The model
//! follows `actors/src/shard` and `runtime/src/cluster` step by step; each rule that these rely on is in [`Rules`], and
//! leaving one out must show.

mod chances;
pub mod fold;
pub mod owner;
pub mod properties;
mod steps;
pub mod store;

use std::collections::BTreeMap;

use stateright::{Model, Property};

use self::fold::Token;
use self::owner::{Flight, Owner};
use self::store::{Call, Reply, Store};

/// What the protocol relies on. All of it has to hold in the product: what breaks without one of them is in
/// `tests/tests/ownership.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// The store refuses what comes under an older epoch.
    pub fences: bool,
    /// The store refuses to read before the mark: whoever wants to is no owner any more.
    pub reads_check_the_mark: bool,
    /// The store carries a batch out once, if it comes again before the next. Saves work only: receivers drop what they
    /// have seen, and an attempt has a token.
    pub batches_count_once: bool,
    /// The store does not go back behind a mark.
    pub marks_grow: bool,
    /// An attempt starts only once its marker has come back.
    pub start_after_marker: bool,
    /// An attempt with a marker may have begun: a new owner does not start it.
    pub marked_counts_as_begun: bool,
    /// What is replayed starts nothing.
    pub replay_starts_nothing: bool,
    /// A checkpoint holds only what has been told.
    pub messages_before_mark: bool,
    /// The receiver drops what it has seen.
    pub dedup: bool,
    /// A move waits until the shard has heard that it is to start nothing, then for what is under way.
    pub hold_is_answered: bool,
    /// A shard that gives itself up settles the markers that have not come back.
    pub drain_settles_markers: bool,
    /// A node claims a shard again that it owns and does not run.
    pub owners_claim_again: bool,
    /// An answer is given only once a replica has it too. Matters only if a replica takes over.
    pub answers_wait_for_the_replica: bool,
}

impl Rules {
    /// All of them.
    pub fn all() -> Self {
        Rules {
            fences: true,
            reads_check_the_mark: true,
            batches_count_once: true,
            marks_grow: true,
            start_after_marker: true,
            marked_counts_as_begun: true,
            replay_starts_nothing: true,
            messages_before_mark: true,
            dedup: true,
            hold_is_answered: true,
            drain_settles_markers: true,
            owners_claim_again: true,
            answers_wait_for_the_replica: true,
        }
    }
}

/// How much may happen, so that there is an end to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// How many asks come from outside.
    pub asks: u8,
    /// How many nodes die.
    pub deaths: u8,
    /// How often a node cannot renew its presence, as if it were paused or cut off.
    pub lapses: u8,
    /// How often a shard ends by itself on a node that goes on.
    pub crashes: u8,
    /// How often a shard is moved.
    pub moves: u8,
    /// How many checkpoints are written in passing.
    pub checkpoints: u8,
    /// How many calls are given up on and sent again, while the first may still arrive.
    pub late: u8,
    /// How often a replica takes over.
    pub failovers: u8,
}

impl Limits {
    /// Nothing happens.
    pub const NONE: Limits =
        Limits { asks: 0, deaths: 0, lapses: 0, crashes: 0, moves: 0, checkpoints: 0, late: 0, failovers: 0 };
}

/// One scope for the checker.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// How many nodes there are.
    pub nodes: usize,
    /// How much may happen.
    pub limits: Limits,
    /// What the protocol relies on.
    pub rules: Rules,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Whether its process runs.
    pub alive: bool,
    /// Whether the others see it.
    pub present: bool,
    /// Whether it may start things.
    pub lease: bool,
    /// The shard, if it runs it.
    pub owner: Option<Owner>,
    /// A claim under way.
    pub claim: Option<(Call, Option<Reply>)>,
    /// The attempts at its hosts.
    pub flights: BTreeMap<Token, Flight>,
    batch: u8,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The store.
    pub store: Store,
    /// Its replica, while it may still take over.
    pub replica: Option<Store>,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Calls that their node has given up on, and that may still arrive.
    pub late: Vec<(usize, Call)>,
    /// How often the activity of each ask was started.
    pub starts: BTreeMap<u8, u8>,
    /// Which asks have been acknowledged.
    pub asked: u8,
    /// What may still happen.
    pub left: Limits,
}

/// Which call of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// The claim.
    Claim,
    /// What the shard waits for.
    Shard,
    /// The checkpoint that is written in passing.
    Flush,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Somebody outside asks, and has an acknowledgement.
    Ask,
    /// The store carries a call out.
    Carry(usize, Which),
    /// The node hears the answer.
    Hear(usize, Which),
    /// The shard looks for new entries.
    Wake(usize),
    /// The shard begins a checkpoint.
    Save(usize),
    /// An attempt is given to a host.
    Offer(usize, Token),
    /// The host starts it.
    Start(usize, Token),
    /// It is done, and its report is durable.
    Finish(usize, Token),
    /// The node sees that nobody has the shard, and claims it.
    Claim(usize),
    /// The node sees that another has the shard.
    GiveWay(usize),
    /// The shard hears that it is to start nothing more.
    Hold(usize),
    /// The node sees that nothing of the shard is under way, and tells it to give itself up.
    Landed(usize),
    /// The node gives the move up, because something is under way.
    Stay(usize),
    /// The shard hears that it is to give itself up.
    Drain(usize),
    /// The node has renewed its presence.
    Renew(usize),
    /// The presence of a node ends.
    Expire(usize),
    /// A node begins to move the shard.
    Move(usize, usize),
    /// The node could not renew its presence for a while: it starts nothing more.
    Lapse(usize),
    /// The shard ends by itself.
    Crash(usize),
    /// The node ends.
    Die(usize),
    /// A call is given up on and sent again.
    GiveUp(usize, Which),
    /// A call that was given up on arrives.
    Arrive(usize),
    /// The replica gets what the store has.
    Replicate,
    /// The replica takes the store's place.
    FailOver,
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let node = Node {
            alive: true,
            present: true,
            lease: true,
            owner: None,
            claim: None,
            flights: BTreeMap::new(),
            batch: 0,
        };
        let mut nodes = vec![node; self.nodes];
        // Loaded and with nothing to settle: what comes before that is like every later claim.
        let mut owner = Owner::new(1, 0, 0);
        (owner.loaded, owner.recovered, owner.call) = (true, true, None);
        nodes[0].owner = Some(owner);
        vec![State {
            replica: (self.limits.failovers > 0).then(|| Store::new(self.nodes)),
            store: Store::new(self.nodes),
            nodes,
            late: Vec::new(),
            starts: BTreeMap::new(),
            asked: 0,
            left: self.limits,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.progress(&self.rules, actions);
        state.chances(&self.rules, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        self.step(&mut state, action)?;
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
