//! When nobody knows whether it was done: a node that is killed while commands run, each of the operator's ways out, and
//! running an instance again.

use std::time::Duration;

use impresario_tests::api::Failure;
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use reqwest::Method;
use serde_json::{Value, json};

/// Notes its begin in a file of its own; ends once there is a file `go`. An error of it is caught.
fn risky(place: &Place) -> String {
    let folder = place.path().display();
    format!(
        "document: {{ dsl: '1.0.3', namespace: test, name: risky, version: '1.0.0' }}
do:
  - safe:
      try:
        - act:
            run:
              shell:
                command: 'echo $IMPRESARIO_ACTIVITY_KEY >> {folder}/$1; if [ -e {folder}/go ]; then echo done; else exec sleep 100; fi'
                arguments: ['${{ .name }}']
            output: {{ as: '{{ acted: . }}' }}
      catch: {{ as: error, do: [ {{ clean: {{ set: {{ caught: '${{ $error.detail }}' }} }} }} ] }}
  - show: {{ set: '${{ . + {{ shown: true }} }}' }}
"
    )
}

#[tokio::test]
async fn a_killed_node_leaves_commands_in_doubt_and_an_operator_decides() {
    let mut place = Place::new();
    let definition = risky(&place);
    place.deploy("risky", &definition);
    let node = place.start().await;
    let ways = ["retry", "accept", "skip", "fail", "cancel"];
    let mut ids = Vec::new();
    for name in ways {
        ids.push(node.api.start("test/risky", json!({ "name": name }), None).await.unwrap().id);
    }
    let begun =
        |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap_or_default().lines().count();
    eventually(Duration::from_secs(30), "all commands run", async || {
        ways.iter().all(|name| begun(name) == 1).then_some(())
    })
    .await;
    node.kill().await;
    let node = place.start().await;
    for id in &ids {
        let detail = node.uncertain(id).await;
        let status: Vec<&str> = detail.activities.iter().map(|activity| activity.status.as_str()).collect();
        assert_eq!((status, &detail.summary.ended_at), (vec!["uncertain"], &None));
    }
    let listed = place.run(&["--json", "ps", "--status", "uncertain"]).done().json();
    assert_eq!(listed["items"].as_array().unwrap().len(), ways.len());
    let shown = place.run(&["show", &ids[0]]).done().stdout;
    assert!(shown.contains("uncertain") && shown.contains("impresario resolve"), "{shown}");
    place.write("go", "");

    let decide = |at: usize, rest: &[&str]| {
        let mut arguments = vec!["--json", "resolve", ids[at].as_str()];
        arguments.extend(rest);
        let reply = place.run(&arguments).done().json();
        assert_eq!(
            (&reply["activity"], &reply["attempt"], &reply["decision"]),
            (&json!(1), &json!(1), &json!(ways[at]))
        );
    };
    decide(0, &["retry"]);
    decide(1, &["accept", "--output", r#""it was""#]);
    decide(2, &["1", "skip"]);
    decide(3, &["fail", "--reason", "the file is not there"]);
    place.run(&["cancel", &ids[4]]).done();
    let expected = [
        ("completed", "completed", json!({ "acted": "done\n", "shown": true }), 2),
        ("completed", "completed", json!({ "acted": "it was", "shown": true }), 1),
        ("completed", "skipped", json!({ "name": "skip", "shown": true }), 1),
        ("completed", "failed", json!({ "caught": "the file is not there", "shown": true }), 1),
        ("cancelled", "cancelled", Value::Null, 1),
    ];
    for ((id, name), (status, activity, output, times)) in ids.iter().zip(ways).zip(expected) {
        let detail = node.ended(id).await;
        assert_eq!(
            (detail.summary.status.as_str(), detail.activities[0].status.as_str()),
            (status, activity),
            "{name}"
        );
        assert_eq!((detail.output.unwrap_or_default(), begun(name)), (output, times), "{name}");
    }
    let keys = std::fs::read_to_string(place.path().join("retry")).unwrap();
    let keys: Vec<&str> = keys.lines().collect();
    assert_eq!(keys[0], keys[1], "both attempts have the same key");

    refusals(&place, &node, &ids[1]).await;
    node.stop().await;
}

/// A decision that comes second, or about something else, is refused in words.
async fn refusals(place: &Place, node: &Node, accepted: &str) {
    let late = place.run(&["resolve", accepted, "1", "retry"]);
    late.failed(2, &["which is completed", "attempt 1", "accept"]);
    place.run(&["resolve", accepted, "retry"]).failed(2, &["uncertain, found none"]);
    place.run(&["resolve", accepted, "9", "retry"]).failed(2, &["found 9"]);
    place.run(&["resolve", accepted, "accept"]).failed(64, &["--output"]);
    place.run(&["resolve", accepted, "perhaps"]).failed(64, &["retry", "accept", "skip", "fail"]);
    let path = format!("/api/v1/instances/{accepted}/activities/1/resolve");
    let table = [
        (json!({ "decision": "accept" }), 400, "expected an output with 'accept'"),
        (json!({ "decision": "accept", "output": null }), 409, "which is completed"),
        (json!({ "decision": "retry", "attempt": 7 }), 409, "which is completed"),
        (json!({ "decision": "forget" }), 400, "forget"),
        (json!({ "decision": "retry", "why": 1 }), 400, "why"),
    ];
    for (body, status, words) in table {
        let answer = node.api.ask::<Value>(node.api.request(Method::POST, &path).json(&body)).await;
        let Err(Failure::Refused(found, problem)) = answer else { unreachable!("{body}: {answer:?}") };
        assert!(found.as_u16() == status && problem.detail.contains(words), "{body}: {problem:?}");
    }
}

const STEPS: &str = "
document: { dsl: '1.0.3', namespace: test, name: steps, version: '1.0.0' }
do:
  - prepare: { set: { n: '${ .n + 1 }' }, export: { as: '{ prepared: .n }' } }
  - finish:
      metadata: { ops: { startPoint: { id: finish, title: Only the end } } }
      set: { n: '${ .n * 10 }', prepared: '${ $context.prepared }' }
  - gate: { if: '${ .n < 0 }', do: [ { never: { set: { a: 1 }, metadata: { ops: { startPoint: { id: never } } } } } ] }
";

#[tokio::test]
async fn an_instance_runs_again_from_its_beginning_or_a_start_point() {
    let place = Place::new().define("steps", STEPS);
    let node = place.start().await;
    let first = node.api.start("test/steps", json!({ "n": 1 }), None).await.unwrap().id;
    assert_eq!(node.ended(&first).await.output, Some(json!({ "n": 20, "prepared": 2 })));
    let again = |rest: &[&str]| {
        let mut arguments = vec!["--json", "rerun", first.as_str()];
        arguments.extend(rest);
        place.run(&arguments).done().json()
    };
    let table: [(&[&str], Value); 4] = [
        (&[], json!({ "n": 20, "prepared": 2 })),
        (&["--input", r#"{"n":4}"#], json!({ "n": 50, "prepared": 5 })),
        (&["--from", "finish"], json!({ "n": 20, "prepared": 2 })),
        (&["--from", "finish", "--input", r#"{"n":7}"#], json!({ "n": 70, "prepared": 2 })),
    ];
    for (arguments, output) in table {
        let id = again(arguments)["id"].as_str().unwrap().to_owned();
        assert_ne!(id, first);
        let detail = node.ended(&id).await;
        assert_eq!(
            (detail.output, detail.rerun_of.as_deref()),
            (Some(output), Some(first.as_str())),
            "{arguments:?}"
        );
        assert_eq!(detail.began_at.is_some(), arguments.contains(&"--from"));
    }
    let once = again(&["--key", "monday"]);
    let twice = again(&["--key", "monday"]);
    assert_eq!(
        (&once["id"], &once["created"], &twice["created"]),
        (&twice["id"], &json!(true), &json!(false))
    );
    place.run(&["rerun", &first, "--key", "monday", "--from", "finish"]).failed(2, &["use another key"]);
    place.run(&["rerun", &first, "--from", "nowhere"]).failed(2, &["finish, never", "'nowhere'"]);
    place.run(&["rerun", &first, "--from", "never"]).failed(2, &["never came to 'never'"]);
    let shown = place.run(&["show", once["id"].as_str().unwrap()]).done().stdout;
    assert!(
        shown.contains(&format!("rerun of    {first}")) && shown.contains("finish 'Only the end'"),
        "{shown}"
    );
    node.stop().await;
}
