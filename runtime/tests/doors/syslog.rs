//! The syslog listener from outside: what devices write, over real sockets.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use impresario::orchestrator::Refusal;
use impresario::syslog::SyslogDoor;
use impresario::syslog::message::EVENT_TYPE;
use impresario_config::{ByteSize, Networks, Sources, Syslog};
use impresario_model::event::CloudEvent;
use impresario_test_servers::Certificates;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{Handle, Mock};

const SOON: Duration = Duration::from_secs(20);
/// 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045_000;

struct Bench {
    mock: Arc<Mock>,
    tcp: SocketAddr,
    udp: SocketAddr,
    lost: Box<dyn Fn() -> u64>,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Bench {
    async fn open(change: impl FnOnce(&mut Syslog)) -> Bench {
        let mut settings = impresario_config::load(&Sources::default()).unwrap().config.syslog;
        settings.listen = Some("127.0.0.1:0".parse().unwrap());
        settings.listen_udp = Some("127.0.0.1:0".parse().unwrap());
        change(&mut settings);
        let mock = Arc::new(Mock::default());
        let door = SyslogDoor::bind(settings).await.unwrap().unwrap();
        let (tcp, udp, lost) = (door.address().unwrap(), door.udp_address().unwrap(), door.lost());
        let (shutdown, asked) = oneshot::channel::<()>();
        let engine = Arc::new(Handle(Arc::clone(&mock)));
        let serving = tokio::spawn(async move {
            let shutdown = async {
                let _ = asked.await;
            };
            door.serve(engine, Arc::new(|| NOW), shutdown).await;
        });
        Bench { mock, tcp, udp, lost: Box::new(move || lost.count()), shutdown, serving }
    }

    /// The first so many events, by their order.
    async fn events(&self, count: usize) -> Vec<CloudEvent> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let events = self.mock.events.lock().unwrap().clone();
            if events.len() >= count {
                return events;
            }
            assert!(tokio::time::Instant::now() < deadline, "expected {count} events, found {events:?}");
            tokio::task::yield_now().await;
        }
    }
}

fn text<'a>(event: &'a CloudEvent, member: &str) -> &'a str {
    event.data.as_ref().and_then(|data| data.get(member)).and_then(|value| value.as_str()).unwrap_or_default()
}

#[tokio::test]
async fn messages_of_both_framings_become_events_and_none_is_refused() {
    let bench = Bench::open(|settings| settings.message_limit = ByteSize(1024)).await;
    let mut device = TcpStream::connect(bench.tcp).await.unwrap();
    let long = format!("<13>{}", "x".repeat(5000));
    let lines = format!(
        "<165>1 2026-01-02T03:04:05Z sw-1 link - ID1 - up\n29 <165>1 - sw-1 link - ID1 - up<34>Jan  2 03:04:05 old \
         su: failed\nno syslog at all\n{long}\n"
    );
    device.write_all(lines.as_bytes()).await.unwrap();
    device.write_all(b"<13>\xff\xfe\n<13>Jan  2 03:04:05 h tag: half").await.unwrap();
    device.shutdown().await.unwrap();
    let events = bench.events(7).await;
    assert!(events.iter().all(|event| event.kind == EVENT_TYPE));
    assert!(events.iter().all(|event| CloudEvent::from_json(event.envelope()).as_ref() == Ok(event)));
    assert_eq!(events[0].source, "syslog://sw-1");
    assert_eq!((text(&events[0], "message"), text(&events[1], "message")), ("up", "up"));
    assert_eq!((text(&events[2], "format"), text(&events[2], "hostname")), ("rfc3164", "old"));
    assert_eq!(
        (text(&events[3], "raw"), events[3].source.as_str()),
        ("no syslog at all", "syslog://127.0.0.1")
    );
    let data = |number: usize| events[number].data.clone().unwrap();
    assert_eq!((&data(3)["parsed"], &data(4)["truncated"]), (&false.into(), &true.into()));
    assert_eq!(data(5)["rawBase64"], "PDEzPv/+");
    assert_eq!((&data(6)["truncated"], text(&events[6], "message")), (&true.into(), "half"));
    let mut rest = Vec::new();
    device.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "nothing is answered");
}

#[tokio::test]
async fn equal_messages_are_as_many_events() {
    let bench = Bench::open(|_| {}).await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut tcp = TcpStream::connect(bench.tcp).await.unwrap();
    for _ in 0..3 {
        tcp.write_all(b"<13>1 - h a - - - again\n").await.unwrap();
        udp.send_to(b"<13>1 - h a - - - again", bench.udp).await.unwrap();
    }
    let events = bench.events(6).await;
    let names: BTreeSet<_> = events.iter().map(|event| (&event.source, &event.id)).collect();
    assert_eq!(names.len(), 6, "{names:?}");
}

#[tokio::test]
async fn what_was_read_is_held_until_the_log_takes_it_and_no_more_is_read() {
    let bench = Bench::open(|_| {}).await;
    let away = Refusal::Unavailable { reason: "the store is away".to_owned(), retry_after_ms: 10 };
    *bench.mock.refusal.lock().unwrap() = Some(away);
    let mut device = TcpStream::connect(bench.tcp).await.unwrap();
    device.write_all(b"<13>first\n").await.unwrap();
    // Given to the log several times, under the same id.
    let events = bench.events(3).await;
    assert!(events.iter().all(|event| event.id == events[0].id));
    // More than all buffers on the way hold cannot be written any more.
    let line = format!("<13>{}\n", "y".repeat(60_000));
    let flood = async { while device.write_all(line.as_bytes()).await.is_ok() {} };
    let flooded = tokio::time::timeout(Duration::from_millis(300), flood).await;
    assert!(flooded.is_err(), "the sender waits");
    assert!(bench.mock.events.lock().unwrap().iter().all(|event| event.id == events[0].id));
    *bench.mock.refusal.lock().unwrap() = None;
    let deadline = tokio::time::Instant::now() + SOON;
    while bench.mock.events.lock().unwrap().iter().all(|event| event.id == events[0].id) {
        assert!(tokio::time::Instant::now() < deadline, "it goes on");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn datagrams_beyond_the_queue_are_lost_and_counted() {
    let bench = Bench::open(|settings| settings.queue = 2).await;
    let released = Arc::new(tokio::sync::Semaphore::new(0));
    *bench.mock.events_released.lock().unwrap() = Some(Arc::clone(&released));
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let deadline = tokio::time::Instant::now() + SOON;
    let mut sent = 0;
    while (bench.lost)() < 5 {
        assert!(tokio::time::Instant::now() < deadline, "{} are lost", (bench.lost)());
        udp.send_to(b"<13>1 - h a - - - again", bench.udp).await.unwrap();
        sent += 1;
        tokio::task::yield_now().await;
    }
    released.add_permits(1000);
    // What was not lost arrives, and what comes after it too.
    udp.send_to(b"<13>1 - h a - - - last", bench.udp).await.unwrap();
    let deadline = tokio::time::Instant::now() + SOON;
    while !bench.mock.events.lock().unwrap().iter().any(|event| text(event, "message") == "last") {
        assert!(tokio::time::Instant::now() < deadline);
        udp.send_to(b"<13>1 - h a - - - last", bench.udp).await.unwrap();
        tokio::task::yield_now().await;
    }
    let again =
        bench.mock.events.lock().unwrap().iter().filter(|event| text(event, "message") == "again").count();
    assert!(again < sent, "{again} of {sent}");
}

#[tokio::test]
async fn only_the_named_networks_are_heard() {
    let bench = Bench::open(|settings| {
        let named = impresario_config::Override {
            key: "syslog.networks".to_owned(),
            value: "10.0.0.0/8".to_owned(),
            flag: "--set".to_owned(),
        };
        let sources = Sources { flags: vec![named], ..Sources::default() };
        settings.networks = impresario_config::load(&sources).unwrap().config.syslog.networks;
        assert_ne!(settings.networks, Networks(None));
    })
    .await;
    let mut stranger = TcpStream::connect(bench.tcp).await.unwrap();
    let _ = stranger.write_all(b"<13>first\n").await;
    let mut rest = Vec::new();
    // Closed, in whichever way the system tells it.
    let ended = tokio::time::timeout(SOON, stranger.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.is_empty());
    assert!(bench.mock.events.lock().unwrap().is_empty());
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_a_stop_stores_what_was_read() {
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
    let stream = TcpStream::connect(bench.tcp).await.unwrap();
    let mut device = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
    device.write_all(b"<13>1 - h a - - - over TLS\n").await.unwrap();
    device.flush().await.unwrap();
    let events = bench.events(1).await;
    assert_eq!(text(&events[0], "message"), "over TLS");
    bench.shutdown.send(()).unwrap();
    tokio::time::timeout(SOON, bench.serving).await.expect("it closes").unwrap();
}

#[tokio::test]
async fn who_sends_nothing_keeps_no_place() {
    let bench = Bench::open(|settings| {
        settings.connections = 1;
        settings.idle_timeout = Duration::from_millis(50);
    })
    .await;
    let _silent = TcpStream::connect(bench.tcp).await.unwrap();
    let mut next = TcpStream::connect(bench.tcp).await.unwrap();
    next.write_all(b"<13>1 - h a - - - next\n").await.unwrap();
    assert_eq!(text(&bench.events(1).await[0], "message"), "next");
}
