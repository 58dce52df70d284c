//! What definitions compile to.

use std::collections::BTreeMap;

use impresario_model::definition::{
    Backoff, Delay, Misfire, SecretField, TaskKind, Template, Then, Watch, standard_error_kind,
};
use serde_json::{Value, json};

use super::{accept, task};

fn head(rest: &str) -> String {
    format!("document: {{ dsl: '1.0.3', namespace: n, name: d, version: '1.0.0' }}\n{rest}")
}

fn literal(template: &Template) -> &Value {
    match template {
        Template::Literal(value) => value,
        other => panic!("not literal: {other:?}"),
    }
}

fn member<'t>(template: &'t Template, name: &str) -> &'t Template {
    match template {
        Template::Map(members) => &members.iter().find(|(key, _)| key == name).unwrap().1,
        other => panic!("not a map: {other:?}"),
    }
}

#[test]
fn every_task_compiles() {
    let definition = accept(include_str!("../definitions/every-task.yaml"));
    assert_eq!(definition.id.to_string(), "samples/every-task:1.2.0-rc.1+build.5");
    assert_eq!(definition.ops.misfire, Misfire::FireAll);
    assert_eq!(definition.ops.time_zone.as_deref(), Some("Europe/Berlin"));
    assert_eq!(definition.ops.task_limit, Some(5000));
    assert!(matches!(definition.timeout, Some(Delay::Millis(7_200_000))));
    let names: Vec<_> = definition.triggers.iter().map(|trigger| trigger.name.as_str()).collect();
    let expected = ["every", "cron", "after", "on"].map(|key| format!("samples/every-task/{key}"));
    assert_eq!(names, expected);
    assert!(matches!(&definition.triggers[3].watch, Watch::Event(watched) if watched.filters.len() == 2));
}

#[test]
fn pointers_name_index_and_task() {
    let definition = accept(include_str!("../definitions/every-task.yaml"));
    let pointers: Vec<_> = definition.tasks.iter().map(|task| task.pointer.as_str()).collect();
    for expected in [
        "/do/0/prepare",
        "/do/2/loop/do/0/fetch",
        "/do/3/guarded/try/0/shell",
        "/do/3/guarded/catch/do/0/fail",
        "/do/4/both/fork/branches/1/right",
        "/do/5/greeting/call",
        "/do/5/greeting/call/do/1/log",
        "/do/7/shared/call/do/1/two",
        "/do/8/finish/do/0/last",
    ] {
        assert!(pointers.contains(&expected), "{expected} is not in {pointers:#?}");
    }
    assert!(!pointers.iter().any(|pointer| pointer.starts_with("/use")), "{pointers:#?}");
}

#[test]
fn then_is_an_index_of_the_same_list() {
    let definition = accept(include_str!("../definitions/every-task.yaml"));
    let TaskKind::Switch(cases) = &task(&definition, "/do/1/choose").kind else { panic!() };
    assert_eq!(cases[0].then, Then::Task(8));
    assert_eq!(cases[1].then, Then::Task(2));
    let TaskKind::Try { catch, .. } = &task(&definition, "/do/3/guarded").kind else { panic!() };
    assert_eq!(catch.then, Some(Then::Task(8)));
    assert_eq!(task(&definition, "/do/8/finish").then, Then::End);
}

#[test]
fn a_retry_policy_is_resolved_by_name() {
    let definition = accept(include_str!("../definitions/every-task.yaml"));
    let TaskKind::Try { catch, .. } = &task(&definition, "/do/3/guarded").kind else { panic!() };
    let retry = catch.retry.as_ref().unwrap();
    assert_eq!(retry.backoff, Backoff::Exponential { factor: 3.0, max_ms: Some(60_000) });
    assert_eq!(retry.max_retries, Some(4));
    assert!(matches!(retry.total_duration, Some(Delay::Millis(120_000))));
    assert_eq!(catch.filter.detail.as_deref(), Some("gone"));
}

#[test]
fn http_arguments_are_normalized() {
    let definition = accept(include_str!("../definitions/every-task.yaml"));
    let TaskKind::Activity(activity) = &task(&definition, "/fetch").kind else { panic!() };
    assert_eq!((activity.adapter.as_str(), activity.function.as_str()), ("http", "request"));
    assert!(activity.restartable && !activity.detached);
    assert_eq!(literal(member(&activity.arguments, "method")), &json!("GET"));
    assert_eq!(literal(member(&activity.arguments, "output")), &json!("response"));
    assert_eq!(literal(member(&activity.arguments, "redirect")), &json!(true));
    let token = SecretField { name: "web-admin".to_owned(), field: Some("token".to_owned()) };
    let places = BTreeMap::from([("/authentication/bearer/token".to_owned(), token)]);
    assert_eq!(activity.arguments.secrets(), places);
    assert!(matches!(member(&activity.arguments, "uri"), Template::Uri(_)));
}

#[test]
fn only_methods_that_change_nothing_are_repeated_by_default() {
    for (method, metadata, restartable) in [
        ("get", "", true),
        ("HEAD", "", true),
        ("post", "", false),
        ("delete", "", false),
        ("'${ .method }'", "", false),
        ("post", "      metadata: { ops: { restartWhenInterrupted: true } }\n", true),
        ("get", "      metadata: { ops: { restartWhenInterrupted: false } }\n", false),
    ] {
        let source = head(&format!(
            "do:\n  - a:\n      call: http\n      with: {{ method: {method}, endpoint: http://x }}\n{metadata}"
        ));
        let definition = accept(&source);
        let TaskKind::Activity(activity) = &definition.tasks[0].kind else { panic!() };
        assert_eq!(activity.restartable, restartable, "{method} {metadata}");
    }
}

#[test]
fn shell_arguments_are_complete() {
    let definition = accept(include_str!("../definitions/every-task.yaml"));
    let TaskKind::Activity(activity) = &task(&definition, "/try/1/detached").kind else { panic!() };
    assert!(activity.detached && !activity.restartable);
    let expected = json!({ "command": "sleep 5", "arguments": [], "environment": {}, "return": "stdout" });
    assert_eq!(literal(&activity.arguments), &expected);
    let TaskKind::Activity(activity) = &task(&definition, "/try/0/shell").kind else { panic!() };
    assert!(activity.restartable);
    assert_eq!(literal(member(&activity.arguments, "return")), &json!("all"));
}

#[test]
fn only_whole_strings_are_expressions_in_values() {
    let definition = accept(include_str!("../definitions/every-task.yaml"));
    let TaskKind::Set(template) = &task(&definition, "/prepare").kind else { panic!() };
    assert!(matches!(member(template, "items"), Template::Expression(_)));
    assert_eq!(literal(member(template, "literal")), &json!("a ${ not } an expression"));
    assert_eq!(literal(member(template, "on")), &json!("yes"), "YAML 1.2 has no other booleans");
}

#[test]
fn the_attributes_of_an_event_are_a_template() {
    let definition = accept(&head(
        "do:\n  - a: { emit: { event: { with: { type: t, data: { host: '${ .host }' } } } } }\n",
    ));
    let TaskKind::Emit(attributes) = &definition.tasks[0].kind else { panic!() };
    assert_eq!(literal(member(attributes, "type")), &json!("t"));
    assert!(matches!(member(member(attributes, "data"), "host"), Template::Expression(_)));
}

#[test]
fn what_does_not_run_yet_is_checked_and_named() {
    for (task, what) in [
        ("run: { script: { language: js, code: '1' } }", "run script"),
        ("run: { workflow: { namespace: a, name: b, version: '1.0.0' } }", "run workflow"),
        ("{ call: a2a, with: { method: tasks/get } }", "call a2a"),
        ("call: https://example.com/function.yaml", "call https://example.com/function.yaml"),
    ] {
        let definition = accept(&head(&format!("do:\n  - a:\n      {task}\n")));
        assert!(
            matches!(&definition.tasks[0].kind, TaskKind::Unsupported(found) if found == what),
            "{:?}",
            definition.tasks[0].kind
        );
    }
}

#[test]
fn a_task_with_an_extension_does_not_run_without_it() {
    let definition = accept(&head(
        "use: { extensions: [ { mock: { extend: set, before: [ { b: { set: { a: 1 } } } ] } } ] }\n\
         do:\n  - a: { set: { a: 1 } }\n  - b: { wait: PT1S }\n",
    ));
    assert_eq!(definition.tasks.len(), 2);
    assert!(matches!(&definition.tasks[0].kind, TaskKind::Unsupported(what) if what == "extension mock"));
    assert!(matches!(definition.tasks[1].kind, TaskKind::Wait(_)));
}

#[test]
fn json_is_read_too() {
    let definition = accept(
        r#"{"document": {"dsl": "1.0.3", "namespace": "n", "name": "d", "version": "1.0.0"},
            "do": [{"a": {"set": {"text": "x\ty", "n": 1.5}}}]}"#,
    );
    let TaskKind::Set(template) = &definition.tasks[0].kind else { panic!() };
    assert_eq!(literal(template), &json!({ "text": "x\ty", "n": 1.5 }));
}

#[test]
fn an_alias_stands_for_its_value() {
    let definition = accept(&head("do:\n  - a: &a { set: &v { x: 1 } }\n  - b: *a\n  - c: { set: *v }\n"));
    assert_eq!(definition.tasks[1].definition, json!({ "set": { "x": 1 } }));
    assert_eq!(definition.tasks[2].definition, json!({ "set": { "x": 1 } }));
}

#[test]
fn a_standard_error_has_four_names() {
    for uri in [
        "https://serverlessworkflow.io/spec/1.0.0/errors/timeout",
        "https://open-workflow-specification.org/spec/1.0.0/errors/timeout",
        "https://serverlessworkflow.io/dsl/errors/types/timeout",
        "https://open-workflow-specification.org/dsl/errors/types/timeout",
    ] {
        assert_eq!(standard_error_kind(uri), Some("timeout"));
    }
    assert_eq!(standard_error_kind("https://serverlessworkflow.io/spec/1.0.0/errors/other"), None);
    assert_eq!(standard_error_kind("https://example.com/spec/1.0.0/errors/timeout"), None);
}

#[test]
fn an_error_filter_asks_for_all_that_it_names() {
    let source = head(
        "do:\n  - a:\n      try: [ { b: { wait: PT1S } } ]\n      catch: { errors: { with: { \
         type: 'https://serverlessworkflow.io/dsl/errors/types/communication', status: 404 } } }\n",
    );
    let definition = accept(&source);
    let TaskKind::Try { catch, .. } = &task(&definition, "/do/0/a").kind else { panic!() };
    let error = |kind: &str, status: u16| json!({ "type": kind, "status": status, "title": "t" });
    let standard = "https://serverlessworkflow.io/spec/1.0.0/errors/communication";
    assert!(catch.filter.matches(&error(standard, 404)));
    assert!(!catch.filter.matches(&error(standard, 503)));
    assert!(!catch.filter.matches(&error("https://serverlessworkflow.io/spec/1.0.0/errors/runtime", 404)));
}

#[test]
fn durations() {
    for (text, millis) in [
        ("PT30S", 30_000),
        ("PT0.5S", 500),
        ("P1.5D", 129_600_000),
        ("P1W", 604_800_000),
        ("P1DT2H3M4.005S", 93_784_005),
        ("PT0S", 0),
    ] {
        let delay = Delay::from_value(&json!(text)).unwrap();
        assert!(matches!(delay, Delay::Millis(found) if found == millis), "{text}: {delay:?}");
    }
    for text in [
        "", "P", "PT", "30S", "PT250MS", "P1S", "PT1D", "P-1D", "PT1.S", "PT.5S", "PT1M1H", "P0.5Y", "P9999Y",
    ] {
        assert!(Delay::from_value(&json!(text)).is_err(), "{text}");
    }
    let map = Delay::from_value(&json!({ "hours": 1, "milliseconds": 5 })).unwrap();
    assert!(matches!(map, Delay::Millis(3_600_005)));
    for value in
        [json!({}), json!({ "weeks": 1 }), json!({ "seconds": -1 }), json!({ "days": u64::MAX }), json!(5)]
    {
        assert!(Delay::from_value(&value).is_err(), "{value}");
    }
}
