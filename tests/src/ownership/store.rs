//! The store of the model: each operation is one atomic step.

use super::Rules;
use super::fold::{Entry, Fold};

/// An offset: the number of entries up to and with it.
pub type Offset = usize;

/// A message in the log of the other shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// The entry that made its sender send it.
    pub origin: Offset,
    /// What it says.
    pub body: u8,
}

/// What a node asks of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Take the shard over if its epoch is still this one.
    Claim { seen: u8 },
    /// The rows of a checkpoint.
    Load,
    /// What comes after.
    Read { after: Offset },
    /// Entries for the own log under an epoch, and messages for another shard's.
    Send { batch: u8, epoch: u8, own: Vec<Entry>, told: Vec<Told> },
    /// A checkpoint.
    Save { epoch: u8, mark: Offset, fold: Fold },
    /// Give the shard up for somebody.
    Release { epoch: u8, next: usize },
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// Somebody else has it.
    Fenced,
    /// Done.
    Done,
    /// The claim holds.
    Claimed { epoch: u8, mark: Offset, head: Offset },
    /// The rows.
    Rows(Fold),
    /// Entries, with the offset of each.
    Entries(Vec<(Offset, Entry)>),
}

/// The store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    /// Everything that was ever in the log. What is not behind the mark is trimmed: only the properties see it.
    pub log: Vec<Entry>,
    /// Up to where the rows hold.
    pub mark: Offset,
    /// The rows.
    pub rows: Fold,
    /// The newest epoch.
    pub epoch: u8,
    /// Who has it.
    pub owner: Option<usize>,
    /// Whom it was given up for.
    pub offered: Option<usize>,
    /// The other shard's log.
    pub told: Vec<Told>,
    /// The last batch of each node.
    batches: Vec<u8>,
    /// For each epoch, where the log ended when it began.
    pub begins: Vec<Offset>,
    /// An operation of an older epoch had an effect.
    pub breached: bool,
}

impl Store {
    /// With node 0 as the owner of an empty shard.
    pub fn new(nodes: usize) -> Self {
        Store {
            log: Vec::new(),
            mark: 0,
            rows: Fold::default(),
            epoch: 1,
            owner: Some(0),
            offered: None,
            told: Vec::new(),
            batches: vec![0; nodes],
            begins: vec![0, 0],
            breached: false,
        }
    }

    /// Carries a call of a node out.
    pub fn carry_out(&mut self, node: usize, call: &Call, rules: &Rules) -> Reply {
        match call {
            Call::Claim { seen } => {
                if *seen != self.epoch {
                    // The name of the try tells a repetition from another try.
                    let again = self.epoch == seen + 1 && self.owner == Some(node);
                    return if again { self.claimed() } else { Reply::Fenced };
                }
                self.epoch += 1;
                self.owner = Some(node);
                self.offered = None;
                self.begins.push(self.log.len());
                self.claimed()
            }
            Call::Load => Reply::Rows(self.rows.clone()),
            Call::Read { after } => {
                // Only an owner moves the mark, and never past its own cursor: a reader before it is none any more.
                if rules.reads_check_the_mark && *after < self.mark {
                    return Reply::Fenced;
                }
                let from = self.mark.max(*after);
                let entries = (1..).zip(&self.log).skip(from).map(|(offset, entry)| (offset, entry.clone()));
                Reply::Entries(entries.collect())
            }
            Call::Send { batch, epoch, own, told } => {
                if self.batches[node] != *batch || !rules.batches_count_once {
                    self.batches[node] = *batch;
                    self.told.extend(told.iter().cloned());
                    if !own.is_empty() && self.admits(*epoch, rules) {
                        self.log.extend(own.iter().cloned());
                    }
                }
                if own.is_empty() || self.holds(*epoch) { Reply::Done } else { Reply::Fenced }
            }
            Call::Save { epoch, mark, fold } => {
                if !self.admits(*epoch, rules) {
                    return Reply::Fenced;
                }
                if rules.marks_grow && *mark < self.mark {
                    // One that was overtaken by a later one of the same owner.
                    return Reply::Done;
                }
                self.rows = fold.clone();
                self.mark = self.mark.max(*mark);
                Reply::Done
            }
            Call::Release { epoch, next } => {
                if self.holds(*epoch) {
                    self.owner = None;
                    self.offered = Some(*next);
                    return Reply::Done;
                }
                let again = self.epoch == *epoch && self.offered == Some(*next);
                if again { Reply::Done } else { Reply::Fenced }
            }
        }
    }

    fn claimed(&self) -> Reply {
        Reply::Claimed { epoch: self.epoch, mark: self.mark, head: self.log.len() }
    }

    fn holds(&self, epoch: u8) -> bool {
        self.epoch == epoch && self.owner.is_some()
    }

    /// Whether a fenced operation has an effect.
    fn admits(&mut self, epoch: u8, rules: &Rules) -> bool {
        let holds = self.holds(epoch);
        self.breached |= !holds && !rules.fences;
        holds || !rules.fences
    }
}
