//! What a shard can show of its insides: the physical facts that an auditor holds against what is stored.
//!
//! Nothing here concludes anything. Whether a timer that is in the wheel is the right one, or an attempt ought to be
//! somewhere, is for those to judge who ask.

use std::collections::HashSet;

use impresario_persistence::Offset;

use super::state::Shard;
use crate::hosts::RunPlace;

/// How many actors that are set aside are named.
const ASIDES_MOST: usize = 100;

/// About what facts are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidenceQuery {
    /// Actors, by id.
    pub actors: Vec<String>,
    /// Attempts, as (adapter, token).
    pub attempts: Vec<(String, String)>,
}

/// The facts, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How far the shard is.
    pub progress: Progress,
    /// Timers of stored actors are in the wheel up to this time, in milliseconds since the Unix epoch.
    pub timers_loaded: u64,
    /// The actors that are set aside, with the reason; at most a hundred.
    pub asides: Vec<(String, String)>,
    /// Of the actors that were asked about, in the same order.
    pub actors: Vec<ActorEvidence>,
    /// Where the attempts are that were asked about, in the same order.
    pub attempts: Vec<AttemptPlace>,
}

/// How far a shard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last entry that was applied.
    pub cursor: Offset,
    /// The last entry whose outcome is stored.
    pub mark: Offset,
    /// The last entry that is durable.
    pub head: Offset,
    /// Whether the replay is done.
    pub recovered: bool,
    /// Whether it gives itself up, so that nothing starts any more.
    pub leaving: bool,
}

/// What a shard has of an actor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActorEvidence {
    /// When the wheel wakes it, in milliseconds since the Unix epoch.
    pub timer: Option<u64>,
    /// Whether it is in memory.
    pub live: bool,
    /// How it is set aside, if it is.
    pub aside: Option<AsideEvidence>,
}

/// How an actor is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideEvidence {
    /// Why.
    pub reason: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since: u64,
    /// The offset of the entry it fails on; 0 when it cannot even be loaded.
    pub offset: u64,
    /// How many entries it did not apply.
    pub held: usize,
}

/// Where an attempt is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum AttemptPlace {
    /// Nobody has it.
    Nowhere,
    /// Its start marker waits for a slot, or was sent and has not come back.
    Marked,
    /// It waits for room at its host.
    Ready,
    /// At its host, where it waits for a slot.
    Queued,
    /// A process of its host works on it.
    AtWork,
    /// It has ended, and its report is about to be durable.
    Ended,
    /// Its adapter is being asked what became of it.
    Asked,
}

impl From<RunPlace> for AttemptPlace {
    fn from(place: RunPlace) -> Self {
        match place {
            RunPlace::Queued => AttemptPlace::Queued,
            RunPlace::AtWork => AttemptPlace::AtWork,
            RunPlace::Ended => AttemptPlace::Ended,
            RunPlace::Asked => AttemptPlace::Asked,
        }
    }
}

impl Shard {
    /// The facts, as they are now.
    pub(super) fn evidence(&self, query: &EvidenceQuery) -> Evidence {
        let marked: HashSet<&str> =
            self.starts.tokens().chain(self.marked.keys().map(String::as_str)).collect();
        let ready: HashSet<&str> = self.ready.tokens().collect();
        let attempts = query.attempts.iter().map(|(adapter, token)| {
            if ready.contains(token.as_str()) {
                AttemptPlace::Ready
            } else if marked.contains(token.as_str()) {
                AttemptPlace::Marked
            } else {
                self.with.runner.place(adapter, token).map_or(AttemptPlace::Nowhere, Into::into)
            }
        });
        let actors = query.actors.iter().map(|actor| ActorEvidence {
            timer: self.timers.of(actor),
            live: self.live.contains_key(actor),
            aside: self.meta.quarantined.get(actor).map(|aside| AsideEvidence {
                reason: aside.reason.clone(),
                since: aside.since,
                offset: aside.offset,
                held: aside.held.len(),
            }),
        });
        let asides = self.meta.quarantined.iter().take(ASIDES_MOST);
        let asides = asides.map(|(actor, aside)| (actor.clone(), aside.reason.clone()));
        Evidence {
            progress: Progress {
                cursor: self.cursor,
                mark: self.mark,
                head: *self.head.borrow(),
                recovered: self.recovered,
                leaving: self.draining || self.holding,
            },
            timers_loaded: self.timers_loaded,
            asides: asides.collect(),
            actors: actors.collect(),
            attempts: attempts.collect(),
        }
    }

    /// Puts a timer back that is missing from the wheel. An earlier one stays; one too many changes nothing.
    pub(super) fn remind(&mut self, actor: &str, due: u64) {
        if self.recovered && self.timers.of(actor).is_none_or(|known| known > due) {
            self.timers.set(actor, Some(due));
            self.publish();
        }
    }
}
