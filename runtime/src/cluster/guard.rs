//! The guard against mass expiry: when many nodes seem to die at once, it is more likely that the store or its clock has
//! misled this node than that they are gone. So nothing is rehomed for one time to live, in which they can renew.
//!
//! A clock of the store that is set forward ends every presence at once, and so does a store that stood still for longer
//! than a presence lasts. Whoever is gone in truth is still gone afterwards, and is rehomed then: safety never depends on
//! this, only the cost of moving everything for nothing.

use std::collections::BTreeSet;

use impresario_persistence::Census;

#[cfg(test)]
mod tests;

/// The smallest number of nodes whose end at once is suspicious: one death is handled without delay in every cluster.
const GONE_MIN: usize = 2;

/// What the guard goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardSettings {
    /// How long a presence lasts, and so how long a freeze does, in milliseconds.
    pub ttl_ms: u64,
    /// How far the store's clock may be off the way it went before, in milliseconds.
    pub jump_ms: u64,
}

impl GuardSettings {
    /// For presences of some length. A quarter of it is well below the jump that could end a presence which was renewed
    /// in time (that takes the length less the interval of renewals), and well above what a clock is slewed by.
    pub fn for_ttl(ttl_ms: u64) -> Self {
        GuardSettings { ttl_ms, jump_ms: ttl_ms / 4 }
    }
}

/// When a census was taken, by the monotonic clock of this node: somewhere between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// When it was asked for, in milliseconds.
    pub sent_ms: u64,
    /// When the answer was there, in milliseconds.
    pub received_ms: u64,
}

/// By how much the store's clock is ahead of the monotonic one, at least and at most: the answer was on its way.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    least: i128,
    most: i128,
}

/// The guard of one node.
#[derive(Debug)]
pub struct Guard {
    settings: GuardSettings,
    /// Which other incarnations were alive at the last census.
    living: BTreeSet<String>,
    ahead: Option<Ahead>,
    /// The end of the last freeze.
    frozen_until: u64,
}

impl Guard {
    /// A guard that has seen nothing yet.
    pub fn new(settings: GuardSettings) -> Self {
        Guard { settings, living: BTreeSet::new(), ahead: None, frozen_until: 0 }
    }

    /// Looks at the next census; `me` is the incarnation of this node. Answers what to alarm an operator with when a
    /// freeze begins.
    ///
    /// A freeze lasts one time to live and is not made longer by what happens meanwhile, and for as long again after it
    /// no other begins: whatever clock and nodes do, rehoming goes on at least half of the time.
    pub fn observe(&mut self, census: &Census, me: &str, asked: Asked) -> Option<String> {
        let reason = self.jumped(census.now, asked).or_else(|| self.gone(census, me));
        let others = census.members.iter().filter(|seen| seen.alive && seen.member.incarnation != me);
        self.living = others.map(|seen| seen.member.incarnation.clone()).collect();
        let ttl_ms = self.settings.ttl_ms;
        let rested = self.frozen_until == 0 || asked.received_ms >= self.frozen_until.saturating_add(ttl_ms);
        let reason = reason.filter(|_| rested)?;
        self.frozen_until = asked.received_ms.saturating_add(ttl_ms);
        Some(format!(
            "{reason}: no shard is rehomed for {ttl_ms} ms; look at the store, its clock and the network"
        ))
    }

    /// Until when nothing is to be rehomed, in milliseconds of the monotonic clock; in the past when it is over.
    pub fn frozen_until(&self) -> u64 {
        self.frozen_until
    }

    /// Whether too many of the others have gone since the last census. Who left in good order is not listed at all, and
    /// who has started again has a new incarnation: neither was taken for dead by mistake.
    fn gone(&self, census: &Census, me: &str) -> Option<String> {
        let gone = |seen: &&impresario_persistence::Sighting| {
            let incarnation = &seen.member.incarnation;
            !seen.alive && incarnation != me && self.living.contains(incarnation)
        };
        let gone = census.members.iter().filter(gone).count();
        let others = self.living.len();
        (gone >= GONE_MIN && gone * 3 > others)
            .then(|| format!("{gone} of {others} other nodes have gone at once"))
    }

    /// Whether the store's clock has gone another way than the monotonic one since the last census.
    fn jumped(&mut self, store_ms: u64, asked: Asked) -> Option<String> {
        let store_ms = i128::from(store_ms);
        let now = Ahead {
            least: store_ms - i128::from(asked.received_ms),
            most: store_ms - i128::from(asked.sent_ms),
        };
        let before = self.ahead.replace(now)?;
        // Only what no delay of an answer can explain.
        let forward = now.least - before.most;
        let back = before.least - now.most;
        let (by, way) = if forward > back { (forward, "forward") } else { (back, "back") };
        (by > i128::from(self.settings.jump_ms))
            .then(|| format!("the store's clock has jumped {way} by at least {by} ms"))
    }
}
