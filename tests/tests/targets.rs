//! Targets with the real binary: described by operators and packs, selected and worked on by definitions, and still there
//! after a crash.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use impresario_tests::cli::{self, Ended};
use impresario_tests::node::{Node, Place};
use impresario_tests::poll::eventually;
use serde_json::{Value, json};

const WORK: &str = "
document: { dsl: '1.0.3', namespace: test, name: work, version: '1.0.0' }
do:
  - members: { call: 'select:1.0.0@default', with: { group: web } }
  - each:
      for: { in: '.' }
      metadata: { ops: { concurrency: 2 } }
      do:
        - note: { call: 'echo:1.0.0@default', with: { host: '${ $item.properties.host }', target: '${ $item }' } }
  - one: { call: 'echo:1.0.0@default', with: { hosts: '${ map(.host) }', group: web, select: { name: web2 } } }
";

const ASK: &str = "
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }
do:
  - safe:
      try: [ { note: { call: 'echo:1.0.0@default', with: { a: 1, target: '${ .target }' } } } ]
      catch:
        errors: { with: { type: 'https://serverlessworkflow.io/spec/1.0.0/errors/configuration' } }
        do: [ { caught: { set: { status: '${ $error.status }', detail: '${ $error.detail }' } } } ]
";

const SELECT: &str = "
document: { dsl: '1.0.3', namespace: test, name: pick, version: '1.0.0' }
do:
  - pick: { call: 'select:1.0.0@default', with: { group: '${ .group }', where: .labels.site == $site, variables: { site: '${ .site }' } } }
  - names: { set: '${ map(.name) }' }
";

/// Works on a target until a file is there.
fn hold(folder: &Path) -> String {
    let go = folder.join("go").display().to_string();
    format!(
        "
document: {{ dsl: '1.0.3', namespace: test, name: hold, version: '1.0.0' }}
do:
  - hold:
      run: {{ shell: {{ command: 'while ! test -e {go}; do sleep 0.02; done' }} }}
      metadata: {{ ops: {{ target: web1, restartWhenInterrupted: true }} }}
"
    )
}

struct Session {
    place: Place,
    node: Node,
}

impl Session {
    async fn start(place: Place) -> Self {
        let node = place.start().await;
        Session { place, node }
    }

    /// Kills the node, and starts another one on what it left.
    async fn crash(self) -> Self {
        let Session { place, node } = self;
        node.kill().await;
        let node = place.start().await;
        Session { place, node }
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.place.run(arguments)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.place.json(arguments)
    }

    /// Two servers, and the group of both.
    fn describe(&self) {
        for (name, site) in [("web1", "berlin"), ("web2", "paris")] {
            let (host, site) = (format!("properties.host={name}.example"), format!("labels.site={site}"));
            self.run(&["targets", "set", name, "type=unix-server", &host, &site]).done();
        }
        self.run(&["groups", "set", "web", "criteria=.type == \"unix-server\""]).done();
    }

    /// Runs an instance to its end: its output.
    async fn output(&self, definition: &str, input: Value) -> Value {
        let started = self.node.api.start(definition, input, None).await.unwrap();
        let detail = self.node.ended(&started.id).await;
        assert_eq!(detail.summary.status, "completed", "{detail:#?}");
        detail.output.unwrap()
    }
}

fn names(entries: &Value) -> Vec<&str> {
    entries.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn what_is_described_is_listed_and_survives_a_crash() {
    let session = Session::start(Place::new().define("work", WORK)).await;
    session.describe();
    let schema = r#"{"schema": {"type": "object", "required": ["dsn"]}}"#;
    session.run(&["target-types", "set", "database", "--spec", schema]).done();
    session.run(&["targets", "set", "orders", "type=database", "properties.dsn=postgres://db/orders"]).done();
    session.run(&["groups", "set", "all", "groups=[\"web\", \"nodes\"]", "members=[\"orders\"]"]).done();
    let session = session.crash().await;
    let targets = session.json(&["targets"]);
    let node = names(&targets).into_iter().find(|name| name.starts_with("node:")).unwrap().to_owned();
    assert_eq!(names(&targets), [node.as_str(), "orders", "web1", "web2"]);
    let web = session.json(&["targets", "show", "web1"]);
    assert_eq!((&web["properties"]["host"], &web["by"]), (&json!("web1.example"), &json!("operator")));
    let all = session.json(&["groups", "show", "all"]);
    assert_eq!(all["targets"], json!([node, "orders", "web1", "web2"]));
    session.run(&["targets", "set", "web1", "enabled=false", "labels.site=null"]).done();
    let web = session.json(&["targets", "show", "web1"]);
    assert_eq!((&web["enabled"], web.get("labels")), (&json!(false), None));
    let page = session.run(&["targets"]).done().stdout;
    assert!(page.contains("disabled") && page.contains("web1.example"), "{page}");
    let types = session.json(&["target-types"]);
    assert_eq!(names(&types), ["database", "http-endpoint", "node", "unix-server"]);
    session.node.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_in_words() {
    let session = Session::start(Place::new().define("work", WORK)).await;
    session.describe();
    session.run(&["groups", "set", "outer", "groups=[\"web\"]", "members=[\"web1\"]"]).done();
    let refused: [(&[&str], &[&str]); 9] = [
        (&["targets", "set", "web3", "type=unix-server"], &["\"host\" is a required property"]),
        (
            &["targets", "set", "web1", "properties.port=none"],
            &["expected the properties of type 'unix-server'", "'/port'"],
        ),
        (&["targets", "set", "web3", "type=unix-sever"], &["one of unix-server", "found 'unix-sever'"]),
        (&["targets", "set", "web1", "limits=3"], &["expected the members type", "found 'limits'"]),
        (&["targets", "show", "web3"], &["found 'web3', which names none; did you mean"]),
        (&["groups", "set", "web", "groups=[\"outer\"]"], &["web → outer → web"]),
        (&["groups", "set", "g", "members=[\"wbe1\"]"], &["found 'wbe1'"]),
        (&["targets", "remove", "web1"], &["a member of group 'outer'"]),
        (&["target-types", "remove", "node"], &["built in"]),
    ];
    for (command, words) in refused {
        session.run(command).failed(2, words);
    }
    session.run(&["targets", "set", "web1"]).failed(64, &["expected MEMBER=VALUE or --spec"]);
    session.run(&["groups", "remove", "outer"]).done();
    session.run(&["targets", "remove", "web1"]).done();
    session.run(&["targets", "remove", "web1"]).failed(2, &["which names none"]);
    session.node.stop().await;
}

#[tokio::test]
async fn work_is_done_on_what_is_selected() {
    let place = Place::new().define("work", WORK).define("ask", ASK).define("pick", SELECT);
    let session = Session::start(place).await;
    session.describe();
    let started = session.node.api.start("test/work", json!({}), None).await.unwrap();
    let detail = session.node.ended(&started.id).await;
    assert_eq!(detail.output, Some(json!({ "hosts": ["web1.example", "web2.example"] })), "{detail:#?}");
    let on: Vec<_> = detail.activities.iter().map(|activity| activity.target.as_deref()).collect();
    assert_eq!(on, [None, Some("web1"), Some("web2"), None, Some("web2")]);
    let page = session.run(&["show", &started.id]).done().stdout;
    assert!(page.contains("(command/echo on web1)"), "{page}");

    let missing = session.output("test/ask", json!({ "target": "web9" })).await;
    assert_eq!(missing["status"], 404);
    assert!(missing["detail"].as_str().unwrap().contains("did you mean"), "{missing}");
    session.run(&["targets", "set", "web1", "enabled=false"]).done();
    let disabled = session.output("test/ask", json!({ "target": "web1" })).await;
    assert_eq!(disabled["status"], 409);

    let on_web2 = session.json(&["ps", "--target", "web2"]);
    assert_eq!(on_web2["items"].as_array().unwrap().len(), 1, "{on_web2}");
    assert_eq!(on_web2["items"][0]["id"], json!(started.id));

    let pick = json!({ "group": "web", "site": "paris" });
    assert_eq!(session.output("test/pick", pick).await, json!(["web2"]));
    let started = session.node.api.start("test/pick", json!({ "group": "web", "site": "rome" }), None).await;
    let error = session.node.ended(&started.unwrap().id).await.error.unwrap();
    assert_eq!((&error["status"], &error["instance"]), (&json!(404), &json!("/do/0/pick")), "{error}");
    session.node.stop().await;
}

const PACK_TARGETS: &str = "
targetTypes: { printer: { schema: { type: object, required: [queue] } } }
targets:
  hp1: { type: printer, properties: { queue: a }, limit: 2 }
  hp2: { type: printer, properties: { queue: b } }
  hp3: { type: printer, properties: { queue: c } }
";

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn a_pack_brings_targets_and_leaves_alone_what_an_operator_changed() {
    let folder = tempfile::tempdir().unwrap();
    let pack = folder.path().join("printers");
    write(&pack.join("pack.yaml"), "{ name: printers, version: 1.0.0 }");
    write(&pack.join("targets/all.yaml"), PACK_TARGETS);
    write(&pack.join("groups/all.yaml"), "groups: { printers: { criteria: '.type == \"printer\"' } }");
    let place = Place::new().define("work", WORK).pack(&pack);
    cli::run(place.path(), &["check", pack.to_str().unwrap()]).done();
    let session = Session::start(place).await;
    let shown = session.json(&["groups", "show", "printers"]);
    assert_eq!((&shown["by"], &shown["targets"]), (&json!("pack printers"), &json!(["hp1", "hp2", "hp3"])));
    session.run(&["targets", "set", "hp1", "limit=5"]).done();
    session.run(&["targets", "remove", "hp2"]).done();
    write(&pack.join("targets/all.yaml"), &PACK_TARGETS.replace("queue: ", "queue: new-"));
    let session = session.crash().await;
    let targets = session.json(&["targets"]);
    let of = |name: &str| targets.as_array().unwrap().iter().find(|entry| entry["name"] == name).cloned();
    let (hp1, hp3) = (of("hp1").unwrap(), of("hp3").unwrap());
    assert_eq!((&hp1["limit"], &hp1["properties"]["queue"]), (&json!(5), &json!("a")));
    assert_eq!(of("hp2"), None);
    assert_eq!((&hp3["by"], &hp3["properties"]["queue"]), (&json!("pack printers"), &json!("new-c")));
    let log = session.place.log();
    assert!(log.contains("hp1") && log.contains("hp2") && log.contains("changed since"), "{log}");
    session.node.stop().await;
}

#[tokio::test]
async fn a_file_is_imported_whole_or_says_where_it_stopped() {
    let session = Session::start(Place::new().define("work", WORK)).await;
    let good = session.place.write(
        "good.yaml",
        &format!("{PACK_TARGETS}groups: {{ two: {{ groups: [one] }}, one: {{ members: [hp1] }} }}\n"),
    );
    let done = session.json(&["targets", "import", good.to_str().unwrap()]);
    assert_eq!(done.as_array().unwrap().len(), 6);
    assert_eq!(session.json(&["groups", "show", "two"])["targets"], json!(["hp1"]));
    let bad = session.place.write(
        "bad.yaml",
        "targets: { a: { type: printer, properties: { queue: q } }, b: { type: printer } }",
    );
    session.run(&["targets", "import", bad.to_str().unwrap()]).failed(2, &["target 'b'", "(1 were set)"]);
    let odd = session.place.write("odd.yaml", "target: {}");
    session.run(&["targets", "import", odd.to_str().unwrap()]).failed(64, &["expected an inventory in"]);
    session.node.stop().await;
}

/// The instances that have a place at `web1`, and those that wait for one.
fn places(session: &Session) -> (Vec<String>, Vec<String>) {
    let shown = session.json(&["targets", "show", "web1"]);
    let of = |list: &str| {
        let claims = shown["places"][list].as_array().cloned().unwrap_or_default();
        claims.iter().map(|claim| claim["instance"].as_str().unwrap().to_owned()).collect()
    };
    (of("holders"), of("waiting"))
}

async fn until(
    session: &Session,
    what: &str,
    so: impl Fn(&(Vec<String>, Vec<String>)) -> bool,
) -> (Vec<String>, Vec<String>) {
    eventually(Duration::from_secs(60), what, async || Some(places(session)).filter(&so)).await
}

#[tokio::test]
async fn a_limit_holds_and_its_queue_survives_a_crash() {
    let place = Place::new();
    let place_path = place.path().to_owned();
    let session = Session::start(place.define("hold", &hold(&place_path))).await;
    session.describe();
    session.run(&["targets", "set", "web1", "limit=1"]).done();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(session.node.api.start("test/hold", json!({}), None).await.unwrap().id);
        let expected = ids.len();
        until(&session, "a place in the line", |(holders, waiting)| {
            holders.len() + waiting.len() == expected
        })
        .await;
    }
    let before = places(&session);
    assert_eq!(before, (vec![ids[0].clone()], ids[1..].to_vec()));
    let last = session.run(&["show", &ids[2]]).done().stdout;
    assert!(last.contains("waits for a place") && last.contains("1 before it"), "{last}");
    let page = session.run(&["targets", "show", "web1"]).done().stdout;
    assert!(page.contains("has a place") && page.contains(&ids[2]), "{page}");

    let session = session.crash().await;
    assert_eq!(places(&session), before, "nothing was lost with the node");
    session.run(&["cancel", &ids[1]]).done();
    until(&session, "a shorter line", |(_, waiting)| waiting.len() == 1).await;
    session.run(&["targets", "set", "web1", "limit=2"]).done();
    let (holders, waiting) = until(&session, "a second place", |(holders, _)| holders.len() == 2).await;
    assert_eq!((holders, waiting), (vec![ids[0].clone(), ids[2].clone()], vec![]));

    session.place.write("go", "");
    for id in [&ids[0], &ids[2]] {
        assert_eq!(session.node.ended(id).await.summary.status, "completed");
    }
    until(&session, "no place taken", |(holders, _)| holders.is_empty()).await;
    session.node.stop().await;
}
