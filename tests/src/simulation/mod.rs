//! A cluster in one thread on virtual time: real engines, presences and registries over one store in memory, with
//! everything between them in the hands of a seed.
//!
//! The seed decides how long each call takes, who dies, stands still, is cut off or leaves, when, and how the store's
//! clock is set. At the end everything is healed, and what the clients were told, what the rows hold and what was done
//! in the world have to agree. A seed repeats the same faults at the same times; the order of tasks that are ready at the
//! same time may differ, so a failure that needs a certain one takes a few runs to come back.

pub mod hosts;
pub mod link;
pub mod node;
pub mod store;
pub mod verdict;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use impresario_actors::definitions::Definitions;
use impresario_actors::post::Post;
use impresario_model::definition::Definition;
use impresario_model::entry::{Body, Entry, ProcessEvent, Route, RouterEvent, StartEvent, TriggerEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, event_shard, instance_of_key};
use impresario_model::language::{AdapterFunction, Catalog, compile};
use impresario_persistence::{Row, ShardId, Store};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use self::link::Road;
use self::node::{Node, World};
use self::store::Defect;
use self::verdict::{Verdict, judge};
use crate::chance::Chance;

/// How long a healed cluster may take until everything is settled.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);
/// How long a client waits for its acknowledgement before it asks another node.
const CLIENT_LIMIT: Duration = Duration::from_secs(2);

/// Which faults there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    /// Nodes leave in good order and come back.
    Friendly,
    /// Nodes also die, stand still, and are cut off, and the store's clock is set.
    All,
}

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How many nodes there are.
    pub nodes: usize,
    /// How many shards there are.
    pub shards: u16,
    /// How many orders come from clients: half of them starts, half of them events.
    pub orders: u64,
    /// For how long there are faults and orders.
    pub trouble: Duration,
    /// Which faults there are.
    pub faults: Faults,
    /// What is broken on purpose.
    pub defect: Defect,
}

impl Plan {
    /// All faults on three nodes.
    pub fn new(seed: u64) -> Self {
        Plan {
            seed,
            nodes: 3,
            shards: 6,
            orders: 80,
            trouble: Duration::from_secs(30),
            faults: Faults::All,
            defect: Defect::None,
        }
    }
}

/// Each order is prepared, done once, waited for, and finished.
fn definition() -> Definition {
    let mut catalog = Catalog::default();
    for (name, restartable) in [("work", true), ("once", false)] {
        let (adapter, function) = ("test".to_owned(), name.to_owned());
        let function = AdapterFunction { adapter, function, restartable, probe: false, input: None };
        catalog.adapter_functions.insert(format!("{name}:1.0.0"), function);
    }
    let document = json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "order", "version": "1.0.0" },
        "schedule": { "on": { "one": { "with": { "type": "order.placed" } } } },
        "do": [
            { "prepare": { "call": "work:1.0.0@default", "with": {} } },
            { "act": { "call": "once:1.0.0@default", "with": {} } },
            { "pause": { "wait": { "milliseconds": 300 } } },
            { "finish": { "call": "work:1.0.0@default", "with": {} } },
        ],
    });
    compile(&document.to_string(), &catalog).expect("the definition compiles")
}

/// What a client sends for an order.
fn entry_of(order: u64, definition: &Definition, shards: u16) -> Entry {
    let (to, body) = if order.is_multiple_of(2) {
        let key = order.to_string();
        let id = instance_of_key("test/order", &key);
        let start = StartEvent {
            definition: definition.id.clone(),
            input: json!({ "order": order }),
            started_by: "api".to_owned(),
            key: Some(key),
            runtime: "0".to_owned(),
            rerun: None,
            trace: None,
        };
        (ActorId::process(&id), Body::Process(ProcessEvent::Start(Box::new(start))))
    } else {
        let event = CloudEvent::from_json(json!({
            "specversion": "1.0", "id": order.to_string(), "source": "/orders", "type": "order.placed",
            "data": { "order": order },
        }));
        let event = event.expect("the event is valid");
        let to = ActorId::router(event_shard(&event.source, &event.id, shards));
        (to, Body::Router(RouterEvent::Event(Box::new(event))))
    };
    Entry { to, origin: None, body }
}

/// The running cluster.
struct Cluster {
    plan: Plan,
    world: World,
    definition: Arc<Definition>,
    chance: Chance,
    /// By place; `None` while it is down.
    nodes: Vec<Option<Node>>,
    starts: u64,
    /// Nodes that are leaving.
    leaving: JoinSet<()>,
    /// The post offices that clients go to, which change as nodes come and go.
    doors: Arc<Mutex<Vec<Post>>>,
    log: Vec<String>,
}

impl Cluster {
    fn note(&mut self, text: &str) {
        let at = self.world.store.clock()() % 1_000_000;
        self.log.push(format!("{at:>6} {text}"));
    }

    fn open_doors(&self) {
        let doors = self.nodes.iter().flatten().map(|node| node.engine.post().clone()).collect();
        *self.doors.lock().unwrap_or_else(PoisonError::into_inner) = doors;
    }

    async fn start(&mut self, at: usize) {
        self.starts += 1;
        let name = format!("n{at}");
        let chance = Chance::new(self.chance.number());
        let node = Node::start(&self.world, &name, self.starts, chance).await;
        self.note(&format!("{name} starts{}", if node.is_some() { "" } else { ", in vain" }));
        self.nodes[at] = node;
        self.open_doors();
    }

    /// Watches over the nodes as whoever runs them does: one that ends is started again.
    async fn tend(&mut self) {
        while self.leaving.try_join_next().is_some() {}
        for at in 0..self.nodes.len() {
            let ended = match &self.nodes[at] {
                Some(node) => timeout(Duration::ZERO, node.ended()).await.ok(),
                None => None,
            };
            if let Some(reason) = ended {
                self.note(&format!("n{at} ended by itself: {reason}"));
                self.nodes[at].take().into_iter().for_each(Node::kill);
            }
        }
        self.open_doors();
    }

    /// One thing goes wrong.
    async fn trouble(&mut self) {
        let at = usize::try_from(self.chance.below(self.nodes.len() as u64)).unwrap_or(0);
        let kinds = if self.plan.faults == Faults::All { 7 } else { 1 };
        let kind = self.chance.below(kinds);
        let Some(node) = &self.nodes[at] else { return self.start(at).await };
        let open = matches!(node.link.road(), Road::Open(_));
        match kind {
            0 if open => {
                self.note(&format!("n{at} leaves"));
                if let Some(node) = self.nodes[at].take() {
                    self.open_doors();
                    self.leaving.spawn(node.leave());
                }
            }
            1 => {
                self.note(&format!("n{at} is killed"));
                self.nodes[at].take().into_iter().for_each(Node::kill);
            }
            2 | 3 if open => self.change(at, Road::Frozen),
            4 if open => self.change(at, Road::Cut),
            5 => {
                let by = i64::try_from(self.chance.below(8_000)).unwrap_or(0) - 4_000;
                self.note(&format!("the store's clock is set by {by} ms"));
                self.world.clock_set.fetch_add(by, Ordering::Relaxed);
            }
            6 if open => {
                let slow = self.chance.moment(Duration::from_millis(5), Duration::from_millis(400));
                self.change(at, Road::Open(slow));
            }
            _ => {
                let usual = Duration::from_millis(2 + self.chance.below(20));
                self.change(at, Road::Open(usual));
            }
        }
        self.open_doors();
    }

    fn change(&mut self, at: usize, road: Road) {
        self.note(&format!("n{at}: {road:?}"));
        if let Some(node) = &self.nodes[at] {
            node.link.set(road);
        }
    }
}

/// A client that orders until it has an acknowledgement.
async fn order(number: u64, entry: Entry, doors: Arc<Mutex<Vec<Post>>>, mut chance: Chance) -> u64 {
    loop {
        let door = {
            let doors = doors.lock().unwrap_or_else(PoisonError::into_inner);
            let at = usize::try_from(chance.below(doors.len() as u64)).unwrap_or(0);
            doors.get(at).cloned()
        };
        if let Some(door) = door
            && let Ok(Ok(_)) = timeout(CLIENT_LIMIT, door.accept(std::slice::from_ref(&entry))).await
        {
            return number;
        }
        sleep(Duration::from_millis(20 + chance.below(200))).await;
    }
}

/// Runs a plan, within a runtime of one thread whose time is paused. Answers what was found, and what happened.
pub async fn run(plan: Plan) -> (Verdict, Vec<String>) {
    let definitions = Arc::new(Definitions::default());
    let definition = definitions.add(definition());
    let mut cluster = Cluster {
        world: World::new(plan.shards, definitions, plan.defect),
        plan,
        definition,
        chance: Chance::new(plan.seed),
        nodes: (0..plan.nodes).map(|_| None).collect(),
        starts: 0,
        leaving: JoinSet::new(),
        doors: Arc::default(),
        log: Vec::new(),
    };
    for at in 0..plan.nodes {
        cluster.start(at).await;
    }
    cluster.deploy().await;
    let mut clients = cluster.orders();
    let end = Instant::now() + plan.trouble;
    while Instant::now() < end {
        let pause = cluster.chance.moment(Duration::from_millis(100), Duration::from_millis(2_500));
        sleep(pause).await;
        cluster.tend().await;
        cluster.trouble().await;
    }
    cluster.heal().await;
    let mut acknowledged = BTreeSet::new();
    while let Ok(Some(Ok(number))) = timeout(SETTLED_WITHIN, clients.join_next()).await {
        acknowledged.insert(number);
    }
    let settled = cluster.settle(&acknowledged).await;
    let rows = cluster.end().await;
    let mut verdict = judge(&acknowledged, &rows, &cluster.world.ledger.all());
    if acknowledged.len() as u64 != plan.orders {
        verdict.wrong.push(format!("only {} of {} clients had an answer", acknowledged.len(), plan.orders));
    }
    if let Err(reason) = settled {
        verdict
            .wrong
            .push(format!("not settled within {SETTLED_WITHIN:?} after everything was healed: {reason}"));
    }
    if plan.faults == Faults::Friendly && verdict.interrupted > 0 {
        verdict.wrong.push("a friendly stop interrupted something".to_owned());
    }
    (verdict, cluster.log)
}

impl Cluster {
    /// Arms the trigger and tells the routers.
    async fn deploy(&self) {
        let trigger = &self.definition.triggers[0].name;
        let arm = TriggerEvent::Arm {
            definition: self.definition.id.clone(),
            runtime: "0".to_owned(),
            calendar: None,
            generation: 0,
        };
        let route = Route { trigger: trigger.clone(), types: Some(vec!["order.placed".to_owned()]) };
        let mut entries =
            vec![Entry { to: ActorId::trigger(trigger), origin: None, body: Body::Trigger(arm) }];
        entries.extend((0..self.plan.shards).map(|shard| Entry {
            to: ActorId::router(shard),
            origin: None,
            body: Body::Router(RouterEvent::Routes(vec![route.clone()])),
        }));
        let post = Post::new(Arc::clone(&self.world.store) as _, 1_000);
        post.accept(&entries).await.expect("the store takes the definition");
    }

    /// Has the clients order, spread over the time of trouble.
    fn orders(&mut self) -> JoinSet<u64> {
        let mut clients = JoinSet::new();
        for number in 0..self.plan.orders {
            let mut chance = Chance::new(self.chance.number());
            let begin = chance.moment(Duration::ZERO, self.plan.trouble);
            let entry = entry_of(number, &self.definition, self.plan.shards);
            let doors = Arc::clone(&self.doors);
            clients.spawn(async move {
                sleep(begin).await;
                order(number, entry, doors, chance).await
            });
        }
        clients
    }

    /// Opens every way, and starts whoever is down.
    async fn heal(&mut self) {
        self.note("everything is healed");
        while self.leaving.join_next().await.is_some() {}
        for at in 0..self.nodes.len() {
            self.change(at, Road::Open(Duration::from_millis(2)));
        }
        self.tend().await;
        for at in 0..self.nodes.len() {
            while self.nodes[at].is_none() {
                self.start(at).await;
            }
        }
    }

    /// Waits until every order has ended, or waits for an operator.
    async fn settle(&mut self, acknowledged: &BTreeSet<u64>) -> Result<(), String> {
        let until = Instant::now() + SETTLED_WITHIN;
        loop {
            sleep(Duration::from_millis(500)).await;
            self.tend().await;
            for at in 0..self.nodes.len() {
                if self.nodes[at].is_none() {
                    self.start(at).await;
                }
            }
            let rows = self.rows().await;
            let open = rows
                .iter()
                .filter(|row| row.index.ended.is_none() && row.index.status != "uncertain")
                .count();
            if open == 0 && rows.len() >= acknowledged.len() {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("{} instances, {open} of them open", rows.len()));
            }
        }
    }

    /// Every node leaves, so that everything is in the rows.
    async fn end(&mut self) -> Vec<Row> {
        for node in self.nodes.iter_mut().filter_map(Option::take) {
            node.leave().await;
        }
        self.rows().await
    }

    async fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for shard in 0..self.plan.shards {
            let shard = ShardId(shard);
            let found = self.world.store.scan(shard, "process/".to_owned(), None, 10_000).await;
            rows.extend(found.expect("the store in memory answers"));
        }
        rows
    }
}

/// Runs a plan to its end in a runtime of its own.
pub fn run_alone(plan: Plan) -> (Verdict, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime starts").block_on(run(plan))
}
