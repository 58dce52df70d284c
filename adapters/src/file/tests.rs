//! Files of a temporary folder: what is done, what is refused, and that nothing leads out of a root.

mod monitors;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use impresario_adapter::{Adapter, Call, Failure, Probe, ProbeOutcome, RunContext, Target};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::File;

/// A folder, and the adapter.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn attempt(&self, attempt: u32, function: &str, arguments: Value) -> Result<Value, Failure> {
        let (_cancel, context) = RunContext::detached("t");
        let call = Call { attempt, function: function.into(), arguments, ..Call::default() };
        File::new().run(context, call).await
    }

    /// Within the folder.
    async fn run(&self, function: &str, mut arguments: Value) -> Result<Value, Failure> {
        arguments["root"] = json!(self.folder.path());
        self.attempt(1, function, arguments).await
    }

    /// Status and detail of a failure.
    async fn refused(&self, function: &str, arguments: Value) -> (u16, String) {
        let failure = self.run(function, arguments).await.unwrap_err();
        (failure.status, failure.detail.unwrap_or(failure.title))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn what_is_written_is_read() {
    let desk = Desk::new();
    for (content, form, expected) in [
        (json!("grüß\n"), "text", json!("grüß\n")),
        (json!({"a": [1, null]}), "json", json!({"a": [1, null]})),
        (json!("Zm9v"), "text", json!("Zm9v")),
    ] {
        desk.run("file-write", json!({"path": "a", "content": content})).await.unwrap();
        let read = desk.run("file-read", json!({"path": "a", "as": form})).await.unwrap();
        assert_eq!(read["content"], expected);
        assert!(read["modifiedMs"].as_i64().unwrap() > 1_500_000_000_000);
    }
    let write = json!({"path": "b", "content": "/wA=", "as": "base64", "mode": "0600"});
    assert_eq!(desk.run("file-write", write).await.unwrap(), json!({"size": 2, "created": true}));
    assert_eq!(fs::read(desk.path("b")).unwrap(), b"\xff\0");
    assert_eq!(fs::metadata(desk.path("b")).unwrap().permissions().mode() & 0o7777, 0o600);
    let read = desk.run("file-read", json!({"path": "b", "as": "base64"})).await.unwrap();
    assert_eq!((&read["content"], &read["size"]), (&json!("/wA="), &json!(2)));
    let (status, detail) = desk.refused("file-read", json!({"path": "b"})).await;
    assert!(status == 500 && detail.contains("byte at 0"), "{detail}");
    // A file that is replaced keeps its mode, and nothing else is left in the folder.
    let again = desk.run("file-write", json!({"path": "b", "content": 7})).await.unwrap();
    assert_eq!(again, json!({"size": 1, "created": false}));
    assert_eq!(fs::metadata(desk.path("b")).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(desk.names(), ["a", "b"]);
}

#[tokio::test]
async fn parts_are_read_and_too_much_is_refused() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "0123456789").unwrap();
    for (offset, length, expected) in [(0, 3, "012"), (8, 9, "89"), (20, 5, "")] {
        let part = json!({"path": "a", "offset": offset, "length": length});
        assert_eq!(desk.run("file-read", part).await.unwrap()["content"], expected);
    }
    assert!(desk.run("file-read", json!({"path": "a", "limit": 10})).await.is_ok());
    let (_, detail) = desk.refused("file-read", json!({"path": "a", "limit": 9})).await;
    assert!(detail.contains("more than 9 bytes"), "{detail}");
    assert_eq!(desk.refused("file-read", json!({"path": "a", "limit": 1 << 30})).await.0, 400);
    assert_eq!(desk.refused("file-read", json!({"path": "b"})).await.0, 404);
    fs::create_dir(desk.path("c")).unwrap();
    assert_eq!(desk.refused("file-read", json!({"path": "c"})).await.0, 409);
    assert!(std::process::Command::new("mkfifo").arg(desk.path("d")).status().unwrap().success());
    assert_eq!(desk.refused("file-read", json!({"path": "d"})).await.0, 409, "nobody waits for a writer");
    assert_eq!(desk.refused("file-write", json!({"path": "d", "content": ""})).await.0, 409);
}

#[tokio::test]
async fn a_file_that_is_there_is_replaced_refused_or_required() {
    let desk = Desk::new();
    let write =
        |existing: &str, content: &str| json!({"path": "a", "content": content, "existing": existing});
    assert_eq!(desk.refused("file-write", write("require", "1")).await.0, 404);
    desk.run("file-write", write("refuse", "1")).await.unwrap();
    assert_eq!(desk.refused("file-write", write("refuse", "1")).await.0, 409);
    desk.run("file-write", write("require", "2")).await.unwrap();
    assert_eq!(fs::read(desk.path("a")).unwrap(), b"2");
    // A second attempt finds the work of the first.
    let mut again = write("refuse", "2");
    again["path"] = json!(desk.path("a"));
    assert_eq!(desk.attempt(2, "file-write", again.clone()).await.unwrap()["created"], true);
    again["content"] = json!("3");
    assert_eq!(desk.attempt(2, "file-write", again).await.unwrap_err().status, 409);
    assert_eq!(desk.names(), ["a"]);
}

#[tokio::test]
async fn a_reader_sees_the_old_file_or_the_new_one() {
    let desk = Desk::new();
    let path = desk.path("a");
    let contents = ["a".repeat(100_000), "b".repeat(200_000)];
    fs::write(&path, &contents[0]).unwrap();
    let seen = std::thread::spawn(move || {
        for _ in 0..500 {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.bytes().all(|byte| byte == text.as_bytes()[0]), "half of a file");
            assert!([100_000, 200_000].contains(&text.len()));
        }
    });
    while !seen.is_finished() {
        for content in &contents {
            desk.run("file-write", json!({"path": "a", "content": content})).await.unwrap();
        }
    }
    seen.join().unwrap();
    assert_eq!(desk.names(), ["a"]);
}

#[tokio::test]
async fn lines_are_appended() {
    let desk = Desk::new();
    assert_eq!(
        desk.refused("file-append", json!({"path": "a", "content": "x", "create": false})).await.0,
        404
    );
    for size in [2, 4] {
        let appended = desk.run("file-append", json!({"path": "a", "content": "x\n"})).await.unwrap();
        assert_eq!(appended, json!({"written": 2, "size": size}));
    }
    assert_eq!(fs::read(desk.path("a")).unwrap(), b"x\nx\n");
}

#[tokio::test]
async fn a_move_is_done_once_and_a_probe_tells() {
    let desk = Desk::new();
    let arguments = json!({"from": "a", "to": "b", "root": desk.folder.path()});
    let probe = async || {
        let (function, arguments) = ("file-move".into(), arguments.clone());
        File::new().probe(Probe { function, arguments, ..Probe::default() }).await
    };
    assert_eq!(probe().await, ProbeOutcome::Unknown);
    fs::write(desk.path("a"), "1").unwrap();
    assert_eq!(probe().await, ProbeOutcome::NotDone);
    let output = desk.run("file-move", arguments.clone()).await.unwrap();
    assert_eq!(probe().await, ProbeOutcome::Done { output });
    fs::write(desk.path("a"), "2").unwrap();
    assert_eq!(desk.refused("file-move", arguments.clone()).await.0, 409);
    let mut replacing = arguments.clone();
    replacing["replace"] = true.into();
    desk.run("file-move", replacing).await.unwrap();
    assert_eq!(fs::read(desk.path("b")).unwrap(), b"2");
    assert_eq!(desk.refused("file-move", arguments).await.0, 404);
}

#[tokio::test]
async fn a_file_is_deleted() {
    let desk = Desk::new();
    fs::write(desk.path("a"), "").unwrap();
    assert_eq!(desk.run("file-delete", json!({"path": "a"})).await.unwrap(), json!({"deleted": true}));
    assert_eq!(desk.refused("file-delete", json!({"path": "a"})).await.0, 404);
    let gone = desk.run("file-delete", json!({"path": "a", "missingOk": true})).await.unwrap();
    assert_eq!(gone, json!({"deleted": false}));
    assert!(desk.attempt(2, "file-delete", json!({"path": desk.path("a")})).await.is_ok());
}

#[tokio::test]
async fn a_folder_is_listed_in_order_and_bounded() {
    let desk = Desk::new();
    for name in ["b.log", "a.log", "c.txt", ".hidden.log"] {
        fs::write(desk.path(name), name).unwrap();
    }
    fs::create_dir(desk.path("d.log")).unwrap();
    symlink("/etc/passwd", desk.path("e.log")).unwrap();
    let listed = desk.run("file-list", json!({"folder": ".", "pattern": "*.log"})).await.unwrap();
    let files = listed["files"].as_array().unwrap();
    let found: Vec<_> =
        files.iter().map(|file| (file["name"].as_str().unwrap(), file["kind"].as_str().unwrap())).collect();
    assert_eq!(found, [("a.log", "file"), ("b.log", "file"), ("d.log", "folder"), ("e.log", "link")]);
    assert_eq!((&files[0]["size"], &listed["truncated"]), (&json!(5), &json!(false)));
    let two = desk.run("file-list", json!({"folder": desk.folder.path(), "limit": 2})).await.unwrap();
    assert_eq!((two["files"].as_array().unwrap().len(), &two["truncated"]), (2, &json!(true)));
    for pattern in ["a/*", "**", "["] {
        assert_eq!(desk.refused("file-list", json!({"folder": ".", "pattern": pattern})).await.0, 400);
    }
}

#[tokio::test]
async fn nothing_leads_out_of_a_root() {
    let (desk, outside) = (Desk::new(), Desk::new());
    fs::write(outside.path("secret"), "s").unwrap();
    symlink(outside.path("secret"), desk.path("link")).unwrap();
    symlink(outside.folder.path(), desk.path("folder")).unwrap();
    let up = format!("../{}/secret", outside.folder.path().file_name().unwrap().to_str().unwrap());
    symlink(&up, desk.path("relative")).unwrap();
    fs::create_dir(desk.path("in")).unwrap();
    symlink("in", desk.path("inner")).unwrap();
    let absolute = outside.path("secret").to_str().unwrap().to_owned();
    for path in ["link", "folder/secret", "relative", &up, &absolute] {
        for (function, arguments) in
            [("file-read", json!({"path": path})), ("file-append", json!({"path": path, "content": "x"}))]
        {
            let (status, detail) = desk.refused(function, arguments).await;
            assert!(status == 403 || detail.contains("symbolic"), "{function} {path}: {status} {detail}");
        }
    }
    for path in ["folder/secret", &up, &absolute] {
        for (function, arguments) in [
            ("file-write", json!({"path": path, "content": "x"})),
            ("file-delete", json!({"path": path})),
            ("file-move", json!({"from": path, "to": "stolen"})),
            ("file-move", json!({"from": "in", "to": path, "replace": true})),
        ] {
            assert_eq!(desk.refused(function, arguments).await.0, 403, "{function} {path}");
        }
    }
    assert_eq!(desk.refused("file-list", json!({"folder": "folder"})).await.0, 403);
    // A link that stays inside is followed; one that is written to is replaced, and not followed.
    desk.run("file-write", json!({"path": "inner/x", "content": "1"})).await.unwrap();
    assert_eq!(fs::read(desk.path("in/x")).unwrap(), b"1");
    desk.run("file-write", json!({"path": "link", "content": "mine"})).await.unwrap();
    assert_eq!(fs::read(desk.path("link")).unwrap(), b"mine");
    assert_eq!(fs::read(outside.path("secret")).unwrap(), b"s");
}

#[tokio::test]
async fn the_root_of_a_target_holds_whatever_the_call_says() {
    let (desk, outside) = (Desk::new(), Desk::new());
    fs::create_dir(desk.path("in")).unwrap();
    fs::write(desk.path("in/a"), "1").unwrap();
    symlink(outside.folder.path(), desk.path("out")).unwrap();
    let target = |root: Value| Target {
        properties: serde_json::Map::from_iter([("root".to_owned(), root)]),
        ..Target::default()
    };
    let read = async |root: Option<&str>, path: &str, target: Target| {
        let (_cancel, context) = RunContext::detached("t");
        let arguments = json!({"root": root, "path": path});
        let call = Call { function: "file-read".into(), arguments, target: Some(target), ..Call::default() };
        File::new().run(context, call).await.map_err(|failure| failure.status)
    };
    let folder = desk.folder.path().to_str().unwrap();
    let within = || target(json!(folder));
    assert_eq!(read(None, "in/a", within()).await.unwrap()["content"], "1");
    assert_eq!(read(Some("in"), "a", within()).await.unwrap()["content"], "1");
    assert_eq!(read(Some(&format!("{folder}/in")), "a", within()).await.unwrap()["content"], "1");
    assert_eq!(read(Some("/"), "etc/passwd", within()).await, Err(403));
    assert_eq!(read(Some("out"), "a", within()).await, Err(403));
    assert_eq!(read(Some("in"), "../in/a", within()).await, Err(403));
    assert_eq!(read(Some(".."), "a", within()).await, Err(403));
    assert_eq!(read(None, "a", target(json!("here"))).await, Err(400));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let desk = Desk::new();
    for (function, arguments) in [
        ("file-read", json!({})),
        ("file-read", json!({"path": "a", "as": "yaml"})),
        ("file-write", json!({"path": "a"})),
        ("file-write", json!({"path": "a", "content": "x", "mode": "rw"})),
        ("file-write", json!({"path": "a", "content": 1, "as": "text"})),
        ("file-write", json!({"path": "a", "content": "?", "as": "base64"})),
        ("file-write", json!({"path": "..", "content": ""})),
        ("file-list", json!({"folder": ".", "limit": 1_000_000})),
    ] {
        assert_eq!(desk.refused(function, arguments.clone()).await.0, 400, "{function} {arguments}");
    }
    let relative = desk.attempt(1, "file-read", json!({"path": "a"})).await.unwrap_err();
    assert!(relative.title.contains("absolute"), "{relative}");
}
