//! The monitors, served by a host and watched by a node. Time is the test's own: it passes when everybody waits.

use std::io::Write;

use impresario_adapter::host::serve;
use impresario_adapter::lines::HostReader;
use impresario_adapter::wire::encode_node;
use impresario_adapter::{HostMessage, NodeMessage, Taken, Unwatch, Watch};
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::*;

/// The node's side of a watch. It takes all that it hears.
struct Watching {
    to: DuplexStream,
    from: HostReader<DuplexStream>,
    count: u64,
    cursor: Option<Value>,
}

impl Watching {
    async fn start(function: &str, arguments: Value, cursor: Option<Value>) -> Self {
        let (to, input) = tokio::io::duplex(64 * 1024);
        let (output, from) = tokio::io::duplex(64 * 1024);
        drop(tokio::spawn(serve(File::new(), input, output)));
        let mut from = HostReader::new(from);
        assert!(matches!(from.next().await.unwrap(), Some(HostMessage::Hello(_))));
        let mut watching = Self { to, from, count: 0, cursor: cursor.clone() };
        let (watch, function) = ("w".into(), function.into());
        let order = Watch { watch, function, arguments, cursor, ..Watch::default() };
        watching.say(NodeMessage::Watch(order)).await;
        watching
    }

    async fn say(&mut self, message: NodeMessage) {
        self.to.write_all(&encode_node(&message).unwrap()).await.unwrap();
    }

    /// The next message: its event, if it has one.
    async fn observed(&mut self) -> Option<Value> {
        let message = self.from.next().await.unwrap().unwrap();
        let HostMessage::Event(observed) = message else { panic!("expected an event, not {message:?}") };
        self.count += 1;
        self.cursor = observed.cursor.clone().or(self.cursor.take());
        let (count, cursor) = (self.count, observed.cursor);
        self.say(NodeMessage::Taken(Taken { watch: "w".into(), count, cursor })).await;
        observed.event
    }

    /// The next event.
    async fn event(&mut self) -> Value {
        loop {
            if let Some(event) = self.observed().await {
                return event;
            }
        }
    }

    /// The last words of the next so many events' types, and their subjects.
    async fn changes(&mut self, count: usize) -> Vec<(String, String)> {
        let mut changes = Vec::new();
        for _ in 0..count {
            let event = self.event().await;
            let what = event["type"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
            changes.push((what, event["subject"].as_str().unwrap().to_owned()));
        }
        changes
    }

    async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(self.event().await["data"]["line"].as_str().unwrap().to_owned());
        }
        lines
    }

    /// Stops, and gives back where it was.
    async fn stop(mut self) -> Option<Value> {
        self.say(NodeMessage::Unwatch(Unwatch { watch: "w".into() })).await;
        match self.from.next().await.unwrap().unwrap() {
            HostMessage::Answer(answer) => assert_eq!(answer.outcome, Ok(json!({}))),
            other => panic!("more than was expected: {other:?}"),
        }
        self.cursor
    }

    async fn failure(&mut self) -> Failure {
        match self.from.next().await.unwrap().unwrap() {
            HostMessage::Answer(answer) => answer.outcome.unwrap_err().data.unwrap(),
            other => panic!("expected a failure, not {other:?}"),
        }
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(what, name)| ((*what).to_owned(), (*name).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn new_changed_and_removed_files_are_told_across_restarts() {
    let desk = Desk::new();
    for name in ["old.log", "gone.log", "other.txt"] {
        fs::write(desk.path(name), "1").unwrap();
    }
    let arguments = json!({"folder": desk.folder.path(), "pattern": "*.log"});
    let mut watching = Watching::start("file-watch", arguments.clone(), None).await;
    assert_eq!(watching.observed().await, None, "what is there already is not new");
    fs::write(desk.path("new.log"), "22").unwrap();
    fs::write(desk.path("new.txt"), "22").unwrap();
    let event = watching.event().await;
    assert_eq!((&event["type"], &event["subject"]), (&"impresario.file.created".into(), &"new.log".into()));
    assert_eq!(event["data"]["path"], json!(desk.path("new.log")));
    assert_eq!(event["data"]["size"], 2);
    let cursor = watching.stop().await;
    // What happens while nobody looks is told by the next watch.
    fs::write(desk.path("old.log"), "333").unwrap();
    fs::remove_file(desk.path("gone.log")).unwrap();
    let mut watching = Watching::start("file-watch", arguments.clone(), cursor.clone()).await;
    let expected = pairs(&[("removed", "gone.log"), ("changed", "old.log")]);
    assert_eq!(watching.changes(2).await, expected);
    watching.stop().await;
    // From the same cursor, the same is told again under the same ids.
    let mut first = Watching::start("file-watch", arguments.clone(), cursor.clone()).await;
    let mut second = Watching::start("file-watch", arguments, cursor).await;
    for _ in 0..2 {
        assert_eq!(first.event().await, second.event().await);
    }
}

#[tokio::test(start_paused = true)]
async fn everything_may_be_told_at_the_beginning_and_in_portions() {
    let desk = Desk::new();
    for number in 0..300 {
        fs::write(desk.path(&format!("{number:03}")), "").unwrap();
    }
    let arguments = json!({"folder": desk.folder.path(), "initial": "tell", "settled": false});
    let mut watching = Watching::start("file-watch", arguments.clone(), None).await;
    let changes = watching.changes(300).await;
    assert_eq!(changes[299], ("created".to_owned(), "299".to_owned()));
    let cursor = watching.stop().await.unwrap();
    assert_eq!(cursor.as_object().unwrap().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_being_written_is_told_of_once_it_has_settled() {
    let desk = Desk::new();
    let arguments = json!({"folder": desk.folder.path(), "intervalSeconds": 10});
    let mut watching = Watching::start("file-watch", arguments, None).await;
    assert_eq!(watching.observed().await, None);
    let mut file = fs::File::create(desk.path("a")).unwrap();
    // It grows between the looks, which are at every tenth second.
    let begun = tokio::time::Instant::now();
    for _ in 0..5 {
        file.write_all(b"more").unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    }
    let event = watching.event().await;
    assert_eq!(event["data"]["size"], 20, "whole");
    assert!(begun.elapsed().as_secs() >= 50);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_goes_away_or_a_cursor_of_another_monitor_is_a_failure() {
    let desk = Desk::new();
    let arguments = json!({"folder": "in", "root": desk.folder.path()});
    let mut watching = Watching::start("file-watch", arguments.clone(), None).await;
    assert_eq!(watching.failure().await.status, 404);
    fs::create_dir(desk.path("in")).unwrap();
    let mut watching = Watching::start("file-watch", arguments, Some(json!({"turn": 1}))).await;
    assert_eq!(watching.failure().await.kind, Failure::CONFIGURATION);
    let outside = json!({"folder": "../..", "root": desk.folder.path()});
    let mut watching = Watching::start("file-watch", outside, None).await;
    assert_eq!(watching.failure().await.status, 403);
}

#[tokio::test(start_paused = true)]
async fn the_lines_of_a_file_are_told_through_rotation_and_restart() {
    let desk = Desk::new();
    let log = desk.path("app.log");
    let append = |path: &PathBuf, text: &str| {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
    };
    append(&log, "old\nhal");
    let arguments = json!({"path": log});
    let mut watching = Watching::start("file-follow", arguments.clone(), None).await;
    assert_eq!(watching.observed().await, None, "what is there already is not new");
    append(&log, "f\r\nwhole\n");
    assert_eq!(watching.lines(2).await, ["half", "whole"]);
    // Rotated, with a last line without its line feed, and one to come in the old file.
    let rotated = desk.path("app.log.1");
    fs::rename(&log, &rotated).unwrap();
    append(&log, "");
    append(&rotated, "late\nlast");
    assert_eq!(watching.lines(1).await, ["late"]);
    append(&log, "first\n");
    assert_eq!(watching.lines(2).await, ["last", "first"]);
    // Rotated again while nobody looks.
    let cursor = watching.stop().await;
    append(&log, "second\n");
    fs::rename(&log, desk.path("app.log.2")).unwrap();
    append(&log, "third\n");
    let mut watching = Watching::start("file-follow", arguments.clone(), cursor).await;
    assert_eq!(watching.lines(2).await, ["second", "third"]);
    // Emptied, and missing for a while.
    fs::write(&log, "").unwrap();
    assert_eq!(watching.observed().await, None, "it begins anew");
    append(&log, "after\n");
    let event = watching.event().await;
    assert_eq!((&event["data"]["line"], &event["data"]["offset"]), (&"after".into(), &0.into()));
    fs::remove_file(&log).unwrap();
    assert_eq!(
        watching.observed().await,
        None,
        "whatever comes next is another file, even with the same inode"
    );
    append(&log, "again\n");
    assert_eq!(watching.lines(1).await, ["again"]);
}

#[tokio::test(start_paused = true)]
async fn long_files_and_long_lines_are_read_in_portions() {
    let desk = Desk::new();
    let log = desk.path("app.log");
    let mut text: String = (0..5000).map(|number| format!("line {number:>300}\n")).collect();
    text.push_str(&"x".repeat(100_000));
    text.push_str("\nend\n");
    fs::write(&log, text).unwrap();
    let arguments = json!({"path": log, "initial": "tell"});
    let mut watching = Watching::start("file-follow", arguments, None).await;
    for number in 0..5000 {
        assert_eq!(watching.event().await["data"]["line"], format!("line {number:>300}"));
    }
    let long = watching.event().await;
    assert_eq!(long["data"]["truncated"], true);
    assert_eq!(long["data"]["line"].as_str().unwrap().len(), 64 * 1024);
    assert_eq!(watching.lines(1).await, ["end"]);
}
