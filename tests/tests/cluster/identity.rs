//! A name is one node's at a time, and a node that has lost its name does nothing more.

use std::time::{Duration, Instant};

use impresario_tests::cluster::{Cluster, Design, Progress, StoreKind, orders};
use impresario_tests::poll::eventually;

const SOON: Duration = Duration::from_secs(30);

fn both_the_same() -> Design {
    // The second has a folder of its own, as on another machine, and the name of the first.
    Design::of(2).set("node.name", "twin")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_taken_is_refused_until_its_owner_is_gone() {
    let store = impresario_tests::cluster::Store::start(StoreKind::Redis).await;
    let mut cluster = Cluster::prepare(store, both_the_same()).await;
    cluster.restart(0).await;
    let mut progress = Progress::new(orders(&cluster, 0));
    let refused = cluster.member(1).place().spawn().ready_or_ended().await;
    let (status, said) = refused.expect_err("a second node of one name");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("twin") && said.contains("is taken"), "{said}");
    progress.whole(Instant::now(), &cluster.apis()).await;
    // Frozen for longer than its presence holds, the first one is as good as gone.
    cluster.freeze(0);
    cluster.restart(1).await;
    progress.whole(Instant::now(), &cluster.apis_without(0)).await;
    cluster.thaw(0);
    let log = eventually(SOON, "the first one has found out and ended", async || {
        (!cluster.runs(0)).then(|| cluster.member(0).place().log())
    })
    .await;
    assert!(log.contains("twin"), "expected that it says why, found:\n{log}");
    progress.whole(Instant::now(), &cluster.apis_without(0)).await;
}
