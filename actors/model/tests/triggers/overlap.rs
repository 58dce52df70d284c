//! The turn of an instance: it waits, runs, is skipped or replaced, and gives its turn back however it ends.

use impresario_model::definition::{Definition, OnConflict};
use impresario_model::encoding;
use impresario_model::entry::{Body, OverlapEvent, ProcessEvent, StartEvent, TurnAnswer};
use impresario_model::instance::{Applied, Effect, Instance, Moment, Status};
use impresario_model::language::{Catalog, compile};
use serde_json::{Value, json};

fn definition(concurrency: Value) -> Definition {
    let document = json!({
        "document": {
            "dsl": "1.0.3", "namespace": "ops", "name": "clean", "version": "1.0.0",
            "metadata": { "ops": { "concurrency": concurrency } },
        },
        "input": { "from": ".[0] // ." },
        "timeout": { "after": "PT10S" },
        "do": [{ "pause": { "wait": "PT5S" } }, { "done": { "set": { "ok": true } } }],
    });
    compile(&document.to_string(), &Catalog::default()).unwrap()
}

fn start(definition: &Definition, input: Value) -> (Instance, Applied) {
    let start = StartEvent {
        definition: definition.id.clone(),
        input,
        started_by: "api".to_owned(),
        key: None,
        runtime: "0".to_owned(),
        rerun: None,
        trace: None,
    };
    Instance::start("i", start, definition, Moment { offset: 1, now: 1_000 })
}

/// What it tells its turns, with who gives them.
fn told(applied: &Applied) -> Vec<(String, OverlapEvent)> {
    let told = |effect: &Effect| match effect {
        Effect::Tell(message) => match &message.body {
            Body::Overlap(event) => Some((message.to.to_string(), event.clone())),
            _ => None,
        },
        _ => None,
    };
    applied.effects.iter().filter_map(told).collect()
}

fn apply(instance: &mut Instance, definition: &Definition, event: ProcessEvent, now: u64) -> Applied {
    let stored = encoding::encode(instance).unwrap();
    *instance = encoding::decode(&stored).unwrap();
    let offset = instance.applied + 1;
    instance.apply(&event, definition, Moment { offset, now })
}

fn leave() -> OverlapEvent {
    OverlapEvent::Leave { instance: "i".to_owned() }
}

#[test]
fn it_waits_then_runs_then_leaves() {
    let definition = definition(json!({ "key": "${ .host }", "max": 2, "onConflict": "queue" }));
    let (mut instance, applied) = start(&definition, json!([{ "host": "web1" }]));
    let ask = OverlapEvent::Ask { instance: "i".to_owned(), max: 2, on_conflict: OnConflict::Queue };
    // The key is that of the transformed input.
    assert_eq!(told(&applied), [("overlap/ops/clean#\"web1\"".to_owned(), ask)]);
    assert_eq!((instance.status, instance.awaits_turn(), instance.due()), (Status::Waiting, true, None));
    apply(&mut instance, &definition, ProcessEvent::Timer, 2_000);
    assert_eq!((instance.status, instance.tasks_run), (Status::Waiting, 0));
    apply(&mut instance, &definition, ProcessEvent::Turn(TurnAnswer::Run), 60_000);
    // Its time-out counts from its turn.
    assert_eq!((instance.awaits_turn(), instance.due()), (false, Some(65_000)));
    apply(&mut instance, &definition, ProcessEvent::Turn(TurnAnswer::Run), 60_001);
    assert_eq!(instance.tasks_run, 1, "a second answer changes nothing");
    let applied = apply(&mut instance, &definition, ProcessEvent::Timer, 65_000);
    assert_eq!(instance.status, Status::Completed);
    assert_eq!(told(&applied), [("overlap/ops/clean#\"web1\"".to_owned(), leave())]);
}

#[test]
fn one_that_is_skipped_ends_as_cancelled_with_the_reason() {
    let definition = definition(json!({ "onConflict": "skip" }));
    let (mut instance, _) = start(&definition, json!({}));
    let skip = TurnAnswer::Skip { reason: "skipped: j runs".to_owned() };
    apply(&mut instance, &definition, ProcessEvent::Turn(skip), 2_000);
    let fault = instance.fault.clone().unwrap();
    assert_eq!((instance.status, fault.title.as_deref()), (Status::Cancelled, Some("Skipped")));
    assert_eq!((fault.detail.as_deref(), instance.tasks_run), (Some("skipped: j runs"), 0));
}

#[test]
fn one_that_is_cancelled_while_it_waits_leaves_and_never_runs() {
    let definition = definition(json!({}));
    let (mut instance, applied) = start(&definition, json!({}));
    assert_eq!(told(&applied)[0].0, "overlap/ops/clean");
    let applied = apply(&mut instance, &definition, ProcessEvent::Cancel { reason: None }, 2_000);
    assert_eq!((instance.status, told(&applied)[0].1.clone()), (Status::Cancelled, leave()));
    // Its turn was on its way.
    let applied = apply(&mut instance, &definition, ProcessEvent::Turn(TurnAnswer::Run), 3_000);
    assert_eq!((instance.status, applied), (Status::Cancelled, Applied::default()));
}

#[test]
fn a_key_that_cannot_be_found_out_faults_the_instance_and_holds_nobody_up() {
    let definition = definition(json!({ "key": "${ .host | keys }" }));
    let (instance, applied) = start(&definition, json!({ "host": 5 }));
    let fault = instance.fault.unwrap();
    assert_eq!(instance.status, Status::Faulted);
    assert!(fault.detail.unwrap().contains("concurrency.key"), "{:?}", fault.title);
    assert!(told(&applied).is_empty());
}

#[test]
fn side_by_side_needs_no_turn() {
    let definition = definition(json!({ "onConflict": "parallel" }));
    let (instance, applied) = start(&definition, json!({}));
    assert!(told(&applied).is_empty());
    assert_eq!((instance.status, instance.tasks_run), (Status::Waiting, 1));
}

#[test]
fn slips_are_refused() {
    for (concurrency, expected) in [
        (json!({ "max": 0 }), "from 1 to 10000"),
        (json!({ "onConflict": "skipp" }), "did you mean 'skip'?"),
        (json!({ "key": ".host[" }), "/document/metadata/ops/concurrency/key"),
        (json!({ "limit": 3 }), "unknown key 'limit'"),
    ] {
        let document = json!({
            "document": {
                "dsl": "1.0.3", "namespace": "ops", "name": "clean", "version": "1.0.0",
                "metadata": { "ops": { "concurrency": concurrency } },
            },
            "do": [{ "a": { "set": { "b": 1 } } }],
        });
        let found = compile(&document.to_string(), &Catalog::default()).unwrap_err();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert!(found.join("\n").contains(expected), "{found:?}");
    }
}
