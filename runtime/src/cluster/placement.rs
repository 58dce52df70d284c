//! Placement: what a node should do now so that every shard has an owner, and each node its fair part.
//!
//! There is no leader. Every node reckons the same plan from about the same view and does its own part of it. Where two
//! views differ, two nodes may want the same shard; the store's compare-and-set on the epoch lets one of them have it.
//! So agreement is a matter of efficiency only.
//!
//! The plan looks at what is, never at what happened: a step that failed or was lost is in the next plan again.

use std::collections::BTreeMap;

use impresario_persistence::{Epoch, Ownership, ShardId};

use super::shares::{Placing, Shares};
use super::view::ClusterView;

#[cfg(test)]
mod tests;

/// How patient placement is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementSettings {
    /// How long the node that is next in line waits for the one before it to claim an orphan, in milliseconds.
    pub claim_delay_ms: u64,
    /// How long a node must have been alive before others hand shards to it for balance, in milliseconds.
    pub join_grace_ms: u64,
    /// How many shards may be on their way from one node to another in the whole cluster.
    pub moves_at_once: usize,
}

impl Default for PlacementSettings {
    fn default() -> Self {
        PlacementSettings { claim_delay_ms: 600, join_grace_ms: 1_000, moves_at_once: 4 }
    }
}

/// One thing for this node to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Claim a shard that nobody owns.
    Claim {
        /// Which.
        shard: ShardId,
        /// The epoch on which the claim builds.
        seen: Epoch,
    },
    /// Hand a shard of this node over. Planned again until the view shows it done: whoever carries it out takes no
    /// notice of one that is under way.
    HandOver {
        /// Which.
        shard: ShardId,
        /// The incarnation that takes it.
        to: String,
    },
}

/// What a node remembers from one plan to the next. All of it can be lost: a node then waits a little longer.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Since when each living incarnation has been seen alive.
    alive_since: BTreeMap<String, u64>,
    /// The orphans, with their epoch and since when they have been seen so.
    orphan_since: BTreeMap<ShardId, (Epoch, u64)>,
    /// The shard that this node is handing over.
    moving: Option<Moving>,
    frozen_until: u64,
}

#[derive(Clone, Debug)]
struct Moving {
    shard: ShardId,
    epoch: Epoch,
    to: String,
}

impl Memory {
    /// Plans nothing before this time; the waits for an orphan begin anew then.
    pub fn freeze(&mut self, until_ms: u64) {
        self.frozen_until = self.frozen_until.max(until_ms);
    }

    fn look(&mut self, view: &ClusterView, shares: &Shares<'_>, now_ms: u64) {
        let before = std::mem::take(&mut self.alive_since);
        for node in view.nodes.iter().filter(|node| node.alive) {
            let since = before.get(&node.incarnation).copied().unwrap_or(now_ms);
            self.alive_since.insert(node.incarnation.clone(), since);
        }
        let before = std::mem::take(&mut self.orphan_since);
        for orphan in shares.orphans.iter().filter_map(|orphan| view.shard(orphan.shard)) {
            let known = before.get(&orphan.shard).filter(|(epoch, _)| *epoch == orphan.epoch);
            let since = known.map_or(now_ms, |(_, since)| *since);
            self.orphan_since.insert(orphan.shard, (orphan.epoch, since));
        }
    }
}

/// What this node should do now. `now_ms` is its monotonic clock, in milliseconds.
pub fn plan(view: &ClusterView, memory: &mut Memory, now_ms: u64, settings: &PlacementSettings) -> Vec<Step> {
    let shares = Shares::of(view, None);
    memory.look(view, &shares, now_ms);
    // One that leaves, or that the others take for dead, takes nothing.
    let Some(me) = shares.place_of(&view.me) else { return Vec::new() };
    if now_ms < memory.frozen_until {
        return Vec::new();
    }
    let due = |orphan: &Placing| {
        let owned = view.shard(orphan.shard)?;
        let rank = orphan.ranks.iter().position(|taker| *taker == me)? as u64;
        let (_, since) = memory.orphan_since.get(&orphan.shard)?;
        let from =
            since.max(&memory.frozen_until).saturating_add(rank.saturating_mul(settings.claim_delay_ms));
        (now_ms >= from).then_some(Step::Claim { shard: owned.shard, seen: owned.epoch })
    };
    let mut steps: Vec<Step> = shares.orphans.iter().filter_map(due).collect();
    steps.extend(hand_over(view, memory, &shares, me, now_ms, settings));
    steps
}

/// The shard that this node is to hand over for balance: one at a time.
fn hand_over(
    view: &ClusterView,
    memory: &mut Memory,
    shares: &Shares<'_>,
    me: usize,
    now_ms: u64,
    settings: &PlacementSettings,
) -> Option<Step> {
    if let Some(moving) = &memory.moving {
        let owned = view.shard(moving.shard).filter(|owned| owned.epoch == moving.epoch);
        if owned.is_some_and(|owned| view.is_mine(owned.shard.0)) && shares.place_of(&moving.to).is_some() {
            return Some(Step::HandOver { shard: moving.shard, to: moving.to.clone() });
        }
        // Given up and not claimed yet: it is an orphan, and somebody's turn to claim it comes.
        if owned.is_some_and(|owned| owned.owner.is_none()) {
            return None;
        }
        memory.moving = None;
    }
    let under_way =
        view.shards.iter().filter(|owned| owned.owner.is_none() && owned.offered.is_some()).count();
    let limit = settings.moves_at_once.saturating_sub(under_way);
    let known = |incarnation: &str| {
        let since = memory.alive_since.get(incarnation);
        since.is_some_and(|since| now_ms >= since.saturating_add(settings.join_grace_ms))
    };
    let moves = shares.moves(limit, |node| known(&node.incarnation));
    let to = moves.into_iter().find(|one| one.from == me)?.to;
    let mine = view.shards.iter().filter(|owned| view.is_mine(owned.shard.0));
    let shard = shares.best_for(to, mine.map(|owned| owned.shard))?;
    let to = shares.takers[to].incarnation.clone();
    let epoch = view.shard(shard)?.epoch;
    memory.moving = Some(Moving { shard, epoch, to: to.clone() });
    Some(Step::HandOver { shard, to })
}

/// The incarnation to which the owner of a shard should give it when that owner leaves; `None` when nobody is left to
/// take it. Asked for each shard of a node, it spreads them evenly, whether or not the view has changed in between.
pub fn successor(view: &ClusterView, shard: ShardId) -> Option<String> {
    let owner = view.shard(shard).and_then(|owned: &Ownership| owned.owner.as_ref());
    let shares = Shares::of(view, owner.map(|owner| owner.incarnation.as_str()));
    let placing = shares.leaving.iter().chain(&shares.orphans).find(|placing| placing.shard == shard)?;
    placing.ranks.first().map(|taker| shares.takers[*taker].incarnation.clone())
}
