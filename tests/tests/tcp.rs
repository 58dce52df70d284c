//! The TCP door of a real node: what it has accepted survives kill -9, and what is sent again starts nothing twice.

#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::time::Duration;

use impresario::endpoint::Endpoint;
use impresario::tcp::reply::{Outcome, Reply};
use impresario_tests::node::Place;
use impresario_tests::poll::eventually;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(60);
const EVENTS: usize = 400;

const GREET: &str = "
document: { dsl: '1.0.3', namespace: test, name: greet, version: '1.0.0' }
schedule: { on: { one: { with: { type: greeted } } } }
do:
  - say: { set: { heard: '${ .[0].data.name }' } }
";

/// Sends what was not accepted yet, all of it at once, and notes what is accepted until the connection ends, or
/// `enough` are.
async fn send(place: &Place, token: &str, accepted: &mut BTreeSet<usize>, enough: usize) {
    let address = Endpoint::find(place.data()).expect("a node tells where it is").tcp.expect("a TCP door");
    let (read, mut write) = TcpStream::connect(address).await.expect("an open door").into_split();
    let left: Vec<usize> = (0..EVENTS).filter(|number| !accepted.contains(number)).collect();
    let mut text = format!("{}\n", json!({ "token": token }));
    for number in &left {
        let event = json!({ "specversion": "1.0", "id": number.to_string(), "source": "/tcp", "type": "greeted",
            "data": { "name": number.to_string() } });
        text += &format!("{event}\n");
    }
    // Beside the reading, or both sides would wait for each other.
    let writing = tokio::spawn(async move {
        let _ = write.write_all(text.as_bytes()).await;
        write
    });
    let mut lines = BufReader::new(read).lines();
    while accepted.len() < enough {
        let Ok(Some(line)) = lines.next_line().await else { break };
        let reply: Reply = serde_json::from_str(&line).expect("a reply");
        match reply.outcome {
            Outcome::Ready { .. } => {}
            Outcome::Accepted { durability } => {
                assert_eq!(durability, "fsync");
                accepted.insert(left[usize::try_from(reply.line).expect("a small number") - 1]);
            }
            other => panic!("expected to be accepted, found {other:?}"),
        }
    }
    writing.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_line_by_line_survives_a_kill() {
    let place = Place::new().set("tcp.listen", "127.0.0.1:0").define("greet", GREET);
    let mut accepted = BTreeSet::new();
    for enough in [EVENTS / 4, EVENTS / 2] {
        let node = place.start().await;
        send(&place, node.api.token(), &mut accepted, enough).await;
        assert!(accepted.len() >= enough);
        node.kill().await;
    }
    let node = place.start().await;
    send(&place, node.api.token(), &mut accepted, EVENTS).await;
    // Once more, all of it: whoever did not read a reply does so.
    accepted.clear();
    send(&place, node.api.token(), &mut accepted, EVENTS).await;
    assert_eq!(accepted.len(), EVENTS);
    let all = eventually(LIMIT, "an instance for every event", async || {
        let all = node.api.instances("definition=test/greet").await.ok()?;
        (all.len() >= EVENTS && all.iter().all(|one| one.status == "completed")).then_some(all)
    })
    .await;
    assert_eq!(all.len(), EVENTS, "one for each, however often it was sent");
    node.stop().await;
}
