//! Schedules and calendars through the command line of a real node.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::time::Duration;

use impresario::triggers::TriggerDetail;
use impresario_model::ids::instance_of_fire;
use impresario_model::instance::from_rfc3339;
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);
/// Longer than a time may be late without being missed.
const AWAY: Duration = Duration::from_secs(34);

fn definition(name: &str, schedule: &str, ops: &str) -> String {
    format!(
        "document:
  dsl: '1.0.3'
  namespace: times
  name: {name}
  version: '1.0.0'
  metadata: {{ ops: {{ triggers: {{ {ops} }} }} }}
schedule: {{ {schedule} }}
do:
  - done: {{ set: {{ ok: true }} }}
"
    )
}

fn shown(place: &Place, name: &str) -> TriggerDetail {
    let shown = place.json(&["triggers", "show", name]);
    serde_json::from_value(shown).expect("a trigger")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calendars_are_put_shown_followed_and_kept_while_they_are_used() {
    let place = Place::new().define(
        "daily",
        &definition("daily", "cron: '0 12 * * *'", "timezone: Europe/Berlin, calendar: some-days"),
    );
    let node = place.start().await;
    // Its calendar is not there yet.
    let trigger = shown(&place, "times/daily");
    assert_eq!(trigger.summary.state, "problem");
    assert_eq!(trigger.summary.problem.as_deref(), Some("expected a calendar named 'some-days', found none"));

    let set = |name: &str, spec: &Value| place.run(&["calendars", "set", name, "--spec", &spec.to_string()]);
    let dates = |dates: &[&str]| json!({ "include": { "dates": dates } });
    set("moving", &dates(&["2031-04-13", "2032-03-28"])).done();
    set("some-days", &json!({ "include": { "calendars": ["moving"] }, "exclude": { "weekdays": ["mon"] } }))
        .done();
    let trigger = shown(&place, "times/daily");
    assert_eq!(trigger.summary.problem, None);
    assert_eq!(trigger.summary.calendar.as_deref(), Some("some-days"));
    assert_eq!(trigger.summary.next_fire.as_deref(), Some("2031-04-13T10:00:00.000Z"));
    // A calendar that it names changes, and it follows.
    set("moving", &dates(&["2032-03-28"])).done();
    eventually(LIMIT, "the trigger follows its calendar", async || {
        let next = shown(&place, "times/daily").summary.next_fire;
        (next.as_deref() == Some("2032-03-28T10:00:00.000Z")).then_some(())
    })
    .await;

    let calendar = place.json(&["calendars", "show", "some-days"]);
    assert_eq!(calendar["days"], json!(["2032-03-28"]));
    assert_eq!(calendar["used_by"], json!(["trigger times/daily/cron"]));
    assert_eq!(place.json(&["calendars"]).as_array().map(Vec::len), Some(2));

    for (name, spec, part) in [
        ("past", dates(&["2019-01-01"]), "found none"),
        (
            "never",
            json!({ "include": { "rules": [{ "repeat": "monthly", "months": [2], "days": [30] }] } }),
            "found none",
        ),
        ("moving", dates(&["2031-04-14"]), "'some-days'"),
        ("moving", json!({ "include": { "calendars": ["some-days"] } }), "moving → some-days → moving"),
        ("wrong", json!({ "include": { "weekdays": ["monday"] } }), "monday"),
        ("wrong", json!({ "includes": {} }), "includes"),
    ] {
        set(name, &spec).failed(2, &[part]);
    }
    place.run(&["calendars", "remove", "moving"]).failed(2, &["some-days"]);
    place.run(&["calendars", "remove", "some-days"]).failed(2, &["times/daily/cron"]);
    // After a start, the trigger is as it was.
    node.stop().await;
    let node = place.start().await;
    assert_eq!(shown(&place, "times/daily").summary.next_fire.as_deref(), Some("2032-03-28T10:00:00.000Z"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop_each_rule_does_what_it_says() {
    let rules = ["skip", "fireOnce", "fireAll", "plan"];
    let mut place = Place::new();
    for rule in rules {
        let name = rule.to_lowercase();
        place.deploy(&name, &definition(&name, "cron: '* * * * * *'", &format!("misfire: {rule}")));
    }
    let node = place.start().await;
    let trigger = |rule: &str| format!("times/{}/cron", rule.to_lowercase());
    for rule in rules {
        eventually(LIMIT, "each fires", async || {
            (shown(&place, &trigger(rule)).summary.fired > 1).then_some(())
        })
        .await;
    }
    node.kill().await;
    tokio::time::sleep(AWAY).await;
    let node = place.start().await;
    for rule in rules {
        let name = trigger(rule);
        let after = eventually(LIMIT, "it notices what it missed", async || {
            let after = shown(&place, &name);
            after.missed.is_some().then_some(after)
        })
        .await;
        let missed = after.missed.expect("seen");
        let time = |text: &str| from_rfc3339(text).expect("a time");
        let (first, last) = (time(&missed.first), time(&missed.last));
        assert_eq!((missed.rule.as_str(), missed.more), (rule, false));
        assert_eq!(missed.count as u64, (last - first) / 1_000 + 1, "{rule}");
        assert!(missed.count >= 3, "{rule}: {missed:?}");
        let all: BTreeSet<u64> = (first..=last).step_by(1_000).collect();
        let wanted = match rule {
            "fireAll" => all.clone(),
            "fireOnce" => BTreeSet::from([last]),
            _ => BTreeSet::new(),
        };
        fired_for(&node, &name, &all, &wanted).await;
        if rule != "plan" {
            assert_eq!(after.summary.skipped as usize, all.len() - wanted.len(), "{rule}");
            continue;
        }
        let plan = after.plan.expect("a plan");
        assert_eq!(plan.times.len(), missed.count);
        let list = place.run(&["triggers"]).done().stdout;
        assert!(list.contains("wait for a decision"), "{list}");
        let other = ["triggers", "approve", &name, "--time", "2019-01-01T00:00:00Z"];
        place.run(&other).failed(2, &["that the plan lists"]);
        place.run(&["triggers", "approve", &name, "--last"]).done();
        fired_for(&node, &name, &all, &BTreeSet::from([last])).await;
        let decided = shown(&place, &name);
        assert_eq!((decided.plan, decided.summary.planned), (None, 0));
        assert_eq!(decided.summary.skipped as usize, missed.count - 1);
        place.run(&["triggers", "approve", &name, "--all"]).failed(2, &["found none"]);
    }
    node.stop().await;
}

/// Waits until a schedule has fired for all that it is to fire for, and for what came after; then it fired for no other.
async fn fired_for(node: &Node, trigger: &str, all: &BTreeSet<u64>, wanted: &BTreeSet<u64>) {
    let definition = trigger.trim_end_matches("/cron");
    let after = all.last().expect("something was missed") + 1_000;
    let id = |at: &u64| instance_of_fire(trigger, *at);
    let seen = eventually(LIMIT, "it fires for what it is to fire for", async || {
        let listed = node.api.instances(&format!("definition={definition}")).await.ok()?;
        let seen: BTreeSet<String> = listed.into_iter().map(|instance| instance.id).collect();
        let complete = wanted.iter().chain([&after]).all(|at| seen.contains(&id(at)));
        complete.then_some(seen)
    })
    .await;
    let found: BTreeSet<u64> = all.iter().copied().filter(|at| seen.contains(&id(at))).collect();
    assert_eq!(&found, wanted, "{trigger}");
}
