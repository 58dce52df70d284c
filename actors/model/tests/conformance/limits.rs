//! Bounds of an instance that no expectation of a scenario shows.

use impresario_model::instance::HISTORY_LIMIT;
use serde_json::{Value, json};

use crate::executor::{self, Run};
use crate::support::scenario::{Scenario, definition_of};

fn run(tasks: Value, answers: Value) -> Run {
    let scenario: Scenario = serde_json::from_value(json!({
        "name": "limits", "do": tasks, "answers": answers, "expect": { "status": "completed" },
    }))
    .unwrap();
    executor::run(&scenario, &scenario.definition())
}

fn loop_of(count: usize, body: Value) -> Value {
    json!([{ "loop": { "for": { "in": format!("[range({count})]") }, "do": [body] } }])
}

#[test]
fn the_history_is_bounded_in_number() {
    let ask = json!({ "ask": { "call": "work:1.0.0@default", "with": { "job": "ask", "n": "${ $item }" } } });
    let run = run(loop_of(HISTORY_LIMIT + 30, ask), json!({ "ask": [{ "output": 1 }] }));
    let activities = &run.instance.activities;
    assert_eq!(activities.kept.len(), HISTORY_LIMIT);
    assert_eq!((activities.dropped, activities.last), (30, HISTORY_LIMIT as u64 + 30));
    assert_eq!(
        activities.kept.last().unwrap().arguments["n"],
        json!(HISTORY_LIMIT + 29),
        "the newest are kept"
    );
}

#[test]
fn the_history_is_bounded_in_bytes_however_its_activities_ended() {
    let big = "x".repeat(30_000);
    let ask = json!({ "safe": {
        "try": [{ "ask": { "call": "work:1.0.0@default", "with": { "job": "${ \"j\\($item % 3)\" }", "big": big } } }],
        "catch": { "do": [{ "drop": { "set": { "n": 1 } } }] },
        "output": { "as": "1" },
    } });
    let answers = json!({
        "j0": [{ "output": big }], "j1": [{ "fail": { "status": 500 } }], "j2": [{ "output": "x".repeat(200_000) }],
    });
    let run = run(loop_of(90, ask), answers);
    let stored = impresario_model::encoding::encode(&run.instance).unwrap();
    assert!(stored.len() < 1_300_000, "{} bytes", stored.len());
    assert!(run.instance.activities.dropped > 0);
    let last = run.instance.activities.kept.last().unwrap();
    assert!(serde_json::to_string(&last.state).unwrap().contains("omitted"), "a large output is only noted");
}

/// The deepest definition that compiles, waiting at its bottom with the deepest value: its checkpoint is read back.
#[test]
fn the_deepest_instance_survives_its_checkpoint() {
    let deep = |tasks: usize| {
        let mut inner = json!([{ "pause": { "wait": "PT1S" } }]);
        for level in 0..tasks {
            inner = match level % 3 {
                0 => json!([{ "t": { "try": inner, "catch": {} } }]),
                1 => json!([{ "f": { "for": { "in": "[1]" }, "do": inner } }]),
                _ => json!([{ "k": { "fork": { "branches": inner } } }]),
            };
        }
        json!({
            "document": { "dsl": "1.0.3", "namespace": "test", "name": "deep", "version": "1.0.0" },
            "input": { "from": "reduce range(100) as $n (1; [.])" },
            "do": inner,
        })
    };
    // The definition's own text may only nest so far.
    let definition = definition_of(&deep(24));
    let scenario: Scenario = serde_json::from_value(json!({
        "name": "deep", "do": [], "expect": { "status": "completed" },
    }))
    .unwrap();
    let run = executor::run(&scenario, &definition);
    assert_eq!(run.instance.status.word(), "completed", "{:?}", run.instance.fault);
}
