//! A shard as one node runs it: what `impresario_actors::shard` does between two calls of the store.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Rules;
use super::fold::{Effect, Entry, Fate, Fold, Outcome, Token};
use super::store::{Call, Offset, Reply, Told};

/// How far the shard is on its way to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// It was told to start nothing more; it has not heard it yet.
    Told { to: usize },
    /// It starts nothing more.
    Held { to: usize },
    /// Nothing is under way at the hosts, and it was told to give itself up.
    Drain { to: usize, heard_hold: bool },
    /// It stores what it has.
    Storing { to: usize },
    /// It gives itself up.
    Releasing { to: usize },
}

/// An attempt at a host of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flight {
    /// It was allowed to start, and has not yet.
    Queued,
    /// It runs.
    Running,
}

/// The shard in the memory of a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The epoch of its claim.
    pub epoch: u8,
    /// The last entry that was applied, and whose messages are durable.
    pub cursor: Offset,
    /// The last entry that was applied.
    pub applied: Offset,
    /// Up to where entries are replayed.
    pub caught_up: Offset,
    /// Whether the rows are loaded.
    pub loaded: bool,
    /// Whether what was in flight is settled.
    pub recovered: bool,
    /// Its state.
    pub fold: Fold,
    own: Vec<Entry>,
    told: Vec<Told>,
    runs: Vec<Token>,
    starts: BTreeSet<Token>,
    /// Markers that have not come back.
    marked: BTreeSet<Token>,
    /// Attempts that may be given to a host.
    pub ready: BTreeSet<Token>,
    /// On its way elsewhere.
    pub moving: Option<Move>,
    draining: bool,
    /// The call that it waits for.
    pub call: Option<(Call, Option<Reply>)>,
    /// The checkpoint that is written meanwhile.
    pub flush: Option<(Call, Option<Reply>)>,
    /// Where the last checkpoint was.
    pub mark: Offset,
}

impl Owner {
    /// On the answer of a claim.
    pub fn new(epoch: u8, mark: Offset, head: Offset) -> Self {
        Owner {
            epoch,
            cursor: mark,
            applied: mark,
            caught_up: head,
            loaded: false,
            recovered: false,
            fold: Fold::default(),
            own: Vec::new(),
            told: Vec::new(),
            runs: Vec::new(),
            starts: BTreeSet::new(),
            marked: BTreeSet::new(),
            ready: BTreeSet::new(),
            moving: None,
            draining: false,
            call: Some((Call::Load, None)),
            flush: None,
            mark,
        }
    }

    /// Whether it hears messages at the moment.
    pub fn listens(&self) -> bool {
        self.call.is_none()
    }

    /// Whether there is something for it to read, as far as it can know.
    pub fn behind(&self, head: Offset) -> bool {
        self.loaded && !self.draining && self.cursor < head
    }

    /// Whether a checkpoint may begin.
    pub fn may_save(&self, rules: &Rules) -> bool {
        let sent = self.own.is_empty() && self.told.is_empty() && self.listens();
        let free = self.loaded && !self.draining && self.flush.is_none() && self.applied > self.mark;
        free && (sent || !rules.messages_before_mark)
    }

    /// Begins a checkpoint.
    pub fn save(&mut self) {
        let call = Call::Save { epoch: self.epoch, mark: self.applied, fold: self.fold.clone() };
        self.flush = Some((call, None));
    }

    /// Goes on as far as it gets without hearing anything.
    pub fn advance(
        &mut self,
        head: Offset,
        batch: &mut u8,
        flights: &BTreeMap<Token, Flight>,
        rules: &Rules,
    ) {
        while self.call.is_none() && self.loaded {
            if self.send(batch, rules) {
                return;
            }
            match self.moving {
                Some(Move::Storing { to }) => return self.store(to),
                Some(Move::Releasing { .. }) => return,
                _ if self.cursor >= self.caught_up && !self.recovered => self.recover(flights, rules),
                _ if self.cursor < self.caught_up && self.cursor < head => {
                    self.call = Some((Call::Read { after: self.cursor }, None));
                }
                _ => return,
            }
        }
    }

    /// Makes durable what is to be said; whether there is something.
    fn send(&mut self, batch: &mut u8, rules: &Rules) -> bool {
        let held = matches!(self.moving, Some(Move::Held { .. } | Move::Drain { heard_hold: true, .. }));
        if self.recovered && !self.draining && !held {
            for token in std::mem::take(&mut self.starts) {
                self.own.push(Entry::Marker(token, self.epoch));
                self.marked.insert(token);
                if !rules.start_after_marker {
                    self.ready.insert(token);
                }
            }
        }
        if self.own.is_empty() && self.told.is_empty() {
            self.sent();
            return false;
        }
        *batch += 1;
        let call =
            Call::Send { batch: *batch, epoch: self.epoch, own: self.own.clone(), told: self.told.clone() };
        self.call = Some((call, None));
        true
    }

    fn sent(&mut self) {
        self.own.clear();
        self.told.clear();
        self.cursor = self.applied;
        self.ready.extend(self.runs.drain(..));
    }

    /// Settles what an owner before had under way.
    fn recover(&mut self, flights: &BTreeMap<Token, Flight>, rules: &Rules) {
        for (ask, activity) in &self.fold.activities {
            let token = (*ask, activity.attempt);
            if activity.fate != Fate::Running || flights.contains_key(&token) {
                continue;
            }
            if activity.marker.is_none() {
                self.starts.insert(token);
            } else if !rules.marked_counts_as_begun {
                self.ready.insert(token);
            } else {
                self.own.push(Entry::Report(token, Outcome::Lost));
            }
        }
        self.recovered = true;
    }

    /// The shard hears that it is to give itself up.
    pub fn drain(&mut self, to: usize, rules: &Rules) {
        self.draining = true;
        self.moving = Some(Move::Storing { to });
        let mut unbegun = std::mem::take(&mut self.ready);
        if rules.drain_settles_markers {
            unbegun.extend(std::mem::take(&mut self.marked));
        }
        self.own.extend(unbegun.into_iter().map(|token| Entry::Report(token, Outcome::NotStarted)));
    }

    fn store(&mut self, to: usize) {
        let call = Call::Save { epoch: self.epoch, mark: self.cursor, fold: self.fold.clone() };
        self.moving = Some(Move::Releasing { to });
        self.call = Some((call, None));
    }

    /// Takes the answer of the checkpoint under way; false when the shard is somebody else's.
    pub fn hear_flush(&mut self) -> bool {
        let flush = self.flush.take();
        let Some((Call::Save { mark, .. }, Some(reply))) = flush else { return true };
        self.mark = self.mark.max(mark);
        reply != Reply::Fenced
    }

    /// Takes the answer of the call under way. `None`: the shard is somebody else's. Else whether it is given up.
    pub fn hear(&mut self, rules: &Rules) -> Option<bool> {
        let (call, reply) = self.call.take()?;
        match (call, reply?) {
            (_, Reply::Fenced) => return None,
            (Call::Load, Reply::Rows(rows)) => {
                self.fold = rows;
                self.loaded = true;
            }
            (Call::Read { .. }, Reply::Entries(entries)) => self.apply(entries, rules),
            (Call::Send { .. }, _) => self.sent(),
            (Call::Save { .. }, _) => {
                if let Some(Move::Releasing { to }) = self.moving {
                    self.call = Some((Call::Release { epoch: self.epoch, next: to }, None));
                }
            }
            (Call::Release { .. }, _) => return Some(true),
            (Call::Claim { .. } | Call::Load | Call::Read { .. }, _) => {}
        }
        Some(false)
    }

    fn apply(&mut self, entries: Vec<(Offset, Entry)>, rules: &Rules) {
        let mut entries: VecDeque<_> = entries.into();
        if self.cursor < self.caught_up {
            // What came after the claim waits until what was in flight before it is settled.
            entries.retain(|(offset, _)| *offset <= self.caught_up);
        }
        for (offset, entry) in entries {
            if let Entry::Marker(token, _) = &entry {
                self.marked.remove(token);
            }
            for effect in self.fold.apply(&entry) {
                let replayed = offset <= self.caught_up;
                match effect {
                    Effect::Tell(body) => self.told.push(Told { origin: offset, body }),
                    Effect::Mark(_) | Effect::Run(..) if replayed && rules.replay_starts_nothing => {}
                    Effect::Mark(token) => drop(self.starts.insert(token)),
                    // Without the rule it was made ready when its marker was sent.
                    Effect::Run(..) if !rules.start_after_marker => {}
                    Effect::Run(token, epoch) => {
                        if epoch == self.epoch || !rules.replay_starts_nothing {
                            self.runs.push(token);
                        }
                    }
                }
            }
            self.applied = offset;
        }
    }
}
