//! Shards and real adapter hosts together: what is known of work that was cut off, and what becomes of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use impresario_actors::behaviour::{BuiltinKinds, Inspection};
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Flights, HostRunner, LogSink, Scope};
use impresario_actors::gate::Gate;
use impresario_actors::hosts::{HostSpec, Hosts};
use impresario_actors::post::Post;
use impresario_actors::shard::ShardSettings;
use impresario_model::doubt::{Decision, Resolution};
use impresario_model::entry::{Body, Entry, ProcessEvent, StartEvent};
use impresario_model::ids::ActorId;
use impresario_model::instance::{ActivityState, Instance, Status};
use impresario_model::language::{AdapterFunction, Catalog, compile};
use impresario_model::router::Window;
use impresario_persistence::lossy::LossyStore;
use impresario_persistence::{Owner, Store};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Beyond this a test has failed. Starting an interpreter on a busy machine takes its time.
const LIMIT: Duration = Duration::from_secs(30);
const ID: &str = "i";

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for (name, restartable, probe) in [("count", true, false), ("late", true, false), ("charge", false, true)]
    {
        let function = AdapterFunction {
            adapter: "scripted".to_owned(),
            function: name.to_owned(),
            restartable,
            probe,
            input: None,
        };
        catalog.adapter_functions.insert(format!("{name}:1.0.0"), function);
    }
    catalog
}

/// A node with the scripted host, on a store that outlives it.
struct Node {
    engine: Engine,
    hosts: Hosts,
    store: Arc<LossyStore>,
    folder: TempDir,
    definitions: Arc<Definitions>,
    starts: usize,
}

async fn run(
    store: &Arc<LossyStore>,
    folder: &Path,
    definitions: &Arc<Definitions>,
    start: usize,
) -> (Engine, Hosts) {
    let post = Post::new(Arc::clone(store) as Arc<dyn Store>, 1_000);
    let (flights, gate, stopping) = (Flights::default(), Gate::default(), Arc::new(AtomicBool::new(false)));
    let sink = Arc::new(LogSink::new(post.clone(), flights.clone(), Arc::clone(&stopping)));
    let mut spec = HostSpec::new("scripted", "/usr/bin/python3");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/outcomes/host.py");
    spec.arguments = ["-I", "-S", script, folder.to_str().unwrap()].map(str::to_owned).to_vec();
    spec.hello_timeout = LIMIT;
    spec.stop_timeout = Duration::from_millis(100);
    let hosts = Hosts::start(vec![spec], sink, gate.clone(), None).await.unwrap();
    let arguments = EngineArguments {
        owner: Owner { node: "node".to_owned(), incarnation: start.to_string() },
        scope: Scope::All,
        post: post.clone(),
        kinds: Arc::new(BuiltinKinds::new(Arc::clone(definitions), Window { millis: 60_000, count: 100 })),
        runner: Arc::new(HostRunner::new(hosts.clone(), flights, gate, stopping, post)),
        clock: Clock::system(),
        settings: ShardSettings::default(),
        tick: Duration::from_millis(10),
    };
    (Engine::start(arguments, None).await.unwrap(), hosts)
}

impl Node {
    /// A node on which an instance of these tasks begins.
    async fn start(tasks: Value) -> Self {
        let document = json!({
            "document": { "dsl": "1.0.3", "namespace": "test", "name": "outcomes", "version": "1.0.0" },
            "do": tasks,
        });
        let definitions = Arc::new(Definitions::default());
        let definition = definitions.add(compile(&document.to_string(), &catalog()).unwrap());
        let store = Arc::new(LossyStore::new(1));
        let folder = tempfile::tempdir().unwrap();
        let (engine, hosts) = run(&store, folder.path(), &definitions, 0).await;
        let node = Node { engine, hosts, store, folder, definitions, starts: 0 };
        node.tell(ProcessEvent::Start(Box::new(StartEvent {
            definition: definition.id.clone(),
            input: json!({}),
            started_by: "api".to_owned(),
            key: None,
            runtime: "0".to_owned(),
            rerun: None,
            trace: None,
        })))
        .await;
        node
    }

    /// What `kill -9` does, and a start after it.
    async fn kill(&mut self) {
        self.store.crash();
        // Its hosts end with their input.
        self.hosts.stop().await;
        self.engine.stop().await;
        self.store = Arc::new(self.store.reopen());
        self.starts += 1;
        (self.engine, self.hosts) =
            run(&self.store, self.folder.path(), &self.definitions, self.starts).await;
    }

    async fn tell(&self, event: ProcessEvent) {
        let entry = Entry { to: ActorId::process(ID), origin: None, body: Body::Process(event) };
        self.engine.post().accept(&[entry]).await.unwrap();
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn diary(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("diary")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The instance, once it is so. A host is another process, which nothing here is told of.
    async fn until(&self, what: &str, so: impl Fn(&Instance) -> bool) -> Instance {
        let by = Instant::now() + LIMIT;
        loop {
            let seen = self.engine.inspect(&ActorId::process(ID)).await;
            if let Ok(Inspection::Process(instance)) = &seen
                && so(instance)
            {
                return instance.as_ref().clone();
            }
            assert!(Instant::now() < by, "not so: {what}; {:?}; {seen:?}", self.diary());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn ended(&self) -> Instance {
        self.until("it has ended", |instance| instance.status.ended()).await
    }

    /// Waits until the host has noted a line that begins so.
    async fn noted(&self, line: &str) {
        let by = Instant::now() + LIMIT;
        while !self.diary().iter().any(|noted| noted.starts_with(line)) {
            assert!(Instant::now() < by, "not noted: {line}; {:?}", self.diary());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(self) {
        self.hosts.stop().await;
        self.engine.stop().await;
    }
}

fn state_of(instance: &Instance) -> &ActivityState {
    &instance.activities.kept[0].state
}

#[tokio::test]
async fn what_an_attempt_saved_is_where_the_next_one_goes_on_after_a_crash() {
    let mut node = Node::start(json!([{ "count": { "call": "count:1.0.0@default" } }])).await;
    let saved = json!({ "line": 3 });
    node.until("the newest state is durable", |instance| {
        instance.activities.kept[0].saved.as_ref() == Some(&saved)
    })
    .await;
    // It says how far it is after it has saved that.
    let by = Instant::now() + LIMIT;
    let progress = loop {
        match node.hosts.progress("scripted", "i.1.1") {
            Some(progress) => break progress,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        assert!(Instant::now() < by, "it says nothing");
    };
    assert_eq!((progress.message.as_deref(), progress.percent), (Some("line 3"), Some(30.0)));
    node.kill().await;
    let instance = node.ended().await;
    assert_eq!(instance.output, Some(json!({ "from": 3, "attempt": 2 })), "{instance:?}");
    assert_eq!(instance.activities.kept[0].saved, None, "it has ended");
    node.stop().await;
}

fn charge() -> Value {
    json!([{ "charge": { "call": "charge:1.0.0@default" } }])
}

#[tokio::test]
async fn an_adapter_that_knows_settles_what_was_cut_off() {
    for (answer, output) in [
        (json!({ "outcome": "done", "output": { "charged": "before" } }), json!({ "charged": "before" })),
        (json!({ "outcome": "notDone" }), json!({ "charged": 2 })),
    ] {
        let mut node = Node::start(charge()).await;
        node.noted("run charge 1").await;
        node.write("answer", &answer.to_string());
        node.write("finish", "");
        node.kill().await;
        let instance = node.ended().await;
        assert_eq!((instance.status, instance.output), (Status::Completed, Some(output)));
        node.stop().await;
    }
}

#[tokio::test]
async fn the_question_is_asked_again_by_the_next_owner_and_an_operator_has_the_last_word() {
    let mut node = Node::start(charge()).await;
    node.noted("run charge 1").await;
    // The adapter is silent, so the node ends while it waits for the answer.
    node.kill().await;
    node.until("it is asked", |instance| matches!(state_of(instance), ActivityState::Probing(_))).await;
    node.noted("probe charge").await;
    node.write("answer", &json!({ "outcome": "unknown" }).to_string());
    node.kill().await;
    let instance = node.until("nobody knows", |instance| instance.status == Status::Uncertain).await;
    assert!(matches!(state_of(&instance), ActivityState::Uncertain(_)));
    assert_eq!(node.diary().iter().filter(|line| *line == "run charge 1").count(), 1);

    // It waits over a restart too.
    node.kill().await;
    node.write("finish", "");
    let resolution = Resolution {
        id: "order".to_owned(),
        activity: 1,
        token: "i.1.1".to_owned(),
        decision: Decision::Retry,
    };
    node.tell(ProcessEvent::Resolve(Box::new(resolution))).await;
    assert_eq!(node.ended().await.output, Some(json!({ "charged": 2 })));
    node.stop().await;
}

#[tokio::test]
async fn the_late_answer_of_an_attempt_that_timed_out_changes_nothing() {
    let node = Node::start(json!([{ "safe": {
        "try": [{ "late": { "call": "late:1.0.0@default", "timeout": { "after": { "milliseconds": 500 } } } }],
        "catch": { "errors": { "with": { "status": 408 } }, "retry": { "limit": { "attempt": { "count": 9 } } } },
    } }]))
    .await;
    let instance = node.ended().await;
    assert_eq!(instance.output, Some(json!("of the second")));
    let states: Vec<&str> = instance.activities.kept.iter().map(|activity| activity.status()).collect();
    // An attempt may have timed out before the host was up; that one never arrived.
    let (last, before) = states.split_last().unwrap();
    assert!(*last == "completed" && before.iter().all(|state| *state == "cancelled"), "{states:?}");
    assert!(!before.is_empty());
    // The host was told that nobody waits for the old one.
    node.noted("cancel").await;
    node.stop().await;
}
