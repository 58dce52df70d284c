//! Restarts under load: no activity fails, and the new process takes work at once; on three nodes, one after another.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use impresario::adapters::AdapterOrder;
use impresario_tests::cluster::{Cluster, Design, Store, StoreKind};
use impresario_tests::node::Place;
use impresario_tests::poll::eventually;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{adapters, order, until};

/// How many activities are in flight at the restart.
const LOAD: usize = 100;

/// A web server that takes its time: `/SECONDS`.
async fn slow_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut chunk = [0; 1024];
                while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut chunk).await {
                        Ok(count) if count > 0 => request.extend_from_slice(&chunk[..count]),
                        _ => return,
                    }
                }
                let text = String::from_utf8_lossy(&request).into_owned();
                let wait = text.split(['/', ' ']).find_map(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
                tokio::time::sleep(Duration::from_secs_f64(wait)).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                let _gone = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    format!("http://{address}")
}

/// Posts, which must not be done twice, so a lost one would show.
fn posts(server: &str) -> String {
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: posts, version: '1.0.0' }}\n\
         do:\n  - ask:\n      call: http\n      with: {{ method: post, endpoint: '{server}/{{seconds}}' }}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_is_restarted_under_load_and_no_activity_fails() {
    let server = slow_server().await;
    let place = Place::new().set("adapters.concurrency", "200").define("posts", &posts(&server));
    let node = place.start().await;
    let mut ids = Vec::new();
    for number in 0..LOAD {
        let seconds = if number % 2 == 0 { 5 } else { 3 };
        ids.push(
            node.api.start("test/posts", json!({ "seconds": seconds }), None).await.expect("a start").id,
        );
    }
    let before = until(&node.api, "http", "the load in flight", |now| now.in_flight == LOAD).await;
    let asked = Instant::now();
    order(&node.api, "http", &AdapterOrder::Restart { node: None, reason: None }).await.expect("a restart");
    until(&node.api, "http", "a new process", |now| now.pid.is_some() && now.pid != before.pid).await;
    let fresh = node.api.start("test/posts", json!({ "seconds": 0 }), None).await.expect("a start");
    assert_eq!(node.ended(&fresh.id).await.summary.status, "completed");
    let took = asked.elapsed();
    println!("the new generation had done work {took:?} after the restart was asked for");
    for id in ids {
        let ended = node.ended(&id).await;
        assert_eq!(ended.summary.status, "completed", "{ended:?}");
        assert_eq!(ended.activities[0].attempts, 1);
    }
    let now = until(&node.api, "http", "the end of the old process", |now| now.retiring == 0).await;
    assert_eq!((now.counters.lost, now.counters.failed, now.counters.disappearances), (0, 0, 0));
    assert_eq!(now.counters.completed, LOAD as u64 + 1);
    // A second on a machine with nothing else to do; here others work too.
    assert!(took < Duration::from_secs(3), "{took:?}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_restart_one_after_another_and_no_activity_fails() {
    let server = slow_server().await;
    let design = Design::of(3).set("adapters.concurrency", "200");
    let store = Store::start(StoreKind::Redis).await;
    let mut cluster = Cluster::prepare(store, design).await;
    for number in 0..3 {
        cluster.define(number, "posts", &posts(&server));
        cluster.restart(number).await;
    }
    let apis = cluster.apis();
    let api = &apis[0];
    let mut ids = Vec::new();
    // Long enough that none has ended before all have begun, on a machine that has other things to do.
    let starts = (0..LOAD).map(|number| apis[number % 3].start("test/posts", json!({ "seconds": 20 }), None));
    for start in join_all(starts).await {
        ids.push(start.expect("a start").id);
    }
    let limit = Duration::from_secs(60);
    let in_flight = async || {
        let http: Vec<_> = adapters(api).await.into_iter().filter(|adapter| adapter.name == "http").collect();
        let busy: usize = http.iter().map(|adapter| adapter.in_flight).sum();
        (http.len() == 3 && busy == LOAD).then_some(())
    };
    eventually(limit, "the load in flight", in_flight).await;
    order(api, "http", &AdapterOrder::Restart { node: None, reason: None }).await.expect("a restart");
    let rolled = async || {
        let mut http = adapters(api).await;
        http.retain(|adapter| adapter.name == "http");
        let done: Vec<u64> = http.iter().map(|adapter| adapter.restarts_followed).collect();
        (done == [1, 1, 1]).then_some(http)
    };
    let http = eventually(limit, "three nodes that have restarted", rolled).await;
    for adapter in &http {
        // A node without a process has nothing to replace.
        assert!(adapter.counters.operator_restarts <= 1, "{adapter:?}");
        assert_eq!((adapter.counters.lost, adapter.counters.failed), (0, 0), "{adapter:?}");
    }
    for id in ids {
        let ended = eventually(limit, "an instance that has ended", async || {
            let detail = api.instance(&id).await.ok()?;
            detail.summary.ended_at.is_some().then_some(detail)
        })
        .await;
        assert_eq!(ended.summary.status, "completed", "{ended:?}");
    }
    cluster.stop_all().await;
}
