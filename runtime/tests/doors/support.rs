//! A door on a port of the system's choice, in front of an engine that only remembers what it was asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use impresario::adapters::{AdapterOrder, AdapterSummary};
use impresario::ask::{AskReply, AskedInstance};
use impresario::declared::{Declared, DeclaredKind, DeclaredRequest};
use impresario::http::Door;
use impresario::http::token::TokenKeeper;
use impresario::inventory::{EntryKind, InventoryEntry};
use impresario::log_levels::{LogChange, NodeLog};
use impresario::orchestrator::{
    Accepted, ActivityDetail, Answer, DefinitionSummary, Health, InstanceDetail, InstancePage, InstanceQuery,
    InstanceSummary, NodeSummary, Orchestrator, Refusal, StartRequest, Started, TreeNode, TriggerSummary,
};
use impresario::orders::{RerunRequest, ResolveReply, ResolveRequest};
use impresario::question::{Question, Reply};
use impresario::secrets::{UserChange, UserSummary};
use impresario::triggers::{
    DedupWindow, EventsSummary, FireDetail, FireRequest, PassedDetail, PausedDetail, RecentPage, RecentQuery,
    RecentWindow, SetDetail, TestReply, TestRequest, TestedEvent, TestedFilter, TestedPart, ToldEvent,
    TriggerCounters, TriggerDetail, TriggerOrder,
};
use impresario::webhook::{Delivery, WebhookFindings, WebhookOutcome, WebhookSummary, WebhookTrial};
use impresario_config::{ByteSize, Http, Sources};
use impresario_model::event::CloudEvent;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::task::JoinHandle;

/// The engine of the tests.
#[derive(Default)]
pub struct Mock {
    /// The events it accepted.
    pub events: Mutex<Vec<CloudEvent>>,
    /// What an event waits for before it is answered, if anything: one permit each.
    pub events_released: Mutex<Option<Arc<Semaphore>>>,
    /// The starts it was asked for.
    pub starts: Mutex<Vec<StartRequest>>,
    /// The queries it was asked.
    pub queries: Mutex<Vec<InstanceQuery>>,
    /// The cancels it was asked for.
    pub cancels: Mutex<Vec<(String, Option<String>)>>,
    /// What it was told to do with adapters.
    pub adapter_orders: Mutex<Vec<(String, AdapterOrder)>>,
    /// The decisions and reruns that it was asked for, in words.
    pub decisions: Mutex<Vec<String>>,
    /// The nodes that it knows.
    pub nodes: Mutex<Vec<NodeSummary>>,
    /// What it was told to do with nodes, and asked by nodes, in words.
    pub orders: Mutex<Vec<String>>,
    /// What it answers instead, as long as it is set.
    pub refusal: Mutex<Option<Refusal>>,
    /// Whether it says that it is ready.
    pub unready: Mutex<bool>,
    /// Told when a request for `tree` arrives.
    pub tree_asked: Notify,
    /// Whether those who wait for an instance are kept waiting.
    pub waiting_held: AtomicBool,
    /// What a request for `tree` waits for.
    pub tree_released: Notify,
}

impl Mock {
    fn answer<T: Send + 'static>(&self, value: T) -> Answer<T> {
        let answer = match self.refusal.lock().unwrap().clone() {
            Some(refusal) => Err(refusal),
            None => Ok(value),
        };
        std::future::ready(answer).boxed()
    }
}

/// The summary of the only instance.
pub fn summary() -> InstanceSummary {
    InstanceSummary {
        id: "01900000-0000-7000-8000-000000000001".to_owned(),
        definition: "ops/clean:1.0.0".to_owned(),
        status: "faulted".to_owned(),
        started_at: "2026-01-31T08:30:00Z".to_owned(),
        ended_at: Some("2026-01-31T08:30:05Z".to_owned()),
    }
}

/// The only instance.
pub fn detail() -> InstanceDetail {
    InstanceDetail {
        summary: summary(),
        started_by: "api".to_owned(),
        input: json!({"host": "web-1"}),
        output: None,
        error: Some(json!({"type": "x/communication", "status": 503, "title": "no answer"})),
        waits_for: vec![],
        rerun_of: None,
        began_at: None,
        turn_of: None,
        start_points: vec![],
        listeners: vec![],
        activities: vec![ActivityDetail {
            number: 1,
            task: "checkDisk".to_owned(),
            pointer: "/do/0/checkDisk".to_owned(),
            function: "command/shell".to_owned(),
            target: None,
            status: "failed".to_owned(),
            key: "k".to_owned(),
            attempts: 2,
            restartable: true,
            input: json!({"command": "df"}),
            progress: None,
            saved: false,
            resolved: None,
            output: None,
            error: Some(json!({"title": "no answer"})),
            started_at: "2026-01-31T08:30:00Z".to_owned(),
            ended_at: Some("2026-01-31T08:30:05Z".to_owned()),
        }],
        activities_dropped: 0,
    }
}

/// A target of that name.
fn entry(name: &str) -> InventoryEntry {
    let spec = json!({ "type": "unix-server", "properties": { "host": "h" }, "limit": 2 });
    let spec = spec.as_object().cloned().unwrap();
    InventoryEntry { name: name.to_owned(), by: "operator".to_owned(), spec, ..InventoryEntry::default() }
}

/// The only trigger, in a state.
pub fn trigger(state: &str) -> TriggerDetail {
    TriggerDetail {
        summary: TriggerSummary {
            name: "ops/clean/on".to_owned(),
            definition: "ops/clean:1.0.0".to_owned(),
            kind: "event".to_owned(),
            watches: "event disk.full, 3 within 5 min".to_owned(),
            state: state.to_owned(),
            fired: 4,
            matched: 14,
            suppressed: 2,
            failed: 1,
            waiting: 3,
            last_fire: Some("2026-01-31T08:30:00Z".to_owned()),
            ..TriggerSummary::default()
        },
        options: [("rate".to_owned(), "at most 10 in 1 min".to_owned())].into(),
        paused: (state == "paused").then(|| PausedDetail {
            since: "2026-01-31T08:00:00Z".to_owned(),
            reason: Some("upgrade".to_owned()),
        }),
        passed: PassedDetail {
            limited: 2,
            failed: 1,
            failure: Some("its filter failed: data: cannot index".to_owned()),
            ..PassedDetail::default()
        },
        sets: vec![SetDetail {
            keys: [("by".to_owned(), "\"web1\"".to_owned())].into(),
            events: 2,
            since: "2026-01-31T08:29:00Z".to_owned(),
            until: "2026-01-31T08:34:00Z".to_owned(),
            waits_for: "1 more".to_owned(),
        }],
        history: vec![FireDetail {
            at: "2026-01-31T08:30:00Z".to_owned(),
            cause: "event 1 of /disks".to_owned(),
            instance: "0f2c".to_owned(),
        }],
        ..TriggerDetail::default()
    }
}

/// What its filter says of an event.
pub fn tested(recent: bool) -> TestReply {
    let part = |name: &str, matches, wanted: &str, found: Option<&str>, failure: Option<&str>| TestedPart {
        name: name.to_owned(),
        matches,
        wanted: wanted.to_owned(),
        found: found.map(str::to_owned),
        failure: failure.map(str::to_owned),
    };
    let parts = vec![
        part("type", true, "disk.full", Some("disk.full"), None),
        part("data", false, "${ .used > 90 }", Some("{}"), Some("cannot compare")),
    ];
    TestReply {
        trigger: "ops/clean/on".to_owned(),
        watches: "event disk.full".to_owned(),
        events: vec![TestedEvent {
            id: "1".to_owned(),
            source: "/disks".to_owned(),
            kind: "disk.full".to_owned(),
            matches: false,
            ends: false,
            filters: vec![TestedFilter { name: "filter 1".to_owned(), matches: false, parts }],
        }],
        window: recent.then(|| RecentWindow { kept: 1, most: 1_000, unheard: vec![] }),
    }
}

/// A runtime user of that name.
fn user(name: &str) -> UserSummary {
    UserSummary {
        name: name.to_owned(),
        description: String::new(),
        fields: vec!["password".to_owned(), "username".to_owned()],
        keys: vec!["0123456789ab".to_owned()],
        changed: "2026-01-31T08:30:00Z".to_owned(),
    }
}

/// Lets a test keep its hands on the engine that the door owns.
pub struct Handle(pub Arc<Mock>);

impl Orchestrator for Handle {
    fn accept(&self, events: Vec<CloudEvent>) -> Answer<Accepted> {
        let accepted = events.len();
        self.0.events.lock().unwrap().extend(events);
        let answer = self.0.answer(Accepted { accepted, durability: "memory".to_owned() });
        let Some(released) = self.0.events_released.lock().unwrap().clone() else { return answer };
        async move {
            released.acquire_owned().await.unwrap().forget();
            answer.await
        }
        .boxed()
    }

    fn start(&self, request: StartRequest) -> Answer<Started> {
        let mut starts = self.0.starts.lock().unwrap();
        let created = request.key.is_none() || starts.iter().all(|start| start.key != request.key);
        let definition = request.definition.clone();
        starts.push(request);
        self.0.answer(Started { id: summary().id, definition, created, durability: "memory".to_owned() })
    }

    fn instances(&self, query: InstanceQuery) -> Answer<InstancePage> {
        self.0.queries.lock().unwrap().push(query);
        self.0.answer(InstancePage { items: vec![summary()], next: None, unheard: vec![] })
    }

    fn instance(&self, id: String) -> Answer<InstanceDetail> {
        match summary().id.starts_with(&id) {
            true => self.0.answer(detail()),
            false => std::future::ready(Err(Refusal::NotFound(format!("there is no instance {id}")))).boxed(),
        }
    }

    fn wait_for(&self, id: String, wait: Duration) -> Answer<InstanceDetail> {
        self.0.orders.lock().unwrap().push(format!("wait {id} {wait:?}"));
        let mock = Arc::clone(&self.0);
        async move {
            while mock.waiting_held.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok(detail())
        }
        .boxed()
    }

    fn ask(&self, event: CloudEvent, wait: Duration) -> Answer<AskReply> {
        self.0.orders.lock().unwrap().push(format!("ask {} {wait:?}", event.id));
        let seen = AskedInstance::unseen(summary().id, "t".to_owned(), summary().definition);
        let seen = if event.id == "late" { seen } else { seen.seen(detail()) };
        let complete = seen.answered();
        self.0.answer(AskReply {
            source: event.source,
            id: event.id,
            durability: "memory".to_owned(),
            complete,
            instances: vec![seen],
            detail: None,
        })
    }

    fn cancel(&self, id: String, reason: Option<String>) -> Answer<()> {
        self.0.cancels.lock().unwrap().push((id, reason));
        self.0.answer(())
    }

    fn resolve(&self, id: String, activity: u64, request: ResolveRequest) -> Answer<ResolveReply> {
        let decision = request.decision;
        let attempt = request.attempt.unwrap_or(1);
        let words = match request.into_decision() {
            Ok(decision) => format!("{id} {activity} {attempt} {decision:?}"),
            Err(refusal) => return std::future::ready(Err(refusal)).boxed(),
        };
        self.0.decisions.lock().unwrap().push(words);
        self.0.answer(ResolveReply { id, activity, attempt, decision, durability: "memory".to_owned() })
    }

    fn rerun(&self, id: String, request: RerunRequest) -> Answer<Started> {
        let words = format!("{id} {:?} {:?} {:?}", request.from, request.input, request.key);
        self.0.decisions.lock().unwrap().push(words);
        let definition = summary().definition;
        self.0.answer(Started {
            id: "new".to_owned(),
            definition,
            created: true,
            durability: "memory".to_owned(),
        })
    }

    fn definitions(&self) -> Answer<Vec<DefinitionSummary>> {
        panic!("the engine of the tests has no definitions")
    }

    fn triggers(&self) -> Answer<Vec<TriggerSummary>> {
        self.0.answer(vec![trigger("enabled").summary])
    }

    fn trigger(&self, name: String) -> Answer<TriggerDetail> {
        self.0.orders.lock().unwrap().push(format!("show {name}"));
        self.0.answer(trigger("enabled"))
    }

    fn order_trigger(&self, name: String, order: TriggerOrder) -> Answer<TriggerDetail> {
        self.0.orders.lock().unwrap().push(format!("{name} {order:?}"));
        self.0.answer(trigger(if order == TriggerOrder::Resume { "enabled" } else { "paused" }))
    }

    fn fire_trigger(&self, name: String, request: FireRequest) -> Answer<Started> {
        let FireRequest { input, event, key } = request;
        self.0.orders.lock().unwrap().push(format!("fire {name} {input:?} {event:?} {key:?}"));
        let definition = summary().definition;
        let id = "new".to_owned();
        self.0.answer(Started { id, definition, created: key.is_none(), durability: "memory".to_owned() })
    }

    fn test_trigger(&self, name: String, request: TestRequest) -> Answer<TestReply> {
        self.0.orders.lock().unwrap().push(format!("test {name} {:?} {:?}", request.event, request.recent));
        self.0.answer(tested(request.recent.is_some()))
    }

    fn events(&self) -> Answer<EventsSummary> {
        let dedup = DedupWindow {
            within: "10m".to_owned(),
            most: 1_000,
            remembered: 7,
            events: 9,
            repetitions: 2,
            unheard: vec![3],
        };
        let triggers = TriggerCounters {
            schedules_monitored: 1,
            schedules_met: 5,
            events_monitored: 2,
            events_fired: 3,
        };
        self.0.answer(EventsSummary { dedup, triggers })
    }

    fn recent_events(&self, query: RecentQuery) -> Answer<RecentPage> {
        self.0.orders.lock().unwrap().push(format!("recent {:?} {:?}", query.kind, query.limit));
        let event = ToldEvent {
            at: "2026-01-31T08:30:00Z".to_owned(),
            node: "a".to_owned(),
            id: "1".to_owned(),
            source: "/disks".to_owned(),
            kind: "disk.full".to_owned(),
            subject: None,
            did: vec!["started 0f2c (ops/clean/on)".to_owned()],
        };
        let window = RecentWindow { kept: 1, most: 1_000, unheard: vec!["b".to_owned()] };
        self.0.answer(RecentPage { items: vec![event], window })
    }

    fn tree(&self) -> Answer<TreeNode> {
        let mock = Arc::clone(&self.0);
        async move {
            mock.tree_asked.notify_one();
            mock.tree_released.notified().await;
            Ok(TreeNode { name: "node".to_owned(), state: "running".to_owned(), ..TreeNode::default() })
        }
        .boxed()
    }

    fn adapters(&self, name: Option<String>) -> Answer<Vec<AdapterSummary>> {
        let name = name.unwrap_or_else(|| "http".to_owned());
        self.0.answer(vec![AdapterSummary { name, ..AdapterSummary::default() }])
    }

    fn order_adapter(&self, name: String, order: AdapterOrder) -> Answer<()> {
        self.0.adapter_orders.lock().unwrap().push((name, order));
        self.0.answer(())
    }

    fn nodes(&self) -> Answer<Vec<NodeSummary>> {
        self.0.answer(self.0.nodes.lock().unwrap().clone())
    }

    fn log_levels(&self, change: Option<LogChange>) -> Answer<Vec<NodeLog>> {
        let levels = change.map_or_else(|| "info".to_owned(), |change| change.levels);
        self.0.answer(vec![NodeLog { node: "n1".to_owned(), levels: Some(levels), problem: None }])
    }

    fn drain(&self, node: String) -> Answer<()> {
        self.0.orders.lock().unwrap().push(format!("drain {node}"));
        // It has left by the time that anybody looks.
        self.0.nodes.lock().unwrap().retain(|known| known.name != node);
        self.0.answer(())
    }

    fn remove_node(&self, node: String) -> Answer<()> {
        self.0.orders.lock().unwrap().push(format!("remove {node}"));
        self.0.answer(())
    }

    fn entries(&self, _kind: EntryKind) -> Answer<Vec<InventoryEntry>> {
        self.0.answer(vec![entry("web1")])
    }

    fn entry(&self, _kind: EntryKind, name: String) -> Answer<InventoryEntry> {
        self.0.answer(entry(&name))
    }

    fn put_entry(&self, kind: EntryKind, name: String, spec: Value) -> Answer<InventoryEntry> {
        self.0.orders.lock().unwrap().push(format!("put {kind} {name} {spec}"));
        self.0.answer(entry(&name))
    }

    fn remove_entry(&self, kind: EntryKind, name: String) -> Answer<()> {
        self.0.orders.lock().unwrap().push(format!("remove {kind} {name}"));
        self.0.answer(())
    }

    fn declared(&self, kind: DeclaredKind, request: DeclaredRequest) -> Answer<Vec<Declared>> {
        self.0.orders.lock().unwrap().push(format!("{kind} {request:?}"));
        let one = Declared {
            name: "one".to_owned(),
            by: "operator".to_owned(),
            paused: false,
            spec: serde_json::Map::new(),
            status: serde_json::Map::new(),
        };
        self.0.answer(vec![one])
    }

    fn users(&self) -> Answer<Vec<UserSummary>> {
        self.0.answer(vec![user("web")])
    }

    fn set_user(&self, name: String, change: UserChange) -> Answer<UserSummary> {
        self.0.orders.lock().unwrap().push(format!("set user {name} {change:?}"));
        self.0.answer(user(&name))
    }

    fn remove_user(&self, name: String) -> Answer<()> {
        self.0.orders.lock().unwrap().push(format!("remove user {name}"));
        self.0.answer(())
    }

    fn rotate_key(&self) -> Answer<String> {
        self.0.orders.lock().unwrap().push("rotate key".to_owned());
        self.0.answer("0123456789ab".to_owned())
    }

    fn webhooks(&self, name: Option<String>) -> Answer<Vec<WebhookSummary>> {
        self.0.orders.lock().unwrap().push(format!("webhooks {name:?}"));
        self.0.answer(vec![])
    }

    fn try_webhook(&self, name: String, trial: WebhookTrial) -> Answer<WebhookFindings> {
        self.0.orders.lock().unwrap().push(format!("try {name} {trial:?}"));
        self.0.answer(WebhookFindings { verified: true, reason: None, events: vec![], reply: None })
    }

    fn deliver(&self, name: String, delivery: Delivery) -> Answer<WebhookOutcome> {
        self.0
            .orders
            .lock()
            .unwrap()
            .push(format!("deliver {name} {:?} {:?}", delivery.query, delivery.body));
        self.0.answer(match name.as_str() {
            "closed" => WebhookOutcome::Unverified,
            "answers" => WebhookOutcome::Accepted {
                accepted: 1,
                durability: "memory".to_owned(),
                reply: Some(json!({ "challenge": 1 })),
            },
            _ => WebhookOutcome::Accepted { accepted: 1, durability: "memory".to_owned(), reply: None },
        })
    }

    fn answer(&self, question: Question) -> Answer<Reply> {
        self.0.orders.lock().unwrap().push(format!("{question:?}"));
        self.0.answer(Reply::Draining)
    }

    fn figures(&self, registry: &mut Registry) {
        registry.register("of_the_node", "A figure of the node", Counter::<u64>::default());
    }

    fn health(&self) -> Health {
        let unready = *self.0.unready.lock().unwrap();
        Health {
            ready: !unready,
            node: "test".to_owned(),
            version: "0".to_owned(),
            problems: if unready { vec!["shard 3 makes no progress".to_owned()] } else { vec![] },
            durability: "memory".to_owned(),
            store: "up".to_owned(),
            shards: 16,
            alarms: vec![],
        }
    }
}

/// A running door.
pub struct TestDoor {
    /// Its engine.
    pub mock: Arc<Mock>,
    /// Its address, `http://127.0.0.1:…`.
    pub url: String,
    /// Its token.
    pub token: String,
    /// Its data folder.
    pub data: TempDir,
    /// What verifies its tokens.
    pub keeper: Arc<TokenKeeper>,
    /// Without the token.
    pub client: reqwest::Client,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl TestDoor {
    /// Opens a door, with settings changed.
    pub async fn open(change: impl FnOnce(&mut Http)) -> TestDoor {
        let mut settings = impresario_config::load(&Sources::default()).unwrap().config.http;
        settings.listen = "127.0.0.1:0".parse().unwrap();
        settings.body_limit = ByteSize(4096);
        settings.request_timeout = Duration::from_secs(30);
        change(&mut settings);
        let data = tempfile::tempdir().unwrap();
        let keeper = Arc::new(TokenKeeper::open(data.path()).unwrap());
        let token = std::fs::read_to_string(keeper.file()).unwrap().trim().to_owned();
        TestDoor::with_keeper(settings, data, keeper, token).await
    }

    /// Opens a door with a keeper of tokens.
    pub async fn with_keeper(
        settings: Http,
        data: TempDir,
        keeper: Arc<TokenKeeper>,
        token: String,
    ) -> TestDoor {
        // A second test of the process has it installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mock = Arc::new(Mock::default());
        let door = Door::bind(settings).await.unwrap();
        let url = door.url();
        let (shutdown, asked) = oneshot::channel::<()>();
        let engine = Arc::new(Handle(Arc::clone(&mock)));
        let kept = Arc::clone(&keeper);
        let serving = tokio::spawn(async move {
            let shutdown = async {
                let _ = asked.await;
            };
            door.serve(engine, keeper, shutdown).await;
        });
        TestDoor { mock, url, token, data, keeper: kept, client: reqwest::Client::new(), shutdown, serving }
    }

    /// A request with the token.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// A structured event with the token.
    pub fn event(&self, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
        self.request("POST", "/events").header("content-type", "application/cloudevents+json").body(body)
    }

    /// Asks the door to close, and gives what resolves once it did.
    pub fn close(self) -> (JoinHandle<()>, reqwest::Client) {
        self.shutdown.send(()).unwrap();
        (self.serving, self.client)
    }
}
