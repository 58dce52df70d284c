//! The guard as tables, and its promise that it never freezes for ever.

use bytes::Bytes;
use impresario_persistence::{Census, Member, Sighting};
use proptest::prelude::*;

use super::{Asked, Guard, GuardSettings};

const TTL_MS: u64 = 2_000;
/// The store's clock is a wall clock: far ahead of the monotonic one.
const STORE_MS: u64 = 1_790_000_000_000;

fn census(now: u64, members: impl IntoIterator<Item = (usize, bool)>) -> Census {
    let sighting = |(at, alive): (usize, bool)| {
        let node = format!("n{at}");
        let incarnation = format!("n{at}-1");
        Sighting { member: Member { node, incarnation, record: Bytes::new() }, alive }
    };
    Census { now, settings: 0, members: members.into_iter().map(sighting).collect() }
}

fn guard() -> Guard {
    Guard::new(GuardSettings::for_ttl(TTL_MS))
}

fn at(local_ms: u64) -> Asked {
    Asked { sent_ms: local_ms, received_ms: local_ms }
}

#[test]
fn many_deaths_at_once_freeze_and_a_few_do_not() {
    let table = [
        // (nodes, of which die at once, freezes); this node is one that lives.
        (2, 1, false),
        (3, 1, false),
        (3, 2, true),
        (4, 1, false),
        (4, 2, true),
        (5, 2, true),
        (7, 2, false),
        (7, 3, true),
        (10, 3, false),
        (10, 4, true),
        (50, 16, false),
        (50, 17, true),
    ];
    for (nodes, die, freezes) in table {
        let mut guard = guard();
        assert_eq!(guard.observe(&census(STORE_MS, (0..nodes).map(|at| (at, true))), "n0-1", at(0)), None);
        let after = census(STORE_MS + 250, (0..nodes).map(|at| (at, at == 0 || at > die)));
        let alarm = guard.observe(&after, "n0-1", at(250));
        assert_eq!(alarm.is_some(), freezes, "{die} of {nodes}: {alarm:?}");
        let until = if freezes { 250 + TTL_MS } else { 0 };
        assert_eq!(guard.frozen_until(), until, "{die} of {nodes}");
    }
}

#[test]
fn deaths_one_after_another_do_not_freeze() {
    let mut guard = guard();
    for dead in 0..6 {
        let now = dead as u64 * 250;
        let seen = census(STORE_MS + now, (0..7).map(|at| (at, at == 0 || at > dead)));
        assert_eq!(guard.observe(&seen, "n0-1", at(now)), None);
    }
}

#[test]
fn who_left_in_good_order_or_started_again_was_not_taken_for_dead() {
    let mut guard = guard();
    assert_eq!(guard.observe(&census(STORE_MS, (0..4).map(|at| (at, true))), "n0-1", at(0)), None);
    assert_eq!(guard.observe(&census(STORE_MS + 250, [(0, true)]), "n0-1", at(250)), None);
    assert_eq!(guard.observe(&census(STORE_MS + 500, (0..4).map(|at| (at, true))), "n0-1", at(500)), None);
    let mut again = census(STORE_MS + 750, (0..4).map(|at| (at, true)));
    again.members.iter_mut().skip(1).for_each(|seen| seen.member.incarnation.push_str("-again"));
    assert_eq!(guard.observe(&again, "n0-1", at(750)), None);
}

#[test]
fn a_jump_of_the_stores_clock_freezes_and_a_slow_answer_does_not() {
    let table: [(&str, i64, Asked, Option<&str>); 6] = [
        ("as it should", 250, at(250), None),
        ("an hour forward", 3_600_250, at(250), Some("forward by at least 3600000 ms")),
        ("an hour back", -3_599_750, at(250), Some("back by at least 3600000 ms")),
        ("slewed", 300, at(250), None),
        ("the answer took three seconds", 260, Asked { sent_ms: 250, received_ms: 3_250 }, None),
        ("and the store stamped it at the end", 3_250, Asked { sent_ms: 250, received_ms: 3_250 }, None),
    ];
    for (what, moved, asked, expected) in table {
        let mut guard = guard();
        assert_eq!(guard.observe(&census(STORE_MS, []), "n0-1", at(0)), None);
        let alarm = guard.observe(&census(STORE_MS.saturating_add_signed(moved), []), "n0-1", asked);
        match expected {
            None => assert_eq!(alarm, None, "{what}"),
            Some(expected) => {
                assert!(alarm.as_ref().is_some_and(|alarm| alarm.contains(expected)), "{alarm:?}")
            }
        }
        // From there on it goes as it should again.
        let now = asked.received_ms + 10_000;
        let seen = census(STORE_MS.saturating_add_signed(moved) + 10_000, []);
        assert_eq!(guard.observe(&seen, "n0-1", at(now)), None, "{what}, afterwards");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: a freeze lasts one time to live, and then rehoming goes on for as long at least.
    #[test]
    fn it_never_freezes_for_ever(
        steps in prop::collection::vec((1_u64..600, -5_000_i64..5_000, prop::collection::vec(any::<bool>(), 6)), 2..200),
    ) {
        let mut guard = guard();
        let mut local = 0;
        let mut store = STORE_MS;
        let mut freezes: Vec<(u64, u64)> = Vec::new();
        for (pass, jump, alive) in steps {
            local += pass;
            store = store.saturating_add(pass).saturating_add_signed(jump);
            let alarm = guard.observe(&census(store, alive.into_iter().enumerate()), "n0-1", at(local));
            if alarm.is_some() {
                freezes.push((local, guard.frozen_until()));
            }
            let newest = freezes.last().map_or(0, |(_, until)| *until);
            prop_assert_eq!(guard.frozen_until(), newest, "it changes with an alarm only");
        }
        for (begin, until) in &freezes {
            prop_assert_eq!(until - begin, TTL_MS);
        }
        for pair in freezes.windows(2) {
            prop_assert!(pair[1].0 >= pair[0].1 + TTL_MS, "{:?}", pair);
        }
    }

    #[test]
    fn clocks_that_run_alike_never_alarm(
        steps in prop::collection::vec((1_u64..600, 0_u64..5_000, 0_u64..5_000), 2..200),
    ) {
        let mut guard = guard();
        let mut local = 0;
        for (pass, there, back) in steps {
            let stamped = local + pass + there;
            let asked = Asked { sent_ms: local + pass, received_ms: stamped + back };
            prop_assert_eq!(guard.observe(&census(STORE_MS + stamped, []), "n0-1", asked), None);
            local = asked.received_ms;
        }
    }
}
