//! Each kind of waiting, on made states: the sentence names the thing that a person would look for.

use std::collections::BTreeMap;

use impresario_actors::shard::AttemptPlace;
use impresario_model::definition::Definition;
use impresario_model::entry::{ActivityOutcome, Limit, ProcessEvent, StartEvent, TurnAnswer};
use impresario_model::fault::{Fault, FaultKind};
use impresario_model::instance::{Instance, Moment};
use impresario_model::overlap::{Turn, Turns};
use impresario_model::places::{Claim, Places};
use impresario_model::subscription::{Subscriber, Subscription};
use impresario_model::trigger::{Paused, Trigger};
use impresario_persistence::{Owner, Ownership, ShardId};
use serde_json::json;

use super::instance::{Around, Case, subscriptions, targets};
use super::{Subject, others, subject};
use crate::adapters::AdapterSummary;
use crate::cluster::{ClusterView, NodeRecord, NodeView};
use crate::explain::Explanation;
use crate::known::{Aside, Known, Replaying};

/// 2026-01-31T08:30:00Z.
const NOW: u64 = 1_769_848_200_000;

fn definition(tasks: &str, ops: &str) -> Definition {
    let text = format!(
        "document: {{ dsl: 1.0.3, namespace: test, name: it, version: 1.0.0{ops} }}\ndo:\n  - {tasks}\n"
    );
    impresario_model::language::compile(&text, &crate::node::builtin_catalog()).unwrap()
}

fn moment(after: u64) -> Moment {
    Moment { offset: ((NOW + after) << 20) | 1, now: NOW + after }
}

fn start(definition: &Definition) -> Instance {
    let start = StartEvent {
        definition: definition.id.clone(),
        input: json!({}),
        started_by: "trigger test/it/on".to_owned(),
        key: None,
        runtime: "test".to_owned(),
        rerun: None,
        trace: None,
    };
    Instance::start("one", start, definition, moment(0)).0
}

/// An instance at node `a`, whose adapter is as it says, and whose attempts are there.
fn known(state: &str, place: Option<AttemptPlace>) -> Known {
    let adapter = AdapterSummary {
        name: "command".to_owned(),
        node: "a".to_owned(),
        state: state.to_owned(),
        in_flight: 3,
        last_error: Some("it broke".to_owned()),
        ..AdapterSummary::default()
    };
    Known {
        node: "a".to_owned(),
        now: NOW,
        attempts: place.map(|place| (1, place)).into_iter().collect(),
        adapters: vec![adapter],
        ..Known::default()
    }
}

fn explain(definition: &Definition, instance: &Instance, known: &Known, around: &Around) -> Explanation {
    Case { instance, definition: Some(definition), known, around }.explain()
}

/// All that is told, in one text.
fn whole(explanation: &Explanation) -> String {
    let lists = explanation.evidence.iter().chain(&explanation.can_do);
    let words = std::iter::once(&explanation.text).chain(&explanation.wakes).chain(lists);
    words.cloned().collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn tells(explanation: &Explanation, parts: &[&str]) {
    let told = whole(explanation);
    for part in parts {
        assert!(told.contains(part), "expected '{part}' in:\n{told}");
    }
}

const WORK: &str = "work: { run: { shell: { command: df } }, timeout: { after: PT5M } }";

#[test]
fn work_under_way_is_told_with_its_host_node_and_time_limit() {
    let definition = definition(WORK, "");
    let instance = start(&definition);
    let of = |state: &str, place| explain(&definition, &instance, &known(state, place), &Around::default());
    let told = of("running", Some(AttemptPlace::AtWork));
    tells(&told, &["activity 1 'work' (command/shell), attempt 1", "adapter command at node a works on"]);
    tells(&told, &["it times out at 2026-01-31T08:35:00.000Z", "/do/0/work", "impresario cancel one"]);
    assert_eq!((told.state.as_str(), told.since.as_deref()), ("running", Some("2026-01-31T08:30:00.000Z")));
    tells(
        &of("running", Some(AttemptPlace::Queued)),
        &["a free slot of adapter command at node a", "3 at work"],
    );
    tells(
        &of("quarantined", Some(AttemptPlace::Ready)),
        &["is quarantined", "impresario adapters release command"],
    );
    tells(&of("stopped", Some(AttemptPlace::Queued)), &["stopped by an operator", "adapters start command"]);
    tells(&of("starting", Some(AttemptPlace::Queued)), &["the adapter is starting"]);
    tells(&of("running", Some(AttemptPlace::Ended)), &["to be durable"]);
    tells(&of("running", Some(AttemptPlace::Nowhere)), &["which no host of node a has", "impresario audit"]);
    let activity = Case {
        instance: &instance,
        definition: Some(&definition),
        known: &known("running", Some(AttemptPlace::AtWork)),
        around: &Around::default(),
    };
    let one = activity.explain_activity(1).unwrap();
    assert_eq!(one.subject, "activity one#1");
    tells(&one, &["adapter command at node a works on"]);
    assert!(activity.explain_activity(2).is_none());
}

#[test]
fn a_wait_and_a_retry_are_told_with_their_time_and_error() {
    let wait = definition("hold: { wait: PT1H }", "");
    let told = explain(&wait, &start(&wait), &Known::default(), &Around::default());
    tells(&told, &["task 'hold' to have waited until 2026-01-31T09:30:00.000Z", "its timer"]);
    let tries = definition(
        "guarded: { try: [{ fail: { raise: { error: { type: 'https://e.com/broken', status: 503, title: No disk } } } }], \
         catch: { retry: { delay: PT10M } } }",
        "",
    );
    let told = explain(&tries, &start(&tries), &Known::default(), &Around::default());
    tells(&told, &["retry 1 of task 'guarded' at 2026-01-31T08:40:00.000Z", "'No disk'", "503"]);
}

#[test]
fn a_place_at_a_target_is_told_with_who_holds_it() {
    let definition =
        definition("work: { run: { shell: { command: df } }, metadata: { ops: { target: web1 } } }", "");
    let mut instance = start(&definition);
    let limit = Limit { most: Some(1), version: 1 };
    let limited = ProcessEvent::Limited { activity: 1, token: "one.1.1".to_owned(), limit };
    instance.apply(&limited, &definition, moment(1));
    assert_eq!(targets(&instance), ["web1"]);
    let claim = |instance: &str, since| Claim { instance: instance.to_owned(), activity: 1, since };
    let places = Places {
        limit,
        holders: [claim("other", NOW - 60_000)].into(),
        queue: [claim("before", NOW), claim("one", NOW)].into(),
        applied: 0,
    };
    let around =
        Around { places: BTreeMap::from([("web1".to_owned(), Some(places.clone()))]), ..Around::default() };
    let told = explain(&definition, &instance, &known("running", None), &around);
    tells(
        &told,
        &["a place at target web1", "instance other holds with activity 1 since 2026-01-31T08:29:00.000Z"],
    );
    tells(&told, &["a limit of 1, 1 at work and 2 waiting", "1 are before it", "impresario explain other"]);
    let told = explain(&definition, &instance, &known("running", None), &Around::default());
    tells(&told, &["the owner of target/web1 did not answer"]);
    tells(
        &others::target("web1", Some(&places), NOW),
        &["limit of 1 is used up: 1 work on it, 2 wait", "for 1m"],
    );
    tells(&others::target("web1", None, NOW), &["nothing waits for it"]);
}

#[test]
fn a_listener_is_told_with_its_events_and_whether_its_subscription_is_there() {
    let definition =
        definition("hear: { listen: { to: { one: { with: { type: com.example.done } } } } }", "");
    let instance = start(&definition);
    let key = subscriptions(&instance)[0].to_owned();
    let around =
        |found| Around { subscriptions: BTreeMap::from([(key.clone(), found)]), ..Around::default() };
    let of = |found| explain(&definition, &instance, &Known::default(), &around(found));
    let listener = Subscriber { instance: "one".to_owned(), listener: 1, told: 0 };
    let there =
        Subscription { subscribers: vec![listener], about: "done".to_owned(), ..Subscription::default() };
    tells(
        &of(Some(there.clone())),
        &["an event com.example.done, for which task 'hear' listens", "has it among its 1 listener"],
    );
    tells(&of(None), &["does not exist yet"]);
    tells(
        &others::subscription("subscription/x", &there),
        &["1 instance listens for done", "listener 1 of instance one"],
    );
}

#[test]
fn a_turn_is_told_with_who_has_it() {
    let ops = ", metadata: { ops: { concurrency: { max: 1, onConflict: queue } } }";
    let definition = definition("hold: { wait: PT1H }", ops);
    let mut instance = start(&definition);
    let turn = |instance: &str| Turn { instance: instance.to_owned(), since: NOW, replaced: false };
    let turns =
        Turns { max: 1, running: [turn("first")].into(), queue: [turn("one")].into(), ..Turns::default() };
    let around = Around { turns: Some(turns.clone()), ..Around::default() };
    let told = explain(&definition, &instance, &Known::default(), &around);
    tells(&told, &["its turn", "first runs since", "it is next in line", "impresario explain first"]);
    tells(&others::turns("overlap/test/it", &turns), &["1 instance run at the same time: 1 run, 1 wait"]);
    instance.apply(
        &ProcessEvent::Turn(TurnAnswer::Skip { reason: "enough run".to_owned() }),
        &definition,
        moment(1),
    );
    let told = explain(&definition, &instance, &Known::default(), &around);
    assert_eq!(told.state, "cancelled");
    tells(&told, &["Skipped", "enough run"]);
}

#[test]
fn doubt_is_told_with_what_an_operator_may_decide() {
    let definition = definition(
        "work: { run: { shell: { command: df } }, metadata: { ops: { restartWhenInterrupted: false } } }",
        "",
    );
    let mut instance = start(&definition);
    let marker = ProcessEvent::Marker { activity: 1, token: "one.1.1".to_owned(), epoch: 1 };
    instance.apply(&marker, &definition, moment(1));
    let outcome = ActivityOutcome::Lost { reason: "the node stopped".to_owned() };
    instance.apply(
        &ProcessEvent::Report { activity: 1, token: "one.1.1".to_owned(), outcome },
        &definition,
        moment(2),
    );
    let told = explain(&definition, &instance, &known("running", None), &Around::default());
    tells(&told, &["an operator to decide whether activity 1 'work'", "the node stopped"]);
    tells(&told, &["impresario resolve one 1 retry", "accept --output JSON"]);
    assert_eq!(told.state, "uncertain");
}

#[test]
fn an_end_is_told_with_its_error_task_and_attempts() {
    let failing = definition(WORK, "");
    let mut instance = start(&failing);
    let fault = Fault::new(FaultKind::Communication, "No route", "to web1", "");
    let report = |outcome| ProcessEvent::Report { activity: 1, token: "one.1.1".to_owned(), outcome };
    instance.apply(&report(ActivityOutcome::Failed(fault)), &failing, moment(5));
    let told = explain(&failing, &instance, &Known::default(), &Around::default());
    assert_eq!((told.state.as_str(), told.since.as_deref()), ("faulted", Some("2026-01-31T08:30:00.005Z")));
    tells(&told, &["It failed at task /do/0/work", "'No route': to web1", "1 attempt: failed with"]);
    tells(&told, &["started by trigger test/it/on", "impresario rerun one"]);

    let mut instance = start(&failing);
    instance.apply(&ProcessEvent::Cancel { reason: Some("wrong host".to_owned()) }, &failing, moment(1));
    let told = explain(&failing, &instance, &Known::default(), &Around::default());
    tells(&told, &["ended before it was done", "wrong host"]);

    let mut instance = start(&failing);
    instance.apply(&report(ActivityOutcome::Completed(json!({}))), &failing, moment(1));
    tells(
        &explain(&failing, &instance, &Known::default(), &Around::default()),
        &["It did all its tasks, with 1 activity"],
    );
}

#[test]
fn several_waits_are_told_with_the_one_that_needs_a_person_first() {
    let definition = definition(
        "both: { fork: { branches: [{ hold: { wait: PT1H } }, { work: { run: { shell: { command: df } } } }] } }",
        "",
    );
    let instance = start(&definition);
    let told =
        explain(&definition, &instance, &known("quarantined", Some(AttemptPlace::Ready)), &Around::default());
    assert!(told.text.starts_with("It waits for a free slot of adapter command"), "{}", told.text);
    tells(&told, &["1 thing more", "task 'hold' to have waited until 2026-01-31T09:30:00.000Z too"]);
}

#[test]
fn triggers_are_told_as_they_stand() {
    let text = "
document: { dsl: 1.0.3, namespace: test, name: it, version: 1.0.0, metadata: { ops: { triggers: {
  active: { from: '22:00', to: '23:00' } } } } }
schedule: { on: { one: { with: { type: disk.full } } } }
do: [{ hold: { wait: PT1H } }]
";
    let on = impresario_model::language::compile(text, &crate::node::builtin_catalog()).unwrap();
    let mut trigger = Trigger::new("test/it/on");
    let of =
        |trigger: &Trigger, definition: Option<&Definition>| others::trigger(trigger, definition, None, NOW);
    assert_eq!(of(&trigger, None).state, "disarmed");
    trigger.definition = Some(on.id.clone());
    trigger.watches = "event disk.full".to_owned();
    tells(
        &of(&trigger, Some(&on)),
        &["out of its hours", "disk.full", "impresario triggers test test/it/on"],
    );
    trigger.paused = Some(Paused { since: NOW, reason: Some("upgrade".to_owned()) });
    tells(
        &of(&trigger, Some(&on)),
        &["paused it at 2026-01-31T08:30:00.000Z ('upgrade')", "triggers resume test/it/on"],
    );
    trigger.paused = None;
    trigger.problem = Some("calendar 'work' is gone".to_owned());
    tells(&of(&trigger, Some(&on)), &["It cannot watch: calendar 'work' is gone"]);
    trigger.problem = None;
    trigger.next = Some(NOW + 60_000);
    trigger.passed.inactive = 4;
    tells(
        &of(&trigger, None),
        &["its next time, 2026-01-31T08:31:00.000Z", "4 events matched out of its hours"],
    );
    trigger.waits_for = Some("one".to_owned());
    let before = others::replaying("process/one", 3, &Known::default(), &Replaying::default());
    tells(
        &others::trigger(&trigger, None, Some(&before), NOW),
        &["end of instance one", "one: Shard 3 is catching up"],
    );
}

#[test]
fn what_is_set_aside_or_out_of_reach_is_told() {
    let aside = Aside {
        reason: "the actor panicked".to_owned(),
        since: NOW,
        entry: Some("17-0".to_owned()),
        held: 2,
    };
    let told = others::aside("process/one", &aside, "a");
    tells(&told, &["failed on the entry at 17-0", "the actor panicked", "2 entries wait"]);
    tells(&told, &["impresario quarantine skip process/one"]);
    let node = |name: &str, alive| NodeView {
        name: name.to_owned(),
        incarnation: name.to_owned(),
        alive,
        record: NodeRecord::default(),
    };
    let mut view = ClusterView {
        me: "a".to_owned(),
        nodes: vec![node("a", true), node("b", false)],
        shards: vec![Ownership {
            shard: ShardId(0),
            epoch: Default::default(),
            owner: Some(Owner { node: "b".to_owned(), incarnation: "b".to_owned() }),
            offered: None,
        }],
    };
    tells(&others::unreachable("process/one", 0, &view, "no answer"), &["node b, which is gone", "alive: a"]);
    view.shards[0].owner = None;
    view.shards[0].offered = Some("a".to_owned());
    tells(
        &others::unreachable("process/one", 0, &view, "no answer"),
        &["no owner at the moment: node a is to claim it"],
    );
    let at = Replaying { cursor: "5-0".to_owned(), head: "9-0".to_owned() };
    tells(
        &others::replaying("process/one", 3, &known("running", None), &at),
        &["catching up at node a", "at 5-0 of 9-0"],
    );
}

#[test]
fn adapters_are_told_at_all_nodes() {
    let one = |state: &str| known(state, None).adapters.remove(0);
    let told = others::adapter(
        "command",
        &[one("running"), AdapterSummary { node: "b".to_owned(), ..one("quarantined") }],
    );
    tells(
        &told,
        &["At node b it is quarantined after 'it broke'", "at node a: running", "adapters release command"],
    );
    let silent =
        AdapterSummary { node: "c".to_owned(), state: "no answer".to_owned(), ..AdapterSummary::default() };
    tells(
        &others::adapter("command", &[one("running"), silent]),
        &["works on 3 activities", "Of node c there is no answer"],
    );
}

#[test]
fn ids_are_read_as_people_write_them() {
    assert_eq!(subject("0f2c").unwrap(), Subject::Instance("0f2c".to_owned(), None));
    assert_eq!(subject("process/0f2c#3").unwrap(), Subject::Instance("0f2c".to_owned(), Some(3)));
    assert_eq!(subject("ops/clean/on").unwrap(), Subject::Trigger("ops/clean/on".to_owned()));
    assert_eq!(subject("trigger/ops/clean/on").unwrap(), Subject::Trigger("ops/clean/on".to_owned()));
    assert_eq!(subject("adapter/ssh").unwrap(), Subject::Adapter("ssh".to_owned()));
    assert!(matches!(subject("overlap/a/b#key").unwrap(), Subject::Actor(_)));
    for wrong in ["", "0f2c#x", "a//b", "a/b/c/d"] {
        assert!(subject(wrong).is_err(), "{wrong}");
    }
}
