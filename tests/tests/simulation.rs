//! Clusters in one thread on virtual time, with all faults at once; see `impresario_tests::simulation`. Many more seeds:
//! `cargo run -p impresario-tests --bin simulate -- --seeds 1000`.

use impresario_tests::chance::fresh_seed;
use impresario_tests::simulation::store::Defect;
use impresario_tests::simulation::{Faults, Plan, run_alone};

fn good(plan: Plan) {
    println!("seed {}, {:?}", plan.seed, plan.faults);
    let (verdict, log) = run_alone(plan);
    println!("{verdict}");
    assert!(
        verdict.wrong.is_empty(),
        "again: cargo run -p impresario-tests --bin simulate -- --first {} --seeds 1{}\n{verdict}\n{}",
        plan.seed,
        if plan.faults == Faults::Friendly { " --friendly 1" } else { "" },
        log.join("\n")
    );
    assert!(verdict.completed > 0, "expected something to complete: {verdict}");
}

#[test]
fn clusters_of_known_seeds_keep_their_word() {
    (1..=6).for_each(|seed| good(Plan::new(seed)));
}

#[test]
fn clusters_of_seeds_that_nobody_chose_keep_their_word() {
    (0..4).for_each(|_| good(Plan::new(fresh_seed())));
}

#[test]
fn nodes_that_leave_and_come_back_interrupt_nothing() {
    // The first four found attempts that a friendly move had interrupted.
    for seed in [8, 14, 31, 77, fresh_seed(), fresh_seed()] {
        good(Plan { faults: Faults::Friendly, ..Plan::new(seed) });
    }
}

#[test]
fn broken_stores_are_found_out() {
    for defect in [Defect::NoFence, Defect::Loses] {
        let found = (1..=40).find_map(|seed| {
            let (verdict, _) = run_alone(Plan { defect, shards: 2, orders: 200, ..Plan::new(seed) });
            (!verdict.wrong.is_empty()).then(|| format!("seed {seed}: {verdict}"))
        });
        println!("{defect:?}: {}", found.as_deref().unwrap_or("nothing"));
        assert!(found.is_some(), "expected {defect:?} to be found out");
    }
}
