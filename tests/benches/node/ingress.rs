//! How fast the doors acknowledge, and how soon something begins.
//!
//! Events of 256 bytes over 64 connections, each connection waiting for its acknowledgement (closed loop), over HTTP and TCP; and
//! over TCP with as many on their way as a connection may have. Then, with nothing else going on, the time from sending an event
//! until the first activity of what it starts runs: the activity is an HTTP request, and the clock stops when it arrives.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use impresario::endpoint::Endpoint;
use impresario_test_servers::{Fsync, RedisServer};
use impresario_tests::node::{Node, Place};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::Options;
use crate::events::host;
use crate::report::{Report, median, percentile};
use crate::wire::{CONNECTIONS, Template, answer, event_body};

/// The pause of a connection whose event was refused because too much was waiting.
const REFUSED: Duration = Duration::from_millis(20);
/// Runs of each.
const RUNS: usize = 3;
/// How many events of one connection are on their way in the pipelined case.
const AHEAD: usize = 64;

const OTHER: &str = "
document: { dsl: '1.0.3', namespace: bench, name: other, version: '1.0.0' }
schedule: { on: { one: { with: { type: bench.other } } } }
do: [ { nothing: { set: { a: 1 } } } ]
";

/// What a load came to.
struct Load {
    events: u64,
    took: Duration,
    /// Of each acknowledgement, in milliseconds.
    waits: Vec<f64>,
}

pub async fn measure(options: &Options, report: &mut Report) {
    let place = Place::new().set("log.level", "warn").set("tcp.listen", "127.0.0.1:0").define("other", OTHER);
    let node = place.start().await;
    doors(options, report, &place, &node, "fsync").await;
    node.stop().await;
    let server = RedisServer::builder().fsync(Fsync::EverySecond).start().await;
    let place = Place::new()
        .set("log.level", "warn")
        .set("node.name", "one")
        .set("tcp.listen", "127.0.0.1:0")
        .set("store.kind", "redis")
        .set("redis.servers", &server.address())
        .define("other", OTHER);
    let node = place.start().await;
    doors(options, report, &place, &node, "Redis, everysec").await;
    node.stop().await;
    drop(server);
    first_activity(options, report).await;
}

async fn doors(options: &Options, report: &mut Report, place: &Place, node: &Node, store: &str) {
    let time = if options.quick { Duration::from_millis(500) } else { Duration::from_secs(5) };
    let tcp = Endpoint::find(place.data()).unwrap().tcp.unwrap().to_string();
    let mut first = 0;
    for (door, ahead) in [("HTTP", 0), ("TCP", 1), ("TCP, pipelined", AHEAD)] {
        let (mut rates, mut waits) = (Vec::new(), Vec::new());
        for run in 0..=RUNS {
            // The first one only warms up.
            let time = if run == 0 { Duration::from_millis(500) } else { time };
            let load = match ahead {
                0 => http(node, first, time).await,
                ahead => lines(&tcp, node.api.token(), first, time, ahead).await,
            };
            first += load.events;
            if run > 0 {
                rates.push(load.events as f64 / load.took.as_secs_f64());
                waits.extend(load.waits);
            }
        }
        let remark = match ahead {
            0 | 1 => format!("256 bytes, {CONNECTIONS} connections, one at a time each, median of {RUNS}"),
            ahead => format!("the same with {ahead} on their way each"),
        };
        report.add(&format!("events acknowledged, {store}, {door}"), median(rates), "events/s", remark);
        report.add("  acknowledgement, p50", percentile(&mut waits, 50), "ms", "");
        report.add("  acknowledgement, p99", percentile(&mut waits, 99), "ms", "");
    }
}

/// What all connections of a load share.
struct Shared {
    next: Cell<u64>,
    waits: RefCell<Vec<f64>>,
    until: Instant,
}

impl Shared {
    fn new(first: u64, time: Duration) -> Rc<Shared> {
        Rc::new(Shared { next: Cell::new(first), waits: RefCell::default(), until: Instant::now() + time })
    }

    /// The next number; none once the time is over.
    fn number(&self) -> Option<u64> {
        let number = self.next.get();
        self.next.set(number + 1);
        (Instant::now() < self.until).then_some(number)
    }

    fn answered(&self, sent: Instant) {
        self.waits.borrow_mut().push(sent.elapsed().as_secs_f64() * 1e3);
    }

    fn load(self: Rc<Self>, began: Instant) -> Load {
        let waits = self.waits.take();
        Load { events: waits.len() as u64, took: began.elapsed(), waits }
    }
}

async fn http(node: &Node, first: u64, time: Duration) -> Load {
    let own = host(node);
    let body = event_body("bench.event");
    let template = Template::post(&own, "/events", node.api.token(), "application/cloudevents+json", &body);
    let (shared, set, began) = (Shared::new(first, time), LocalSet::new(), Instant::now());
    for _ in 0..CONNECTIONS {
        let (shared, own, mut template) = (Rc::clone(&shared), own.clone(), template.clone());
        set.spawn_local(async move {
            let mut connection = TcpStream::connect(&own).await.unwrap();
            connection.set_nodelay(true).unwrap();
            let mut buffer = vec![0; 4096];
            while let Some(number) = shared.number() {
                let sent = Instant::now();
                connection.write_all(template.number(number)).await.unwrap();
                match answer(&mut connection, &mut buffer).await {
                    202 => shared.answered(sent),
                    // Refused under load: not counted.
                    429 | 503 => tokio::time::sleep(REFUSED).await,
                    other => panic!("expected 202, found {other}: {}", String::from_utf8_lossy(&buffer)),
                }
            }
        });
    }
    set.await;
    shared.load(began)
}

/// Over the TCP door, with up to `ahead` events of a connection on their way.
async fn lines(door: &str, token: &str, first: u64, time: Duration, ahead: usize) -> Load {
    let (shared, set, began) = (Shared::new(first, time), LocalSet::new(), Instant::now());
    let (start, end) = event_body("bench.event").split_once(crate::wire::digits()).map(owned).unwrap();
    for _ in 0..CONNECTIONS {
        let (shared, door, token) = (Rc::clone(&shared), door.to_owned(), token.to_owned());
        let (start, end) = (start.clone(), end.clone());
        set.spawn_local(async move {
            let connection = TcpStream::connect(&door).await.unwrap();
            connection.set_nodelay(true).unwrap();
            let (read, mut write) = connection.into_split();
            let mut replies = BufReader::new(read).lines();
            write.write_all(format!("{}\n", json!({ "token": token })).as_bytes()).await.unwrap();
            let ready = replies.next_line().await.unwrap().unwrap();
            assert!(ready.contains("ready"), "{ready}");
            let mut sent = std::collections::VecDeque::new();
            let mut open = true;
            while open || !sent.is_empty() {
                let mut text = String::new();
                while open && sent.len() < ahead {
                    match shared.number() {
                        Some(number) => {
                            text += &format!("{start}{number:012}{end}\n");
                            sent.push_back(Instant::now());
                        }
                        None => open = false,
                    }
                }
                write.write_all(text.as_bytes()).await.unwrap();
                let Some(at) = sent.pop_front() else { break };
                let reply = replies.next_line().await.unwrap().unwrap();
                if reply.contains("accepted") {
                    shared.answered(at);
                } else {
                    assert!(reply.contains("busy"), "{reply}");
                    tokio::time::sleep(REFUSED).await;
                }
            }
        });
    }
    set.await;
    shared.load(began)
}

fn owned((start, end): (&str, &str)) -> (String, String) {
    (start.to_owned(), end.to_owned())
}

/// One event after another, each until what it starts has made its request.
async fn first_activity(options: &Options, report: &mut Report) {
    let count = options.scaled(500);
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let (arrived, mut arrivals) = mpsc::channel(16);
    let serving = tokio::spawn(serve(server, arrived));
    let define = format!(
        "
document: {{ dsl: '1.0.3', namespace: bench, name: begin, version: '1.0.0' }}
schedule: {{ on: {{ one: {{ with: {{ type: bench.begin }} }} }} }}
do: [ {{ ask: {{ call: http, with: {{ method: get, endpoint: 'http://{address}/' }} }} }} ]
"
    );
    let place = Place::new().set("log.level", "warn").define("begin", &define);
    let node = place.start().await;
    let mut waits = Vec::with_capacity(count);
    for number in 0..count + 20 {
        let event = json!({ "specversion": "1.0", "id": number.to_string(), "source": "/bench", "type": "bench.begin" });
        let began = Instant::now();
        let (sent, arrived) = tokio::join!(node.api.send(&event), arrivals.recv());
        sent.unwrap();
        let arrived: Instant = arrived.unwrap();
        // The first ones start the adapter host.
        if number >= 20 {
            waits.push(arrived.duration_since(began).as_secs_f64() * 1e3);
        }
    }
    node.stop().await;
    serving.abort();
    let remark = format!("sending included, one after another, {count} times");
    report.add("event to first activity, unloaded, p50", percentile(&mut waits, 50), "ms", remark);
    report.add("event to first activity, unloaded, p99", percentile(&mut waits, 99), "ms", "");
}

/// Answers requests, and tells when each arrived.
async fn serve(server: TcpListener, arrived: mpsc::Sender<Instant>) {
    loop {
        let (mut connection, _) = server.accept().await.unwrap();
        let arrived = arrived.clone();
        tokio::spawn(async move {
            let (mut request, mut filled) = (vec![0; 4096], 0);
            while let Ok(read @ 1..) = connection.read(&mut request[filled..]).await {
                filled += read;
                if request[..filled].ends_with(b"\r\n\r\n") {
                    filled = 0;
                    arrived.send(Instant::now()).await.unwrap();
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
                    connection.write_all(answer).await.unwrap();
                }
            }
        });
    }
}
