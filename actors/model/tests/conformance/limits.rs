//! Bounds of an instance that no expectation of a scenario shows.

use impresario_model::entry::{Body, Message, ProcessEvent};
use impresario_model::instance::{Applied, Effect, HISTORY_LIMIT, INBOX_MAX, Instance, Moment};
use impresario_model::subscription::{News, SubscriptionEvent, Told, Unheard};
use serde_json::{Value, json};

use crate::executor::{self, Run};
use crate::support::outside::{ID, START_MS, start_event};
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

/// A storm on one key while each event takes its time: what fits into the queue is worked through, and then it is said.
#[test]
fn a_storm_of_events_is_worked_through_as_far_as_it_was_kept_and_then_said() {
    let hear = json!({ "hear": {
        "listen": { "to": { "any": [{
            "with": { "type": "a" }, "correlate": { "k": { "from": ".subject", "expect": "k" } },
        }], "until": false } },
        "foreach": { "do": [{ "work": { "call": "work:1.0.0@default", "with": { "job": "work" } } }] },
    } });
    let tasks = json!([{ "safe": {
        "try": [hear],
        "catch": { "errors": { "with": { "status": 429 } }, "do": [{ "late": { "set": { "at": "${ $error.instance }" } } }] },
    } }]);
    let event = |at: usize| json!({ "at": at + 1, "event": { "type": "a", "subject": "k", "data": at } });
    let events: Vec<Value> = (0..INBOX_MAX + 50).map(event).collect();
    let scenario: Scenario = serde_json::from_value(json!({
        "name": "storm", "do": tasks, "events": events, "expect": { "status": "completed" },
        "answers": { "work": [{ "output": 1, "after": 100_000 }, { "output": 2 }] },
    }))
    .unwrap();
    let run = executor::run(&scenario, &scenario.definition());
    assert_eq!(
        run.instance.output,
        Some(json!({ "at": "/do/0/safe/try/0/hear" })),
        "{:?}",
        run.instance.fault
    );
    assert_eq!(run.instance.activities.last, INBOX_MAX as u64 + 1, "the one at work, and those in the queue");
}

/// What a subscription tells an instance, out of the ordinary.
#[test]
fn a_listener_that_hears_nothing_fails_and_news_for_nobody_are_answered() {
    let scenario: Scenario = serde_json::from_value(json!({
        "name": "told", "expect": { "status": "faulted" },
        "do": [{ "hear": { "listen": { "to": { "one": { "with": { "type": "a" } } } } } }],
    }))
    .unwrap();
    let definition = scenario.definition();
    let moment = |offset| Moment { offset, now: START_MS + offset };
    let (mut instance, applied) =
        Instance::start(ID, start_event(&definition, json!({})), &definition, moment(1));
    let [Effect::Tell(Message { to, body: Body::Subscription(SubscriptionEvent::Subscribe { .. }) })] =
        applied.effects.as_slice()
    else {
        panic!("{applied:?}")
    };
    let told = |listener, news| {
        let subscription = to.key().to_owned();
        ProcessEvent::Told(Box::new(Told { listener, subscription, news }))
    };
    let leaves = |applied: &Applied, listener: u64| {
        let expected = Message {
            to: to.clone(),
            body: Body::Subscription(SubscriptionEvent::Unsubscribe { instance: ID.to_owned(), listener }),
        };
        applied.effects == [Effect::Tell(expected)]
    };
    let stray = instance.apply(&told(7, News::Listening(Vec::new())), &definition, moment(2));
    assert!(leaves(&stray, 7), "{stray:?}");
    assert_eq!(instance.status.word(), "waiting");
    let crowded = instance.apply(&told(1, News::Unheard(Unheard::Crowded(9))), &definition, moment(3));
    assert_eq!(crowded.effects, [], "it is not subscribed there");
    let fault = instance.fault.clone().unwrap();
    assert_eq!((fault.status, fault.instance.as_deref()), (429, Some("/do/0/hear")));
    let late = instance.apply(&told(1, News::Listening(Vec::new())), &definition, moment(4));
    assert!(leaves(&late, 1), "{late:?}");
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
