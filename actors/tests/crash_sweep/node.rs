//! A node in one thread, on time that only the test moves: it can be killed at any write and started again.
//!
//! Two clocks are injected. The wall clock of the store and the shards is a number that the test sets. The timers of
//! the runtime are paused by tokio, which moves them only when every task waits: so a wait for some of *that* time
//! is a wait until everything is idle, and never one for a machine to be quick enough.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use impresario_actors::activity::{ProbeQuestion, RunRequest, report_of};
use impresario_actors::behaviour::{BuiltinKinds, Inspection, Kinds};
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Scope};
use impresario_actors::post::{Post, PostError};
use impresario_actors::shard::{NotRun, Runner, ShardSettings};
use impresario_model::correlation;
use impresario_model::definition::Definition;
use impresario_model::entry::{ActivityOutcome, Body, Entry, Limit, MonitorEvent, ProcessEvent, RouterEvent};
use impresario_model::event::CloudEvent;
use impresario_model::ids::{ActorId, event_shard};
use impresario_model::instance::{Instance, Status};
use impresario_model::monitor::WatchOrder;
use impresario_model::router::Window;
use impresario_persistence::lossy::{CrashPoint, LossyStore};
use impresario_persistence::{Epoch, Owner, ShardId, Store, StoreError};
use serde_json::json;

use crate::refusing::{Refusals, Refusing};
use crate::support::outside::START_MS;
use crate::support::world::{Arrival, World, subject};

/// How many things a monitor finds.
pub const THINGS: u64 = 6;

const TICK: Duration = Duration::from_millis(10);

/// Small numbers, so that every mechanism is at work all the time: a checkpoint after three entries, batches of two,
/// actors that leave memory as soon as they have nothing to do.
pub fn settings() -> ShardSettings {
    ShardSettings {
        batch_entries: 2,
        checkpoint_entries: 3,
        checkpoint_interval: Duration::from_secs(3600),
        idle_after: Duration::ZERO,
        timer_horizon: Duration::from_secs(400 * 24 * 3600),
        ..ShardSettings::default()
    }
}

/// The wall clock.
#[derive(Clone)]
pub struct WallClock(Arc<AtomicU64>);

impl WallClock {
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    pub fn set(&self, now: u64) {
        self.0.fetch_max(now, Ordering::SeqCst);
    }
}

/// Reports that come later, by their time.
type Coming = Arc<Mutex<BTreeMap<(u64, usize), Entry>>>;

/// Runs activities as the world answers them, and reports through the post office.
struct WorldRunner {
    world: Arc<Mutex<World>>,
    coming: Coming,
    post: Post,
    clock: WallClock,
    offered: AtomicU64,
}

impl Runner for WorldRunner {
    fn run(&self, request: RunRequest) -> Result<(), NotRun> {
        // Some attempts find the queue of their host full at first.
        let offers = self.offered.fetch_add(1, Ordering::SeqCst);
        if offers.is_multiple_of(3) {
            return Err(NotRun::Busy(Box::new(request)));
        }
        let mut world = self.world.lock().unwrap();
        let refused = request.clone();
        let reply = world.run(Arrival {
            key: request.key,
            token: request.token.clone(),
            attempt: request.attempt,
            subject: subject(&request.function, &request.arguments),
            arguments: request.arguments,
            state: request.state,
        });
        let Some(outcome) = reply.outcome else { return Ok(()) };
        if let ActivityOutcome::Refused { reason } = outcome {
            return Err(NotRun::Refused(Box::new(refused), reason));
        }
        let to = ActorId::parse(&request.address.actor).unwrap();
        let body = report_of(&to, request.address.activity, request.token, outcome);
        let entry = Entry { to, origin: None, body };
        if reply.after > 0 {
            let mut coming = self.coming.lock().unwrap();
            coming.insert((self.clock.now() + reply.after, world.arrivals.len()), entry);
            return Ok(());
        }
        let post = self.post.clone();
        tokio::spawn(async move {
            // If the store crashes, the report is lost with the node.
            deliver(&post, &entry).await;
        });
        Ok(())
    }

    fn probe(&self, question: ProbeQuestion) {
        let subject = subject(&question.function, &question.arguments);
        let answer = self.world.lock().unwrap().probe(&question.key, &subject);
        let event =
            ProcessEvent::Probed { activity: question.address.activity, token: question.token, answer };
        let to = ActorId::parse(&question.address.actor).unwrap();
        let entry = Entry { to, origin: None, body: Body::Process(event) };
        let post = self.post.clone();
        tokio::spawn(async move { deliver(&post, &entry).await });
    }

    /// A target `limited-N` takes N at a time.
    fn limit(&self, target: &str) -> Option<Limit> {
        let most = target.strip_prefix("limited-")?.parse().ok()?;
        Some(Limit { most: Some(most), version: 1 })
    }

    /// Things are there to be seen, and after every two of them the adapter cannot go on.
    fn watch(&self, shard: ShardId, epoch: Epoch, order: WatchOrder) {
        let post = self.post.clone();
        tokio::spawn(async move {
            let (version, from) =
                (order.version, order.cursor.and_then(|cursor| cursor.as_u64()).unwrap_or(0));
            let to = ActorId::monitor(&order.monitor);
            let observed = (from..THINGS.min(from + 2)).map(|thing| {
                let event = json!({
                    "specversion": "1.0", "id": format!("thing {thing}"), "source": "/monitors/m", "type": "seen",
                    "data": thing,
                });
                let event = Some(Box::new(CloudEvent::from_json(event).unwrap()));
                MonitorEvent::Observed { version, event, cursor: Some(json!(thing + 1)), invalid: None }
            });
            let ended = MonitorEvent::Ended { version, problem: "tired".to_owned(), lasting: None };
            let ended = (from + 2 < THINGS).then_some(ended);
            for event in observed.chain(ended) {
                let entry = Entry { to: to.clone(), origin: None, body: Body::Monitor(event) };
                let bytes = post.address(&entry).unwrap().bytes;
                while let Err(error) = post.store().append_fenced(shard, epoch, vec![bytes.clone()]).await {
                    if !matches!(error, StoreError::Busy | StoreError::Full(_)) {
                        return;
                    }
                    tokio::time::sleep(TICK).await;
                }
            }
        });
    }

    fn abandon(&self, _adapter: &str, token: &str) {
        self.world.lock().unwrap().abandoned.push(token.to_owned());
    }
}

/// Appends an entry as a host does: until the store takes it, or is gone.
async fn deliver(post: &Post, entry: &Entry) {
    let append = post.address(entry).unwrap();
    while let Err(PostError::Store(StoreError::Busy | StoreError::Full(_))) =
        post.append(vec![append.clone()]).await
    {
        tokio::time::sleep(TICK).await;
    }
}

/// What a node is made with.
pub struct Setup {
    pub shards: u16,
    pub kinds: Arc<dyn Kinds>,
    pub world: World,
    pub settings: ShardSettings,
    /// Where its store crashes.
    pub crash: Option<CrashPoint>,
    /// Where its store crashes again after that.
    pub second_crash: Option<CrashPoint>,
    pub refusals: Arc<Refusals>,
}

impl Setup {
    /// Without crashes, with an empty script.
    pub fn new(shards: u16, kinds: Arc<dyn Kinds>) -> Self {
        Setup {
            shards,
            kinds,
            world: World::default(),
            settings: settings(),
            crash: None,
            second_crash: None,
            refusals: Refusals::none(),
        }
    }
}

/// A node that lives until its store crashes.
pub struct Node {
    pub engine: Engine,
    pub store: Arc<LossyStore>,
    pub world: Arc<Mutex<World>>,
    pub clock: WallClock,
    pub crashes: usize,
    second_crash: Option<CrashPoint>,
    kinds: Arc<dyn Kinds>,
    settings: ShardSettings,
    refusals: Arc<Refusals>,
    coming: Coming,
    /// What a client has not been told to be durable yet; it asks again until it is.
    unanswered: Vec<Entry>,
    later: BTreeMap<(u64, usize), Entry>,
}

impl Node {
    /// The first start, on an empty store.
    pub async fn start(setup: Setup) -> Self {
        let clock = WallClock(Arc::new(AtomicU64::new(START_MS)));
        let now = clock.clone();
        let store = Arc::new(LossyStore::with_clock(setup.shards, Arc::new(move || now.now())));
        if let Some(point) = setup.crash {
            store.crash_at(point);
        }
        let world = Arc::new(Mutex::new(setup.world));
        let coming = Coming::default();
        let arguments = EngineParts {
            store: &store,
            kinds: &setup.kinds,
            world: &world,
            coming: &coming,
            clock: &clock,
            settings: &setup.settings,
            refusals: &setup.refusals,
        };
        let engine = arguments.run(0).await;
        Node {
            engine,
            store,
            world,
            clock,
            crashes: 0,
            second_crash: setup.second_crash,
            kinds: setup.kinds,
            settings: setup.settings,
            refusals: setup.refusals,
            coming,
            unanswered: Vec::new(),
            later: BTreeMap::new(),
        }
    }

    /// A client sends something, and sends it again until it is told that it is durable.
    pub fn send(&mut self, entry: Entry) {
        self.unanswered.push(entry);
    }

    /// The routers are told of the listeners that definitions have, if any.
    pub fn send_routes(&mut self, definitions: &[&Definition]) {
        let listeners = correlation::routes(definitions.iter().copied());
        for shard in (0..self.store.shards()).filter(|_| !listeners.is_empty()) {
            let body = Body::Router(RouterEvent::Listeners(listeners.clone()));
            self.send(Entry { to: ActorId::router(shard), origin: None, body });
        }
    }

    /// A client will send something at a time.
    pub fn send_at(&mut self, at: u64, entry: Entry) {
        self.later.insert((at, self.later.len()), entry);
    }

    /// Lets everything happen that can happen without the wall clock moving on; restarts the node if it crashed.
    pub async fn settle(&mut self) {
        loop {
            while let Some(entry) = self.unanswered.first() {
                if self.engine.post().accept(std::slice::from_ref(entry)).await.is_err() {
                    break;
                }
                self.unanswered.remove(0);
            }
            tokio::time::sleep(TICK * 3).await;
            if !*self.store.crashed().borrow() {
                return;
            }
            self.restart().await;
        }
    }

    /// Settles until a client was told of everything that it sent.
    pub async fn answered(&mut self) {
        loop {
            self.settle().await;
            if self.unanswered.is_empty() {
                return;
            }
        }
    }

    /// What a power cut does, and a start after it.
    pub async fn restart(&mut self) {
        self.crashes += 1;
        let store = Arc::new(self.store.reopen());
        if let Some(point) = self.second_crash.take() {
            store.crash_at(point);
        }
        // The hosts die with their node, and with them what they would have reported.
        self.coming.lock().unwrap().clear();
        self.engine.stop().await;
        self.store = store;
        let parts = EngineParts {
            store: &self.store,
            kinds: &self.kinds,
            world: &self.world,
            coming: &self.coming,
            clock: &self.clock,
            settings: &self.settings,
            refusals: &self.refusals,
        };
        self.engine = parts.run(self.crashes).await;
    }

    /// The next time at which something comes from the world or from a client.
    fn next_arrival(&self) -> Option<u64> {
        let coming = self.coming.lock().unwrap().keys().next().map(|(at, _)| *at);
        coming.into_iter().chain(self.later.keys().next().map(|(at, _)| *at)).min()
    }

    /// Moves the wall clock on to the next thing that happens, not beyond `due`; false if nothing will happen.
    pub async fn advance(&mut self, due: Option<u64>) -> bool {
        let next = self.next_arrival().into_iter().chain(due).min();
        let Some(next) = next else { return false };
        self.clock.set(next);
        let now = self.clock.now();
        let mut arrived = Vec::new();
        while let Some(first) = self.coming.lock().unwrap().first_entry().filter(|first| first.key().0 <= now)
        {
            arrived.push(first.remove());
        }
        for entry in arrived {
            deliver(self.engine.post(), &entry).await;
        }
        while let Some(first) = self.later.first_entry().filter(|first| first.key().0 <= now) {
            let entry = first.remove();
            self.send(entry);
        }
        true
    }

    /// When the shards next have something to do, as far as they know.
    pub async fn next_due(&mut self) -> Option<u64> {
        self.settle().await;
        let gauges = self.engine.post().gauges().iter();
        let due = gauges.map(|gauge| gauge.next_due.load(Ordering::Relaxed)).min();
        // Beyond the horizon they have only to look for more.
        due.filter(|due| *due < self.clock.now() + 200 * 24 * 3_600_000)
    }

    /// An actor, once everything is settled.
    pub async fn inspect(&mut self, actor: &ActorId) -> Inspection {
        loop {
            self.settle().await;
            match self.engine.inspect(actor).await {
                Ok(inspection) => return inspection,
                // It crashed while it was asked.
                Err(_) if *self.store.crashed().borrow() => {}
                Err(error) => panic!("{actor}: {error}"),
            }
        }
    }

    /// An instance, if it has begun.
    pub async fn instance(&mut self, id: &str) -> Option<Instance> {
        match self.inspect(&ActorId::process(id)).await {
            Inspection::Process(instance) => Some(*instance),
            Inspection::Nothing => None,
            other => panic!("{id} is {other:?}"),
        }
    }

    /// Runs an instance to its end, or until nothing will happen and an operator has to decide.
    pub async fn run_to_end(&mut self, id: &str) -> Instance {
        for _ in 0..STEPS_MAX {
            let instance = self.instance(id).await;
            let due = instance.as_ref().and_then(Instance::due);
            let uncertain = instance.as_ref().is_some_and(|instance| instance.status == Status::Uncertain);
            if let Some(instance) = instance
                && instance.status.ended()
                && !instance.attention()
            {
                return instance;
            }
            if !self.advance(due).await && uncertain {
                break;
            }
        }
        match self.instance(id).await {
            Some(instance) if instance.status == Status::Uncertain => instance,
            instance => panic!("it does not end at {}:\n{instance:#?}", self.clock.now()),
        }
    }
}

/// More moves of the clock than any scenario needs.
const STEPS_MAX: usize = 500;

struct EngineParts<'a> {
    store: &'a Arc<LossyStore>,
    kinds: &'a Arc<dyn Kinds>,
    world: &'a Arc<Mutex<World>>,
    coming: &'a Coming,
    clock: &'a WallClock,
    settings: &'a ShardSettings,
    refusals: &'a Arc<Refusals>,
}

impl EngineParts<'_> {
    async fn run(&self, start: usize) -> Engine {
        let store = Refusing { inner: Arc::clone(self.store), refusals: Arc::clone(self.refusals) };
        let post = Post::new(Arc::new(store) as Arc<dyn Store>, 100_000);
        let runner = WorldRunner {
            world: Arc::clone(self.world),
            coming: Arc::clone(self.coming),
            post: post.clone(),
            clock: self.clock.clone(),
            offered: AtomicU64::new(0),
        };
        let now = self.clock.clone();
        let arguments = EngineArguments {
            owner: Owner { node: "node".to_owned(), incarnation: start.to_string() },
            scope: Scope::All,
            post,
            kinds: Arc::clone(self.kinds),
            runner: Arc::new(runner),
            clock: Clock::new(move || now.now()),
            settings: self.settings.clone(),
            tick: TICK,
        };
        Engine::start(arguments, None).await.expect("the engine starts")
    }
}

/// The actors of the product, with these definitions.
pub fn kinds_of(definitions: &[&Definition]) -> Arc<BuiltinKinds> {
    let known = Arc::new(Definitions::default());
    for definition in definitions {
        known.add((*definition).clone());
    }
    Arc::new(BuiltinKinds::new(known, Window { millis: 3_600_000, count: 1_000 }))
}

/// An entry from outside for an instance.
pub fn to_process(instance: &str, event: ProcessEvent) -> Entry {
    Entry { to: ActorId::process(instance), origin: None, body: Body::Process(event) }
}

/// An event from outside.
pub fn to_router(event: CloudEvent, shards: u16) -> Entry {
    let to = ActorId::router(event_shard(&event.source, &event.id, shards));
    Entry { to, origin: None, body: Body::Router(RouterEvent::Event(Box::new(event))) }
}

/// Runs a test on paused time in this thread.
pub fn on_paused_time<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(test)
}
