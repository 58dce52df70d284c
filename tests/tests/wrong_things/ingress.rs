//! What senders do wrong, by mistake or on purpose: crowds, dribbles, junk, storms, clocks that are off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use impresario::endpoint::Endpoint;
use impresario_tests::api::event;
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UdpSocket};

use super::{GREET, works};

const LIMIT: Duration = Duration::from_secs(60);
/// More than any of the doors of these tests takes at once.
const CROWD: usize = 300;

const STORM: &str = "
document: { dsl: '1.0.3', namespace: test, name: storm, version: '1.0.0' }
schedule: { on: { one: { with: { type: storm } } } }
do: [ { note: { set: { heard: true } } } ]
";

fn open_place() -> Place {
    Place::new()
        .set("tcp.listen", "127.0.0.1:0")
        .set("syslog.listen", "127.0.0.1:0")
        .set("syslog.listen_udp", "127.0.0.1:0")
        .define("greet", GREET)
}

fn told(place: &Place) -> Endpoint {
    Endpoint::find(place.data()).unwrap()
}

/// The host and port of the HTTP door.
fn http(node: &Node) -> String {
    node.api.url().trim_start_matches("http://").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crowds_and_dribbles_at_every_door_keep_nobody_from_their_work() {
    let place = open_place()
        .set("tcp.connections", "50")
        .set("syslog.connections", "50")
        .set("http.concurrency", "50")
        .set("tcp.idle_timeout", "2s")
        .set("syslog.idle_timeout", "2s");
    let node = place.start().await;
    let ends = told(&place);
    let mut crowd = Vec::new();
    // Of each connection a few bytes, and never the rest: no token, no end of a head, no end of a line.
    let doors = [
        (ends.tcp.unwrap().to_string(), "{\"token\":\"half"),
        (ends.syslog.unwrap().to_string(), "1000 <13>1 - h a"),
        (http(&node), "POST /events HTTP/1.1\r\nhost: x\r\n"),
        (http(&node), "POST /hooks/none HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"),
    ];
    for (door, start) in &doors {
        for number in 0..CROWD / doors.len() {
            let mut connection = TcpStream::connect(door).await.unwrap();
            // One that finds no place waits in the queue of the system, which takes its bytes as well.
            connection.write_all(start.as_bytes()).await.unwrap();
            if number % 3 != 0 {
                crowd.push(connection);
            }
        }
    }
    // Whoever sends a whole request is served at the HTTP door, and at the others once the crowd has idled too long.
    works(&node, "crowded").await;
    let late = TcpStream::connect(ends.tcp.unwrap()).await.unwrap();
    let (read, mut write) = late.into_split();
    let event = event("/late", "1", "greeted", json!({ "name": "late" }));
    let text = format!("{}\n{event}\n", json!({ "token": node.api.token() }));
    write.write_all(text.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(read).lines();
    for word in ["ready", "accepted"] {
        let line = tokio::time::timeout(LIMIT, lines.next_line()).await.unwrap().unwrap().unwrap();
        assert!(line.contains(word), "{line}");
    }
    drop(crowd);
    works(&node, "alone again").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn junk_at_every_door_harms_nobody() {
    let place = open_place();
    let node = place.start().await;
    let ends = told(&place);
    let junk: Vec<u8> = (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    for door in [ends.tcp.unwrap().to_string(), ends.syslog.unwrap().to_string(), http(&node)] {
        let mut connection = TcpStream::connect(&door).await.unwrap();
        // The door may hang up in the middle of it.
        let _ = connection.write_all(&junk).await;
    }
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for piece in junk.chunks(1400) {
        udp.send_to(piece, ends.syslog_udp.unwrap()).await.unwrap();
    }
    works(&node, "after junk").await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clocks_of_senders_that_are_off_change_nothing() {
    let place = open_place();
    let node = place.start().await;
    let times =
        ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2999-01-01T00:00:00Z", "9999-12-31T23:59:59Z"];
    for (number, time) in times.iter().enumerate() {
        let mut skewed = event("/skewed", &number.to_string(), "greeted", json!({ "name": time }));
        skewed["time"] = json!(time);
        node.api.send(&skewed).await.unwrap();
    }
    let mut device = TcpStream::connect(told(&place).syslog.unwrap()).await.unwrap();
    for time in times {
        device.write_all(format!("<13>1 {time} h a - - - x\n").as_bytes()).await.unwrap();
    }
    let greeted = eventually(LIMIT, "an instance for each", async || {
        let all = node.api.instances("definition=test/greet&status=completed").await.ok()?;
        (all.len() == times.len()).then_some(all)
    })
    .await;
    let today = greeted.iter().map(|one| one.started_at.clone()).collect::<Vec<_>>();
    works(&node, "in time").await;
    let now = node.api.instances("definition=test/greet").await.unwrap();
    let latest = now.iter().map(|one| one.started_at.clone()).max().unwrap();
    assert!(today.iter().all(|time| *time <= latest && time.starts_with("20")), "{today:?}");
    node.stop().await;
}

/// Sends events of one type without a pause over a connection of the TCP door, and whatever was refused again.
async fn storm(door: String, token: String, source: String, stop: Arc<AtomicBool>, accepted: Arc<AtomicU64>) {
    let (read, mut write) = TcpStream::connect(door).await.unwrap().into_split();
    write.write_all(format!("{}\n", json!({ "token": token })).as_bytes()).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.contains("\"accepted\"") {
                accepted.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let lines: String = (0..100)
            .map(|_| {
                number += 1;
                format!("{}\n", event(&source, &number.to_string(), "storm", json!({})))
            })
            .collect();
        write.write_all(lines.as_bytes()).await.unwrap();
    }
    drop(write);
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_one_type_lets_other_events_through() {
    let place =
        open_place().set("engine.backlog_limit", "500").set("engine.retention", "1s").define("storm", STORM);
    let node = place.start().await;
    let (stop, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let door = told(&place).tcp.unwrap().to_string();
    let storms: Vec<_> = (0..4)
        .map(|number| {
            let (door, token) = (door.clone(), node.api.token().to_owned());
            tokio::spawn(storm(
                door,
                token,
                format!("/storm/{number}"),
                Arc::clone(&stop),
                Arc::clone(&accepted),
            ))
        })
        .collect();
    eventually(LIMIT, "a storm", async || (accepted.load(Ordering::Relaxed) > 1000).then_some(())).await;
    const OTHERS: u64 = 20;
    let mut during = Vec::new();
    for number in 0..OTHERS {
        let greet = event("/calm", &number.to_string(), "greeted", json!({ "name": number }));
        // A node that has too much on its hands says so, and takes it a moment later.
        eventually(LIMIT, "room for another event", async || node.api.send(&greet).await.ok()).await;
        during.push(accepted.load(Ordering::Relaxed));
    }
    eventually(LIMIT, "the others' instances", async || {
        let all = node.api.instances("definition=test/greet").await.ok()?;
        (all.len() as u64 == OTHERS && all.iter().all(|one| one.status == "completed")).then_some(())
    })
    .await;
    let at_the_end = accepted.load(Ordering::Relaxed);
    stop.store(true, Ordering::Relaxed);
    for storm in storms {
        tokio::time::timeout(LIMIT, storm).await.unwrap().unwrap();
    }
    // All of it in the middle of the storm: it went on before, between and after them.
    assert!(during.last() > during.first(), "{during:?}");
    assert!(accepted.load(Ordering::Relaxed) >= at_the_end);
    node.stop().await;
}
