//! Hosts that die, hang, babble or will not go.

use std::time::Duration;

use super::support::{ADAPTER, Bench, is_alive, pid, request, scripted, until};
use crate::hosts::{HostSpec, HostState, Refusal};
use crate::supervision::Intensity;

fn one_at_a_time(arguments: &[&str]) -> HostSpec {
    let mut spec = scripted(arguments);
    spec.concurrency = 1;
    spec
}

#[tokio::test]
async fn what_a_dead_host_had_is_lost_and_what_waited_goes_to_its_successor() {
    let mut bench = Bench::new(one_at_a_time(&[])).await;
    bench.run("in flight", "die", 0);
    bench.run("queued", "echo", 1);
    let reason = bench.lost("in flight").await;
    assert!(reason.contains("exit status: 3"), "{reason}");
    assert_eq!(bench.completed("queued").await, 1);
    let status = bench.status();
    assert_eq!((status.counters.lost, status.counters.restarts, status.generation), (1, 1, Some(2)));
    assert_eq!(status.last_error, Some(reason));
    assert_eq!(bench.hosts.supervisor().tree()[0].restarts, 1);
}

#[tokio::test]
async fn the_last_words_of_a_dying_host_count() {
    let mut bench = Bench::new(scripted(&[])).await;
    assert_eq!(bench.output("a", "answer-and-die", 0).await, "last words");
    bench.until(|status| status.counters.restarts == 1).await;
    bench.no_report();
}

#[tokio::test]
async fn a_host_that_leaves_its_pipes_to_a_grandchild_is_gone_all_the_same() {
    let mut bench = Bench::new(scripted(&[])).await;
    bench.run("a", "leave", 0);
    assert!(bench.lost("a").await.contains("pipes"));
    bench.output("b", "echo", 0).await;
}

#[tokio::test]
async fn a_host_that_never_says_hello_is_quarantined_until_released() {
    let folder = tempfile::tempdir().unwrap();
    let cure = folder.path().join("cure");
    let mut spec = scripted(&["mute", cure.to_str().unwrap()]);
    spec.hello_timeout = Duration::from_millis(200);
    spec.intensity = Intensity { restarts: 1, period: Duration::from_secs(60) };
    let mut bench = Bench::new(spec).await;
    bench.run("a", "echo", 0);
    assert!(bench.refused("a").await.contains("hello"));
    let status = bench.status();
    assert!(matches!(status.state, HostState::Quarantined { .. }), "{status:?}");
    assert_eq!((status.counters.processes, status.counters.restarts, status.counters.started), (2, 1, 0));
    assert!(matches!(bench.hosts.run(request("b", "echo", 0)), Err(Refusal::Quarantined(_))));
    assert!(bench.hosts.restart(ADAPTER, "a test").is_err());
    bench.hosts.release(ADAPTER).await.unwrap();
    // Still ill: the new budget allows one more restart.
    bench.run("c", "echo", 0);
    bench.refused("c").await;
    bench.hosts.stop().await;
}

#[tokio::test]
async fn a_released_host_that_was_cured_works() {
    let folder = tempfile::tempdir().unwrap();
    let cure = folder.path().join("cure");
    let mut spec = scripted(&["mute", cure.to_str().unwrap()]);
    spec.hello_timeout = Duration::from_millis(2_000);
    spec.intensity = Intensity { restarts: 0, period: Duration::from_secs(60) };
    let mut bench = Bench::new(spec).await;
    bench.run("a", "echo", 0);
    bench.refused("a").await;
    std::fs::write(&cure, "").unwrap();
    bench.hosts.release(ADAPTER).await.unwrap();
    bench.output("b", "echo", 0).await;
}

#[tokio::test]
async fn hosts_that_cannot_work_say_why() {
    let mut missing = scripted(&[]);
    missing.program = "/no/such/program".into();
    let table = [
        (missing, "/no/such/program"),
        (scripted(&["crash"]), "exit status: 7"),
        (scripted(&["newer"]), "it speaks protocol 2, expected 1"),
    ];
    for (mut spec, expected) in table {
        spec.intensity = Intensity { restarts: 1, period: Duration::from_secs(60) };
        let mut bench = Bench::new(spec).await;
        bench.run("a", "echo", 0);
        let reason = bench.refused("a").await;
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn a_host_that_hangs_is_found_out_and_one_that_only_waits_is_not() {
    let mut spec = scripted(&[]);
    spec.ping_interval = Some(Duration::from_millis(500));
    let mut bench = Bench::new(spec).await;
    bench.output("a", "echo", 0).await;
    bench.run("held", "hold", 0);
    // The passing of several intervals is what is tested.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!((bench.status().counters.processes, bench.status().counters.stray), (1, 0));
    bench.hosts.cancel(ADAPTER, "held");
    bench.report().await;
    bench.run("hangs", "hang", 0);
    assert!(bench.lost("hangs").await.contains("silent"));
}

#[tokio::test]
async fn garbage_is_forgiven_up_to_a_limit() {
    let mut spec = scripted(&[]);
    spec.garbage_max = 3;
    let mut bench = Bench::new(spec).await;
    assert_eq!(bench.output("a", "garbage", 3).await, "after it");
    assert_eq!(bench.status().counters.garbage, 3);
    bench.run("b", "garbage", 1);
    assert!(bench.lost("b").await.contains("more than 3 lines"));
    assert_eq!(bench.output("c", "garbage", 3).await, "after it");
}

#[tokio::test]
async fn a_stop_lets_what_is_in_flight_finish_and_refuses_the_rest() {
    let mut bench = Bench::new(one_at_a_time(&[])).await;
    bench.run("held", "hold", "finished");
    bench.run("queued", "echo", 0);
    bench.until(|status| status.in_flight == 1).await;
    let pid = bench.status().pid.unwrap();
    bench.hosts.stop().await;
    assert!(!is_alive(pid));
    let status = bench.status();
    assert_eq!((status.state, status.undelivered, status.in_flight), (HostState::Stopped, 0, 0));
    assert_eq!(bench.refused("queued").await, "the node stops");
    assert_eq!(bench.completed("held").await, "finished");
    assert_eq!(bench.hosts.run(request("late", "echo", 0)), Err(Refusal::Stopping));
    bench.hosts.stop().await;
}

#[tokio::test]
async fn a_host_that_will_not_stop_is_killed_with_its_group() {
    let mut spec = scripted(&["stubborn"]);
    spec.stop_timeout = Duration::from_millis(100);
    let mut bench = Bench::new(spec).await;
    let grandchild = pid(&bench.output("a", "child", 0).await);
    bench.run("held", "hold", 0);
    bench.until(|status| status.in_flight == 1).await;
    assert!(is_alive(grandchild));
    bench.hosts.stop().await;
    assert!(bench.lost("held").await.contains("did not stop in time"));
    until(|| !is_alive(grandchild), || "the grandchild lives".into()).await;
}

#[tokio::test]
async fn hosts_die_with_their_handle() {
    let mut bench = Bench::new(scripted(&["stubborn"])).await;
    let host = pid(&bench.output("a", "pid", 0).await);
    let grandchild = pid(&bench.output("b", "child", 0).await);
    drop(bench);
    until(|| !is_alive(host) && !is_alive(grandchild), || "it lives".into()).await;
}

#[tokio::test]
async fn a_killed_host_actor_loses_what_it_had_and_is_started_again() {
    let mut bench = Bench::new(scripted(&[])).await;
    let host = pid(&bench.output("a", "pid", 0).await);
    bench.run("held", "hold", 0);
    bench.until(|status| status.in_flight == 1).await;
    let children = bench.hosts.supervisor().cell().get_children();
    assert_eq!(children.len(), 1);
    children[0].kill();
    bench.lost("held").await;
    assert_ne!(pid(&bench.output("b", "pid", 0).await), host);
    until(|| !is_alive(host), || "the old process lives".into()).await;
}
