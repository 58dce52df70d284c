//! The work of a node that was killed goes on elsewhere, all of it, and soon.

use std::time::Duration;

use impresario_tests::failover::measure;

/// Three times what a take-over takes on a quiet machine: presence, a look at it, a claim.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_goes_on_with_every_instance() {
    let figures = measure(2, 300).await;
    println!("{figures}");
    assert!(figures.first.iter().all(|first| *first < SOON), "{figures}");
}
