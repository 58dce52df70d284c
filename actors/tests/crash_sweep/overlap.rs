//! Instances that may not run at the same time, with a crash at every durable write: never more than may, everybody has an
//! answer, and no turn is left taken.

use impresario_actors::behaviour::Inspection;
use impresario_model::definition::Definition;
use impresario_model::entry::ProcessEvent;
use impresario_model::ids::ActorId;
use impresario_model::instance::{Instance, Status};
use impresario_persistence::lossy::{CrashPoint, Side};
use serde_json::json;

use crate::node::{Node, Setup, kinds_of, on_paused_time, to_process};
use crate::support::outside::{START_MS, start_event};
use crate::support::scenario::definition_of;
use crate::support::world::World;

/// How long each piece of work takes.
const WORK_MS: u64 = 100;
/// Three of one host, and one of another.
const HOSTS: [(&str, &str); 4] = [("first", "x"), ("second", "x"), ("other", "y"), ("third", "x")];

fn definition(rule: &str) -> Definition {
    definition_of(&json!({
        "document": {
            "dsl": "1.0.3", "namespace": "test", "name": "turns", "version": "1.0.0",
            "metadata": { "ops": { "concurrency": { "key": "${ .host }", "onConflict": rule } } },
        },
        "do": [{ "work": { "call": "work:1.0.0@default", "with": { "job": "work" } } }],
    }))
}

struct End {
    instances: Vec<Instance>,
    writes: u64,
    crashes: usize,
    took: u64,
    problems: Vec<String>,
}

fn run(definition: &Definition, crash: [Option<CrashPoint>; 2]) -> End {
    let answers =
        [("work".to_owned(), vec![json!({ "output": "done", "after": WORK_MS })])].into_iter().collect();
    let [first, second] = crash;
    on_paused_time(async {
        let setup = Setup {
            world: World::new(&answers),
            crash: first,
            second_crash: second,
            ..Setup::new(4, kinds_of(&[definition]))
        };
        let mut node = Node::start(setup).await;
        for (at, (id, host)) in HOSTS.into_iter().enumerate() {
            let start = start_event(definition, json!({ "host": host }));
            let start = to_process(id, ProcessEvent::Start(Box::new(start)));
            node.send_at(START_MS + 1 + 10 * at as u64, start);
        }
        let mut instances = Vec::new();
        for (id, _) in HOSTS {
            instances.push(node.run_to_end(id).await);
        }
        let mut problems = Vec::new();
        for host in ["x", "y"] {
            let turns = ActorId::overlap("test/turns", Some(&format!("\"{host}\"")));
            let Inspection::Turns(turns) = node.inspect(&turns).await else { panic!("{host}") };
            if turns.idle_since.is_none() {
                problems.push(format!("left taken: {turns:?}"));
            }
        }
        let (writes, crashes) = (node.store.counts().total(), node.crashes);
        let took = node.clock.now() - START_MS;
        node.engine.stop().await;
        End { instances, writes, crashes, took, problems }
    })
}

/// What a rule promises of the three of one host, in the order in which they were started.
fn check(rule: &str, end: &mut End) {
    let status = |at: usize| end.instances[at].status;
    let of_host = [status(0), status(1), status(3)];
    let completed = of_host.iter().filter(|status| **status == Status::Completed).count() as u64;
    let cancelled = of_host.iter().filter(|status| **status == Status::Cancelled).count() as u64;
    let mut problems = Vec::new();
    if status(2) != Status::Completed {
        problems.push(format!("the other host is {:?}", status(2)));
    }
    if completed + cancelled != 3 {
        problems.push(format!("{of_host:?}"));
    }
    let holds = match rule {
        "queue" => completed == 3,
        "skip" => of_host[0] == Status::Completed,
        _ => of_host[2] == Status::Completed,
    };
    if !holds || end.took < completed * WORK_MS {
        problems.push(format!("{rule}: {of_host:?} in {} ms", end.took));
    }
    end.problems.extend(problems);
}

fn sweep(rule: &str, calm_statuses: [Status; 4]) {
    let definition = definition(rule);
    let mut calm = run(&definition, [None, None]);
    check(rule, &mut calm);
    let statuses: Vec<Status> = calm.instances.iter().map(|instance| instance.status).collect();
    assert_eq!((statuses.as_slice(), calm.crashes, &calm.problems), (calm_statuses.as_slice(), 0, &vec![]));
    let mut problems = Vec::new();
    for nth in 1..=calm.writes {
        for side in [Side::Before, Side::After] {
            let first = Some(CrashPoint { write: None, nth, side });
            let again = Some(CrashPoint { write: None, nth: 1 + nth % 7, side });
            for points in [[first, None], [first, again]] {
                let mut end = run(&definition, points);
                check(rule, &mut end);
                let crashed = (end.crashes == 0).then(|| "not reached".to_owned());
                let found = end.problems.into_iter().chain(crashed);
                problems.extend(found.map(|problem| format!("{points:?}: {problem}")));
            }
        }
    }
    println!("{} crash points", calm.writes * 4);
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

const COMPLETED: Status = Status::Completed;
const CANCELLED: Status = Status::Cancelled;

#[test]
fn those_that_queue_run_one_after_the_other_whatever_crashes() {
    sweep("queue", [COMPLETED; 4]);
}

#[test]
fn those_that_skip_end_with_an_answer_whatever_crashes() {
    sweep("skip", [COMPLETED, CANCELLED, COMPLETED, CANCELLED]);
}

#[test]
fn the_newest_runs_in_the_end_whatever_crashes() {
    sweep("replace", [CANCELLED, CANCELLED, COMPLETED, COMPLETED]);
}
