//! One short trial for each thing that goes wrong.

use impresario_tests::chance::fresh_seed;
use impresario_tests::cluster::{Nemesis, Trial, run};

async fn survives(nemesis: Nemesis) {
    let trial = Trial::short(nemesis, fresh_seed());
    println!(
        "seed {}; again: cargo run -p impresario-tests --bin nemesis -- --seed {}",
        trial.seed, trial.seed
    );
    let outcome = run(trial).await;
    println!("{outcome}");
    outcome.expect_good();
}

macro_rules! trials {
    ($($name:ident: $nemesis:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                survives(Nemesis::$nemesis).await;
            }
        )*

        #[test]
        fn nothing_that_goes_wrong_is_left_out() {
            assert_eq!([$(Nemesis::$nemesis),*], Nemesis::ALL);
        }
    };
}

trials! {
    a_node_that_is_killed: Kill,
    a_node_that_is_killed_among_volatile_keys: KillAmongVolatileKeys,
    a_node_that_is_killed_where_presence_is_short: KillWithShortPresence,
    a_node_that_is_frozen_and_goes_on: Freeze,
    a_node_whose_connections_are_cut: Cut,
    a_node_whose_connections_carry_nothing: Blackhole,
    a_node_that_hears_nothing: Deaf,
    a_node_that_is_not_heard: Mute,
    a_node_that_is_far_from_the_store: Delay,
    replies_that_are_lost: LostReplies,
    a_store_that_is_killed: StoreKill,
    a_store_on_a_slow_disk: StoreStalls,
    a_primary_that_is_killed: Failover,
    a_master_that_is_killed: MasterLost,
    a_rolling_restart: RollingRestart,
}
