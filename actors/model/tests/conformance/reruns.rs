//! Running an instance again: from its beginning, and from a start point with the data that was there.

use impresario_model::definition::Definition;
use impresario_model::entry::{Body, ProcessEvent, StartEvent};
use impresario_model::instance::{Applied, Effect, Instance, Moment};
use impresario_model::rerun::RerunOrder;
use serde_json::{Value, json};

use crate::executor::{self, Run};
use crate::support::outside::ID;
use crate::support::scenario::{Scenario, definition_of};

/// Two start points: one in the document's list, one in a `try` in a `do`.
fn document() -> Value {
    json!({
        "document": { "dsl": "1.0.3", "namespace": "test", "name": "again", "version": "1.0.0" },
        "do": [
            { "first": { "set": { "n": "${ .n + 1 }" }, "export": { "as": "{ first: .n }" } } },
            {
                "outer": {
                    "metadata": { "ops": { "startPoint": { "id": "outer", "title": "The outer one" } } },
                    "input": { "from": "{ n: (.n * 10) }" },
                    "do": [
                        { "safe": {
                            "try": [
                                { "second": { "set": { "n": "${ .n + 1 }" }, "export": { "as": "$context + { second: .n }" } } },
                                {
                                    "third": {
                                        "metadata": { "ops": { "startPoint": { "id": "third" } } },
                                        "call": "work:1.0.0@default", "with": { "job": "third", "n": "${ .n }" },
                                        "output": { "as": ".n" },
                                    }
                                },
                            ],
                            "catch": {},
                        } },
                    ],
                    "output": { "as": "{ n: ., outer: $input.n, context: $context }" },
                }
            },
        ],
    })
}

fn scenario(input: Value) -> Scenario {
    serde_json::from_value(
        json!({ "name": "again", "do": [], "input": input, "expect": { "status": "completed" } }),
    )
    .unwrap()
}

/// What an instance that has ended answers to the order to run it again.
fn ordered(
    instance: &mut Instance,
    definition: &Definition,
    from: Option<&str>,
    input: Option<Value>,
) -> Applied {
    let order = RerunOrder {
        instance: "new".to_owned(),
        from: from.map(str::to_owned),
        input,
        key: None,
        runtime: "0".to_owned(),
    };
    let moment = Moment { offset: instance.applied + 1, now: instance.ended.unwrap() };
    instance.apply(&ProcessEvent::Rerun(Box::new(order)), definition, moment)
}

fn start_of(applied: Applied) -> StartEvent {
    let [Effect::Tell(message)] = applied.effects.as_slice() else { panic!("{applied:?}") };
    assert_eq!(message.to.as_str(), "process/new");
    let Body::Process(ProcessEvent::Start(start)) = &message.body else { panic!("{message:?}") };
    start.as_ref().clone()
}

fn again(first: &mut Run, definition: &Definition, from: Option<&str>, input: Option<Value>) -> Run {
    let start = start_of(ordered(&mut first.instance, definition, from, input));
    executor::run_from(&scenario(json!({})), definition, start)
}

#[test]
fn a_rerun_begins_where_it_is_told_with_the_data_that_was_there() {
    let definition = definition_of(&document());
    let mut first = executor::run(&scenario(json!({ "n": 1 })), &definition);
    let done = json!({ "n": 21, "outer": 20, "context": { "first": 2, "second": 21 } });
    assert_eq!(first.instance.output, Some(done.clone()));
    let all = ["first", "outer", "safe", "second", "third"];
    let table = [
        (None, None, &all[..], done.clone()),
        (
            None,
            Some(json!({ "n": 3 })),
            &all[..],
            json!({ "n": 41, "outer": 40, "context": { "first": 4, "second": 41 } }),
        ),
        (Some("outer"), None, &all[1..], done.clone()),
        (
            Some("outer"),
            Some(json!({ "n": 5 })),
            &all[1..],
            json!({ "n": 51, "outer": 50, "context": { "first": 2, "second": 51 } }),
        ),
        (Some("third"), None, &all[4..], done),
        (
            Some("third"),
            Some(json!({ "n": 7 })),
            &all[4..],
            json!({ "n": 7, "outer": 20, "context": { "first": 2, "second": 21 } }),
        ),
    ];
    for (from, input, tasks, output) in table {
        let run = again(&mut first, &definition, from, input.clone());
        assert_eq!(
            (run.tasks.as_slice(), run.instance.output),
            (&tasks.iter().map(|&task| task.to_owned()).collect::<Vec<_>>()[..], Some(output)),
            "{from:?} {input:?}"
        );
        assert_eq!(run.instance.rerun_of.as_deref(), Some(ID));
        assert_eq!(run.instance.began_at.as_deref(), from);
    }
}

#[test]
fn a_rerun_of_a_rerun_has_the_data_round_its_start_point_too() {
    let definition = definition_of(&document());
    let mut first = executor::run(&scenario(json!({ "n": 1 })), &definition);
    let mut second = again(&mut first, &definition, Some("third"), Some(json!({ "n": 7 })));
    let third = again(&mut second, &definition, Some("third"), None);
    assert_eq!(third.instance.output, second.instance.output);
    // What it did not run through itself, it cannot begin at.
    assert_eq!(ordered(&mut second.instance, &definition, Some("outer"), None), Applied::default());
}

#[test]
fn too_much_data_is_not_kept() {
    let definition = definition_of(&document());
    let mut first = executor::run(&scenario(json!({ "n": 1, "ballast": "x".repeat(2 << 20) })), &definition);
    // The task in front of it has dropped the ballast.
    assert!(first.instance.start_points.points.values().all(Option::is_some));
    let big = Some(json!({ "n": 1, "ballast": "x".repeat(2 << 20) }));
    let mut second = again(&mut first, &definition, Some("outer"), big);
    assert_eq!(second.instance.start_points.points["outer"], None);
    assert_eq!(ordered(&mut second.instance, &definition, Some("outer"), None), Applied::default());
    assert!(second.instance.start_points.points["third"].is_some());
}
