//! The debug console in a real terminal: tmux draws it, keys are sent to it, and the screen is read until it says what it should.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use impresario_tests::binary;
use impresario_tests::cluster::{Cluster, Design, StoreKind};
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use serde_json::Value;

const PARK: &str = "
document: { dsl: '1.0.3', namespace: test, name: park, version: '1.0.0' }
do:
  - note: { call: 'echo:1.0.0@default', with: { said: 'look at me' } }
  - hold: { wait: P1D }
";
/// How long a screen may take to say something, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two looks at it.
const LOOK: Duration = Duration::from_millis(20);

/// A terminal of its own, with a server of its own; both end with it.
struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Runs a console for the node of a data folder; what comes after the console stays to be read.
    fn open(folder: &Path, data: &Path, options: &str, variables: &str) -> Terminal {
        // One that ends may hold its socket a little longer.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let terminal = Terminal { socket: folder.join(format!("tmux-{number}")) };
        let quoted = |path: &Path| format!("'{}'", path.display());
        let line = format!(
            "echo before; env -u NO_COLOR {variables} /bin/sh -c 'echo $$ > \"$0\"; exec \"$@\"' {} {} --data {} \
             console --refresh 100ms {options}; echo \"left with $?\"; exec cat",
            quoted(&folder.join("pid")),
            quoted(&binary::impresario()),
            quoted(data),
        );
        terminal.tmux(&["new-session", "-d", "-x", "110", "-y", "36", "/bin/sh", "-c", &line]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-f", "/dev/null", "-S"])
            .arg(&self.socket)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("tmux, which tests/run installs");
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The screen, without colours.
    fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Types characters as they are.
    fn say(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Presses keys by their names.
    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Waits until all these words are on the screen.
    async fn sees(&self, words: &[&str]) -> String {
        self.shows(&words.join(", "), |screen| words.iter().all(|word| screen.contains(word))).await
    }

    async fn shows(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if is(&screen) {
                return screen;
            }
            assert!(began.elapsed() < PATIENCE, "expected a screen with {what}, found:\n{screen}");
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

async fn started(node: &Node) -> String {
    let started = node.api.start("test/park", serde_json::json!({}), None).await.unwrap();
    eventually(PATIENCE, "an instance that waits", async || {
        let detail = node.api.instance(&started.id).await.ok()?;
        (detail.summary.status == "waiting").then_some(())
    })
    .await;
    started.id
}

fn generation(place: &Place) -> u64 {
    let adapters: Value = place.json(&["adapters"]);
    let command = adapters.as_array().unwrap().iter().find(|one| one["name"] == "command").unwrap();
    command["generation"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_looked_into_and_acted_on_from_a_terminal() {
    // What waits stays in memory, so that the tree has it.
    let place = Place::new().set("engine.idle_after", "1h").define("park", PARK);
    let node = place.start().await;
    let id = started(&node).await;
    let other = started(&node).await;
    let terminal = Terminal::open(place.path(), place.data(), "", "");

    terminal.sees(&["Impresario", "connected", "▾ shards", "▸ shard 0", "adapter command"]).await;
    // Folded and unfolded.
    terminal.press(&["Down", "Left"]);
    terminal
        .shows("folded shards", |screen| !screen.contains("shard 0") && screen.contains("▸ shards"))
        .await;
    terminal.press(&["Right"]);
    terminal.sees(&["▸ shard 0"]).await;

    // An actor among all of them is found by a filter, in shards that are folded.
    terminal.say("/");
    terminal.say(&id);
    terminal
        .shows("the actor alone", |screen| {
            screen.contains(&format!("process/{id}")) && !screen.contains("adapter command")
        })
        .await;
    terminal.press(&["Enter", "End", "Enter"]);
    terminal.sees(&["test/park:1.0.0", "started by", "'hold' until", "note"]).await;
    // Two of them at once would be one to a terminal.
    terminal.press(&["Escape"]);
    terminal.sees(&["filter '"]).await;
    terminal.press(&["Escape"]);
    terminal.sees(&["adapter command"]).await;

    // Instances, newest first; by status; one by the beginning of its id.
    terminal.say("2");
    terminal.sees(&[&id, &other, "waiting", "test/park:1.0.0"]).await;
    terminal.say("f");
    terminal.sees(&["only running", "there is nothing here"]).await;
    terminal.say("o");
    terminal.say(&other[..13]);
    terminal.press(&["Enter"]);
    terminal.sees(&[&format!("process/{other}"), "'hold' until"]).await;

    // An adapter is restarted after a question.
    let before = generation(&place);
    terminal.say("4");
    terminal.sees(&["ADAPTER", "command", "GEN"]).await;
    terminal.say("r");
    terminal.sees(&["restart the adapter command at"]).await;
    terminal.say("y");
    terminal.sees(&["done: restart the adapter command"]).await;
    terminal
        .shows("the next generation", |screen| {
            let row =
                screen.lines().find(|line| line.trim_start().starts_with("command")).unwrap_or_default();
            row.split_whitespace().any(|word| word == (before + 1).to_string())
        })
        .await;
    assert_eq!(generation(&place), before + 1);

    terminal.say("?");
    terminal.sees(&["this help"]).await;
    terminal.press(&["Escape"]);
    terminal.say("3");
    terminal.sees(&["(asked)", "alive"]).await;

    // A node that goes away is told, and what was known stays to be read.
    node.stop().await;
    terminal.sees(&["no answer for", "(asked)", "alive"]).await;
    terminal.say("q");
    let screen = terminal.sees(&["before", "left with 0"]).await;
    assert!(!screen.contains("Impresario"), "the terminal is as it was before:\n{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_is_given_back_however_the_console_ends_and_colours_are_a_choice() {
    let place = Place::new();
    let node = place.start().await;
    let terminal = Terminal::open(place.path(), place.data(), "--view nodes", "NO_COLOR=1");
    terminal.sees(&["(asked)", "connected"]).await;
    let coloured = |screen: &str| {
        (1..=7).any(|colour| ["[3", "[38;5;"].iter().any(|way| screen.contains(&format!("{way}{colour}m"))))
    };
    let screen = terminal.tmux(&["capture-pane", "-p", "-e"]);
    assert!(!coloured(&screen), "{screen:?}");
    let pid = std::fs::read_to_string(place.path().join("pid")).unwrap();
    let child = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::TERM).unwrap();
    let screen = terminal.sees(&["before", "left with 0"]).await;
    assert!(!screen.contains("Impresario"), "{screen}");
    drop(terminal);

    let terminal = Terminal::open(place.path(), place.data(), "--view nodes", "");
    terminal.sees(&["(asked)", "connected"]).await;
    let screen = terminal.tmux(&["capture-pane", "-p", "-e"]);
    assert!(coloured(&screen), "{screen:?}");

    place.run(&["console"]).failed(64, &["expected a terminal", "--screenshot"]);
    place.run(&["console", "--refresh", "1ms"]).failed(64, &["expected a time from 100ms"]);
    let picture = place.path().join("nodes.svg");
    let name = picture.to_str().unwrap();
    place.run(&["console", "--screenshot", name, "--size", "100x30", "--view", "nodes"]).done();
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("(asked)") && svg.contains("connected"), "{svg}");
    node.stop().await;
    place.run(&["console", "--screenshot", name]).failed(1, &["no node answers"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_node_of_a_cluster_shows_all_of_them() {
    let mut cluster = Cluster::start(StoreKind::Redis, Design::of(3)).await;
    let place = cluster.member(0).place();
    let terminal = Terminal::open(place.path(), place.data(), "", "");
    terminal.sees(&["node-0", "3 nodes alive", "node node-1", "node node-2"]).await;
    terminal.say("4");
    terminal
        .shows("adapters of all nodes", |screen| {
            ["node-0", "node-1", "node-2"].iter().all(|node| screen.matches(node).count() > 1)
        })
        .await;
    terminal.say("3");
    terminal.sees(&["node-0 (asked)", "node-1", "node-2", "3 nodes alive"]).await;
    cluster.kill(2).await;
    terminal.sees(&["gone", "2 nodes alive, 1 not"]).await;
    drop(terminal);
    cluster.stop_all().await;
}
