//! Secrets with the real binary: each way in which a process uses one, and nothing of them left behind anywhere.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::any;
use impresario_tests::cli::Ended;
use impresario_tests::node::{Node, Place};
use serde_json::{Value, json};

/// Whatever is left behind must have none of these.
const PASSWORD: &str = "pw-Zanzibar7&x";
const TOKEN: &str = "tk-Ouagadougou9";
const PIN: &str = "pin-Reykjavik3";
/// `ada:` and the password, as basic authentication writes it.
const BASIC: &str = "YWRhOnB3LVphbnppYmFyNyZ4";

const WORK: &str = "
document: { dsl: '1.0.3', namespace: test, name: work, version: '1.0.0' }
use: { secrets: [web, shell, absent] }
do:
  - basic:
      call: http
      with:
        method: GET
        endpoint: { uri: '${ .url }', authentication: { basic: { use: web } } }
  - header:
      call: http
      with:
        method: POST
        endpoint: '${ $workflow.input.url }'
        headers: { X-Token: '${ $secrets.shell.token }' }
        body: { pin: '${ $secrets.shell.pin }' }
  - environment:
      run:
        shell: { command: 'printf \"%s %s\" \"$PIN\" \"$PLAIN\"', environment: { PIN: '${ $secrets.shell.pin }', PLAIN: plain } }
  - told:
      try:
        - fails:
            run: { shell: { command: 'echo no $PIN here >&2; exit 3', environment: { PIN: '${ $secrets.shell.pin }' } } }
      catch: { as: error, do: [ { keep: { set: { detail: '${ $error | tostring }' } } } ] }
  - missing:
      try:
        - fails: { run: { shell: { command: 'true', stdin: '${ $secrets.absent.pin }' } } }
      catch: { as: error, do: [ { kept: { set: { status: '${ $error.status }', type: '${ $error.type }' } } } ] }
  - user: { call: 'echo:1.0.0@default', with: { text: hello, runtimeUser: web } }
";

const FAILS: &str = "
document: { dsl: '1.0.3', namespace: test, name: fails, version: '1.0.0' }
use: { secrets: [shell] }
do:
  - fails: { run: { shell: { command: 'echo $PIN >&2; echo $PIN; exit 3', environment: { PIN: '${ $secrets.shell.pin }' } } } }
";

const CHOOSES: &str = "
document: { dsl: '1.0.3', namespace: test, name: chooses, version: '1.0.0' }
use: { secrets: [web] }
do:
  - as: { call: 'echo:1.0.0@default', with: { text: hello, runtimeUser: '${ .user }' } }
";

struct Session {
    place: Place,
    node: Node,
}

impl Session {
    async fn start(place: Place) -> Self {
        let node = place.start().await;
        Session { place, node }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.place.run(arguments)
    }

    fn set_users(&self) {
        let (password, pin) = (self.place.write("password", PASSWORD), self.place.write("pin", PIN));
        let token = self.place.write("token", TOKEN);
        let of = |field: &str, path: &Path| format!("{field}=@{}", path.display());
        self.run(&["users", "set", "web", "username=ada", &of("password", &password)]).done();
        self.run(&["users", "set", "shell", &of("pin", &pin), &of("token", &token)]).done();
        for path in [password, pin, token] {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Answers with everything that it was sent.
async fn mirror() -> String {
    let answer = |headers: HeaderMap, body: String| async move {
        let headers: Vec<String> = headers.iter().map(|header| format!("{header:?}")).collect();
        axum::Json(json!({ "headers": headers, "body": body }))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    url
}

/// Every file under a folder that has one of the secrets in it.
fn files_with_secrets(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with_secrets(&path, found);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        found.extend(secrets_in(&bytes).map(|secret| format!("{secret} in {}", path.display())));
    }
}

fn secrets_in(bytes: &[u8]) -> impl Iterator<Item = &'static str> {
    let holds = |secret: &str| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    [PASSWORD, TOKEN, PIN, BASIC].into_iter().filter(move |secret| holds(secret))
}

#[tokio::test]
async fn nothing_that_a_run_leaves_behind_has_a_secret_in_it() {
    let place = Place::new().set("log.level", "debug").define("work", WORK).define("fails", FAILS);
    let session = Session::start(place).await;
    session.set_users();
    let url = mirror().await;
    let started = session.node.api.start("test/work", json!({ "url": url }), None).await.unwrap();
    let detail = session.node.ended(&started.id).await;
    assert_eq!(detail.summary.status, "completed", "{detail:#?}");
    let output = |task: &str| {
        let of = |activity: &&impresario::orchestrator::ActivityDetail| activity.task == task;
        detail.activities.iter().find(of).and_then(|activity| activity.output.clone()).unwrap()
    };
    // They did arrive: what the server was sent has a mask where each of them was.
    let basic = output("basic").to_string();
    assert!(basic.contains("Basic ***"), "{basic}");
    let header = output("header").to_string();
    assert!(header.contains("x-token") && header.matches("***").count() >= 2, "{header}");
    assert_eq!(output("environment"), json!("*** plain"));
    let failed =
        |task: &str| detail.activities.iter().filter(|a| a.task == task).find_map(|a| a.error.clone());
    assert!(failed("fails").unwrap().to_string().contains("no *** here"), "{detail:#?}");
    let fails = session.node.api.start("test/fails", json!({}), None).await.unwrap();
    let faulted = session.node.ended(&fails.id).await;
    assert_eq!(faulted.summary.status, "faulted");

    let mut shown: Vec<Value> = vec![json!(detail), json!(faulted)];
    for command in [
        vec!["users"],
        vec!["show", &started.id],
        vec!["show", &fails.id],
        vec!["ps"],
        vec!["tree"],
        vec!["definitions"],
        vec!["config"],
        vec!["key", "show"],
    ] {
        let ended = session.run(&[&["--json"][..], &command].concat()).done();
        shown.push(json!([command, ended.stdout, ended.stderr]));
    }
    let refused = json!({ "fields": { "password": [PASSWORD], "pin": PIN } });
    let request = session.node.api.request(reqwest::Method::PUT, "/api/v1/users/web").json(&refused);
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 400);
    shown.push(json!(refused.text().await.unwrap()));
    for page in &shown {
        assert_eq!(secrets_in(page.to_string().as_bytes()).next(), None, "{page:#}");
    }
    // What is in memory goes to disk at the stop.
    let Session { place, node } = session;
    node.stop().await;
    let mut found = Vec::new();
    files_with_secrets(place.path(), &mut found);
    assert_eq!(found, Vec::<String>::new());
    let log = place.log();
    assert!(log.contains("debug") || log.contains("DEBUG"), "expected the log of everything");
}

#[tokio::test]
async fn data_cannot_choose_a_user_that_the_definition_does_not_declare() {
    let session = Session::start(Place::new().define("chooses", CHOOSES)).await;
    session.set_users();
    for (user, status) in [("web", "completed"), ("shell", "faulted")] {
        let started = session.node.api.start("test/chooses", json!({ "user": user }), None).await.unwrap();
        let detail = session.node.ended(&started.id).await;
        assert_eq!(detail.summary.status, status, "{detail:#?}");
        if let Some(error) = detail.error {
            assert_eq!(error["status"], 403, "{error}");
            assert!(error["type"].as_str().unwrap().ends_with("/authorization"), "{error}");
        }
    }
    session.node.stop().await;
}

#[tokio::test]
async fn a_key_is_exported_lost_and_brought_back() {
    let session = Session::start(Place::new().define("fails", FAILS)).await;
    session.set_users();
    let words = session.place.write("words", "correct horse battery staple\n");
    let wrong = session.place.write("wrong", "correct horse battery stable\n");
    let export = session.place.path().join("keys.export");
    let (words, wrong, export) = (words.to_str().unwrap(), wrong.to_str().unwrap(), export.to_str().unwrap());
    session.run(&["key", "rotate"]).done();
    session.run(&["key", "export", export, "--passphrase-file", words]).done();
    session.run(&["key", "import", export, "--passphrase-file", wrong]).failed(1, &["passphrase"]);
    let Session { place, node } = session;
    node.stop().await;
    fs::remove_file(place.data().join("environment.key")).unwrap();
    let (status, said) = place.spawn().ready_or_ended().await.unwrap_err();
    assert!(!status.success() && said.contains("key import"), "{said}");
    place.run(&["key", "import", export, "--passphrase-file", words]).done();
    let session = Session::start(place).await;
    let started = session.node.api.start("test/fails", json!({}), None).await.unwrap();
    let error = session.node.ended(&started.id).await.error.unwrap();
    assert_ne!(error["status"], 403, "the secret was found: {error}");
    let users = session.run(&["--json", "users"]).done().json();
    assert_eq!(users[0]["fields"], json!(["pin", "token"]));
    session.run(&["users", "remove", "shell"]).done();
    session.run(&["users", "remove", "shell"]).failed(2, &["found 'shell'"]);
    session.node.stop().await;
}
