//! Instances that listen, with a crash at every durable write: each hears what is for it once, what came early too, and
//! in the end nothing is left of any subscription.

use std::collections::BTreeMap;
use std::time::Duration;

use impresario_actors::shard::ShardSettings;
use impresario_model::definition::{Definition, LOOKBACK_MS};
use impresario_model::entry::ProcessEvent;
use impresario_model::event::CloudEvent;
use impresario_persistence::lossy::{CrashPoint, Side};
use impresario_persistence::{ListQuery, Store};
use serde_json::{Value, json};

use crate::node::{Node, Setup, kinds_of, on_paused_time, settings, to_process, to_router};
use crate::support::outside::{START_MS, start_event};
use crate::support::scenario::definition_of;
use crate::support::world::World;

const SHARDS: u16 = 4;
const HOSTS: [&str; 3] = ["a", "b", "c"];

/// Each instance works a while, then hears one event of its host, which may have come before; then all events of a job
/// until the job ends, and the job is what the first of them says.
fn definition() -> Definition {
    definition_of(&json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "listens", "version": "1.0.0" },
        "do": [
            { "work": { "call": "work:1.0.0@default", "with": { "job": "work" }, "output": { "as": "$input" } } },
            { "hear": {
                "listen": { "to": { "one": {
                    "with": { "type": "begun" }, "correlate": { "host": { "from": ".data.host", "expect": "${ .host }" } },
                } } },
                "output": { "as": "$input + { begun: .[0].n }" },
            } },
            { "collect": {
                "listen": { "to": {
                    "any": [{ "with": { "type": "step" }, "correlate": {
                        "host": { "from": ".data.host", "expect": "${ .host }" }, "job": { "from": ".data.job" },
                    } }],
                    "until": { "one": { "with": { "type": "end" }, "correlate": { "job": { "from": ".data.job" } } } },
                } },
                "foreach": { "do": [
                    { "note": { "call": "once:1.0.0@default", "with": { "job": "note", "n": "${ $item.n }" } } },
                ], "output": { "as": "$item.n" } },
                "output": { "as": "$input + { steps: . }" },
            } },
        ],
    }))
}

fn event(id: &str, kind: &str, data: Value) -> CloudEvent {
    let event = json!({ "specversion": "1.0", "id": id, "source": "/t", "type": kind, "data": data });
    CloudEvent::from_json(event).unwrap()
}

/// What comes for each host, and when: the first of it while the instance still works.
fn events() -> Vec<(u64, CloudEvent)> {
    let mut events = Vec::new();
    for host in HOSTS {
        let mut come = |at: u64, kind: &str, n: u64, job: &str| {
            let data = json!({ "host": host, "n": n, "job": job });
            events.push((at, event(&format!("{host}-{at}"), kind, data)));
        };
        come(100, "begun", 1, "");
        come(600, "begun", 2, "");
        come(700, "step", 1, host);
        come(800, "step", 2, host);
        come(900, "step", 3, "another");
        come(1_000, "end", 0, "another");
        come(1_100, "step", 4, host);
        come(1_200, "end", 0, host);
        come(1_300, "step", 5, host);
    }
    events
}

#[derive(Debug, PartialEq)]
struct End {
    outputs: BTreeMap<String, Value>,
    problems: Vec<String>,
}

fn run(
    definition: &Definition,
    settings: &ShardSettings,
    points: [Option<CrashPoint>; 2],
) -> (End, usize, u64) {
    let answers = [
        ("work".to_owned(), vec![json!({ "output": {}, "after": 500 })]),
        ("note".to_owned(), vec![json!({ "output": {}, "after": 50 })]),
    ];
    on_paused_time(async {
        let mut node = Node::start(Setup {
            world: World::new(&answers.into_iter().collect()),
            settings: settings.clone(),
            crash: points[0],
            second_crash: points[1],
            ..Setup::new(SHARDS, kinds_of(&[definition]))
        })
        .await;
        node.send_routes(&[definition]);
        for host in HOSTS {
            let start = start_event(definition, json!({ "host": host }));
            node.send(to_process(host, ProcessEvent::Start(Box::new(start))));
        }
        // Each event comes twice, as from a client that got no answer.
        for (at, event) in events() {
            node.send_at(START_MS + at, to_router(event.clone(), SHARDS));
            node.send_at(START_MS + at + 1, to_router(event, SHARDS));
        }
        let (mut outputs, mut problems) = (BTreeMap::new(), Vec::new());
        for host in HOSTS {
            let instance = node.run_to_end(host).await;
            // Whether a note was taken that crashed while it was taken is for an operator to say.
            let doubt = instance.activities.kept.iter().any(|activity| activity.is_uncertain());
            if doubt {
                continue;
            }
            if !instance.listeners.open.is_empty() {
                problems.push(format!("{host} has ended and listens"));
            }
            let output = json!([instance.status.word(), instance.output, instance.fault]);
            outputs.insert(host.to_owned(), output);
        }
        let writes = node.store.counts().total();
        while node.advance(None).await {
            node.settle().await;
        }
        let crashes = node.crashes;
        problems.extend(left(&mut node, outputs.len() == HOSTS.len()).await);
        node.engine.stop().await;
        (End { outputs, problems }, crashes, writes)
    })
}

/// What is left of subscriptions once everything that was kept is too old.
async fn left(node: &mut Node, all_ended: bool) -> Vec<String> {
    node.clock.set(node.clock.now() + LOOKBACK_MS + 10_000);
    for _ in 0..20 {
        node.settle().await;
    }
    // A friendly stop stores everything.
    node.engine.stop().await;
    node.restart().await;
    node.settle().await;
    node.engine.stop().await;
    let query = ListQuery { prefix: "subscription/".to_owned(), limit: 1_000, ..ListQuery::default() };
    let rows = node.store.list(query).await.unwrap();
    node.restart().await;
    rows.iter().filter(|_| all_ended).map(|row| format!("{} is left", row.actor)).collect()
}

fn sweep(settings: &ShardSettings) {
    let definition = definition();
    let (calm, crashes, writes) = run(&definition, settings, [None, None]);
    let output = |host: &str| json!(["completed", { "host": host, "begun": 1, "steps": [1, 2, 4] }, null]);
    let expected: BTreeMap<String, Value> =
        HOSTS.iter().map(|host| ((*host).to_owned(), output(host))).collect();
    assert_eq!((&calm.outputs, &calm.problems, crashes), (&expected, &vec![], 0));
    let (mut problems, mut swept) = (Vec::new(), 0);
    for nth in 1..=writes {
        let at = |nth, side| Some(CrashPoint { write: None, nth, side });
        for points in [[at(nth, Side::Before), None], [at(nth, Side::After), at(1 + nth % 7, Side::After)]] {
            let (end, crashes, _) = run(&definition, settings, points);
            swept += 1;
            let wrong = end.outputs.iter().filter(|(host, output)| expected.get(*host) != Some(output));
            let wrong = wrong.map(|(host, output)| format!("{host} came to {output}"));
            let missed = (crashes == 0).then(|| "not reached".to_owned());
            let found = wrong.chain(end.problems.iter().cloned()).chain(missed);
            problems.extend(found.map(|problem| format!("{points:?}: {problem}")));
        }
    }
    println!("{swept} crash points");
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn nothing_is_missed_and_nothing_left_with_checkpoints_all_the_time() {
    sweep(&settings());
}

#[test]
fn nothing_is_missed_and_nothing_left_with_hardly_a_checkpoint() {
    sweep(&ShardSettings {
        batch_entries: 512,
        checkpoint_entries: 1_000,
        idle_after: Duration::from_secs(3600),
        ..settings()
    });
}
