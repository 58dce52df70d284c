//! Activities that go wrong: a command that is not there, one that never ends, an endpoint that hangs, a host that dies.

use std::path::PathBuf;
use std::time::Duration;

use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::{GREET, works};

fn definition(name: &str, tasks: &str) -> String {
    format!("document: {{ dsl: '1.0.3', namespace: test, name: {name}, version: '1.0.0' }}\ndo:\n{tasks}")
}

async fn fault_of(node: &Node, definition: &str, input: Value) -> Value {
    let started = node.api.start(definition, input, None).await.unwrap();
    let detail = node.ended(&started.id).await;
    assert_eq!(detail.summary.status, "faulted", "{detail:?}");
    detail.error.unwrap()
}

#[tokio::test]
async fn commands_that_are_not_there_fail_with_their_names() {
    let run = "  - run:
      call: command:1.0.0@default
      with: { program: no-such-program, return: stdout }
";
    let shell = "  - shell: { run: { shell: { command: no-such-command } } }\n";
    let place = Place::new()
        .define("greet", GREET)
        .define("run", &definition("run", run))
        .define("shell", &definition("shell", shell));
    let node = place.start().await;
    let error = fault_of(&node, "test/run", json!({})).await;
    assert!(error["type"].as_str().unwrap().ends_with("/configuration"), "{error}");
    assert!(error["title"].as_str().unwrap().contains("no-such-program"), "{error}");
    assert_eq!(error["instance"], "/do/0/run");
    let error = fault_of(&node, "test/shell", json!({})).await;
    assert!(error["type"].as_str().unwrap().ends_with("/runtime"), "{error}");
    assert!(error.to_string().contains("127") && error.to_string().contains("no-such-command"), "{error}");
    works(&node, "command").await;
    node.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_hangs_ends_in_a_timeout_and_is_let_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/", listener.local_addr().unwrap());
    let call = format!(
        "call: http\n          with: {{ method: get, endpoint: '{endpoint}' }}\n          timeout: PT0.5S"
    );
    let plain =
        format!("  - ask:\n      do:\n        - get:\n            {}\n", call.replace("\n  ", "\n    "));
    let caught = format!(
        "  - ask:\n      try:\n        - get:\n            {}\n      catch:\n        errors: {{ with: {{ status: 408 }} }}\n        \
         do:\n          - note: {{ set: {{ late: '${{ $error.status }}' }} }}\n",
        call.replace("\n  ", "\n    ")
    );
    let place = Place::new()
        .define("greet", GREET)
        .define("plain", &definition("plain", &plain))
        .define("caught", &definition("caught", &caught));
    let node = place.start().await;
    let started = node.api.start("test/plain", json!({}), None).await.unwrap();
    let (mut connection, _) = listener.accept().await.unwrap();
    let detail = node.ended(&started.id).await;
    let error = detail.error.unwrap();
    assert_eq!((detail.summary.status.as_str(), &error["status"]), ("faulted", &json!(408)), "{error}");
    assert!(error["type"].as_str().unwrap().ends_with("/timeout"), "{error}");
    // The request is not left hanging: its connection ends.
    let mut heard = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), connection.read_to_end(&mut heard)).await;
    assert!(closed.is_ok(), "the request that nobody waits for is still open");

    let started = node.api.start("test/caught", json!({}), None).await.unwrap();
    assert_eq!(node.ended(&started.id).await.output, Some(json!({ "late": 408 })));
    works(&node, "endpoint").await;
    node.stop().await;
}

#[tokio::test]
async fn a_command_that_never_ends_is_ended_with_all_it_started() {
    let place = Place::new().define("greet", GREET);
    let pids = place.path().join("pids");
    let task = format!(
        "  - hang:
      run: {{ shell: {{ command: 'sleep 1000 & echo $$ $! > {0}.new; mv {0}.new {0}; wait' }} }}
      timeout: PT1S
",
        pids.display()
    );
    let place = place.define("hang", &definition("hang", &task));
    let node = place.start().await;
    let error = fault_of(&node, "test/hang", json!({})).await;
    assert_eq!(error["status"], 408, "{error}");
    let text = std::fs::read_to_string(&pids).unwrap();
    eventually(Duration::from_secs(30), "the command and its child are gone", async || {
        text.split_whitespace().all(|pid| !runs(pid)).then_some(())
    })
    .await;
    works(&node, "hang").await;
    node.stop().await;
}

/// Whether a process runs; one that nobody has waited for yet does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
}

/// Processes that wrote their numbers into these files; they are killed when this is dropped.
struct Orphans(Vec<PathBuf>);

impl Drop for Orphans {
    fn drop(&mut self) {
        let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        let texts: Vec<String> = self.0.iter().map(text).collect();
        let numbers =
            texts.iter().flat_map(|text| text.split_whitespace()).filter_map(|pid| pid.parse().ok());
        for pid in numbers.filter_map(Pid::from_raw) {
            // It may have ended with its host.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

#[tokio::test]
async fn a_host_that_dies_interrupts_what_it_did_and_nothing_else() {
    let place = Place::new().define("greet", GREET);
    let mark = place.path().join("begun");
    let once = format!(
        "  - once: {{ run: {{ shell: {{ command: 'echo $$ >> {}; exec sleep 100' }} }} }}\n",
        mark.display()
    );
    // The second attempt finds the mark of the first, and ends.
    let again = format!(
        "  - again:
      run: {{ shell: {{ command: 'if [ -e {0} ]; then echo $IMPRESARIO_ACTIVITY_ATTEMPT; else echo $$ > {0}; exec sleep 100; fi' }} }}
      metadata: {{ ops: {{ restartWhenInterrupted: true }} }}
",
        place.path().join("again").display()
    );
    let place =
        place.define("once", &definition("once", &once)).define("again", &definition("again", &again));
    // What a host has started outlives it when it is killed; the test ends it.
    let _orphans = Orphans(vec![mark.clone(), place.path().join("again")]);
    let node = place.start().await;
    let once = node.api.start("test/once", json!({}), None).await.unwrap();
    let again = node.api.start("test/again", json!({}), None).await.unwrap();
    eventually(Duration::from_secs(30), "both commands run", async || {
        (mark.exists() && place.path().join("again").exists()).then_some(())
    })
    .await;
    let tree = node.api.tree().await.unwrap();
    let hosts = tree.children.iter().find(|group| group.name == "hosts").unwrap();
    let command = hosts.children.iter().find(|host| host.name == "adapter command").unwrap();
    let pid: i32 = command.facts.iter().find_map(|fact| fact.strip_prefix("pid ")).unwrap().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();

    let detail = node.uncertain(&once.id).await;
    assert_eq!(detail.activities[0].status, "uncertain");
    let detail = node.ended(&again.id).await;
    assert_eq!(detail.output, Some(json!("2\n")), "{detail:?}");
    assert_eq!(std::fs::read_to_string(&mark).unwrap().lines().count(), 1, "it ran again and must not");
    works(&node, "host").await;
    node.stop().await;
}
