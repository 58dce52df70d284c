//! Schedules go on while nodes are killed, and neither miss a second nor fire for one twice.

use std::time::Duration;

use impresario_tests::schedules::measure;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_second_of_every_schedule_has_its_instance() {
    let figures = measure(10, 3, Duration::from_secs(10)).await;
    println!("{figures}");
    assert_eq!(figures.wrong, Vec::<String>::new(), "{figures}");
    assert!(figures.fires > 10 * 15, "{figures}");
}
