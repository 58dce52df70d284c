//! The listener for SNMP notifications from outside: traps and informs of all versions, over a real socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_snmp::{
    Auth, AuthProtocol, AuthoritativeEngine, Client, Oid, PrivProtocol, Retry, UdpClient, Value, VarBind,
    generate_engine_id, oid,
};
use impresario::orchestrator::Refusal;
use impresario::snmp::SnmpDoor;
use impresario::snmp::event::EVENT_TYPE;
use impresario_actors::secrets::{Resolver, unknown};
use impresario_adapter::{Failure, RuntimeUser};
use impresario_config::{Override, Snmp, Sources};
use impresario_model::event::CloudEvent;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{Handle, Mock};

const SOON: Duration = Duration::from_secs(30);
/// 2026-01-02T03:04:05Z.
const NOW: u64 = 1_767_323_045_000;

/// Runtime users that a test may change.
#[derive(Clone, Default)]
struct Users(Arc<Mutex<BTreeMap<String, RuntimeUser>>>);

impl Users {
    fn set(&self, name: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.0.lock().unwrap().insert(name.to_owned(), RuntimeUser { name: name.to_owned(), fields });
    }
}

impl Resolver for Users {
    fn user(&self, name: &str) -> Result<RuntimeUser, Failure> {
        self.0.lock().unwrap().get(name).cloned().ok_or_else(|| unknown(name, "none"))
    }
}

struct Bench {
    mock: Arc<Mock>,
    users: Users,
    address: SocketAddr,
    lost: Box<dyn Fn() -> u64>,
    folder: TempDir,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

fn settings() -> Snmp {
    let set = |key: &str, value: &str| Override {
        key: key.to_owned(),
        value: value.to_owned(),
        flag: "--set".to_owned(),
    };
    let flags = vec![set("snmp.listen", "127.0.0.1:0"), set("snmp.runtime_users", "old,new")];
    impresario_config::load(&Sources { flags, ..Sources::default() }).unwrap().config.snmp
}

const V3: [(&str, &str); 5] = [
    ("username", "ada"),
    ("authProtocol", "SHA-256"),
    ("authPassword", "authentic words"),
    ("privProtocol", "AES"),
    ("privPassword", "private words"),
];

impl Bench {
    /// With the community `friends`, and the user `ada` of version 3.
    async fn open(change: impl FnOnce(&mut Snmp, &Users)) -> Bench {
        let (mut settings, users) = (settings(), Users::default());
        users.set("old", &[("community", "friends")]);
        users.set("new", &V3);
        change(&mut settings, &users);
        let folder = tempfile::tempdir().unwrap();
        let mock = Arc::new(Mock::default());
        let door = SnmpDoor::bind(settings, folder.path()).await.unwrap().unwrap();
        let (address, lost) = (door.address(), door.lost());
        let (shutdown, asked) = oneshot::channel::<()>();
        let (engine, secrets) = (Arc::new(Handle(Arc::clone(&mock))), Arc::new(users.clone()));
        let serving = tokio::spawn(async move {
            let shutdown = async {
                let _ = asked.await;
            };
            door.serve(engine, secrets, Arc::new(|| NOW), shutdown).await;
        });
        Bench { mock, users, address, lost: Box::new(move || lost.count()), folder, shutdown, serving }
    }

    async fn client(&self, auth: impl Into<Auth>) -> UdpClient {
        let retry = Retry::fixed(16, Duration::from_millis(100)).unwrap();
        let client = Client::builder(self.address.to_string(), auth);
        client.request_timeout(Duration::from_millis(500)).retry(retry).connect().await.unwrap()
    }

    /// The events so far, once there are so many.
    async fn events(&self, count: usize) -> Vec<CloudEvent> {
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            let events = self.mock.events.lock().unwrap().clone();
            if events.len() >= count {
                return events;
            }
            assert!(tokio::time::Instant::now() < deadline, "expected {count} events, found {events:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends traps until the first one is heard: the listener opens in its own time, and nobody acknowledges a trap.
    async fn trap_until_heard(&self, client: &UdpClient) -> CloudEvent {
        let before = self.mock.events.lock().unwrap().len();
        let deadline = tokio::time::Instant::now() + SOON;
        loop {
            // Nobody may be listening yet, which the system tells the sender.
            let _ = client.send_trap(&trap_oid(), 42, variables()).await;
            if let Some(event) = self.mock.events.lock().unwrap().get(before) {
                return event.clone();
            }
            assert!(tokio::time::Instant::now() < deadline, "no trap is heard");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn trap_oid() -> Oid {
    oid!(1, 3, 6, 1, 4, 1, 9, 9, 41, 2, 0, 1)
}

fn variables() -> Vec<VarBind> {
    vec![
        VarBind::new(oid!(1, 3, 6, 1, 2, 1, 2, 2, 1, 1, 7), Value::Integer(-7)),
        VarBind::new(oid!(1, 3, 6, 1, 2, 1, 2, 2, 1, 2, 7), Value::OctetString("Gi0/7 grün".into())),
        VarBind::new(oid!(1, 3, 6, 1, 2, 1, 2, 2, 1, 6, 7), Value::OctetString(vec![0, 0xff].into())),
        VarBind::new(oid!(1, 3, 6, 1, 2, 1, 31, 1), Value::Counter64(u64::MAX)),
        VarBind::new(oid!(1, 3, 6, 1, 2, 1, 4, 20), Value::IpAddress([10, 0, 0, 1])),
    ]
}

fn usm(auth: &str, privacy: &str) -> Auth {
    let user = async_snmp::UsmConfig::new("ada");
    user.auth_priv(AuthProtocol::Sha256, auth, PrivProtocol::Aes128, privacy).unwrap().into()
}

#[tokio::test]
async fn a_trap_of_version_2c_becomes_an_event_without_its_community() {
    let bench = Bench::open(|_, _| {}).await;
    let event = bench.trap_until_heard(&bench.client(Auth::v2c("friends")).await).await;
    assert_eq!((event.kind.as_str(), event.source.as_str()), (EVENT_TYPE, "snmp://127.0.0.1"));
    assert_eq!(event.subject.as_deref(), Some("1.3.6.1.4.1.9.9.41.2.0.1"));
    assert_eq!(CloudEvent::from_json(event.envelope()).as_ref(), Ok(&event));
    let expected = json!({
        "version": "v2c", "confirmed": false, "trapOid": "1.3.6.1.4.1.9.9.41.2.0.1", "uptime": 42,
        "variables": [
            { "oid": "1.3.6.1.2.1.2.2.1.1.7", "type": "integer", "value": -7 },
            { "oid": "1.3.6.1.2.1.2.2.1.2.7", "type": "octet_string", "value": "Gi0/7 grün" },
            { "oid": "1.3.6.1.2.1.2.2.1.6.7", "type": "octet_string", "value": "00ff", "encoding": "hex" },
            { "oid": "1.3.6.1.2.1.31.1", "type": "counter64", "value": u64::MAX },
            { "oid": "1.3.6.1.2.1.4.20", "type": "ip_address", "value": "10.0.0.1" },
        ],
        "peer": "127.0.0.1", "receivedAt": "2026-01-02T03:04:05.000Z",
    });
    assert_eq!(event.data, Some(expected));
    assert!(!event.envelope().to_string().contains("friends"));
}

#[tokio::test]
async fn traps_of_versions_1_and_3_are_heard() {
    let bench = Bench::open(|_, _| {}).await;
    let old = bench.client(Auth::v1("friends")).await;
    let deadline = tokio::time::Instant::now() + SOON;
    while bench.mock.events.lock().unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "no trap of version 1 is heard");
        let _ = old.send_trap(&oid!(1, 3, 6, 1, 6, 3, 1, 1, 5, 3), 1, vec![]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first = bench.events(1).await[0].data.clone().unwrap();
    assert_eq!((&first["version"], &first["trapOid"]), (&json!("v1"), &json!("1.3.6.1.6.3.1.1.5.3")));

    // Who sends a trap of version 3 is an engine of its own.
    let engine =
        AuthoritativeEngine::install(generate_engine_id().unwrap(), |_| Ok::<(), std::io::Error>(()))
            .unwrap();
    let client = Client::builder(bench.address.to_string(), usm("authentic words", "private words"));
    let client = client.local_authoritative_engine(engine).connect().await.unwrap();
    client.send_trap(&trap_oid(), 7, vec![]).await.unwrap();
    let deadline = tokio::time::Instant::now() + SOON;
    let third = loop {
        let known = bench.mock.events.lock().unwrap().clone();
        let of_v3 = known.into_iter().filter_map(|event| event.data).find(|data| data["version"] == "v3");
        if let Some(data) = of_v3 {
            break data;
        }
        assert!(tokio::time::Instant::now() < deadline, "no trap of version 3 is heard");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((&third["user"], &third["securityLevel"]), (&json!("ada"), &json!("authPriv")));
}

#[tokio::test]
async fn informs_are_acknowledged_in_versions_2c_and_3() {
    let bench = Bench::open(|_, _| {}).await;
    let plain = bench.client(Auth::v2c("friends")).await;
    plain.send_inform(&trap_oid(), 42, variables()).await.unwrap();
    let secret = bench.client(usm("authentic words", "private words")).await;
    secret.send_inform(&trap_oid(), 43, variables()).await.unwrap();
    let events = bench.events(2).await;
    let data = |number: usize| events[number].data.clone().unwrap();
    assert_eq!((&data(0)["version"], &data(0)["confirmed"]), (&json!("v2c"), &json!(true)));
    assert_eq!((&data(1)["version"], &data(1)["user"]), (&json!("v3"), &json!("ada")));
    assert_eq!(events.len(), 2, "once each");
}

#[tokio::test]
async fn an_inform_is_not_acknowledged_before_it_is_durable() {
    let bench = Bench::open(|_, _| {}).await;
    let client = bench.client(Auth::v2c("friends")).await;
    client.send_inform(&trap_oid(), 1, vec![]).await.unwrap();
    let away = Refusal::Unavailable { reason: "the store is away".to_owned(), retry_after_ms: 10 };
    *bench.mock.refusal.lock().unwrap() = Some(away);
    let impatient = Client::builder(bench.address.to_string(), Auth::v2c("friends"));
    let impatient = impatient
        .request_timeout(Duration::from_millis(300))
        .retry(Retry::fixed(2, Duration::from_millis(50)).unwrap());
    let impatient = impatient.connect().await.unwrap();
    assert!(impatient.send_inform(&trap_oid(), 2, vec![]).await.is_err(), "nobody has it safely");
    // It is repeated until somebody has, and is one event.
    let sending = tokio::spawn(async move { client.send_inform(&trap_oid(), 3, vec![]).await });
    let with_uptime = |uptime: u64| {
        let events = bench.mock.events.lock().unwrap();
        let ids =
            events.iter().filter(|event| event.data.as_ref().is_some_and(|data| data["uptime"] == uptime));
        ids.map(|event| event.id.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    bench.events(5).await;
    *bench.mock.refusal.lock().unwrap() = None;
    tokio::time::timeout(SOON, sending).await.expect("an acknowledgement").unwrap().unwrap();
    assert_eq!((with_uptime(2).len(), with_uptime(3).len()), (1, 1), "one event each, however often it came");
}

#[tokio::test]
async fn strangers_are_not_heard() {
    let bench = Bench::open(|_, users| users.set("old", &[])).await;
    let known = bench.client(usm("authentic words", "private words")).await;
    known.send_inform(&trap_oid(), 1, vec![]).await.unwrap();
    let stranger = async |auth: Auth| {
        let client =
            Client::builder(bench.address.to_string(), auth).request_timeout(Duration::from_millis(200));
        let client = client.retry(Retry::none()).connect().await.unwrap();
        client.send_inform(&trap_oid(), 2, vec![]).await
    };
    assert!(stranger(Auth::v2c("friends")).await.is_err(), "without a community nobody of 2c is heard");
    assert!(stranger(usm("other words here", "private words")).await.is_err());
    assert!(stranger(usm("authentic words", "other words here")).await.is_err());
    let only_auth = async_snmp::UsmConfig::new("ada").auth(AuthProtocol::Sha256, "authentic words").unwrap();
    assert!(stranger(only_auth.into()).await.is_err(), "less than the user has is not enough");
    assert!(stranger(async_snmp::UsmConfig::new("ada").into()).await.is_err());
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for junk in [&b""[..], b"\x30", b"\x30\x82\xff\xff", &[0xff; 2000], b"GET / HTTP/1.1\r\n\r\n"] {
        socket.send_to(junk, bench.address).await.unwrap();
    }
    known.send_inform(&trap_oid(), 3, vec![]).await.unwrap();
    assert_eq!(bench.events(2).await.len(), 2);
}

#[tokio::test]
async fn changed_runtime_users_count_without_a_restart() {
    let bench = Bench::open(|_, users| {
        users.set("old", &[]);
        users.set("new", &[("username", "ada"), ("authPassword", "short")]);
    })
    .await;
    bench.users.set("old", &[("community", "friends")]);
    bench.trap_until_heard(&bench.client(Auth::v2c("friends")).await).await;
    bench.users.set("old", &[("community", "others")]);
    let others = bench.client(Auth::v2c("others")).await;
    let deadline = tokio::time::Instant::now() + SOON;
    while others.send_inform(&trap_oid(), 5, vec![]).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn traps_beyond_the_queue_are_counted_and_informs_are_left_to_be_repeated() {
    let bench = Bench::open(|settings, _| settings.queue = 1).await;
    let client = bench.client(Auth::v2c("friends")).await;
    bench.trap_until_heard(&client).await;
    let released = Arc::new(tokio::sync::Semaphore::new(0));
    *bench.mock.events_released.lock().unwrap() = Some(Arc::clone(&released));
    let deadline = tokio::time::Instant::now() + SOON;
    while (bench.lost)() < 3 {
        assert!(tokio::time::Instant::now() < deadline, "{} are lost", (bench.lost)());
        client.send_trap(&trap_oid(), 42, vec![]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let sending = tokio::spawn(async move { client.send_inform(&trap_oid(), 99, vec![]).await });
    released.add_permits(10_000);
    tokio::time::timeout(SOON, sending).await.expect("an acknowledgement").unwrap().unwrap();
    bench.shutdown.send(()).unwrap();
    tokio::time::timeout(SOON, bench.serving).await.expect("it closes").unwrap();
    assert!(bench.folder.path().join("snmp-engine.json").exists());
}
