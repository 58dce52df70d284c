//! Placement as tables: what a cluster of plans does when one thing happens to it.

use std::collections::{BTreeMap, BTreeSet};

use impresario_persistence::{Epoch, Owner, Ownership, ShardId};

use super::{Memory, PlacementSettings, Step, plan, successor};
use crate::cluster::{ClusterView, NodeRecord, NodeView};

mod random;

/// One round of the registry.
const TICK_MS: u64 = 250;

fn node(name: &str, weight: u16, site: Option<&str>) -> NodeView {
    let record = NodeRecord { weight, site: site.map(str::to_owned), ..NodeRecord::default() };
    NodeView { name: name.to_owned(), incarnation: format!("{name}-1"), alive: true, record }
}

fn owned(shard: u16, owner: Option<&str>) -> Ownership {
    let owner = owner.map(|node| Owner { node: node.to_owned(), incarnation: format!("{node}-1") });
    Ownership { shard: ShardId(shard), epoch: Epoch(u64::from(owner.is_some())), owner, offered: None }
}

/// Nodes that all see the same (or an older) view, each with a memory of its own, and a store that checks the epochs.
struct Cluster {
    view: ClusterView,
    memories: BTreeMap<String, Memory>,
    now_ms: u64,
    /// Alive, but they do nothing.
    silent: BTreeSet<String>,
    moves: usize,
    claims: usize,
    refused: usize,
}

impl Cluster {
    fn new(nodes: Vec<NodeView>, shards: Vec<Ownership>) -> Self {
        let view = ClusterView { me: String::new(), nodes, shards };
        Cluster {
            view,
            memories: BTreeMap::new(),
            now_ms: 1_000_000,
            silent: BTreeSet::new(),
            moves: 0,
            claims: 0,
            refused: 0,
        }
    }

    /// `count` equal nodes `a`, `b`, … and shards that nobody has owned.
    fn fresh(count: u8, shards: u16) -> Self {
        let nodes = (0..count).map(|at| node(&char::from(b'a' + at).to_string(), 1, None)).collect();
        Cluster::new(nodes, (0..shards).map(|shard| owned(shard, None)).collect())
    }

    fn node(&mut self, name: &str) -> &mut NodeView {
        self.view.nodes.iter_mut().find(|node| node.name == name).unwrap()
    }

    fn kill(&mut self, name: &str) {
        self.node(name).alive = false;
    }

    /// What one node plans from a view.
    fn plan_from(&mut self, view: &ClusterView, incarnation: &str) -> Vec<Step> {
        let view = ClusterView { me: incarnation.to_owned(), ..view.clone() };
        let memory = self.memories.entry(incarnation.to_owned()).or_default();
        plan(&view, memory, self.now_ms, &PlacementSettings::default())
    }

    /// Carries a step out as the store would.
    fn act(&mut self, by: &NodeView, step: &Step) {
        match step {
            Step::Claim { shard, seen } => {
                let owned = &mut self.view.shards[usize::from(shard.0)];
                if owned.epoch != *seen {
                    self.refused += 1;
                    return;
                }
                let owner = Owner { node: by.name.clone(), incarnation: by.incarnation.clone() };
                let epoch = Epoch(seen.0 + 1);
                *owned = Ownership { shard: *shard, epoch, owner: Some(owner), offered: None };
                self.claims += 1;
            }
            Step::HandOver { shard, to } => {
                let owned = &mut self.view.shards[usize::from(shard.0)];
                if owned.owner.as_ref().is_some_and(|owner| owner.incarnation == by.incarnation) {
                    owned.owner = None;
                    owned.offered = Some(to.clone());
                    self.moves += 1;
                }
            }
        }
    }

    /// One round of all nodes, each with the view that `seen` gives it; false when nobody had anything to do.
    fn round(&mut self, seen: impl Fn(usize, &ClusterView) -> ClusterView) -> bool {
        let before = self.view.clone();
        let mut acted = false;
        let nodes = self.view.nodes.clone();
        for (at, by) in nodes.iter().enumerate().filter(|(_, node)| node.alive) {
            let steps = self.plan_from(&seen(at, &before), &by.incarnation);
            acted |= !steps.is_empty();
            if !self.silent.contains(&by.incarnation) {
                steps.iter().for_each(|step| self.act(by, step));
            }
        }
        self.now_ms += TICK_MS;
        acted
    }

    /// Runs until nothing happens for longer than any wait of a plan takes; how many rounds it took.
    fn settle(&mut self, rounds_max: usize) -> usize {
        let mut quiet = 0;
        for round in 0..rounds_max {
            let acted = self.round(|_, view| view.clone());
            quiet = if acted { 0 } else { quiet + 1 };
            if quiet > 30 {
                return round + 1 - quiet;
            }
        }
        panic!("expected rest within {rounds_max} rounds, found {:?}", self.counts());
    }

    fn counts(&self) -> BTreeMap<String, i64> {
        let mut counts: BTreeMap<String, i64> =
            self.view.nodes.iter().map(|node| (node.name.clone(), 0)).collect();
        for owner in self.view.shards.iter().filter_map(|owned| owned.owner.as_ref()) {
            *counts.entry(owner.node.clone()).or_default() += 1;
        }
        counts
    }

    fn count(&self, name: &str) -> i64 {
        self.counts()[name]
    }

    /// The greatest difference between two nodes that take shards, in shards beyond what is fair; what a node that
    /// takes none still has counts for those it will give it to.
    fn unfairness(&self) -> f64 {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for (shard, owned) in (0_u16..).zip(&self.view.shards) {
            let owner = self.view.owner_of(shard).filter(|owner| takes(owner));
            let owner =
                owner.map(|owner| owner.incarnation.clone()).or_else(|| successor(&self.view, owned.shard));
            let owner =
                self.view.nodes.iter().find(|node| Some(&node.incarnation) == owner.as_ref()).unwrap();
            *counts.entry(&owner.name).or_default() += 1;
        }
        let takers = self.view.nodes.iter().filter(|node| takes(node));
        let of: Vec<(f64, f64)> = takers
            .map(|node| {
                (f64::from(node.record.weight), counts.get(node.name.as_str()).copied().unwrap_or(0) as f64)
            })
            .collect();
        let weights: f64 = of.iter().map(|(weight, _)| weight).sum();
        let total: f64 = of.iter().map(|(_, count)| count).sum();
        let excess = of.iter().map(|(weight, count)| count - total * weight / weights);
        let (least, most) =
            excess.fold((f64::MAX, f64::MIN), |(least, most), one| (least.min(one), most.max(one)));
        most - least
    }

    fn orphans(&self) -> usize {
        (0..self.view.shards.len() as u16).filter(|shard| self.view.owner_of(*shard).is_none()).count()
    }
}

fn takes(node: &NodeView) -> bool {
    node.alive && !node.record.draining && node.record.weight > 0
}

#[test]
fn each_orphan_is_claimed_by_one_node_at_once_and_evenly() {
    for (nodes, shards) in [(1, 16), (2, 16), (3, 16), (5, 64), (7, 1_024)] {
        let mut cluster = Cluster::fresh(nodes, shards);
        cluster.round(|_, view| view.clone());
        assert_eq!((cluster.orphans(), cluster.refused), (0, 0), "{nodes} nodes, {shards} shards");
        let counts: Vec<i64> = cluster.counts().into_values().collect();
        let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
        assert!(spread <= 1, "expected an even spread, found {counts:?}");
    }
}

#[test]
fn the_shards_of_a_dead_node_come_out_even_and_no_other_moves() {
    let mut cluster = Cluster::fresh(4, 64);
    cluster.settle(100);
    let before = cluster.view.shards.clone();
    cluster.kill("b");
    cluster.settle(100);
    assert_eq!(cluster.moves, 0);
    for (was, is) in before.iter().zip(&cluster.view.shards) {
        let dead = was.owner.as_ref().is_some_and(|owner| owner.node == "b");
        assert_eq!(was.owner != is.owner, dead, "only what the dead node had moves: {was:?} {is:?}");
    }
    for name in ["a", "c", "d"] {
        assert!((21..=22).contains(&cluster.count(name)), "{:?}", cluster.counts());
    }
}

#[test]
fn a_node_that_joins_gets_its_part_and_nothing_else_moves() {
    for (nodes, shards) in [(1_u8, 16_u16), (2, 16), (3, 64), (4, 1_000)] {
        let mut cluster = Cluster::fresh(nodes, shards);
        cluster.settle(100);
        cluster.view.nodes.push(node("z", 1, None));
        cluster.settle(10_000);
        let part = usize::from(shards) / (usize::from(nodes) + 1);
        assert_eq!(cluster.moves, part, "{nodes} nodes and one more, {shards} shards");
        assert_eq!(cluster.count("z"), part as i64);
    }
}

#[test]
fn a_joiner_waits_out_its_grace_before_it_is_handed_anything() {
    let mut cluster = Cluster::fresh(1, 8);
    cluster.settle(100);
    cluster.view.nodes.push(node("z", 1, None));
    let begin = cluster.now_ms;
    while cluster.moves == 0 {
        cluster.round(|_, view| view.clone());
    }
    assert_eq!(cluster.now_ms - begin, 1_000 + TICK_MS, "moved in the round at the end of the grace");
    // One that comes back after it was gone is a joiner again.
    cluster.settle(1_000);
    let before = cluster.moves;
    cluster.kill("z");
    cluster.settle(1_000);
    assert_eq!((cluster.count("a"), cluster.moves), (8, before));
    cluster.node("z").alive = true;
    let begin = cluster.now_ms;
    while cluster.moves == before {
        cluster.round(|_, view| view.clone());
    }
    assert_eq!(cluster.now_ms - begin, 1_000 + TICK_MS);
}

#[test]
fn a_chosen_node_that_never_acts_does_not_leave_a_shard_lying() {
    let mut cluster = Cluster::fresh(4, 32);
    cluster.settle(100);
    cluster.kill("a");
    cluster.silent = ["b-1".to_owned(), "c-1".to_owned()].into();
    let begin = cluster.now_ms;
    while cluster.orphans() > 0 {
        cluster.round(|_, view| view.clone());
        assert!(cluster.now_ms - begin < 2 * 600 + 3 * TICK_MS, "{} lie", cluster.orphans());
    }
    assert_eq!(cluster.count("d"), 16, "it has its own and all those of the dead node");
}

#[test]
fn the_second_in_line_waits_for_its_turn() {
    let mut cluster = Cluster::fresh(2, 16);
    cluster.silent = ["a-1".to_owned()].into();
    cluster.round(|_, view| view.clone());
    assert_eq!(cluster.orphans(), 8);
    while cluster.now_ms < 1_000_000 + 600 {
        cluster.round(|_, view| view.clone());
    }
    assert_eq!(cluster.orphans(), 8, "not before the delay");
    cluster.round(|_, view| view.clone());
    assert_eq!(cluster.orphans(), 0);
}

#[test]
fn nobody_claims_who_drains_is_dead_has_no_weight_or_is_frozen() {
    type Change = fn(&mut NodeView);
    let reasons: [(&str, Change); 3] = [
        ("draining", |node| node.record.draining = true),
        ("dead in the eyes of the others", |node| node.alive = false),
        ("without weight", |node| node.record.weight = 0),
    ];
    for (reason, change) in reasons {
        let mut cluster = Cluster::fresh(2, 8);
        change(cluster.node("a"));
        let view = cluster.view.clone();
        for _ in 0..20 {
            assert_eq!(cluster.plan_from(&view, "a-1"), [], "{reason}");
            cluster.now_ms += TICK_MS;
        }
        assert_eq!(cluster.plan_from(&view, "b-1").len(), 8, "the other one does instead");
    }

    let mut cluster = Cluster::fresh(2, 8);
    let view = cluster.view.clone();
    let until = cluster.now_ms + 2_000;
    cluster.memories.entry("a-1".to_owned()).or_default().freeze(until);
    while cluster.now_ms < until {
        assert_eq!(cluster.plan_from(&view, "a-1"), []);
        cluster.now_ms += TICK_MS;
    }
    assert_eq!(cluster.plan_from(&view, "a-1").len(), 4, "then its own part, not what is the other's turn");
}

#[test]
fn a_node_never_claims_what_it_owns_whatever_the_others_hold_of_it() {
    // Its presence has expired and come back, or is about to: what the engine runs is not recovered beside it.
    for alive in [true, false] {
        let mut cluster = Cluster::fresh(1, 4);
        cluster.settle(100);
        cluster.node("a").alive = alive;
        let view = cluster.view.clone();
        cluster.now_ms += 60_000;
        assert_eq!(cluster.plan_from(&view, "a-1"), []);
    }
}

#[test]
fn a_node_that_starts_again_takes_back_what_it_had() {
    let mut cluster = Cluster::fresh(3, 48);
    cluster.settle(100);
    let had = cluster.count("b");
    let again = cluster.node("b");
    again.incarnation = "b-2".to_owned();
    cluster.settle(100);
    assert_eq!((cluster.count("b"), cluster.moves), (had, 0));
    let newest = |owned: &Ownership| owned.owner.as_ref().is_some_and(|owner| owner.incarnation == "b-2");
    assert_eq!(cluster.view.shards.iter().filter(|owned| newest(owned)).count() as i64, had);
}

#[test]
fn rehoming_stays_in_the_site_as_far_as_that_is_fair() {
    let nodes = vec![
        node("a1", 1, Some("A")),
        node("a2", 1, Some("A")),
        node("a3", 1, Some("A")),
        node("b1", 1, Some("B")),
        node("b2", 1, Some("B")),
    ];
    // The dead node had little, so that its site has room for all of it.
    let owner = |shard: u16| match shard {
        0..4 => "a1",
        4..12 => "a2",
        12..20 => "a3",
        20..30 => "b1",
        _ => "b2",
    };
    let mut cluster = Cluster::new(nodes, (0..40).map(|shard| owned(shard, Some(owner(shard)))).collect());
    cluster.kill("a1");
    cluster.round(|_, view| view.clone());
    assert_eq!(cluster.orphans(), 0);
    assert_eq!((cluster.count("a2"), cluster.count("a3")), (10, 10));

    // All of a site: whoever is left takes them.
    cluster.kill("a2");
    cluster.kill("a3");
    cluster.round(|_, view| view.clone());
    assert_eq!((cluster.orphans(), cluster.count("b1"), cluster.count("b2")), (0, 20, 20));
}

#[test]
fn an_offered_shard_is_for_the_one_it_was_offered_to_while_that_one_lives() {
    let mut cluster = Cluster::fresh(3, 9);
    cluster.settle(100);
    cluster.view.shards[0].owner = None;
    cluster.view.shards[0].offered = Some("c-1".to_owned());
    let epoch = cluster.view.shards[0].epoch;
    let view = cluster.view.clone();
    let claim = [Step::Claim { shard: ShardId(0), seen: epoch }];
    for (incarnation, expected) in [("a-1", &[][..]), ("b-1", &[]), ("c-1", &claim)] {
        assert_eq!(cluster.plan_from(&view, incarnation), expected, "{incarnation}");
    }
    // It died: the others take it without waiting for it.
    cluster.kill("c");
    cluster.round(|_, view| view.clone());
    assert!(cluster.view.owner_of(0).is_some());
}

#[test]
fn a_hand_over_is_planned_until_it_is_done_and_one_at_a_time() {
    let mut cluster = Cluster::fresh(1, 8);
    cluster.settle(100);
    cluster.view.nodes.push(node("z", 1, None));
    cluster.round(|_, view| view.clone());
    cluster.now_ms += 1_000;
    let view = cluster.view.clone();
    let first = cluster.plan_from(&view, "a-1");
    assert!(matches!(first[..], [Step::HandOver { .. }]), "{first:?}");
    for _ in 0..10 {
        cluster.now_ms += TICK_MS;
        assert_eq!(cluster.plan_from(&view, "a-1"), first, "the same until the view shows it done");
    }
    // Given up, and not claimed yet: nothing more meanwhile.
    let a = cluster.node("a").clone();
    cluster.act(&a, &first[0]);
    let view = cluster.view.clone();
    assert_eq!(cluster.plan_from(&view, "a-1"), []);
    // The receiver drains before it has claimed: the shard comes back at once.
    cluster.node("z").record.draining = true;
    let view = cluster.view.clone();
    assert!(matches!(cluster.plan_from(&view, "a-1")[..], [Step::Claim { .. }]));
}

#[test]
fn no_more_shards_are_on_their_way_than_allowed() {
    let mut cluster = Cluster::fresh(12, 240);
    cluster.settle(100);
    ["x", "y", "z"].iter().for_each(|name| cluster.view.nodes.push(node(name, 1, None)));
    let most = PlacementSettings::default().moves_at_once;
    let mut least_seen = usize::MAX;
    for _ in 0..400 {
        cluster.round(|_, view| view.clone());
        let under_way = cluster.view.shards.iter().filter(|owned| owned.offered.is_some()).count();
        assert!(under_way <= most, "{under_way} on their way");
        least_seen = if under_way > 0 { least_seen.min(under_way) } else { least_seen };
    }
    assert_eq!((cluster.moves, least_seen), (48, most), "each of three gets 16, {most} at a time");
}

#[test]
fn balance_follows_the_weights() {
    let nodes = vec![node("a", 1, None), node("b", 2, None), node("c", 5, None)];
    let mut cluster = Cluster::new(nodes, (0..64).map(|shard| owned(shard, Some("a"))).collect());
    cluster.settle(1_000);
    let counts: Vec<i64> = cluster.counts().into_values().collect();
    for (count, fair) in counts.iter().zip([8_i64, 16, 40]) {
        assert!((count - fair).abs() <= 1, "{counts:?}");
    }
}

#[test]
fn a_draining_node_gives_its_shards_evenly_and_to_its_site_first() {
    let mut cluster = Cluster::fresh(4, 64);
    cluster.settle(100);
    cluster.node("a").record.draining = true;
    assert_eq!(cluster.settle(100), 0, "by itself it hands nothing over");
    // With one view for all of them, and with a view that is looked at again after each: the same successors.
    let still = cluster.view.clone();
    let a = cluster.node("a").clone();
    let mine: Vec<ShardId> = still
        .shards
        .iter()
        .filter(|owned| owned.owner.as_ref().is_some_and(|owner| owner.node == "a"))
        .map(|owned| owned.shard)
        .collect();
    for shard in mine {
        let to = successor(&cluster.view, shard).unwrap();
        assert_eq!(successor(&still, shard).as_ref(), Some(&to));
        assert_ne!(to, "a-1");
        cluster.act(&a, &Step::HandOver { shard, to });
        cluster.round(|_, view| view.clone());
    }
    assert_eq!((cluster.count("a"), cluster.moves), (0, 16), "and no move for balance besides");
    for name in ["b", "c", "d"] {
        assert!((21..=22).contains(&cluster.count(name)), "{:?}", cluster.counts());
    }

    let nodes = vec![node("a1", 1, Some("A")), node("a2", 1, Some("A")), node("b1", 1, Some("B"))];
    let cluster = Cluster::new(nodes, vec![owned(0, Some("a1"))]);
    assert_eq!(successor(&cluster.view, ShardId(0)).as_deref(), Some("a2-1"));
    let alone = Cluster::new(vec![node("a", 1, None)], vec![owned(0, Some("a"))]);
    assert_eq!(successor(&alone.view, ShardId(0)), None);
}
