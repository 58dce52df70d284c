//! The ownership protocol, gone through in every order of events within small scopes; see `impresario_tests::ownership`.
//! Larger scopes: `cargo run --release -p impresario-tests --bin check-ownership -- --nodes 3 --asks 2 --lapses 2`.

use impresario_tests::ownership::properties::{
    COMES_TO_AN_END, DONE, LATE_START, MOVES_INTERRUPT_NOTHING, ONE_EPOCH_WRITES, ROWS_AND_LOG, STARTED_ONCE,
    TOLD_BEFORE_MARK, TOLD_ONCE,
};
use impresario_tests::ownership::{Limits, Protocol, Rules};
use stateright::{Checker, HasDiscoveries, Model};

const ONE: Limits = Limits { asks: 1, ..Limits::NONE };

/// What is found in a scope: the names of properties that break, and of what is reached.
fn check(nodes: usize, limits: Limits, rules: Rules) -> Vec<&'static str> {
    check_until(HasDiscoveries::AnyFailures, nodes, limits, rules)
}

fn check_until(enough: HasDiscoveries, nodes: usize, limits: Limits, rules: Rules) -> Vec<&'static str> {
    let checker =
        Protocol { nodes, limits, rules }.checker().threads(2).finish_when(enough).spawn_bfs().join();
    let discoveries = checker.discoveries();
    for (name, path) in discoveries.iter().filter(|(name, _)| !name.starts_with("reached")) {
        println!("broken: {name}");
        path.clone().into_actions().iter().for_each(|action| println!("  {action:?}"));
    }
    println!("{} states within {limits:?}", checker.unique_state_count());
    let mut names: Vec<_> = discoveries.into_keys().collect();
    names.sort_unstable();
    names
}

#[test]
fn the_protocol_holds_whatever_the_order_of_events() {
    for (nodes, limits) in [
        (2, Limits { lapses: 1, ..ONE }),
        (2, Limits { lapses: 1, deaths: 1, ..ONE }),
        (2, Limits { lapses: 1, crashes: 1, ..ONE }),
        (2, Limits { crashes: 1, checkpoints: 1, late: 1, ..ONE }),
        (2, Limits { deaths: 1, checkpoints: 1, asks: 2, ..ONE }),
        (3, Limits { lapses: 1, ..ONE }),
    ] {
        let found = check(nodes, limits, Rules::all());
        assert!(found.iter().all(|name| [DONE, LATE_START].contains(name)), "{limits:?}: {found:?}");
        assert!(found.contains(&DONE), "expected something to happen within {limits:?}");
    }
}

#[test]
fn a_move_loses_and_interrupts_nothing() {
    for (nodes, limits) in [
        (2, Limits { moves: 1, checkpoints: 1, ..ONE }),
        (2, Limits { moves: 1, asks: 2, ..ONE }),
        (2, Limits { moves: 2, ..ONE }),
        (2, Limits { moves: 1, late: 1, ..ONE }),
        (2, Limits { moves: 1, lapses: 1, ..ONE }),
    ] {
        let found = check(nodes, limits, Rules::all());
        let late = limits.lapses > 0;
        assert_eq!(found, if late { vec![DONE, LATE_START] } else { vec![DONE] }, "{limits:?}");
    }
}

#[test]
fn a_start_after_the_attempt_was_settled_as_lost_is_the_one_start_it_was() {
    let found = check(2, Limits { lapses: 1, ..ONE }, Rules::all());
    assert_eq!(found, [DONE, LATE_START]);
}

#[test]
fn no_rule_can_be_left_out() {
    let lapse = Limits { lapses: 1, ..ONE };
    let moved = Limits { moves: 1, ..ONE };
    let all = Rules::all;
    for (what, limits, rules, broken) in [
        ("fences", lapse, Rules { fences: false, ..all() }, ONE_EPOCH_WRITES),
        (
            "reads check the mark",
            Limits { asks: 2, checkpoints: 1, ..lapse },
            Rules { reads_check_the_mark: false, ..all() },
            TOLD_ONCE,
        ),
        (
            "marks grow",
            Limits { checkpoints: 1, ..moved },
            Rules { marks_grow: false, ..all() },
            ROWS_AND_LOG,
        ),
        ("start after marker", lapse, Rules { start_after_marker: false, ..all() }, STARTED_ONCE),
        ("marked counts as begun", lapse, Rules { marked_counts_as_begun: false, ..all() }, STARTED_ONCE),
        ("replay starts nothing", lapse, Rules { replay_starts_nothing: false, ..all() }, STARTED_ONCE),
        (
            "messages before mark",
            Limits { checkpoints: 1, ..ONE },
            Rules { messages_before_mark: false, ..all() },
            TOLD_BEFORE_MARK,
        ),
        ("dedup", lapse, Rules { dedup: false, ..all() }, TOLD_ONCE),
        ("hold is answered", moved, Rules { hold_is_answered: false, ..all() }, MOVES_INTERRUPT_NOTHING),
        (
            "drain settles markers",
            moved,
            Rules { drain_settles_markers: false, ..all() },
            MOVES_INTERRUPT_NOTHING,
        ),
        (
            "owners claim again",
            Limits { crashes: 1, ..ONE },
            Rules { owners_claim_again: false, ..all() },
            COMES_TO_AN_END,
        ),
    ] {
        let found = check_until(HasDiscoveries::AllOf([broken].into()), 2, limits, rules);
        assert!(found.contains(&broken), "without '{what}' expected '{broken}' to break, found {found:?}");
    }
}

#[test]
fn a_replica_that_takes_over_loses_nothing_that_was_waited_for() {
    let limits = Limits { failovers: 1, lapses: 1, ..ONE };
    let found = check(2, limits, Rules::all());
    assert!(found.iter().all(|name| [DONE, LATE_START].contains(name)), "{found:?}");
    // Without, an activity can even happen twice, because its marker is gone. That is what the tiers are for.
    let rules = Rules { answers_wait_for_the_replica: false, ..Rules::all() };
    let enough = HasDiscoveries::AllOf([STARTED_ONCE, COMES_TO_AN_END].into());
    let found = check_until(enough, 2, Limits { deaths: 1, ..limits }, rules);
    assert!(found.contains(&STARTED_ONCE) && found.contains(&COMES_TO_AN_END), "{found:?}");
}

#[test]
fn a_batch_that_is_carried_out_twice_is_absorbed() {
    for limits in [Limits { late: 1, lapses: 1, ..ONE }, Limits { late: 1, moves: 1, ..ONE }] {
        let found = check(2, limits, Rules { batches_count_once: false, ..Rules::all() });
        assert!(found.iter().all(|name| [DONE, LATE_START].contains(name)), "{limits:?}: {found:?}");
    }
}
