//! What a log means: the state that its entries fold to, and what they ask for.

use std::collections::BTreeMap;

/// An attempt of the activity that an ask is for.
pub type Token = (u8, u8);

/// An entry of the shard's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// From outside: do this once.
    Ask(u8),
    /// The attempt may begin under this epoch.
    Marker(Token, u8),
    /// How an attempt ended.
    Report(Token, Outcome),
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was done.
    Done,
    /// Nobody knows whether it was.
    Lost,
    /// It certainly was not begun.
    NotStarted,
}

/// What becomes of an ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// An attempt is wanted or under way.
    Running,
    /// Done.
    Done,
    /// Interrupted: somebody has to look.
    Interrupted,
}

/// One activity, which must not be done twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Activity {
    /// The number of its attempt.
    pub attempt: u8,
    /// What became of it.
    pub fate: Fate,
    /// The epoch of its start marker.
    pub marker: Option<u8>,
}

/// What an entry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Write a start marker.
    Mark(Token),
    /// Start the attempt whose marker has come back, with the marker's epoch.
    Run(Token, u8),
    /// Tell the other shard. What is told depends on all that was applied before.
    Tell(u8),
}

/// The state of the shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fold {
    /// By ask.
    pub activities: BTreeMap<u8, Activity>,
}

impl Fold {
    /// The state behind some entries.
    pub fn of(entries: &[Entry]) -> Fold {
        let mut fold = Fold::default();
        entries.iter().for_each(|entry| drop(fold.apply(entry)));
        fold
    }

    /// Applies an entry, and answers what it asks for.
    pub fn apply(&mut self, entry: &Entry) -> Vec<Effect> {
        match entry {
            Entry::Ask(ask) if self.activities.contains_key(ask) => Vec::new(),
            Entry::Ask(ask) => {
                let activity = Activity { attempt: 0, fate: Fate::Running, marker: None };
                self.activities.insert(*ask, activity);
                let count = u8::try_from(self.activities.len()).unwrap_or(u8::MAX);
                vec![Effect::Tell(count), Effect::Mark((*ask, 0))]
            }
            Entry::Marker(token, epoch) => match self.running(*token) {
                Some(activity) if activity.marker.is_none() => {
                    activity.marker = Some(*epoch);
                    vec![Effect::Run(*token, *epoch)]
                }
                _ => Vec::new(),
            },
            Entry::Report(token, outcome) => {
                let Some(activity) = self.running(*token) else { return Vec::new() };
                match outcome {
                    Outcome::Done => activity.fate = Fate::Done,
                    Outcome::Lost => activity.fate = Fate::Interrupted,
                    Outcome::NotStarted => {
                        activity.attempt += 1;
                        activity.marker = None;
                        return vec![Effect::Mark((token.0, activity.attempt))];
                    }
                }
                Vec::new()
            }
        }
    }

    /// The activity of an attempt that is the newest and has not ended.
    fn running(&mut self, token: Token) -> Option<&mut Activity> {
        let activity = self.activities.get_mut(&token.0)?;
        (activity.fate == Fate::Running && activity.attempt == token.1).then_some(activity)
    }
}
