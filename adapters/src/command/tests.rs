//! The adapter `command` against real programs.

use std::path::{Path, PathBuf};

use impresario_adapter::host::{ExitReason, serve};
use impresario_adapter::{NodeMessage, wire};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

fn call(function: &str, arguments: Value) -> Call {
    let (token, key) = ("token".into(), "key".into());
    Call { token, attempt: 1, key, function: function.into(), arguments, ..Call::default() }
}

async fn act(function: &str, arguments: Value) -> Result<Value, Failure> {
    let (_cancel, context) = RunContext::detached("token");
    Command::new().run(context, call(function, arguments)).await
}

async fn shell(command: &str, returned: &str) -> Result<Value, Failure> {
    act("shell", json!({"command": command, "return": returned})).await
}

/// A named pipe. Its reading end sees the end of the file once every process that holds it for writing is dead.
struct Fifo {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Fifo {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        act("run", json!({"program": "mkfifo", "arguments": [path], "expectCodes": [0]})).await.unwrap();
        Self { path, _directory: directory }
    }

    /// Reads it from another thread: one line, which is sent on, and then to its end.
    fn watch(&self) -> (tokio::sync::oneshot::Receiver<String>, JoinHandle<()>) {
        let (sender, line) = tokio::sync::oneshot::channel();
        let path = self.path.clone();
        let ended = tokio::task::spawn_blocking(move || {
            use std::io::{BufRead, Read};
            let mut reader = std::io::BufReader::new(std::fs::File::open(path).unwrap());
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            drop(sender.send(line));
            drop(reader.read_to_end(&mut Vec::new()));
        });
        (line, ended)
    }
}

#[tokio::test]
async fn a_program_knows_its_attempt_and_the_definition_cannot_fake_it() {
    let command = "echo $IMPRESARIO_ACTIVITY_KEY $IMPRESARIO_ACTIVITY_TOKEN $IMPRESARIO_ACTIVITY_ATTEMPT";
    let arguments = json!({"command": command, "environment": {"IMPRESARIO_ACTIVITY_KEY": "fake"}});
    assert_eq!(act("shell", arguments).await.unwrap(), json!("key token 1\n"));
}

#[tokio::test]
async fn a_program_gets_its_arguments_without_a_shell() {
    let arguments = json!({"program": "printf", "arguments": ["%s|", "$HOME", "a b", 7], "return": "stdout"});
    assert_eq!(act("run", arguments).await.unwrap(), json!("$HOME|a b|7|"));
}

#[tokio::test]
async fn a_shell_command_gets_its_input_and_its_arguments() {
    let arguments = json!({
        "command": "input=$(cat); echo \"STDIN was: $input\"; echo \"ARGS are $1 $2\"",
        "arguments": ["Foo", "Bar"],
        "stdin": "Hello World",
    });
    assert_eq!(act("shell", arguments).await.unwrap(), json!("STDIN was: Hello World\nARGS are Foo Bar\n"));
}

#[tokio::test]
async fn each_way_to_return() {
    let command = "echo out; echo err >&2";
    for (returned, expected) in [
        ("stdout", json!("out\n")),
        ("stderr", json!("err\n")),
        ("code", json!(0)),
        ("none", json!(null)),
        ("all", json!({"code": 0, "stdout": "out\n", "stderr": "err\n"})),
    ] {
        assert_eq!(shell(command, returned).await.unwrap(), expected, "{returned}");
    }
}

#[tokio::test]
async fn output_that_is_json_stays_a_string() {
    assert_eq!(shell("echo '{\"a\": 1}'", "stdout").await.unwrap(), json!("{\"a\": 1}\n"));
}

#[tokio::test]
async fn an_exit_code_is_a_failure_unless_it_is_returned_or_expected() {
    let command = "echo partial; echo it broke >&2; exit 3";
    for returned in ["stdout", "stderr", "none"] {
        let failure = shell(command, returned).await.unwrap_err();
        assert_eq!((failure.kind.as_str(), failure.status), (Failure::RUNTIME, 500), "{returned}");
        assert!(failure.title.ends_with("ended with code 3"), "{failure}");
        assert_eq!(failure.detail.as_deref(), Some("it broke"));
    }
    assert_eq!(shell(command, "code").await.unwrap(), json!(3));
    assert_eq!(shell(command, "all").await.unwrap()["code"], json!(3));
    assert_eq!(shell("kill -9 $$", "code").await.unwrap(), json!(137));

    let run = |codes: Value, returned: &str| {
        act("run", json!({"program": "false", "expectCodes": codes, "return": returned}))
    };
    assert_eq!(run(json!([0, 1]), "stdout").await.unwrap(), json!(""));
    assert!(run(json!([0]), "all").await.is_err());
}

#[tokio::test]
async fn the_environment_is_clean_and_can_be_added_to() {
    let arguments = json!({"program": "env", "environment": {"ADDED": 1, "LANG": "xx"}, "return": "stdout"});
    let environment = act("run", arguments).await.unwrap();
    let lines: Vec<_> = environment.as_str().unwrap().lines().collect();
    assert!(lines.contains(&"ADDED=1") && lines.contains(&"LANG=xx"), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("PATH=")));
    // The test's own runner sets these.
    assert!(!lines.iter().any(|line| line.starts_with("CARGO")), "{lines:?}");
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let absent = act("run", json!({"program": "no-such-program"})).await.unwrap_err();
    assert_eq!((absent.kind.as_str(), absent.status), (Failure::CONFIGURATION, 400));
    assert!(absent.title.starts_with("no program `no-such-program` in PATH: /"), "{absent}");
    let absent = act("run", json!({"program": "/no/such/program"})).await.unwrap_err();
    assert_eq!(absent.title, "no program `/no/such/program`");
    let absent = act("run", json!({"program": "true", "directory": "/no/such"})).await.unwrap_err();
    assert_eq!(absent.title, "no directory `/no/such`");
    let denied = act("run", json!({"program": "/etc/passwd"})).await.unwrap_err();
    assert!(denied.title.ends_with("may not be executed"), "{denied}");
}

#[tokio::test]
async fn arguments_that_do_not_fit_name_what_is_wrong() {
    for (arguments, named) in [
        (json!({}), "program"),
        (json!({"program": "true", "shel": 1}), "shel"),
        (json!({"program": "true", "arguments": [{}]}), "expected a string, found a map"),
        (json!({"program": "true", "outputLimit": 1_000_000_000}), "the most is"),
        (json!({"program": "true", "return": "everything"}), "everything"),
    ] {
        let failure = act("run", arguments).await.unwrap_err();
        assert_eq!(failure.kind, Failure::VALIDATION);
        assert!(failure.detail.as_deref().unwrap().contains(named), "{failure}");
    }
}

#[tokio::test]
async fn output_beyond_the_limit_is_told() {
    let arguments = |returned: &str| {
        let command = "head -c 300000 /dev/zero | tr '\\0' x; echo done >&2";
        json!({"program": "sh", "arguments": ["-c", command], "outputLimit": 1000, "return": returned})
    };
    let all = act("run", arguments("all")).await.unwrap();
    assert_eq!(all["stdout"].as_str().unwrap().len(), 1000);
    assert_eq!(
        (&all["truncated"], &all["code"], &all["stderr"]),
        (&json!(true), &json!(0), &json!("done\n"))
    );
    assert_eq!(all["cut"], json!({"stdout": 299_000, "stderr": 0}));
    let failure = act("run", arguments("stdout")).await.unwrap_err();
    assert!(failure.title.contains("more than 1000 bytes"), "{failure}");
    assert_eq!(act("run", arguments("stderr")).await.unwrap(), json!("done\n"));
}

#[tokio::test]
async fn much_input_and_much_output_do_not_block_each_other() {
    let input = "x".repeat(900_000);
    let echoed = act("shell", json!({"command": "cat", "stdin": input})).await.unwrap();
    assert_eq!(echoed.as_str().unwrap().len(), 900_000);
    // A program that does not read its input.
    assert_eq!(act("shell", json!({"command": "echo no", "stdin": input})).await.unwrap(), json!("no\n"));
}

#[tokio::test]
async fn a_grandchild_that_holds_the_output_does_not_hold_the_run() {
    let fifo = Fifo::new().await;
    let (pid, ended) = fifo.watch();
    let command =
        format!("sh -c 'exec 9>{}; echo $$ >&9; exec sleep 1000' & echo started", fifo.path.display());
    assert_eq!(shell(&command, "stdout").await.unwrap(), json!("started\n"));
    assert!(!pid.await.unwrap().is_empty());
    ended.await.unwrap();
}

#[tokio::test]
async fn a_cancelled_command_is_asked_to_end() {
    let fifo = Fifo::new().await;
    let (ready, ended) = fifo.watch();
    let mark = fifo.path.with_file_name("mark");
    let command = format!(
        "trap 'echo tidy > {}; exit 0' TERM; exec 9>{}; echo ready >&9; sleep 1000 & wait",
        mark.display(),
        fifo.path.display()
    );
    let (cancel, context) = RunContext::detached("token");
    let run =
        tokio::spawn(
            async move { Command::new().run(context, call("shell", json!({"command": command}))).await },
        );
    ready.await.unwrap();
    cancel.send(true).unwrap();
    assert_eq!(run.await.unwrap().unwrap_err().title, "cancelled");
    ended.await.unwrap();
    assert_eq!(std::fs::read_to_string(mark).unwrap(), "tidy\n");
}

#[tokio::test]
async fn a_cancelled_command_that_will_not_end_is_killed() {
    let fifo = Fifo::new().await;
    let (ready, ended) = fifo.watch();
    let command =
        format!("trap '' TERM; exec 9>{}; echo ready >&9; while :; do sleep 1000; done", fifo.path.display());
    let (cancel, context) = RunContext::detached("token");
    let run =
        tokio::spawn(
            async move { Command::new().run(context, call("shell", json!({"command": command}))).await },
        );
    ready.await.unwrap();
    cancel.send(true).unwrap();
    assert_eq!(run.await.unwrap().unwrap_err().title, "cancelled");
    ended.await.unwrap();
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_ended() {
    let fifo = Fifo::new().await;
    let (ready, ended) = fifo.watch();
    let command = format!("exec 9>{}; echo ready >&9; exec sleep 1000", fifo.path.display());
    let arguments = json!({"program": "sh", "arguments": ["-c", command], "timeoutSeconds": 0.5});
    let failure = act("run", arguments).await.unwrap_err();
    assert_eq!((failure.kind.as_str(), failure.status), (Failure::TIMEOUT, 408));
    assert_eq!(failure.title, "`sh` took longer than 0.5 s");
    ready.await.unwrap();
    ended.await.unwrap();
}

#[tokio::test]
async fn a_script_is_a_file_while_it_runs() {
    let script = "#!/bin/sh\nread line\necho \"$0 $line $1\"; umask; ls -l \"$0\" | cut -c1-10";
    let arguments =
        json!({"script": script, "arguments": ["a b"], "stdin": "in", "return": "stdout", "umask": "027"});
    let output = act("script", arguments).await.unwrap();
    let lines: Vec<_> = output.as_str().unwrap().lines().collect();
    let path = lines[0].strip_suffix(" in a b").unwrap();
    assert_eq!((lines[1], lines[2]), ("0027", "-rw-------"));
    assert!(!Path::new(path).exists(), "it is gone");
    let python = json!({
        "script": "import sys\nprint(sys.flags.dont_write_bytecode, sys.argv[1:])", "interpreter": "python3 -B",
        "arguments": [1], "return": "stdout",
    });
    assert_eq!(act("script", python).await.unwrap(), json!("1 ['1']\n"));
    let failure = act("script", json!({"script": "exit 3", "return": "none"})).await.unwrap_err();
    assert_eq!(failure.title, "`/bin/sh` ended with code 3");
    for wrong in [json!({"script": "", "interpreter": " "}), json!({"script": "x", "umask": "rwx"})] {
        assert_eq!(act("script", wrong).await.unwrap_err().kind, Failure::VALIDATION);
    }
}

/// Root may run programs as others, and others may not. `nobody` is a user of every machine.
#[tokio::test]
async fn a_program_runs_as_the_user_that_is_named() {
    let who = json!({"program": "sh", "arguments": ["-c", "id -un; id -G; echo $USER"], "return": "stdout"});
    let named = |name: &str| {
        let mut arguments = who.clone();
        arguments["user"] = json!(name);
        arguments
    };
    let me = act("run", json!({"program": "id", "arguments": ["-un"], "return": "stdout"})).await.unwrap();
    let me = me.as_str().unwrap().trim().to_owned();
    assert!(act("run", named(&me)).await.unwrap().as_str().unwrap().starts_with(&format!("{me}\n")));
    let unknown = act("run", named("no-such-user")).await.unwrap_err();
    assert_eq!(unknown.title, "no user `no-such-user`");
    let fields = [("username".to_owned(), "nobody".to_owned())].into_iter().collect();
    let user = Some(impresario_adapter::RuntimeUser { name: "low".into(), fields });
    let (_cancel, context) = RunContext::detached("token");
    let by_runtime_user = Command::new().run(context, Call { user, ..call("run", who.clone()) }).await;
    let script = json!({"script": "cat \"$0\" | head -c 3; id -un", "user": "nobody", "return": "stdout"});
    let by_script = act("script", script).await;
    if rustix::process::geteuid().is_root() {
        let groups = act("shell", json!({"command": "id -G nobody"})).await.unwrap();
        let expected = json!(format!("nobody\n{}nobody\n", groups.as_str().unwrap()));
        assert_eq!(
            (act("run", named("nobody")).await.unwrap(), by_runtime_user.unwrap()),
            (expected.clone(), expected)
        );
        assert_eq!(by_script.unwrap(), json!("catnobody\n"));
        let absent = json!({"program": "no-such-program", "user": "nobody"});
        assert_eq!(act("run", absent).await.unwrap()["code"], json!(127), "as a shell says it");
    } else {
        for failure in [act("run", named("nobody")).await, by_runtime_user, by_script] {
            let failure = failure.unwrap_err();
            assert_eq!((failure.kind.as_str(), failure.status), (Failure::AUTHORIZATION, 403), "{failure}");
        }
    }
}

/// A host whose node disappears: the end of its input must end everything that it has started.
#[tokio::test]
async fn the_end_of_the_hosts_input_kills_grandchildren() {
    let fifo = Fifo::new().await;
    let (ready, ended) = fifo.watch();
    let (mut node, input) = tokio::io::duplex(4096);
    let (output, mut from) = tokio::io::duplex(4096);
    let host = tokio::spawn(serve(Command::new(), input, output));
    let command = grandchild(&fifo.path);
    let run = NodeMessage::Run(call("shell", json!({"command": command})));
    node.write_all(&wire::encode_node(&run).unwrap()).await.unwrap();
    ready.await.unwrap();
    drop(node);
    assert_eq!(host.await.unwrap(), ExitReason::InputClosed);
    ended.await.unwrap();
    let mut said = String::new();
    from.read_to_string(&mut said).await.unwrap();
    assert_eq!(said.lines().count(), 1, "only the hello: {said}");
}

/// A shell that waits for a child which ignores requests to end.
fn grandchild(fifo: &Path) -> String {
    format!("sh -c 'trap \"\" TERM; exec 9>{}; echo ready >&9; exec sleep 1000' & wait", fifo.display())
}

#[tokio::test]
async fn echo_answers_its_arguments() {
    assert_eq!(act("echo", json!([1, {"a": null}])).await.unwrap(), json!([1, {"a": null}]));
}
