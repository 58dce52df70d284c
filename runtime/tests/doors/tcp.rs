//! The TCP door from outside: tokens, events and replies on real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use impresario::http::token::TokenKeeper;
use impresario::orchestrator::Refusal;
use impresario::tcp::TcpDoor;
use impresario::tcp::reply::{Outcome, Reply};
use impresario_config::{ByteSize, Sources, Tcp};
use impresario_test_servers::Certificates;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::support::{Handle, Mock};

const SOON: Duration = Duration::from_secs(20);

struct Bench {
    mock: Arc<Mock>,
    address: SocketAddr,
    token: String,
    _folder: TempDir,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Bench {
    async fn open(change: impl FnOnce(&mut Tcp)) -> Bench {
        let mut settings = impresario_config::load(&Sources::default()).unwrap().config.tcp;
        settings.listen = Some("127.0.0.1:0".parse().unwrap());
        settings.line_limit = ByteSize(4096);
        change(&mut settings);
        let folder = tempfile::tempdir().unwrap();
        let keeper = Arc::new(TokenKeeper::open(folder.path()).unwrap());
        let token = std::fs::read_to_string(keeper.file()).unwrap().trim().to_owned();
        let mock = Arc::new(Mock::default());
        let door = TcpDoor::bind(settings).await.unwrap().unwrap();
        let address = door.address();
        let (shutdown, asked) = oneshot::channel::<()>();
        let engine = Arc::new(Handle(Arc::clone(&mock)));
        let serving = tokio::spawn(async move {
            let shutdown = async {
                let _ = asked.await;
            };
            door.serve(engine, keeper, SOON, shutdown).await;
        });
        Bench { mock, address, token, _folder: folder, shutdown, serving }
    }

    async fn stranger(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    async fn client(&self) -> Client<TcpStream> {
        let mut client = self.stranger().await;
        client.greet(&self.token).await;
        client
    }

    /// Events are answered only as permits are given.
    fn hold(&self) -> Arc<Semaphore> {
        let released = Arc::new(Semaphore::new(0));
        *self.mock.events_released.lock().unwrap() = Some(Arc::clone(&released));
        released
    }

    fn taken(&self) -> Vec<String> {
        self.mock.events.lock().unwrap().iter().map(|event| event.id.clone()).collect()
    }
}

struct Client<S> {
    lines: Lines<BufReader<ReadHalf<S>>>,
    write: WriteHalf<S>,
}

impl<S: AsyncRead + AsyncWrite> Client<S> {
    fn new(stream: S) -> Self {
        let (read, write) = tokio::io::split(stream);
        Client { lines: BufReader::new(read).lines(), write }
    }

    async fn send(&mut self, text: &str) {
        self.write.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next reply; none at the end of the connection.
    async fn next(&mut self) -> Option<Reply> {
        let line = tokio::time::timeout(SOON, self.lines.next_line()).await.expect("an answer").unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    async fn reply(&mut self, line: u64) -> Outcome {
        let reply = self.next().await.expect("a reply");
        assert_eq!(reply.line, line, "{reply:?}");
        reply.outcome
    }

    async fn greet(&mut self, token: &str) {
        self.send(&format!("{}\n", json!({ "token": token }))).await;
        let ready = self.reply(0).await;
        assert!(matches!(&ready, Outcome::Ready { durability, .. } if durability == "memory"), "{ready:?}");
    }
}

fn event(id: &str) -> String {
    format!(
        "{}\n",
        json!({ "specversion": "1.0", "id": id, "source": "/test", "type": "t", "data": { "n": 1 } })
    )
}

fn accepted() -> Outcome {
    Outcome::Accepted { durability: "memory".to_owned() }
}

fn detail(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Invalid { detail }
        | Outcome::Busy { detail, .. }
        | Outcome::Unavailable { detail, .. }
        | Outcome::Unknown { detail }
        | Outcome::Closed { detail } => detail,
        Outcome::Ready { .. } | Outcome::Accepted { .. } => panic!("expected words, found {outcome:?}"),
    }
}

#[tokio::test]
async fn events_are_answered_in_the_order_of_their_lines() {
    let bench = Bench::open(|_| {}).await;
    let mut client = bench.client().await;
    let junk = "\u{1}not JSON\n";
    let foreign = "{\"id\": \"x\"}\n";
    client.send(&[&event("1"), "\n", junk, "\r\n", &event("2"), foreign, &event("3")].concat()).await;
    assert_eq!(client.reply(1).await, accepted());
    let invalid = client.reply(2).await;
    assert!(detail(&invalid).contains("expected a CloudEvent in JSON on one line"), "{invalid:?}");
    assert_eq!(client.reply(3).await, accepted());
    let invalid = client.reply(4).await;
    assert!(
        matches!(invalid, Outcome::Invalid { .. }) && detail(&invalid).contains("specversion"),
        "{invalid:?}"
    );
    assert_eq!(client.reply(5).await, accepted());
    assert_eq!(bench.taken(), ["1", "2", "3"]);

    client.write.shutdown().await.unwrap();
    assert_eq!(client.next().await, None, "the end of a client is the end of its connection");
}

#[tokio::test]
async fn without_the_token_nothing_is_taken() {
    let bench = Bench::open(|_| {}).await;
    for (first, found) in [
        (event("1"), "something else"),
        ("{\"token\":\"another\"}\n".to_owned(), "another token"),
        (format!("{}\n", "x".repeat(5000)), "too long"),
        ("\u{0}\u{ff}\n".to_owned(), "something else"),
    ] {
        let mut client = bench.stranger().await;
        client.send(&first).await;
        let closed = client.reply(0).await;
        assert!(matches!(closed, Outcome::Closed { .. }) && detail(&closed).contains(found), "{closed:?}");
        assert_eq!(client.next().await, None);
    }
    assert!(bench.taken().is_empty());
}

#[tokio::test]
async fn what_the_engine_refuses_is_told_with_what_to_do() {
    let bench = Bench::open(|_| {}).await;
    let mut client = bench.client().await;
    let busy = Refusal::Busy { reason: "shard 3 is full".to_owned(), retry_after_ms: 250 };
    *bench.mock.refusal.lock().unwrap() = Some(busy);
    client.send(&event("1")).await;
    let busy = Outcome::Busy { detail: "shard 3 is full".to_owned(), retry_after_ms: 250 };
    assert_eq!(client.reply(1).await, busy);
    *bench.mock.refusal.lock().unwrap() = Some(Refusal::later("the store is away"));
    client.send(&event("2")).await;
    assert!(matches!(client.reply(2).await, Outcome::Unavailable { retry_after_ms: 1000, .. }));
    *bench.mock.refusal.lock().unwrap() = None;
    client.send(&event("1")).await;
    assert_eq!(client.reply(3).await, accepted(), "the connection goes on");
}

#[tokio::test]
async fn who_is_told_to_wait_and_does_not_is_not_read_from_while_others_are() {
    let bench = Bench::open(|settings| settings.ahead = 2).await;
    let refused = Refusal::Busy { reason: "full".to_owned(), retry_after_ms: 60_000 };
    *bench.mock.refusal.lock().unwrap() = Some(refused);
    let mut storm = bench.client().await;
    storm.send(&(0..100).map(|number| event(&format!("storm {number}"))).collect::<String>()).await;
    assert!(matches!(storm.reply(1).await, Outcome::Busy { .. }));
    *bench.mock.refusal.lock().unwrap() = None;
    let mut calm = bench.client().await;
    for line in 1..=20 {
        calm.send(&event("calm")).await;
        assert_eq!(calm.reply(line).await, accepted());
    }
    let read = bench.taken().iter().filter(|id| id.starts_with("storm")).count();
    assert!(read <= 2, "{read} lines were read of who should wait: not more than may be on their way");
    // It may end meanwhile, and the door does not hang on it.
    drop(storm);
    bench.shutdown.send(()).unwrap();
    assert!(detail(&calm.reply(21).await).contains("the node stops"));
    tokio::time::timeout(SOON, bench.serving).await.expect("it closes").unwrap();
}

#[tokio::test]
async fn no_more_is_read_than_may_be_on_its_way() {
    let bench = Bench::open(|settings| settings.ahead = 2).await;
    let released = bench.hold();
    let mut client = bench.client().await;
    client.send(&["1", "2", "3", "4", "5"].map(event).concat()).await;
    let (mut other, free) = (bench.client().await, ["a", "b"]);
    other.send(&free.map(event).concat()).await;
    // One connection that waits keeps no other from its turn.
    let deadline = tokio::time::Instant::now() + SOON;
    while !free.iter().all(|id| bench.taken().contains(&(*id).to_owned())) {
        assert!(tokio::time::Instant::now() < deadline, "the other connection has its turn");
        tokio::task::yield_now().await;
    }
    let taken = |bench: &Bench| bench.taken().iter().filter(|id| !free.contains(&id.as_str())).count();
    assert!(taken(&bench) <= 2, "{:?}", bench.taken());
    released.add_permits(7);
    for line in 1..=5 {
        assert_eq!(client.reply(line).await, accepted());
    }
    assert_eq!(taken(&bench), 5);
}

#[tokio::test]
async fn lines_that_are_too_long_or_half_are_told_and_the_others_count() {
    let bench = Bench::open(|_| {}).await;
    let mut client = bench.client().await;
    client.send(&format!("{}\n{}{{\"half", "x".repeat(100_000), event("1"))).await;
    client.write.shutdown().await.unwrap();
    let long = client.reply(1).await;
    assert!(detail(&long).contains("at most 4096 bytes (setting tcp.line_limit)"), "{long:?}");
    assert_eq!(client.reply(2).await, accepted());
    assert!(detail(&client.reply(3).await).contains("end of the connection"));
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_door_that_closes_answers_what_it_has_read() {
    let bench = Bench::open(|_| {}).await;
    let released = bench.hold();
    let mut client = bench.client().await;
    client.send(&["1", "2"].map(event).concat()).await;
    while bench.taken().len() < 2 {
        tokio::task::yield_now().await;
    }
    bench.shutdown.send(()).unwrap();
    released.add_permits(2);
    assert_eq!(client.reply(1).await, accepted());
    assert_eq!(client.reply(2).await, accepted());
    assert!(detail(&client.reply(3).await).contains("the node stops"));
    assert_eq!(client.next().await, None);
    tokio::time::timeout(SOON, bench.serving).await.expect("it closes").unwrap();
}

#[tokio::test]
async fn who_says_nothing_is_told_so_and_let_go() {
    let bench = Bench::open(|settings| settings.idle_timeout = Duration::from_millis(50)).await;
    let mut client = bench.client().await;
    assert!(detail(&client.reply(1).await).contains("tcp.idle_timeout"));
    assert_eq!(client.next().await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_reads_the_replies_is_let_go() {
    let bench = Bench::open(|settings| settings.idle_timeout = Duration::from_millis(300)).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = Client::new(socket.connect(bench.address).await.unwrap());
    client.greet(&bench.token).await;
    let many = (0..1000).map(|number| event(&number.to_string())).collect::<String>();
    let all = async { while client.write.write_all(many.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(SOON * 3, all).await.expect("the connection is reset");
    // What it was read is bounded by what the sockets hold, not by what it would send.
    let mut next = bench.client().await;
    next.send(&event("next")).await;
    assert_eq!(next.reply(1).await, accepted(), "others are served");
}

#[tokio::test]
async fn more_connections_than_places_wait_for_one() {
    let bench = Bench::open(|settings| settings.connections = 1).await;
    let first = bench.client().await;
    let mut second = bench.stranger().await;
    second.send(&format!("{}\n", json!({ "token": bench.token }))).await;
    drop(first);
    assert!(matches!(second.reply(0).await, Outcome::Ready { .. }));
}

#[tokio::test]
async fn a_door_with_a_certificate_speaks_tls() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::make(folder.path());
    let bench = Bench::open(|settings| {
        settings.tls_certificate = Some(files.server.clone());
        settings.tls_key = Some(files.server_key.clone());
    })
    .await;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.authority).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(bench.address).await.unwrap();
    let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    let mut client = Client::new(stream);
    client.greet(&bench.token).await;
    client.send(&event("1")).await;
    assert_eq!(client.reply(1).await, accepted());

    // Who speaks no TLS hears nothing that could be taken for a reply.
    let mut plain = bench.stranger().await;
    plain.send(&format!("{}\n", json!({ "token": bench.token }))).await;
    let heard = tokio::time::timeout(SOON, plain.lines.next_line()).await.expect("an end");
    assert!(!matches!(heard, Ok(Some(line)) if line.starts_with('{')));
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_told_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let files = Certificates::make(folder.path());
    let bind = async |certificate: &std::path::Path, key: &std::path::Path| {
        let mut settings = impresario_config::load(&Sources::default()).unwrap().config.tcp;
        settings.listen = Some("127.0.0.1:0".parse().unwrap());
        settings.tls_certificate = Some(certificate.to_owned());
        settings.tls_key = Some(key.to_owned());
        TcpDoor::bind(settings).await.err().unwrap().to_string()
    };
    let missing = bind(&folder.path().join("none.pem"), &files.server_key).await;
    assert!(missing.contains("certificates in PEM in") && missing.contains("No such file"), "{missing}");
    let other = bind(&files.server, &files.client_key).await;
    assert!(other.contains("belong to the key"), "{other}");
    let empty = bind(&files.server_key, &files.server_key).await;
    assert!(empty.contains("expected certificates"), "{empty}");
}
