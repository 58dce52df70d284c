//! The kill sweep: nothing that was acknowledged is lost, nothing is done twice that must not be, and what was cut
//! off says so. See `impresario_tests::sweep`.

use impresario_tests::chance::fresh_seed;
use impresario_tests::sweep::{Nemesis, Plan, run};

async fn sweep(plan: Plan) {
    println!(
        "seed {}; again: cargo run -p impresario-tests --bin kill-sweep -- --seed {}",
        plan.seed, plan.seed
    );
    println!("{}", run(plan).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_again_and_again_keeps_its_word() {
    sweep(Plan::short(1_906, Nemesis::Kill)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_at_moments_nobody_chose_keeps_its_word() {
    sweep(Plan::short(fresh_seed(), Nemesis::Kill)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn friendly_stops_under_load_interrupt_nothing() {
    sweep(Plan { ends: 8, events: 150, starts: 50, ..Plan::short(fresh_seed(), Nemesis::Terminate) }).await;
}
