//! The engine is sabotaged, and the auditor has to notice; it is left alone, and the auditor has to be quiet.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use impresario_actors::activity::RunRequest;
use impresario_actors::behaviour::BuiltinKinds;
use impresario_actors::clock::Clock;
use impresario_actors::definitions::Definitions;
use impresario_actors::engine::{Engine, EngineArguments, Scope};
use impresario_actors::post::Post;
use impresario_actors::shard::{EvidenceQuery, NotRun, Progress, Runner, ShardSettings};
use impresario_model::entry::{Body, Entry, ProcessEvent, StartEvent};
use impresario_model::ids::ActorId;
use impresario_model::language;
use impresario_model::router::Window;
use impresario_persistence::{MemoryStore, Offset, Owner, ShardId, Store};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{AuditReport, Auditor, Settled};
use crate::node::test_store::Slow;

/// How long anything here may take on a busy machine.
const WAIT: Duration = Duration::from_secs(60);
const SHARDS: u16 = 4;

const WAITS: &str = "
document: { dsl: '1.0.3', namespace: test, name: waits, version: '1.0.0' }
do:
  - hold: { wait: PT1H }
";
const WORKS: &str = "
document: { dsl: '1.0.3', namespace: test, name: works, version: '1.0.0' }
do:
  - both:
      fork:
        branches:
          - work: { run: { shell: { command: echo } } }
          - hold: { wait: PT1H }
";
const LISTENS: &str = "
document: { dsl: '1.0.3', namespace: test, name: listens, version: '1.0.0' }
do:
  - hear: { listen: { to: { one: { with: { type: test.done } } } } }
";
const TRIES: &str = "
document: { dsl: '1.0.3', namespace: test, name: tries, version: '1.0.0' }
do:
  - guarded:
      try:
        - fail: { raise: { error: { type: 'https://example.com/broken', status: 500, title: Broken } } }
      catch: { retry: { delay: PT1H } }
";
const TURNS: &str = "
document:
  dsl: '1.0.3'
  namespace: test
  name: turns
  version: '1.0.0'
  metadata: { ops: { concurrency: { max: 1, onConflict: queue } } }
do:
  - hold: { wait: PT1H }
";

/// What becomes of attempts: they are kept by a host that works for ever, or swallowed.
#[derive(Default)]
struct Host {
    swallows: bool,
    held: Mutex<HashSet<String>>,
}

impl Runner for Host {
    fn run(&self, request: RunRequest) -> Result<(), NotRun> {
        if !self.swallows {
            self.held.lock().unwrap().insert(request.token);
        }
        Ok(())
    }

    fn abandon(&self, _adapter: &str, token: &str) {
        self.held.lock().unwrap().remove(token);
    }

    fn holds(&self, token: &str) -> bool {
        self.held.lock().unwrap().contains(token)
    }
}

struct Bench {
    store: Arc<Slow>,
    definitions: Arc<Definitions>,
    engine: Engine,
    auditor: Auditor,
}

impl Bench {
    async fn start(swallows: bool) -> Bench {
        Self::on(Arc::new(Slow::new(Arc::new(MemoryStore::new(SHARDS)), 0)), swallows).await
    }

    async fn on(store: Arc<Slow>, swallows: bool) -> Bench {
        let definitions = Arc::new(Definitions::default());
        let catalog = crate::node::builtin_catalog();
        for text in [WAITS, WORKS, LISTENS, TRIES, TURNS] {
            definitions.add(language::compile(text, &catalog).unwrap());
        }
        let post = Post::new(store.clone(), 100_000);
        let window = Window { millis: 60_000, count: 100 };
        let arguments = EngineArguments {
            owner: Owner { node: "a".to_owned(), incarnation: "1".to_owned() },
            scope: Scope::All,
            post,
            kinds: Arc::new(BuiltinKinds::new(Arc::clone(&definitions), window)),
            runner: Arc::new(Host { swallows, ..Host::default() }),
            clock: Clock::system(),
            settings: ShardSettings {
                checkpoint_interval: Duration::from_millis(20),
                idle_after: Duration::from_millis(50),
                ..ShardSettings::default()
            },
            tick: Duration::from_millis(5),
        };
        let engine = Engine::start(arguments, None).await.unwrap();
        let auditor = Auditor::new(engine.clone(), Arc::clone(&definitions), 10_000);
        Bench { store, definitions, engine, auditor }
    }

    async fn begin(&self, name: &str, id: &str) {
        let definition = self.definitions.find(&format!("test/{name}")).unwrap().id.clone();
        let start = StartEvent {
            definition,
            input: json!({}),
            started_by: "api".to_owned(),
            key: None,
            runtime: "test".to_owned(),
            rerun: None,
            trace: None,
        };
        let body = Body::Process(ProcessEvent::Start(Box::new(start)));
        self.engine.post().accept(&[Entry { to: ActorId::process(id), origin: None, body }]).await.unwrap();
    }

    /// The row of an instance, once there is one of this status.
    async fn stored(&self, id: &str, status: &str) -> impresario_persistence::Row {
        let actor = ActorId::process(id);
        let shard = ShardId(actor.shard(SHARDS));
        eventually(async || {
            let row = self.store.row(shard, actor.to_string()).await.unwrap();
            row.filter(|row| row.index.status == status)
        })
        .await
    }

    async fn audit(&mut self) -> AuditReport {
        let all: Vec<u16> = (0..SHARDS).collect();
        self.auditor.audit(&all, &Settled::new()).await.unwrap();
        self.auditor.report()
    }

    /// Audits until the report is as it should be.
    async fn until(&mut self, right: impl Fn(&AuditReport) -> bool) -> AuditReport {
        let deadline = Instant::now() + WAIT;
        loop {
            let report = self.audit().await;
            if right(&report) {
                return report;
            }
            assert!(Instant::now() < deadline, "{report:#?}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wheel(&self, id: &str) -> Option<u64> {
        let actor = ActorId::process(id);
        let query = EvidenceQuery { actors: vec![actor.to_string()], ..EvidenceQuery::default() };
        self.engine.evidence(actor.shard(SHARDS), query).await.unwrap().actors[0].timer
    }
}

async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen in time");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_that_got_lost_is_named_and_put_back() {
    let first = Bench::start(false).await;
    *first.store.spoil.lock().unwrap() = |checkpoint| {
        checkpoint.put.iter_mut().for_each(|row| row.index.due = None);
    };
    first.begin("waits", "lost").await;
    assert_eq!(first.stored("lost", "waiting").await.index.due, None, "the row is spoilt");
    let store = Arc::clone(&first.store);
    first.engine.stop().await;

    *store.spoil.lock().unwrap() = |_| {};
    let mut second = Bench::on(store, false).await;
    assert_eq!(second.wheel("lost").await, None, "nothing would wake it");
    let report = second.until(|report| !report.violations.is_empty()).await;
    let violation = &report.violations[0];
    assert_eq!(violation.subject, "process/lost");
    assert!(violation.what.contains("is in no index"), "{violation:?}");
    assert!(violation.repaired.as_deref().is_some_and(|what| what.contains("put back")), "{violation:?}");
    assert!(second.wheel("lost").await.is_some(), "it is woken again");
    let report = second.until(|report| report.stuck == 0).await;
    assert_eq!(report.violations.len(), 1, "what was repaired is still told: {report:?}");
    second.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_no_host_has_is_named() {
    let mut bench = Bench::start(true).await;
    bench.begin("works", "swallowed").await;
    let report = bench.until(|report| report.stuck == 1).await;
    let violation = &report.violations[0];
    assert_eq!((violation.subject.as_str(), &violation.repaired), ("process/swallowed", &None));
    assert!(violation.what.contains("no host has attempt swallowed.1.1"), "{violation:?}");
    bench.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_got_lost_is_named() {
    let mut bench = Bench::start(false).await;
    *bench.store.spoil.lock().unwrap() =
        |checkpoint| checkpoint.put.retain(|row| !row.actor.starts_with("subscription/"));
    bench.begin("listens", "deaf").await;
    bench.stored("deaf", "waiting").await;
    let report = bench.until(|report| report.stuck == 1).await;
    assert_eq!(report.violations[0].subject, "process/deaf");
    assert!(report.violations[0].what.contains("no event will come"), "{report:?}");
    bench.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stuck_while_all_is_well() {
    let mut bench = Bench::start(false).await;
    let kinds = ["waits", "works", "listens", "tries", "turns"];
    for number in 0..100 {
        for kind in kinds {
            bench.begin(kind, &format!("{kind}-{number}")).await;
        }
        // In the middle of it: most of it is on its way somewhere.
        let report = bench.audit().await;
        assert_eq!((report.stuck, &report.violations), (0, &vec![]), "after {number}");
    }
    let all = u64::from(SHARDS) + 100 * kinds.len() as u64;
    let report = bench.until(|report| report.checked >= all).await;
    assert_eq!((report.stuck, report.checked, &report.unheard), (0, all, &vec![]));
    for _ in 0..10 {
        assert_eq!(bench.audit().await.stuck, 0);
    }
    // A part of them ends, and what waits for its turn goes on.
    for number in 0..100 {
        let to = ActorId::process(&format!("turns-{number}"));
        let body = Body::Process(ProcessEvent::Cancel { reason: None });
        bench.engine.post().accept(&[Entry { to, origin: None, body }]).await.unwrap();
        assert_eq!(bench.audit().await.stuck, 0);
    }
    let report = bench.until(|report| report.checked == all - 100).await;
    assert_eq!(report.stuck, 0, "{report:?}");
    bench.engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_does_not_go_on_is_named() {
    let mut bench = Bench::start(false).await;
    let at = |cursor: u64, mark: u64, head: u64| {
        let (cursor, mark, head) = (Offset::new(cursor, 0), Offset::new(mark, 0), Offset::new(head, 0));
        [(0, Progress { cursor, mark, head, recovered: true, leaving: false })].into()
    };
    let none = BTreeMap::new();
    let mut look = |progress: &BTreeMap<u16, Progress>, now: u64| {
        let found = bench.auditor.of_shards(&[0], progress, now);
        found
            .into_iter()
            .map(|(stored, missing)| format!("{}: {}", stored.actor, missing.what))
            .collect::<Vec<_>>()
    };
    // What has just come is not late, however long nothing came before.
    assert_eq!(look(&at(5, 5, 5), 1_000), Vec::<String>::new());
    assert_eq!(look(&at(5, 5, 9), 100_000), Vec::<String>::new());
    assert_eq!(look(&at(5, 5, 9), 101_000), Vec::<String>::new());
    let found = look(&at(5, 5, 9), 120_000);
    assert!(found.len() == 1 && found[0].starts_with("shard 0: it has entries to apply"), "{found:?}");
    assert_eq!(look(&at(7, 5, 9), 121_000), Vec::<String>::new(), "it goes on");
    assert_eq!(look(&at(9, 5, 9), 122_000), Vec::<String>::new());
    let found = look(&at(9, 5, 9), 160_000);
    assert!(found.len() == 1 && found[0].contains("is not stored since"), "{found:?}");
    assert_eq!(look(&at(9, 9, 9), 161_000), Vec::<String>::new());
    assert_eq!(look(&none, 162_000), Vec::<String>::new());
    assert!(look(&none, 180_000)[0].contains("it gives no answer since"));
    bench.engine.stop().await;
}

#[test]
fn what_several_nodes_say_is_as_old_as_the_oldest() {
    let of = |ago, stuck| AuditReport {
        stuck,
        proven_at: Some(format!("{ago}")),
        proven_ms_ago: Some(ago),
        checked: 5,
        ..AuditReport::default()
    };
    let mut report = of(4_000, 1);
    report.merge(of(9_000, 2));
    report.merge(of(1_000, 0));
    let told = (report.stuck, report.checked, report.proven_ms_ago, report.proven_at.as_deref());
    assert_eq!(told, (3, 15, Some(9_000), Some("9000")));
    report.merge(AuditReport::default());
    assert_eq!(report.proven_ms_ago, None, "one of them has proven nothing yet");
}
