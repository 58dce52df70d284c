//! The binary against a door with a mock engine: what it asks, prints and answers.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{TestDoor, summary};
use impresario::orchestrator::{NodeSummary, Refusal};
use serde_json::{Value, json};

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the binary in a folder, with nothing of our environment.
fn run_in(folder: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_impresario"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// Runs the binary against a door.
pub async fn run(door: &TestDoor, arguments: &[&str], input: &str) -> Ran {
    let data = door.data.path().to_owned();
    // The folder goes before the command, as `send` has data of its own.
    let node = ["--data".to_owned(), data.display().to_string(), "--url".to_owned(), door.url.clone()];
    let all: Vec<String> = node.into_iter().chain(arguments.iter().map(|one| (*one).to_owned())).collect();
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || {
        let arguments: Vec<&str> = all.iter().map(String::as_str).collect();
        run_in(&data, &arguments, &input)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn send_makes_events() {
    let door = TestDoor::open(|settings| settings.body_limit.0 = 1 << 20).await;
    let data = r#"{"used":95}"#;
    let ran = run(&door, &["send", "disk.full", "--subject", "web-1", "--id", "e", "--data", data], "").await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "accepted 1 event (durable: memory)\n"), "{ran:?}");
    let event = door.mock.events.lock().unwrap().pop().unwrap().into_envelope();
    let expected = json!({
        "specversion": "1.0", "id": "e", "source": "/impresario/cli", "type": "disk.full", "subject": "web-1",
        "datacontenttype": "application/json", "data": {"used": 95},
    });
    assert_eq!(event, expected);

    let ran = run(&door, &["send", "t", "--count", "450", "--data", "-", "--json"], "[1]").await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["accepted"], 450, "{ran:?}");
    let mut ids: Vec<String> = door.mock.events.lock().unwrap().drain(..).map(|event| event.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 450, "each has an id of its own");

    let whole = r#"{"specversion":"1.0","id":"w","source":"/s","type":"t","mine":"x"}"#;
    assert_eq!(run(&door, &["send", "--event", "-"], whole).await.code, 0);
    assert_eq!(door.mock.events.lock().unwrap()[0].extensions["mine"], "x");
}

#[tokio::test]
async fn start_show_ps_and_cancel() {
    let door = TestDoor::open(|_| ()).await;
    let ran = run(&door, &["start", "ops/clean", "--key", "k", "--input", r#"{"a":1}"#], "").await;
    assert_eq!(ran.out, format!("started {} of ops/clean (durable: memory)\n", summary().id));
    let ran = run(&door, &["start", "ops/clean", "--key", "k"], "").await;
    assert!(ran.out.starts_with("exists already "), "{ran:?}");
    let ran = run(&door, &["start", "ops/clean", "--wait"], "").await;
    assert_eq!(ran.code, 1, "the instance of the mock is faulted: {ran:?}");
    assert!(ran.out.contains("communication · 503 · no answer"), "{ran:?}");

    let ran = run(&door, &["ps", "--status", "faulted"], "").await;
    assert!(ran.code == 0 && ran.out.contains("ops/clean:1.0.0  faulted"), "{ran:?}");
    assert!(!ran.out.contains('\u{1b}'), "no colours where nobody sees them");
    let ran = run(&door, &["ps", "--json"], "").await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["items"][0]["id"], summary().id);
    let ran = run(&door, &["show", "01900000"], "").await;
    assert!(ran.out.contains("checkDisk (command/shell)  failed in 5s, 2 attempts"), "{ran:?}");
    let ran = run(&door, &["cancel", "01900000", "--reason", "wrong host"], "").await;
    assert!(ran.out.starts_with("cancelling 01900000"), "{ran:?}");
    assert_eq!(door.mock.cancels.lock().unwrap()[0].1.as_deref(), Some("wrong host"));
}

#[tokio::test]
async fn resolve_and_rerun() {
    let door = TestDoor::open(|_| ()).await;
    let ran = run(&door, &["resolve", "01900000", "1", "accept", "--output", r#"{"n":1}"#], "").await;
    assert_eq!(ran.out, format!("decided activity 1 of {} (durable: memory)\n", summary().id));
    let ran = run(&door, &["resolve", "01900000", "1", "fail", "--reason", "gone", "--json"], "").await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["decision"], "fail");
    let ran = run(&door, &["resolve", "01900000", "retry"], "").await;
    assert!(ran.code == 2 && ran.err.contains("found none: it is faulted"), "{ran:?}");
    let ran = run(&door, &["resolve", "01900000", "1", "skip", "--reason", "why"], "").await;
    assert!(ran.code == 2 && ran.err.contains("a reason with 'fail' only"), "{ran:?}");
    let ran = run(&door, &["resolve", "01900000", "1", "accept"], "").await;
    assert!(ran.code == 64 && ran.err.contains("--output"), "{ran:?}");
    let ran = run(&door, &["rerun", "01900000", "--from", "here", "--input", "null", "--key", "k"], "").await;
    assert_eq!(ran.out, "started new of ops/clean:1.0.0 (durable: memory)\n");
    let id = summary().id;
    let expected = [
        // The attempt that was seen is the one that is meant.
        format!(r#"{id} 1 2 Accept(Object {{"n": Number(1)}})"#),
        format!(r#"{id} 1 2 Fail {{ reason: Some("gone") }}"#),
        r#"01900000 Some("here") Some(Null) Some("k")"#.to_owned(),
    ];
    assert_eq!(*door.mock.decisions.lock().unwrap(), expected);
}

#[tokio::test]
async fn nodes_drain_and_remove() {
    let door = TestDoor::open(|_| ()).await;
    let node = |name: &str, me| NodeSummary {
        name: name.to_owned(),
        me,
        state: "alive".to_owned(),
        started: "2026-01-31T08:30:00Z".to_owned(),
        shards: 8,
        ..NodeSummary::default()
    };
    *door.mock.nodes.lock().unwrap() = vec![node("a", true), node("b c", false)];
    let ran = run(&door, &["nodes"], "").await;
    assert!(ran.code == 0 && ran.out.contains("a (asked)  alive  8"), "{ran:?}");
    let ran = run(&door, &["nodes", "--json"], "").await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()[1]["name"], "b c", "{ran:?}");

    let ran = run(&door, &["drain", "b c"], "").await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "left b c\n"), "{ran:?}");
    let ran = run(&door, &["drain", "--no-wait"], "").await;
    assert!(ran.code == 0 && ran.out.starts_with("draining a: `impresario nodes`"), "{ran:?}");
    let ran = run(&door, &["nodes", "remove", "b c"], "").await;
    assert!(ran.code == 0 && ran.out.starts_with("removed b c"), "{ran:?}");
    assert_eq!(*door.mock.orders.lock().unwrap(), ["drain b c", "drain a", "remove b c"]);

    *door.mock.refusal.lock().unwrap() = Some(Refusal::Conflict("the node 'a' is alive".to_owned()));
    let ran = run(&door, &["nodes", "remove", "a"], "").await;
    assert!(ran.code == 2 && ran.err.contains("the node 'a' is alive"), "{ran:?}");
}

#[tokio::test]
async fn errors_say_what_to_do_and_have_their_codes() {
    let door = TestDoor::open(|_| ()).await;
    let ran = run(&door, &["show", "nothing0"], "").await;
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (2, "error: there is no such thing: there is no instance nothing0\n")
    );

    *door.mock.refusal.lock().unwrap() =
        Some(Refusal::Busy { reason: "shard 3 is full".to_owned(), retry_after_ms: 900 });
    let ran = run(&door, &["send", "t"], "").await;
    assert_eq!(ran.code, 2);
    assert_eq!(ran.err, "error: too much is waiting already: shard 3 is full (try again in 1s)\n");

    let ran = run(&door, &["send", "t", "--data", "nonsense"], "").await;
    assert_eq!(ran.code, 64);
    assert!(ran.err.contains("--data: expected JSON in it, found") && ran.err.contains("@FILE"), "{ran:?}");

    std::fs::write(door.data.path().join("token"), "another").unwrap();
    let ran = run(&door, &["ps"], "").await;
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("refuses the token of") && ran.err.contains("--data FOLDER"), "{ran:?}");
}

#[test]
fn without_a_node_the_way_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run_in(folder.path(), &["ps"], "");
    assert_eq!(ran.code, 1);
    assert!(
        ran.err.contains("expected the token for http://127.0.0.1:4747 in impresario-data/token"),
        "{ran:?}"
    );

    // A listener that is closed again leaves a port that nobody listens at.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    std::fs::create_dir(folder.path().join("impresario-data")).unwrap();
    std::fs::write(folder.path().join("impresario-data/token"), "t").unwrap();
    let listen = format!("http.listen=127.0.0.1:{port}");
    let ran = run_in(folder.path(), &["ps", "--set", &listen], "");
    let expected =
        format!("error: no node answers at http://127.0.0.1:{port}: start one with `impresario serve`\n");
    assert_eq!((ran.code, ran.err), (1, expected));
}

#[test]
fn bad_usage_is_64_and_help_is_0() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&["nonsense"][..], &["ps", "--nonsense"], &["send"], &["ps", "--set", "x"], &["adapter-host", "fax"]]
    {
        assert_eq!(run_in(folder.path(), arguments, "").code, 64, "{arguments:?}");
    }
    let unknown = run_in(folder.path(), &["config", "--set", "http.listn=1"], "");
    assert_eq!(unknown.code, 64);
    assert!(unknown.err.contains("did you mean 'http.listen'?"), "{unknown:?}");
    for arguments in
        [&["--help"][..], &["--version"], &["completions", "bash"], &["config"], &["config", "--reference"]]
    {
        assert_eq!(run_in(folder.path(), arguments, "").code, 0, "{arguments:?}");
    }
}

#[test]
fn config_prints_values_with_their_origins() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("impresario.toml"), "[store]\nshards = 8\n").unwrap();
    let flags = ["config", "--json", "--set", "engine.retention=1h", "--data", "elsewhere"];
    let ran = run_in(folder.path(), &flags, "");
    let list: Vec<Value> = serde_json::from_str(&ran.out).unwrap();
    let of = |key: &str| {
        let one = list.iter().find(|one| one["key"] == key).unwrap();
        (one["value"].as_str().unwrap().to_owned(), one["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(of("store.shards"), ("8".to_owned(), "impresario.toml:2:10".to_owned()));
    assert_eq!(of("engine.retention"), ("1h".to_owned(), "flag --set".to_owned()));
    assert_eq!(of("data"), ("elsewhere".to_owned(), "flag --data".to_owned()));
    assert_eq!(of("environment"), ("PRODUCTION".to_owned(), "default".to_owned()));
}

const GOOD: &str =
    "document: {dsl: 1.0.3, namespace: ops, name: clean, version: 1.0.0}\ndo:\n  - say: {set: {a: 1}}\n";

#[test]
fn check_shows_the_place_of_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("good.yaml", GOOD);
    let ran = run_in(folder.path(), &["check", "good.yaml"], "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.out.starts_with("ok ops/clean:1.0.0 (1 tasks, started by hand)"), "{ran:?}");

    write("bad.yaml", &GOOD.replace("{set:", "{sett:"));
    let ran = run_in(folder.path(), &["check", "bad.yaml"], "");
    assert_eq!(ran.code, 1, "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("error: "), "{}", ran.out);
    assert!(lines[1].contains("--> bad.yaml:3:"), "{}", ran.out);
    assert_eq!(lines[3], "3 |   - say: {sett: {a: 1}}");
    assert!(lines[4].trim_start().starts_with('|') && lines[4].contains('^'), "{}", ran.out);
    let ran = run_in(folder.path(), &["check", "bad.yaml", "--json"], "");
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["diagnostics"][0]["line"], 3);

    let ran = run_in(folder.path(), &["check", "none.yaml"], "");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("expected to read none.yaml"), "{ran:?}");
}

#[test]
fn check_reads_packs() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("ops");
    std::fs::create_dir_all(pack.join("definitions")).unwrap();
    std::fs::write(pack.join("pack.yaml"), "name: ops\nversion: 1.2.0\n").unwrap();
    let ran = run_in(folder.path(), &["check", "ops"], "");
    assert!(ran.code == 1 && ran.err.contains("expected at least one definition"), "{ran:?}");

    std::fs::write(pack.join("definitions/a.yaml"), GOOD).unwrap();
    let ran = run_in(folder.path(), &["check", "ops"], "");
    assert!(ran.code == 0 && ran.out.ends_with("ops 1.2.0: 1 definitions\n"), "{ran:?}");

    std::fs::write(pack.join("definitions/b.yaml"), GOOD).unwrap();
    let ran = run_in(folder.path(), &["check", "ops"], "");
    assert!(
        ran.code == 1 && ran.out.contains("found ops/clean:1.0.0 again as in ops/definitions/a.yaml"),
        "{ran:?}"
    );

    std::fs::write(pack.join("pack.yaml"), "name: ops\nverson: 1.2.0\n").unwrap();
    let ran = run_in(folder.path(), &["check", "ops"], "");
    assert!(ran.code == 1 && ran.err.contains("pack.yaml") && ran.err.contains("verson"), "{ran:?}");
}
