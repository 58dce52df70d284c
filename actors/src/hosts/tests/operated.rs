//! What an operator does to hosts, and what is done to those that take too much: nothing that runs is cut off by it.

use std::time::Duration;

use super::support::{ADAPTER, Bench, is_alive, pid, scripted, until};
use crate::hosts::{HostState, try_out};

#[tokio::test]
async fn a_stopped_adapter_has_no_process_and_its_work_waits_until_it_is_started() {
    let mut bench = Bench::new(scripted(&[])).await;
    let before = pid(&bench.output("a", "pid", ()).await);
    bench.hosts.pause(ADAPTER, true).unwrap();
    until(|| !is_alive(before), || "the process lives".to_owned()).await;
    bench.run("b", "echo", "later");
    assert_eq!((bench.status().state, bench.status().queued), (HostState::Paused, 1));
    // One more word to the actor comes after whatever the run had made it do.
    bench.hosts.restart(ADAPTER, "in vain").unwrap();
    assert_eq!(bench.status().counters.processes, 1);
    bench.hosts.pause(ADAPTER, false).unwrap();
    assert_eq!(bench.completed("b").await, "later");
    assert_eq!(bench.status().counters.disappearances, 0);
}

#[tokio::test]
async fn changed_settings_reach_the_next_process_and_the_work_at_hand_ends_in_the_last() {
    let mut bench = Bench::new(scripted(&[])).await;
    bench.run("held", "hold", "kept");
    bench.output("a", "pid", ()).await;
    let mut spec = scripted(&[]);
    spec.environment = vec![("WORD".to_owned(), "new".to_owned())];
    bench.hosts.configure(spec.clone()).await.unwrap();
    assert_eq!(bench.completed("held").await, "kept");
    let environment = bench.output("b", "environment", ()).await;
    assert_eq!(environment["WORD"], "new");
    assert_eq!(bench.status().counters.settings_restarts, 1);
    // What is wanted already changes nothing.
    bench.hosts.configure(spec).await.unwrap();
    bench.output("c", "pid", ()).await;
    assert_eq!(bench.status().counters.processes, 2);
}

#[tokio::test]
async fn an_adapter_comes_and_goes_while_the_node_runs() {
    let mut bench = Bench::new(scripted(&[])).await;
    let mut spec = scripted(&[]);
    spec.name = "another".to_owned();
    bench.hosts.configure(spec).await.unwrap();
    let mut request = super::support::request("a", "pid", ());
    request.adapter = "another".to_owned();
    bench.hosts.run(request.clone()).unwrap();
    let process = pid(&bench.completed("a").await);
    bench.hosts.remove("another").await.unwrap();
    assert!(!is_alive(process));
    assert!(bench.hosts.run(request).is_err());
    assert_eq!(bench.output("b", "echo", 1).await, 1);
}

#[tokio::test]
async fn one_that_takes_too_much_memory_is_replaced_and_its_work_ends_well() {
    let mut spec = scripted(&[]);
    spec.memory_max = Some(100 << 20);
    let mut bench = Bench::new(spec).await;
    bench.run("held", "hold", "kept");
    let before = pid(&bench.output("leak", "leak", 120 << 20).await);
    assert_eq!(bench.completed("held").await, "kept");
    until(|| !is_alive(before), || "the process lives".to_owned()).await;
    let counters = bench.status().counters;
    assert_eq!((counters.memory_restarts, counters.disappearances), (1, 0));
    assert_ne!(pid(&bench.output("b", "pid", ()).await), before);
}

#[tokio::test]
async fn one_that_takes_twice_as_much_as_it_may_is_killed() {
    let mut spec = scripted(&[]);
    spec.memory_max = Some(40 << 20);
    let mut bench = Bench::new(spec).await;
    bench.run("held", "hold", "kept");
    bench.output("leak", "leak", 200 << 20).await;
    let reason = bench.lost("held").await;
    assert!(reason.contains("more than twice its limit"), "{reason}");
    let counters = bench.status().counters;
    assert_eq!((counters.memory_restarts, counters.disappearances), (1, 1));
    assert_eq!(bench.output("b", "echo", 1).await, 1);
}

#[tokio::test]
async fn a_flood_of_words_is_counted_and_disturbs_nothing() {
    let mut bench = Bench::new(scripted(&[])).await;
    assert_eq!(bench.output("a", "flood", 5000).await, "said");
    bench.until(|status| status.counters.stderr_dropped >= 4000).await;
    assert_eq!(bench.output("b", "echo", 1).await, 1);
    assert_eq!(bench.status().counters.processes, 1);
}

#[tokio::test]
async fn idleness_and_wishes_are_counted_apart() {
    let mut spec = scripted(&[]);
    spec.idle_timeout = Some(Duration::from_millis(50));
    let mut bench = Bench::new(spec).await;
    bench.output("a", "echo", 1).await;
    bench.until(|status| status.state == HostState::Idle).await;
    bench.run("b", "wish", ());
    bench.completed("b").await;
    let counters = bench.status().counters;
    assert_eq!((counters.idle_shutdowns >= 1, counters.requested_restarts), (true, 1));
    assert_eq!((counters.disappearances, counters.restarts), (0, 0));
}

#[tokio::test]
async fn a_trial_tells_a_host_from_what_is_none() {
    let manifest = try_out(&scripted(&[])).await.unwrap();
    assert_eq!(manifest.adapter, "scripted");
    let newer = try_out(&scripted(&["newer"])).await.unwrap_err();
    assert!(newer.contains("expected protocol 1, found 2"), "{newer}");
    let gone = try_out(&scripted(&["crash"])).await.unwrap_err();
    assert!(gone.contains("without a word") && gone.contains('7'), "{gone}");
    let mut absent = scripted(&[]);
    absent.program = "/no/such/program".into();
    let absent = try_out(&absent).await.unwrap_err();
    assert!(absent.contains("/no/such/program"), "{absent}");
    let mut mute = scripted(&["mute", "/no/such/file"]);
    mute.hello_timeout = Duration::from_millis(200);
    let mute = try_out(&mute).await.unwrap_err();
    assert!(mute.contains("within 0.2s"), "{mute}");
}
