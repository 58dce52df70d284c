//! Places at a limited target, with a crash at every durable write: never more than the limit at work, everybody gets a
//! place in the end, and none is left taken.

use impresario_actors::behaviour::Inspection;
use impresario_model::definition::Definition;
use impresario_model::entry::ProcessEvent;
use impresario_model::ids::ActorId;
use impresario_model::instance::{ActivityState, Status};
use impresario_model::places::Places;
use impresario_persistence::lossy::{CrashPoint, Side};
use serde_json::json;

use crate::node::{Node, Setup, kinds_of, on_paused_time, to_process};
use crate::support::outside::{START_MS, start_event};
use crate::support::scenario::definition_of;
use crate::support::world::World;

const TARGET: &str = "limited-1";
/// How long each piece of work takes.
const WORK_MS: u64 = 100;

/// Each instance does three things at the same time on the target: one that may be repeated, one that may not, and one
/// that gives up before it has its turn.
fn definition() -> Definition {
    definition_of(&json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "limited", "version": "1.0.0" },
        "do": [{ "all": { "fork": { "branches": [
            { "again": { "call": "work:1.0.0@default", "with": { "job": "again", "target": TARGET } } },
            { "once": { "call": "once:1.0.0@default", "with": { "job": "once", "target": TARGET } } },
            { "hasty": {
                "try": [{ "ask": {
                    "call": "once:1.0.0@default", "with": { "job": "hasty", "target": TARGET }, "timeout": "PT0.001S",
                } }],
                "catch": { "errors": { "with": { "status": 408 } } },
            } },
        ] } } }],
    }))
}

struct End {
    writes: u64,
    crashes: usize,
    took: u64,
    problems: Vec<String>,
}

fn run(definition: &Definition, points: [Option<CrashPoint>; 2]) -> End {
    let answer = |job: &str| (job.to_owned(), vec![json!({ "output": job, "after": WORK_MS })]);
    let answers = ["again", "once", "hasty"].map(answer).into_iter().collect();
    on_paused_time(async {
        let mut node = Node::start(Setup {
            world: World::new(&answers),
            crash: points[0],
            second_crash: points[1],
            ..Setup::new(4, kinds_of(&[definition]))
        })
        .await;
        let ids = ["first", "second"];
        for id in ids {
            let start = start_event(definition, json!({}));
            node.send(to_process(id, ProcessEvent::Start(Box::new(start))));
        }
        let mut problems = Vec::new();
        let mut done = 0;
        for id in ids {
            let instance = node.run_to_end(id).await;
            let activities = &instance.activities.kept;
            let uncertain = activities.iter().any(|activity| activity.is_uncertain());
            if instance.status != Status::Completed && !uncertain {
                problems.push(format!("{id} is {:?}: {:?}", instance.status, instance.fault));
            }
            let completed = |state: &ActivityState| matches!(state, ActivityState::Completed(_));
            done += activities.iter().filter(|activity| completed(&activity.state)).count() as u64;
            if activities.iter().any(|activity| activity.place.is_some()) {
                problems.push(format!("{id} has ended and an activity of it has a place"));
            }
        }
        let took = node.clock.now() - START_MS;
        if took < done * WORK_MS {
            problems.push(format!("{done} pieces of work, one at a time, took {took} ms"));
        }
        let Inspection::Places(places) = node.inspect(&ActorId::target(TARGET)).await else { panic!() };
        let Places { holders, queue, .. } = *places;
        if !holders.is_empty() || !queue.is_empty() {
            problems.push(format!("left taken: {holders:?}, left waiting: {queue:?}"));
        }
        let writes = node.store.counts().total();
        node.engine.stop().await;
        End { writes, crashes: node.crashes, took, problems }
    })
}

#[test]
fn a_limit_holds_and_no_place_is_lost_whatever_crashes() {
    let definition = definition();
    let calm = run(&definition, [None, None]);
    assert_eq!((calm.crashes, calm.problems), (0, vec![]));
    // Who has no place within a millisecond gives up, and of the others each has its turn.
    assert!((4 * WORK_MS..=4 * WORK_MS + 10).contains(&calm.took), "{}", calm.took);
    let mut problems = Vec::new();
    for nth in 1..=calm.writes {
        let at = |nth, side| Some(CrashPoint { write: None, nth, side });
        let again = at(1 + nth % 7, Side::After);
        for points in
            [[at(nth, Side::Before), None], [at(nth, Side::After), None], [at(nth, Side::After), again]]
        {
            let end = run(&definition, points);
            let found = end.problems.into_iter().chain((end.crashes == 0).then(|| "not reached".to_owned()));
            problems.extend(found.map(|problem| format!("{points:?}: {problem}")));
        }
    }
    println!("{} crash points", calm.writes * 3);
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
