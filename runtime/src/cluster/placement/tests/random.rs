//! Placement from any state: a cluster of plans that is left to itself until nothing moves any more.

use impresario_persistence::{Epoch, Ownership};
use proptest::prelude::*;

use super::{Cluster, node, owned};

fn any_node() -> impl Strategy<Value = (u16, Option<usize>, bool, bool)> {
    (
        prop_oneof![8 => 1_u16..5, 1 => Just(0)],
        proptest::option::of(0_usize..3),
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.15),
    )
}

/// Where a shard starts: with a node, with one that nobody knows, offered to a node, or with nobody.
#[derive(Clone, Debug)]
enum Begin {
    With(usize),
    Unknown,
    Offered(usize),
    Nobody,
}

fn any_begin() -> impl Strategy<Value = Begin> {
    prop_oneof![
        6 => (0_usize..8).prop_map(Begin::With),
        1 => Just(Begin::Unknown),
        1 => (0_usize..8).prop_map(Begin::Offered),
        1 => Just(Begin::Nobody),
    ]
}

prop_compose! {
    /// A cluster in any state, in which somebody takes shards.
    fn any_cluster()(
        nodes in prop::collection::vec(any_node(), 1..7),
        shards in prop::collection::vec(any_begin(), 1..64),
    ) -> Cluster {
        let count = nodes.len();
        let name = |at: usize| format!("n{at}");
        let nodes = nodes.into_iter().enumerate().map(|(at, (weight, site, alive, draining))| {
            let mut node = node(&name(at), weight, site.map(|site| ["A", "B", "C"][site]));
            node.alive = alive || at == 0;
            node.record.draining = draining && at != 0;
            node.record.weight = if at == 0 { weight.max(1) } else { weight };
            node
        });
        let shards = shards.into_iter().enumerate().map(|(shard, begin)| {
            let shard = shard as u16;
            match begin {
                Begin::With(at) => owned(shard, Some(&name(at % count))),
                Begin::Unknown => owned(shard, Some("gone")),
                Begin::Nobody => owned(shard, None),
                Begin::Offered(at) => Ownership {
                    epoch: Epoch(3),
                    offered: Some(format!("{}-1", name(at % count))),
                    ..owned(shard, None)
                },
            }
        });
        Cluster::new(nodes.collect(), shards.collect())
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("view", &self.view).finish_non_exhaustive()
    }
}

/// Everybody has what falls to it, and nothing was moved that need not have been.
fn at_rest(cluster: &Cluster) -> Result<(), TestCaseError> {
    let kept =
        |owned: &&Ownership| owned.owner.as_ref().is_some_and(|owner| cluster.view.lives(&owner.incarnation));
    prop_assert_eq!(cluster.view.shards.iter().filter(kept).count(), cluster.view.shards.len());
    prop_assert!(cluster.unfairness() < 2.0, "unfair: {:?}", cluster.counts());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cluster_comes_to_rest_with_fair_parts_within_a_bounded_number_of_moves(
        mut cluster in any_cluster(),
        work in prop::collection::vec(0_u64..10_000, 64),
    ) {
        let shards = cluster.view.shards.len();
        let nodes = cluster.view.nodes.len();
        let rounds_max = 200 + 4 * shards;
        let mut quiet = 0;
        let mut round = 0;
        while quiet <= 30 {
            prop_assert!(round < rounds_max, "no rest: {:?} {:?}", cluster.counts(), cluster.view.nodes);
            // What the nodes tell of their work changes all the time, and each sees it at another moment.
            let acted = cluster.round(|at, view| {
                let mut view = view.clone();
                for (other, node) in view.nodes.iter_mut().enumerate() {
                    node.record.live = work[(at * 7 + other * 13 + round * 5) % work.len()];
                }
                view
            });
            quiet = if acted { 0 } else { quiet + 1 };
            round += 1;
        }
        at_rest(&cluster)?;
        // No shard has to move twice for balance.
        prop_assert!(cluster.moves <= shards, "{} moves of {shards} shards on {nodes} nodes", cluster.moves);
    }

    #[test]
    fn views_that_lag_behind_cost_moves_but_not_rest(
        mut cluster in any_cluster(),
        lags in prop::collection::vec(0_usize..4, 64),
    ) {
        let shards = cluster.view.shards.len();
        let mut past = vec![cluster.view.clone()];
        let mut quiet = 0;
        let mut round = 0;
        while quiet <= 30 {
            prop_assert!(round < 400 + 8 * shards, "no rest: {:?} {:?}", cluster.counts(), cluster.view.nodes);
            let seen = past.clone();
            let acted = cluster.round(|at, _| {
                let lag = lags[(at * 11 + round) % lags.len()];
                seen[seen.len().saturating_sub(1 + lag)].clone()
            });
            past.push(cluster.view.clone());
            if past.len() > 4 {
                past.remove(0);
            }
            quiet = if acted { 0 } else { quiet + 1 };
            round += 1;
        }
        at_rest(&cluster)?;
        prop_assert!(cluster.moves <= 3 * shards + 8, "{} moves of {shards} shards", cluster.moves);
    }

    #[test]
    fn with_one_view_no_two_nodes_want_the_same_orphan_at_once(mut cluster in any_cluster()) {
        cluster.round(|_, view| view.clone());
        prop_assert_eq!(cluster.refused, 0);
        prop_assert_eq!(cluster.view.shards.iter().filter(|owned| {
            owned.owner.is_none() && owned.offered.is_none()
        }).count(), 0, "every orphan is somebody's at once");
    }

    #[test]
    fn a_death_moves_only_what_the_dead_node_had(
        nodes in 2_u8..7, shards in 1_u16..128, dies in 0_u8..7,
    ) {
        let mut cluster = Cluster::fresh(nodes, shards);
        cluster.settle(100);
        let dies = char::from(b'a' + dies % nodes).to_string();
        let had = cluster.count(&dies) as usize;
        cluster.claims = 0;
        cluster.kill(&dies);
        cluster.settle(200);
        prop_assert_eq!((cluster.claims, cluster.moves), (had, 0));
        prop_assert!(cluster.unfairness() <= 1.0 + 1e-9);
    }
}
