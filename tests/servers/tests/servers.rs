//! The servers do what tests rely on: they keep, forget, freeze, fail over and refuse as the real thing does.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::time::{Duration, Instant};

use impresario_test_servers::{
    Certificates, Direction, Fsync, Proxy, RedisCluster, RedisServer, Sentinels, eventually,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);
/// Long enough that an answer that is not held back would have come.
const SILENCE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_server_that_was_killed_comes_back_with_what_it_synced() {
    let mut server = RedisServer::builder().fsync(Fsync::Always).start().await;
    server.command(&["SET", "kept", "1"]).await;
    let port = server.port();
    server.kill();
    assert!(!server.runs() && server.ask(&["PING"]).await.is_err());
    server.restart().await;
    assert_eq!((server.port(), server.command(&["GET", "kept"]).await.as_str()), (port, "1"));
}

#[tokio::test]
async fn a_server_comes_back_behind_what_it_had_acknowledged() {
    let mut server = RedisServer::builder().fsync(Fsync::Always).start().await;
    server.command(&["SET", "number", "1"]).await;
    let copy = server.copy();
    server.command(&["SET", "number", "2"]).await;
    server.stop().await;
    server.restore(&copy);
    server.restart().await;
    assert_eq!(server.command(&["GET", "number"]).await, "1");
}

#[tokio::test]
async fn a_server_that_keeps_nothing_forgets_all() {
    let mut server = RedisServer::builder().appendonly(false).start().await;
    server.command(&["SET", "kept", "1"]).await;
    server.stop().await;
    server.restart().await;
    assert_eq!(server.command(&["EXISTS", "kept"]).await, "0");
}

#[tokio::test]
async fn a_frozen_server_answers_once_it_goes_on() {
    let mut server = RedisServer::start().await;
    server.pause();
    let mut connection = TcpStream::connect(server.address()).await.unwrap();
    connection.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 7];
    assert!(tokio::time::timeout(SILENCE, connection.read_exact(&mut answer)).await.is_err());
    server.resume();
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

#[tokio::test]
async fn settings_of_a_server_are_in_force() {
    let server = RedisServer::builder()
        .memory("8mb", "allkeys-lru")
        .password("open sesame".replace(' ', "-").as_str())
        .user("ops", "on >secret ~{ops}* +@all")
        .line("timeout 321")
        .start()
        .await;
    for (setting, value) in [
        ("maxmemory-policy", "allkeys-lru"),
        ("appendfsync", "everysec"),
        ("timeout", "321"),
        ("appendonly", "yes"),
    ] {
        assert_eq!(server.command(&["CONFIG", "GET", setting]).await, format!("{setting}\n{value}"));
    }
    assert!(server.command(&["ACL", "LIST"]).await.contains("user ops on"));
    let mut connection = TcpStream::connect(server.address()).await.unwrap();
    connection.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 7];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"-NOAUTH", "nobody gets in without the password");
}

#[tokio::test]
async fn a_server_with_tls_speaks_nothing_else() {
    let server = RedisServer::builder().tls().start().await;
    assert_eq!(server.command(&["PING"]).await, "PONG");
    let mut connection = TcpStream::connect(server.address()).await.unwrap();
    connection.write_all(b"PING\r\n").await.unwrap();
    let mut answer = Vec::new();
    // It closes or resets, as it likes.
    let _ = connection.read_to_end(&mut answer).await;
    assert!(!answer.windows(4).any(|bytes| bytes == b"PONG"), "{answer:?}");
    let folder = tempfile::tempdir().unwrap();
    let others = Certificates::make(folder.path());
    let own = server.certificates().unwrap();
    assert_ne!(std::fs::read(&others.authority).unwrap(), std::fs::read(&own.authority).unwrap());
}

#[tokio::test]
async fn sentinels_put_a_replica_in_the_place_of_a_primary() {
    let mut all = Sentinels::start(1).await;
    assert_eq!(all.primary().await, 0);
    all.servers()[0].command(&["SET", "kept", "1"]).await;
    all.servers()[0].command(&["WAIT", "1", "10000"]).await;
    all.failover().await;
    assert_eq!(all.primary().await, 1);
    all.settled().await;
    assert_eq!(all.kill_primary().await, 1);
    assert_eq!(all.servers()[0].command(&["GET", "kept"]).await, "1");
    all.servers()[1].restart().await;
    all.settled().await;
}

#[tokio::test]
async fn a_cluster_gives_the_place_of_a_lost_master_to_its_replica() {
    let mut cluster = RedisCluster::start(true).await;
    assert_eq!(cluster.nodes().len(), 6);
    let lost = cluster.kill_master().await;
    let alive = usize::from(lost == 0);
    let shown = cluster.nodes()[alive].command(&["CLUSTER", "NODES"]).await;
    assert!(shown.contains("master,fail"), "{shown}");
    cluster.nodes()[lost].restart().await;
    cluster.settled().await;
}

#[tokio::test]
async fn a_cluster_of_masters_alone_is_whole() {
    let mut cluster = RedisCluster::start(false).await;
    let answer = cluster.nodes()[0].command(&["CLUSTER", "INFO"]).await;
    assert!(answer.contains("cluster_size:3"), "{answer}");
    assert_eq!(cluster.addresses().split(',').count(), 3);
}

/// A client of the proxy.
struct Client(TcpStream);

impl Client {
    async fn connect(proxy: &Proxy) -> Self {
        Client(TcpStream::connect(proxy.address()).await.unwrap())
    }

    async fn send(&mut self, command: &str) {
        self.0.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
    }

    /// The next line; none when the connection was reset or ended.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        while !line.ends_with("\r\n") {
            line.push(char::from(self.0.read_u8().await.ok()?));
        }
        Some(line.trim_end().to_owned())
    }

    async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(SILENCE, self.line()).await.is_err()
    }
}

#[tokio::test]
async fn a_proxy_cuts_and_refuses_until_it_passes_again() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let mut client = Client::connect(&proxy).await;
    client.send("PING").await;
    assert_eq!(client.line().await.as_deref(), Some("+PONG"));
    proxy.cut();
    assert_eq!(client.line().await, None);
    eventually(SOON, "a refused connection", async || TcpStream::connect(proxy.address()).await.err()).await;
    proxy.pass();
    eventually(SOON, "a connection", async || TcpStream::connect(proxy.address()).await.ok()).await;
    let mut client = Client::connect(&proxy).await;
    client.send("PING").await;
    assert_eq!(client.line().await.as_deref(), Some("+PONG"));
}

#[tokio::test]
async fn what_a_proxy_holds_back_arrives_late_and_whole() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let mut client = Client::connect(&proxy).await;
    proxy.blackhole();
    client.send("INCR asked").await;
    assert!(client.is_silent().await);
    assert_eq!(server.command(&["EXISTS", "asked"]).await, "0");
    proxy.half_close(Direction::ToClient);
    eventually(SOON, "a request that arrives", async || {
        (server.command(&["GET", "asked"]).await == "1").then_some(())
    })
    .await;
    assert!(client.is_silent().await);
    proxy.half_close(Direction::ToServer);
    assert_eq!(client.line().await.as_deref(), Some(":1"));
    client.send("INCR asked").await;
    assert!(client.is_silent().await);
    proxy.pass();
    assert_eq!(client.line().await.as_deref(), Some(":2"));
}

#[tokio::test]
async fn a_delay_is_no_bandwidth() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let mut client = Client::connect(&proxy).await;
    let delay = Duration::from_millis(100);
    proxy.delay(delay);
    let began = Instant::now();
    for number in 0..20 {
        client.send(&format!("INCR n{number}")).await;
    }
    for _ in 0..20 {
        assert_eq!(client.line().await.as_deref(), Some(":1"));
    }
    let took = began.elapsed();
    assert!(took >= 2 * delay, "both directions are late: {took:?}");
    assert!(took < 20 * delay, "requests on their way do not wait for each other: {took:?}");
}

#[tokio::test]
async fn a_lost_reply_is_the_reply_to_something_that_was_done() {
    let server = RedisServer::start().await;
    let proxy = Proxy::start(&server.address()).await;
    let (mut other, mut client) = (Client::connect(&proxy).await, Client::connect(&proxy).await);
    proxy.cut_after_request("INCR");
    other.send("PING").await;
    assert_eq!(other.line().await.as_deref(), Some("+PONG"), "another request is no concern of it");
    client.send("INCR done").await;
    assert_eq!(client.line().await, None);
    assert_eq!((server.command(&["GET", "done"]).await.as_str(), proxy.lost()), ("1", 1));
    other.send("INCR done").await;
    assert_eq!(other.line().await.as_deref(), Some(":2"), "once is enough");
}
