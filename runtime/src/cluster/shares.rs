//! Shares: how many shards each node ought to have, who is to take those without an owner, and who gives to whom.
//!
//! Everything here follows from the view alone, so that nodes with the same view reckon the same. The load is counted in
//! shards against the weights of the nodes: that measure is exact and the same for everybody. What nodes tell of their
//! work changes by the second and is seen later by some than by others, so it only decides between equals.

use std::cmp::Reverse;
use std::collections::HashMap;

use impresario_persistence::ShardId;

use super::view::{ClusterView, NodeRecord, NodeView};

/// A shard that is to be placed.
pub(super) struct Placing {
    pub(super) shard: ShardId,
    /// Those who could take it, best first, by their place among [`Shares::takers`].
    pub(super) ranks: Vec<usize>,
}

/// One shard goes from one node to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: usize,
    pub(super) to: usize,
}

/// What falls to whom in one view.
pub(super) struct Shares<'a> {
    /// The nodes that take shards: alive, not leaving, of some weight; by name.
    pub(super) takers: Vec<&'a NodeView>,
    /// How many shards each taker has, with those that are to come to it.
    counts: Vec<u64>,
    /// The shards without a living owner.
    pub(super) orphans: Vec<Placing>,
    /// The shards whose owner lives but takes none: they move when that node hands them over.
    pub(super) leaving: Vec<Placing>,
}

impl<'a> Shares<'a> {
    /// The shares in a view, in which `leaving` takes no shard, whatever it tells.
    pub(super) fn of(view: &'a ClusterView, leaving: Option<&str>) -> Self {
        let takes = |node: &&NodeView| {
            node.alive
                && !node.record.draining
                && node.record.weight > 0
                && Some(node.incarnation.as_str()) != leaving
        };
        let mut takers: Vec<&NodeView> = view.nodes.iter().filter(takes).collect();
        takers.sort_by(|a, b| a.name.cmp(&b.name));
        let mut shares =
            Shares { counts: vec![0; takers.len()], takers, orphans: Vec::new(), leaving: Vec::new() };
        shares.place(view);
        shares
    }

    /// A taker's place.
    pub(super) fn place_of(&self, incarnation: &str) -> Option<usize> {
        self.takers.iter().position(|node| node.incarnation == incarnation)
    }

    /// Proposes a taker for every shard that has none.
    fn place(&mut self, view: &ClusterView) {
        let takers: HashMap<&str, usize> =
            self.takers.iter().enumerate().map(|(at, node)| (node.incarnation.as_str(), at)).collect();
        let mut promised = Vec::new();
        let mut orphans = Vec::new();
        let mut leaving = Vec::new();
        for owned in &view.shards {
            let owner = owned.owner.as_ref();
            let offered = owned.offered.as_deref().filter(|_| owner.is_none());
            if let Some(taker) = owner.and_then(|owner| takers.get(owner.incarnation.as_str())) {
                self.counts[*taker] += 1;
            } else if let Some(taker) = offered.and_then(|next| takers.get(next)) {
                self.counts[*taker] += 1;
                promised.push((owned, *taker));
            } else if owner.is_some_and(|owner| view.lives(&owner.incarnation)) {
                leaving.push(owned);
            } else {
                orphans.push(owned);
            }
        }
        let quotas = self.quotas(view.shards.len() as u64);
        for (owned, taker) in promised {
            let mut ranks = self.ranks(owned.shard, None, &quotas);
            ranks.retain(|one| *one != taker);
            ranks.insert(0, taker);
            self.orphans.push(Placing { shard: owned.shard, ranks });
        }
        let mut proposed = |owned: &impresario_persistence::Ownership| {
            let site = owned.owner.as_ref().and_then(|owner| view.site_of(&owner.node));
            let ranks = self.ranks(owned.shard, site, &quotas);
            if let Some(first) = ranks.first() {
                self.counts[*first] += 1;
            }
            Placing { shard: owned.shard, ranks }
        };
        let orphans: Vec<Placing> = orphans.into_iter().map(&mut proposed).collect();
        self.leaving = leaving.into_iter().map(&mut proposed).collect();
        self.orphans.extend(orphans);
    }

    /// How many shards each taker is to have at most: its part by weight, rounded so that the sum is right.
    ///
    /// The places left by rounding down go first to those that have more already, so that nothing moves for them, then
    /// by the largest remainder. As orphans are taken only up to these quotas, the order in which the takers claim them
    /// changes nothing.
    fn quotas(&self, shards: u64) -> Vec<u64> {
        let weights: u64 = self.takers.iter().map(|node| weight(node)).sum();
        let mut quotas: Vec<u64> = self
            .takers
            .iter()
            .map(|node| (shards * weight(node)).checked_div(weights).unwrap_or(0))
            .collect();
        let left = usize::try_from(shards.saturating_sub(quotas.iter().sum())).unwrap_or(usize::MAX);
        let mut order: Vec<usize> = (0..self.takers.len()).collect();
        order.sort_by_key(|at| {
            let remainder = (shards * weight(self.takers[*at])).checked_rem(weights);
            (Reverse(self.counts[*at] > quotas[*at]), Reverse(remainder), *at)
        });
        order.into_iter().take(left).for_each(|at| quotas[at] += 1);
        quotas
    }

    /// The takers of a shard, best first: those below their quota, those in its site, then by rendezvous.
    fn ranks(&self, shard: ShardId, site: Option<&str>, quotas: &[u64]) -> Vec<usize> {
        let mut keyed: Vec<_> = self
            .takers
            .iter()
            .enumerate()
            .map(|(at, node)| {
                let full = self.counts[at] >= quotas[at];
                let elsewhere = site.is_some() && node.record.site.as_deref() != site;
                (full, elsewhere, distance(&node.name, shard, node.record.weight), at)
            })
            .collect();
        keyed.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).then(a.3.cmp(&b.3)));
        keyed.into_iter().map(|(.., at)| at).collect()
    }

    /// The next move of each of the first `limit` nodes that have too much, to nodes that `may_receive`.
    ///
    /// A move is made only while its two nodes are two shards or more apart, counted from what is fair. So each move
    /// makes the sum of the squares of what the nodes are off smaller, whichever of the others are made too: it ends,
    /// and nothing goes back and forth.
    pub(super) fn moves(&self, limit: usize, may_receive: impl Fn(&NodeView) -> bool) -> Vec<Move> {
        let total: u64 = self.counts.iter().sum();
        let one = self.takers.iter().map(|node| weight(node)).sum::<u64>();
        // What a node has beyond its fair part, in shards times `one` so that nothing is rounded.
        let mut excess: Vec<i128> = self
            .takers
            .iter()
            .zip(&self.counts)
            .map(|(node, count)| i128::from(count * one) - i128::from(total * weight(node)))
            .collect();
        let one = i128::from(one);
        let mut moves: Vec<Move> = Vec::new();
        for _ in 0..total {
            let by_excess = |at: &usize| (excess[*at], pressure(&self.takers[*at].record), Reverse(*at));
            let Some(from) = (0..excess.len()).max_by_key(by_excess) else { break };
            let site = &self.takers[from].record.site;
            let receivers = (0..excess.len())
                .filter(|at| excess[from] - excess[*at] >= 2 * one && may_receive(self.takers[*at]));
            // Who lacks a whole shard comes first, and among those who stands in the same site.
            let to = receivers.min_by_key(|at| {
                let record = &self.takers[*at].record;
                (excess[*at] > -one, record.site != *site, excess[*at], pressure(record), *at)
            });
            let Some(to) = to else { break };
            if moves.iter().all(|other| other.from != from) {
                if moves.len() >= limit {
                    break;
                }
                moves.push(Move { from, to });
            }
            excess[from] -= one;
            excess[to] += one;
        }
        moves
    }

    /// Which of some shards suits a taker best.
    pub(super) fn best_for(&self, taker: usize, shards: impl Iterator<Item = ShardId>) -> Option<ShardId> {
        let node = self.takers[taker];
        let distance = |shard: &ShardId| distance(&node.name, *shard, node.record.weight);
        shards.min_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.cmp(b)))
    }
}

fn weight(node: &NodeView) -> u64 {
    u64::from(node.record.weight)
}

/// How busy a node is for its weight, in powers of two: small changes are not seen.
fn pressure(record: &NodeRecord) -> u32 {
    let work = record.live.saturating_add(record.running) / u64::from(record.weight.max(1));
    work.checked_ilog2().map_or(0, |power| power + 1)
}

/// How far a node is from a shard. The nearest one takes it: weighted rendezvous hashing, so that each is nearest in
/// proportion to its weight, and one that comes or goes changes nothing between the others.
///
/// By the name and not by the incarnation: a node that starts again is near to the same shards as before.
fn distance(node: &str, shard: ShardId, weight: u16) -> f64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in node.bytes().chain([0xff]).chain(shard.0.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // FNV leaves short names close together; this spreads every bit over all others.
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    // Uniform in (0, 1): 52 bits and a half.
    let uniform = ((hash >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    -uniform.ln() / f64::from(weight)
}
