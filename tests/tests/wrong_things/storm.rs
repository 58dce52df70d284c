//! A storm of one type through the TCP door, from clients that never wait when they are told to: others have their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use impresario::endpoint::Endpoint;
use impresario_tests::api::event;
use impresario_tests::node::Place;
use impresario_tests::poll::eventually;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::GREET;

const LIMIT: Duration = Duration::from_secs(60);
/// How many connections the storm comes through.
const STORMS: usize = 4;
/// How many events of another type come meanwhile.
const OTHERS: u64 = 20;

const STORM: &str = "
document: { dsl: '1.0.3', namespace: test, name: storm, version: '1.0.0' }
schedule: { on: { one: { with: { type: storm } } } }
do: [ { note: { set: { heard: true } } } ]
";

/// What the clients of the storm were told.
#[derive(Default)]
struct Told {
    accepted: AtomicU64,
    busy: AtomicU64,
}

/// Sends events of one type without a pause, and passes over what it is told.
async fn storm(door: String, token: String, source: String, stop: Arc<AtomicBool>, told: Arc<Told>) {
    let (read, mut write) = TcpStream::connect(door).await.unwrap().into_split();
    write.write_all(format!("{}\n", json!({ "token": token })).as_bytes()).await.unwrap();
    let reading = tokio::spawn(async move {
        let mut lines = BufReader::new(read).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let count = match line {
                line if line.contains("\"accepted\"") => &told.accepted,
                line if line.contains("\"busy\"") => &told.busy,
                _ => continue,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let mut next = || {
            number += 1;
            format!("{}\n", event(&source, &number.to_string(), "storm", json!({})))
        };
        let lines: String = (0..100).map(|_| next()).collect();
        // The door may not read for a while; the storm ends all the same when it is told to.
        let sent = tokio::time::timeout(LIMIT, write.write_all(lines.as_bytes())).await;
        sent.unwrap().unwrap();
    }
    drop(write);
    // What it has sent and nobody has read yet is answered a part at a time: that is not waited for.
    reading.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_one_type_lets_other_events_through() {
    let place = Place::new()
        .set("tcp.listen", "127.0.0.1:0")
        .set("engine.backlog_limit", "500")
        .define("greet", GREET)
        .define("storm", STORM);
    let node = place.start().await;
    let (stop, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Told::default()));
    let door = Endpoint::find(place.data()).unwrap().tcp.unwrap().to_string();
    let storms: Vec<_> = (0..STORMS)
        .map(|number| {
            let (door, token) = (door.clone(), node.api.token().to_owned());
            tokio::spawn(storm(door, token, format!("/storm/{number}"), Arc::clone(&stop), Arc::clone(&told)))
        })
        .collect();
    eventually(LIMIT, "a storm that is more than the node takes", async || {
        let (accepted, busy) = (told.accepted.load(Ordering::Relaxed), told.busy.load(Ordering::Relaxed));
        (accepted > 0 && busy > 0).then_some(())
    })
    .await;
    let before = told.accepted.load(Ordering::Relaxed);
    for number in 0..OTHERS {
        let greet = event("/calm", &number.to_string(), "greeted", json!({ "name": number }));
        // A node that has too much on its hands says so, and takes it a moment later.
        eventually(LIMIT, "room for another event", async || node.api.send(&greet).await.ok()).await;
    }
    eventually(LIMIT, "the others' instances", async || {
        let all = node.api.instances("definition=test/greet").await.ok()?;
        (all.len() as u64 == OTHERS && all.iter().all(|one| one.status == "completed")).then_some(())
    })
    .await;
    // All of it in the middle of the storm, which has its turn as well.
    eventually(LIMIT, "the storm goes on", async || {
        (told.accepted.load(Ordering::Relaxed) > before).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for storm in storms {
        tokio::time::timeout(LIMIT * 2, storm).await.unwrap().unwrap();
    }
    node.stop().await;
}
