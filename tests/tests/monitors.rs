//! Monitors at the real binary: whatever dies in the middle of a stream, each thing observed starts one instance.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use impresario::adapters::{AdapterOrder, AdapterSummary};
use impresario::declared::{Declared, DeclaredOrder};
use impresario_tests::api::{Api, Failure};
use impresario_tests::cli;
use impresario_tests::cluster::{Cluster, Design, Store, StoreKind};
use impresario_tests::node::Place;
use impresario_tests::poll::eventually;
use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

/// An instance for each line of a file, with the line as its output.
const LINES: &str = "
document: { dsl: '1.0.3', namespace: test, name: lines, version: '1.0.0' }
schedule: { on: { one: { with: { type: impresario.file.line } } } }
do:
  - keep: { set: '${ .[0].data.line }' }
";

/// An instance for each ticket, with its title as its output.
const TICKETS: &str = "
document: { dsl: '1.0.3', namespace: test, name: tickets, version: '1.0.0' }
schedule: { on: { one: { with: { type: com.example.ticket.opened } } } }
do:
  - keep: { set: '${ .[0].data.title }' }
";

async fn put(api: &Api, name: &str, spec: Value) -> Result<Declared, Failure> {
    api.ask(api.request(Method::PUT, &format!("/api/v1/monitors/{name}")).json(&spec)).await
}

async fn order(api: &Api, name: &str, order: &DeclaredOrder) {
    let request = api.request(Method::POST, &format!("/api/v1/monitors/{name}")).json(order);
    let _now: Declared = api.ask(request).await.expect("an order");
}

async fn show(api: &Api, name: &str) -> Option<Declared> {
    api.ask(api.request(Method::GET, &format!("/api/v1/monitors/{name}"))).await.ok()
}

async fn until(api: &Api, name: &str, state: &str) -> Declared {
    eventually(LIMIT, &format!("a monitor that is {state}"), async || {
        show(api, name).await.filter(|monitor| monitor.state() == state)
    })
    .await
}

/// How often each output was given by an instance of a definition.
async fn outputs(api: &Api, definition: &str) -> Option<BTreeMap<String, usize>> {
    let mut outputs = BTreeMap::new();
    for instance in api.instances(&format!("definition={definition}")).await.ok()? {
        let output = api.instance(&instance.id).await.ok()?.output?;
        *outputs.entry(output.as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    Some(outputs)
}

/// Waits until there are as many outputs, and expects that each is there once, and that its trigger fired as often.
async fn once_each(api: &Api, definition: &str, expected: usize) {
    let found = eventually(LIMIT, "an instance for everything", async || {
        outputs(api, definition).await.filter(|found| found.len() >= expected)
    })
    .await;
    assert_eq!(found.len(), expected);
    assert!(found.values().all(|times| *times == 1), "{found:?}");
    let fired: u64 = api.triggers().await.expect("the triggers").iter().map(|trigger| trigger.fired).sum();
    assert_eq!(fired, expected as u64);
}

fn append(file: &Path, lines: std::ops::Range<usize>) {
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("a file");
    for line in lines {
        writeln!(file, "line {line}").expect("a line");
    }
}

fn ticket(folder: &Path, number: usize) {
    let draft = folder.join(format!(".{number}"));
    fs::write(&draft, json!({ "key": number, "title": format!("ticket {number}") }).to_string())
        .expect("a file");
    fs::rename(draft, folder.join(format!("{number}.ticket"))).expect("a ticket");
}

async fn desk(api: &Api) -> AdapterSummary {
    let all: Vec<AdapterSummary> =
        api.ask(api.request(Method::GET, "/api/v1/adapters/desk")).await.expect("the adapter");
    all.into_iter().next().expect("one of them")
}

async fn add_desk(api: &Api) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../adapters/examples/python/desk.py");
    let command = ["/usr/bin/python3", script].map(str::to_owned).to_vec();
    let add = AdapterOrder::Add { command, environment: BTreeMap::new() };
    adapter_order(api, &add).await;
}

async fn adapter_order(api: &Api, order: &AdapterOrder) {
    let request = api.request(Method::POST, "/api/v1/adapters/desk").json(order);
    api.tell(request).await.expect("an order about the adapter");
}

fn follows(file: &Path) -> Value {
    json!({
        "function": "file/file-follow",
        "arguments": { "path": file, "initial": "tell", "intervalSeconds": 0.1 },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_in_the_middle_of_a_stream_misses_nothing_and_starts_nothing_twice() {
    let place = Place::new().define("lines", LINES);
    let file = place.path().join("device.log");
    append(&file, 0..400);
    let mut node = place.start().await;
    put(&node.api, "device", follows(&file)).await.expect("a monitor");
    for round in 1..=3 {
        eventually(LIMIT, "some lines", async || {
            let events = show(&node.api, "device").await?.status.get("events")?.as_u64()?;
            (events > 100 * round).then_some(())
        })
        .await;
        node.kill().await;
        let written = 200 + 200 * usize::try_from(round).expect("a small number");
        append(&file, written..written + 200);
        node = place.start().await;
    }
    once_each(&node.api, "test/lines", 1000).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_the_arguments_reaches_the_adapter_and_nobody_else() {
    let place = Place::new().define("lines", LINES);
    let file = place.path().join("secret-place.log");
    append(&file, 0..3);
    let node = place.start().await;
    place.run(&["users", "set", "places", &format!("path={}", file.display())]).done();
    let mut spec = follows(&file);
    spec["arguments"]["path"] = json!("${ $secrets.places.path }");
    put(&node.api, "device", spec.clone()).await.expect("a monitor");
    once_each(&node.api, "test/lines", 3).await;
    let shown = serde_json::to_string(&show(&node.api, "device").await.expect("a monitor")).expect("JSON");
    assert!(shown.contains("$secrets.places.path") && !shown.contains("secret-place"), "{shown}");
    spec["arguments"]["path"] = json!("${ $secrets.places.path + \".1\" }");
    let refused = format!("{:?}", put(&node.api, "device", spec).await.expect_err("not a whole value"));
    assert!(refused.contains("as the whole of /path"), "{refused}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_outlives_the_crash_and_the_restart_of_its_adapter_and_rests_when_it_is_told() {
    let place = Place::new().define("tickets", TICKETS).set("adapters.idle_timeout", "300ms");
    let folder = place.path().join("desk");
    fs::create_dir(&folder).expect("a folder");
    let node = place.start().await;
    let api = &node.api;
    add_desk(api).await;
    let spec = json!({ "function": "desk/tickets", "arguments": { "folder": folder, "interval": 0.05 } });
    put(api, "new-tickets", spec.clone()).await.expect("a monitor");
    let begun = async || {
        // Where it begins is told before anything was opened.
        show(api, "new-tickets").await.filter(|monitor| monitor.status.get("cursor") == Some(&json!(0)))
    };
    eventually(LIMIT, "a place to begin at", begun).await;
    ticket(&folder, 1);
    once_each(api, "test/tickets", 1).await;

    let before = desk(api).await;
    let pid =
        before.pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).expect("a pid"))).expect("a process");
    kill_process(pid, Signal::KILL).expect("it can be killed");
    ticket(&folder, 2);
    once_each(api, "test/tickets", 2).await;
    adapter_order(api, &AdapterOrder::Restart { node: None, reason: None }).await;
    ticket(&folder, 3);
    once_each(api, "test/tickets", 3).await;
    let now = eventually(LIMIT, "one process", async || {
        Some(desk(api).await).filter(|now| now.retiring == 0 && now.pid.is_some())
    })
    .await;
    assert_ne!(now.pid, before.pid);
    assert_eq!((now.counters.disappearances, now.counters.operator_restarts), (1, 1), "{now:?}");

    // Without anything to observe the adapter may go.
    order(api, "new-tickets", &DeclaredOrder::Pause).await;
    until(api, "new-tickets", "paused").await;
    eventually(LIMIT, "no process", async || Some(desk(api).await).filter(|now| now.pid.is_none())).await;
    ticket(&folder, 4);
    node.kill().await;
    let node = place.start().await;
    let api = &node.api;
    assert_eq!(until(api, "new-tickets", "paused").await.status["cursor"], 3);
    order(api, "new-tickets", &DeclaredOrder::Resume).await;
    once_each(api, "test/tickets", 4).await;

    // What goes wrong is told, and gone once it is right again.
    fs::rename(&folder, folder.with_extension("away")).expect("a folder");
    let stuck = until(api, "new-tickets", "stuck").await;
    assert!(
        stuck.status["problem"].as_str().is_some_and(|problem| problem.contains("cannot be read")),
        "{stuck:?}"
    );
    fs::rename(folder.with_extension("away"), &folder).expect("a folder");
    order(api, "new-tickets", &DeclaredOrder::Resume).await;
    ticket(&folder, 5);
    once_each(api, "test/tickets", 5).await;
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_declares_monitors_and_refuses_what_makes_no_sense() {
    let place = Place::new();
    let node = place.start().await;
    let data = place.data().to_str().expect("a path").to_owned();
    let command = |words: &[&str]| {
        let mut all = vec!["--data", &data, "monitors"];
        all.extend(words);
        cli::run(place.path(), &all)
    };
    command(&["set", "m", "function=file/file-read"]).failed(2, &["can be watched", "file/file-watch"]);
    command(&["set", "m", "function=file/file-watch"]).failed(2, &["arguments", "folder"]);
    command(&["set", "m", "function=file/file-watch", "arguments.folder=/", "hurry=1"]).failed(2, &["hurry"]);
    command(&["set", "a b", "function=file/file-watch", "arguments.folder=/"])
        .failed(2, &["expected a name"]);
    command(&["show", "m"]).failed(2, &["there is none"]);
    let folder = format!("arguments.folder={}", place.path().display());
    let said = command(&["set", "m", "function=file/file-watch", &folder]).done();
    assert!(said.stdout.contains("set monitor m"), "{said:?}");
    until(&node.api, "m", "watching").await;
    let listed = command(&["list"]).done();
    assert!(listed.stdout.contains("file/file-watch") && listed.stdout.contains("operator"), "{listed:?}");
    command(&["pause", "m"]).done();
    assert_eq!(
        command(&["show", "m"]).done().stdout.lines().filter(|line| line.contains("paused")).count(),
        1
    );
    command(&["resume", "m"]).done();
    command(&["set", "m", "target=nowhere"]).done();
    let failing = until(&node.api, "m", "failing").await;
    assert!(
        failing.status["problem"].as_str().is_some_and(|problem| problem.contains("nowhere")),
        "{failing:?}"
    );
    command(&["remove", "m"]).done();
    assert!(command(&["list"]).done().stdout.starts_with("no monitors"));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_brings_monitors_and_takes_them_away_but_not_what_an_operator_has_changed() {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("devices");
    let pack = |version: &str, monitors: &[&str]| {
        let _none_yet = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("monitors")).expect("a folder");
        fs::write(folder.join("pack.yaml"), format!("name: devices\nversion: '{version}'\n"))
            .expect("a pack");
        for name in monitors {
            let text = "function: file/file-watch\narguments: { folder: / }\n";
            fs::write(folder.join(format!("monitors/{name}.yaml")), text).expect("a monitor");
        }
    };
    pack("1.0.0", &["a", "b", "c"]);
    let place = Place::new().pack(&folder);
    let node = place.start().await;
    until(&node.api, "a", "watching").await;
    order(&node.api, "a", &DeclaredOrder::Pause).await;
    put(&node.api, "b", json!({ "function": "file/file-watch", "arguments": { "folder": "/tmp" } }))
        .await
        .expect("a monitor");
    node.stop().await;
    pack("1.1.0", &["a"]);
    let node = place.start().await;
    until(&node.api, "a", "paused").await;
    assert_eq!(until(&node.api, "b", "watching").await.by, "operator");
    assert!(show(&node.api, "c").await.is_none());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_its_node_dies_another_one_goes_on_where_it_was() {
    let store = Store::start(StoreKind::Redis).await;
    let mut cluster = Cluster::prepare(store, Design::of(2)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("device.log");
    append(&file, 0..100);
    for number in 0..2 {
        cluster.define(number, "lines", LINES);
        cluster.restart(number).await;
    }
    let api = cluster.member(0).node().api.clone();
    put(&api, "device", follows(&file)).await.expect("a monitor");
    for round in 1..=4 {
        // Whichever node has it: one of the two kills strikes it.
        let victim = round % 2;
        let other = cluster.member(1 - victim).node().api.clone();
        append(&file, 100 * round..100 * round + 50);
        cluster.kill(victim).await;
        append(&file, 100 * round + 50..100 * round + 100);
        eventually(LIMIT, "the lines of the round", async || {
            outputs(&other, "test/lines").await.filter(|found| found.len() == 100 * round + 100)
        })
        .await;
        cluster.restart(victim).await;
    }
    let api = cluster.member(0).node().api.clone();
    once_each(&api, "test/lines", 500).await;
    cluster.stop_all().await;
}
