//! The adapter `ssh` against real servers.

mod files;
mod login;
mod server;
mod sessions;

use impresario_adapter::{RuntimeUser, Target};
use serde_json::json;

use super::*;
use server::Server;

async fn act(ssh: &Ssh, call: Call) -> Result<Value, Failure> {
    let (_cancel, context) = RunContext::detached("token");
    ssh.run(context, call).await
}

async fn once(server: &Server, function: &str, arguments: Value) -> Result<Value, Failure> {
    act(&Ssh::new(), server.call(function, arguments)).await
}

#[tokio::test]
async fn a_command_runs_there_as_it_would_here() {
    let server = Server::start().await;
    let ssh = Ssh::new();
    let run = |arguments: Value| act(&ssh, server.call("ssh-run", arguments));
    let command = "echo out; echo err >&2";
    for (returned, expected) in [
        ("stdout", json!("out\n")),
        ("stderr", json!("err\n")),
        ("code", json!(0)),
        ("none", json!(null)),
        ("all", json!({"code": 0, "stdout": "out\n", "stderr": "err\n"})),
    ] {
        assert_eq!(
            run(json!({"command": command, "return": returned})).await.unwrap(),
            expected,
            "{returned}"
        );
    }
    let arguments =
        json!({"command": "printf '%s|'", "arguments": ["a b", "$HOME", "it's", 7], "return": "stdout"});
    assert_eq!(run(arguments).await.unwrap(), json!("a b|$HOME|it's|7|"));
    let arguments = json!({"command": "cat", "stdin": {"a": [1]}, "return": "stdout"});
    assert_eq!(run(arguments).await.unwrap(), json!("{\"a\":[1]}"));
    let fail = "echo it broke >&2; exit 3";
    let failure = run(json!({"command": fail, "return": "stdout"})).await.unwrap_err();
    assert_eq!(
        (failure.kind.as_str(), failure.title.as_str()),
        (Failure::RUNTIME, "`echo` ended with code 3")
    );
    assert_eq!(failure.detail.as_deref(), Some("it broke"));
    assert_eq!(run(json!({"command": fail})).await.unwrap()["code"], json!(3));
    assert!(run(json!({"command": fail, "expectCodes": [0]})).await.is_err());
    assert_eq!(server.connections(), 1, "all of it over one connection");
}

#[tokio::test]
async fn a_signal_that_ends_a_command_is_told() {
    let server = Server::start().await;
    let ended = once(&server, "ssh-run", json!({"command": "kill -9 $$"})).await.unwrap();
    assert_eq!((&ended["code"], &ended["signal"]), (&json!(137), &json!("KILL")), "{ended}");
}

#[tokio::test]
async fn output_beyond_the_limit_is_counted() {
    let server = Server::start().await;
    let command = "head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2";
    let all = once(&server, "ssh-run", json!({"command": command, "outputLimit": 1000})).await.unwrap();
    assert_eq!(all["stdout"].as_str().unwrap().len(), 1000);
    assert_eq!((&all["truncated"], &all["stderr"]), (&json!(true), &json!("done\n")));
    assert_eq!(all["cut"], json!({"stdout": 2_999_000, "stderr": 0}));
}

#[tokio::test]
async fn much_input_and_much_output_do_not_block_each_other() {
    let server = Server::start().await;
    let input = "x".repeat(3_000_000);
    let arguments = json!({"command": "cat", "stdin": input, "return": "stdout", "outputLimit": 4_000_000});
    assert_eq!(once(&server, "ssh-run", arguments).await.unwrap().as_str().unwrap().len(), 3_000_000);
    // A command that does not read its input.
    let arguments = json!({"command": "echo no", "stdin": input, "return": "stdout"});
    assert_eq!(once(&server, "ssh-run", arguments).await.unwrap(), json!("no\n"));
}

#[tokio::test]
async fn a_daemon_that_holds_the_output_does_not_hold_the_run() {
    let server = Server::start().await;
    let arguments = json!({"command": "sh -c 'sleep 30' & echo started", "return": "stdout"});
    assert_eq!(once(&server, "ssh-run", arguments).await.unwrap(), json!("started\n"));
}

#[tokio::test]
async fn a_script_is_read_by_its_interpreter() {
    let server = Server::start().await;
    let ssh = Ssh::new();
    let script = |script: &str, more: Value| {
        let mut arguments = json!({"script": script, "return": "stdout"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        act(&ssh, server.call("ssh-script", arguments))
    };
    // The second command would swallow the third, if it found the script in its standard input.
    let text = "#!/bin/sh\n# a comment\ncat\necho \"$1 and $2\"";
    let output = script(text, json!({"arguments": ["a b", "--c"]})).await.unwrap();
    assert_eq!(output, json!("a b and --c\n"));
    let failure = script("echo one\nexit 4", json!({})).await.unwrap_err();
    assert_eq!(failure.title, "`/bin/sh` ended with code 4");
    let output = script("# nothing\ntrue", json!({"interpreter": "bash"})).await.unwrap();
    assert_eq!(output, json!(""));
    let python = "import sys\nprint(sys.argv[1:])";
    let output = script(python, json!({"interpreter": "python3", "arguments": ["x y"]})).await.unwrap();
    assert_eq!(output, json!("['x y']\n"));
    let failure = script("(", json!({})).await.unwrap_err();
    assert!(failure.title.contains("ended with code 2"), "{failure}");
}

#[tokio::test]
async fn variables_go_where_the_host_takes_them() {
    let server = Server::start().await;
    let command =
        "echo $TEST_A $IMPRESARIO_ACTIVITY_KEY $IMPRESARIO_ACTIVITY_TOKEN $IMPRESARIO_ACTIVITY_ATTEMPT";
    let arguments = json!({"command": command, "environment": {"TEST_A": "a b"}, "return": "stdout"});
    assert_eq!(once(&server, "ssh-run", arguments).await.unwrap(), json!("a b key token 1\n"));
    let arguments = json!({"command": "true", "environment": {"SECRET": "hush"}});
    let failure = once(&server, "ssh-run", arguments).await.unwrap_err();
    assert!(failure.title.contains("does not accept the variable `SECRET`"), "{failure}");
    assert!(!failure.to_string().contains("hush"));
}

#[tokio::test]
async fn what_cannot_be_reached_says_so() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ssh = Ssh::new();
    let to = |port: u16| {
        let arguments =
            json!({"command": "true", "host": "127.0.0.1", "port": port, "connectTimeoutSeconds": 0.2});
        let user = Some(server::user(&[("username", "nobody"), ("password", "hush")]));
        act(&ssh, Call { function: "ssh-run".into(), arguments, user, ..Call::default() })
    };
    let refused = to(port).await.unwrap_err();
    assert_eq!(refused.kind, Failure::COMMUNICATION);
    assert_eq!(refused.title, format!("no connection to 127.0.0.1:{port}"));
    let mute = to(silent.local_addr().unwrap().port()).await.unwrap_err();
    assert_eq!((mute.kind.as_str(), mute.status), (Failure::TIMEOUT, 408), "{mute}");
}

#[tokio::test]
async fn arguments_that_do_not_fit_name_what_is_wrong() {
    let target = |properties: Value| {
        let properties = properties.as_object().unwrap().clone();
        Some(Target { name: "box".into(), kind: "unix-server".into(), properties })
    };
    let nobody = || Some(server::user(&[("username", "u")]));
    let host = || target(json!({"host": "h", "colour": "blue"}));
    let run = json!({"command": "true"});
    for (function, arguments, target, user, named) in [
        ("ssh-run", run.clone(), None, nobody(), "does not know where"),
        ("ssh-run", run.clone(), target(json!({"port": 22})), nobody(), "missing field `host`"),
        ("ssh-run", run.clone(), target(json!({"host": "a b"})), nobody(), "is not a host"),
        ("ssh-run", run.clone(), host(), None, "no user to log in to h as"),
        ("ssh-run", run.clone(), target(json!({"host": "h", "hostKey": "x"})), nobody(), "is not a host key"),
        (
            "ssh-run",
            json!({"command": "true", "host": "h"}),
            host(),
            nobody(),
            "both the target `box` and `host`",
        ),
        ("ssh-run", json!({"command": " "}), host(), nobody(), "is empty"),
        ("ssh-run", json!({"command": "true", "shell": 1}), host(), nobody(), "shell"),
        ("ssh-run", json!({"command": "true", "timeoutSeconds": 0}), host(), nobody(), "must be above 0"),
        ("ssh-put", json!({"path": "x", "content": "", "mode": "rwx"}), host(), nobody(), "octal"),
        ("ssh-get", json!({"path": "x", "limit": 1_000_000_000}), host(), nobody(), "the most is"),
        ("ssh-dance", json!({}), host(), nobody(), "no function `ssh-dance`"),
    ] {
        let call = Call { function: function.into(), arguments, target, user, ..Call::default() };
        let failure = act(&Ssh::new(), call).await.unwrap_err().to_string();
        assert!(failure.contains(named), "{failure}");
    }
}

#[test]
fn the_schemas_know_every_argument() {
    let known = |function: &str, required: &[&str]| {
        let manifest = manifest();
        let input = manifest.function(function).unwrap().input.clone().unwrap();
        for name in required {
            assert!(input["properties"].get(name).is_some(), "{function}: {name}");
        }
        assert_eq!(input["additionalProperties"], json!(false));
    };
    known(
        "ssh-run",
        &["command", "arguments", "environment", "stdin", "return", "outputLimit", "expectCodes"],
    );
    known("ssh-script", &["script", "interpreter", "host", "port", "username", "hostKey", "timeoutSeconds"]);
    known("ssh-put", &["path", "content", "encoding", "mode", "knownHosts", "connectTimeoutSeconds"]);
    known("ssh-get", &["path", "encoding", "limit"]);
}

fn as_user(server: &Server, user: RuntimeUser, arguments: Value) -> Call {
    Call { user: Some(user), ..server.call("ssh-run", arguments) }
}
