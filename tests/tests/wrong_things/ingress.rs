//! What senders do wrong, by mistake or on purpose: crowds, dribbles, junk, clocks that are off.

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
    // Strangers that never finish their bodies take all that webhooks may take, and no more of the door than that.
    let (hooks, half) = &doors[3];
    loop {
        let hook = reqwest::Client::new().post(format!("{}/hooks/none", node.api.url())).body("{}");
        if hook.send().await.unwrap().status() == 503 {
            break;
        }
        let mut stranger = TcpStream::connect(hooks).await.unwrap();
        stranger.write_all(half.as_bytes()).await.unwrap();
        crowd.push(stranger);
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
